#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/gpu_check.sh and tools/bench.sh where there is no GPU: their steps stop in time, and what passed is not run
again for the same device and commit. A fake python3 names the device; what they measure is rehearsed by hand on the
software device (tests/gpu/README.md)."""
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

SOURCE = pathlib.Path(os.environ["TEST_SOURCE"])
sys.path.append(str(SOURCE / "tests/gpu"))
import bench  # noqa: E402

SCRIPT = """
. {source}/tests/gpu/steps.sh
gpu_command=test gpu_dry=
gpu_begin steps "$FOLDER"
{steps}
gpu_finish
"""
PYTHON = """#!/bin/sh
case $* in */device.py) echo "90 ${DEVICE:-NVIDIA H900 80GB}" ;; esac
"""


class Steps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.path = self.dir / "bin"
        self.path.mkdir()
        self.program("python3", PYTHON)

    def program(self, name, text):
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def script(self, command, **env):
        """Runs it with the fakes; returns its exit status and its lines."""
        env = {"PATH": f"{self.path}:/usr/bin:/bin", "HOME": str(self.dir), "FOLDER": str(self.dir / "results")} | env
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, cwd=SOURCE, check=False)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def steps(self, steps, **env):
        return self.script(["bash", "-uc", SCRIPT.format(source=SOURCE, steps=steps)], **env)

    def folders(self):
        return sorted(path.name for path in (self.dir / "results").iterdir())

    def test_a_step_that_passed_is_not_run_again_and_one_that_failed_is(self):
        count = self.dir / "count"
        steps = f"gpu_step one 20 sh -c 'echo one >>{count}'; gpu_step two 20 sh -c 'echo two >>{count}; exit 3'; "
        for times in (1, 2):
            status, lines = self.steps(steps)
            self.assertEqual((status, count.read_text().split().count("two")), (1, times), lines)
            self.assertEqual(count.read_text().split().count("one"), 1)
            self.assertIn("two: FAILED, exit status 3", lines)
        self.assertTrue(any(line.split() == ["one", "passed", "before"] for line in lines), lines)
        (folder,) = self.folders()
        self.assertTrue(folder.startswith("h900-80gb-"), folder)
        self.assertEqual((self.dir / "results" / folder / "steps.passed").read_text(), "one\n")
        status, _ = self.steps(steps.replace("exit 3", "exit 0"))
        self.assertEqual(status, 0)

    def test_another_device_starts_anew(self):
        for device in ("NVIDIA H900", "NVIDIA B900"):
            status, lines = self.steps("gpu_step one 20 true", DEVICE=device)
            self.assertEqual((status, "one: ok" in lines), (0, True), lines)
        self.assertEqual(len(self.folders()), 2)

    def test_the_software_device_keeps_nothing(self):
        status, lines = self.steps('gpu_step one 20 echo "${gpu_small[@]}"', DEVICE="Software device (tests/softgpu)")
        self.assertEqual((status, "--small" in lines), (0, True), lines)
        self.assertFalse((self.dir / "results").exists())

    def test_a_step_ends_at_its_limit_and_the_script_at_its_own(self):
        status, lines = self.steps("gpu_step slow 3 sleep 60; gpu_step next 60 sleep 60; gpu_step last 60 true",
                                   GPU_SECONDS="8")
        self.assertEqual(status, 1)
        self.assertIn("slow: FAILED, longer than 3 s", lines)
        self.assertTrue(any(line.startswith("next: FAILED, longer than") for line in lines), lines)
        self.assertIn("last: NOT DONE, no time left", lines)
        (total,) = (int(line.split()[1]) for line in lines if line.startswith("steps: "))
        self.assertLessEqual(total, 10)

    def test_a_step_that_stopped_in_time_or_is_not_possible_is_tried_again(self):
        status, lines = self.steps("gpu_step more 20 sh -c 'exit 75'; gpu_step none 20 sh -c 'exit 77'")
        self.assertEqual((status, "more: NOT DONE, stopped in time" in lines), (1, True), lines)
        self.assertIn("none: not possible here", lines)
        self.assertFalse((self.dir / "results" / self.folders()[0] / "steps.passed").exists())

    def test_a_dry_run_needs_no_device_and_names_every_step(self):
        for tool, word in (("gpu_check", "all"), ("gpu_check", "build"), ("bench", "telling"), ("bench", "all")):
            status, lines = self.script([SOURCE / f"tools/{tool}.sh", "--dry-run", word])
            self.assertEqual(status, 0, lines)
            self.assertGreater(len(lines), 3)
            for line in lines:
                self.assertRegex(line, r"^\S.{23} at most +\d+ s$")

    def test_without_nvcc_or_a_word_there_is_one_line(self):
        for tool in ("gpu_check", "bench"):
            status, lines = self.script([SOURCE / f"tools/{tool}.sh"])
            self.assertEqual((status, len(lines)), (1, 1), lines)
        if not pathlib.Path("/usr/bin/nvcc").exists():
            status, lines = self.script([SOURCE / "tools/bench.sh", "telling", self.dir / "results"], CUDA_HOME="/none")
            self.assertEqual((status, [line for line in lines if "no nvcc here" in line]), (1, lines[-1:]), lines)

    def test_the_sanitizer_runs_each_size_of_rows_by_itself(self):
        build = self.dir / "build"
        (build / "gpu").mkdir(parents=True)
        (build / "libfuseln.so").touch()
        self.program("compute-sanitizer", '#!/bin/sh\necho "$@"\n[ "$2 $8" != "racecheck 20" ]')
        sample = build / "gpu" / "sample"
        sample.write_text("#!/bin/sh\nprintf '10\\n20\\n'\n")
        sample.chmod(0o755)
        results = self.dir / "results"
        status, lines = self.script([SOURCE / "tools/gpu_check.sh", "sanitizers", results], TEST_BUILD=str(build))
        self.assertEqual(status, 1, lines)
        for result in ("memcheck: ok", "initcheck: ok", "synccheck: ok", "racecheck 10: ok"):
            self.assertIn(result, lines)
        self.assertIn("racecheck 20: FAILED, exit status 1", lines)
        (self.path / "compute-sanitizer").write_text("#!/bin/sh\necho Device not supported\nexit 1\n")
        status, lines = self.script([SOURCE / "tools/gpu_check.sh", "sanitizers", results], TEST_BUILD=str(build))
        self.assertEqual((status, "racecheck 20: not possible here" in lines), (0, True), lines)

    def test_the_bench_measures_a_case_once(self):
        options = types.SimpleNamespace(word="telling", small=False, library=["", ""])
        every = bench.plan(options)
        self.assertGreaterEqual(len({(case.rows, case.cols, case.dtype, case.norm) for case in every}), 20)
        path = self.dir / "bench.csv"
        self.assertEqual(bench.left_of(every, path, False), every)
        for case in every[:3]:
            row = {key: getattr(case, key) for key in bench.ID}
            bench.write(path, [row | {"how": how} for how in ("flushed", "warm")])
        bench.write(path, [{"op": "copy", "how": "flushed"}])
        self.assertEqual(bench.left_of(every, path, False), every[3:])
        self.assertEqual(bench.left_of(every, path, True), every)  # beside other people's kernels it is another run
        options.word = "all"
        self.assertEqual(bench.left_of(bench.plan(options), path, False)[0], every[3])
        options.word, options.library = "rows", ["direct4", "x.so"]
        few = bench.plan(options)
        self.assertEqual(bench.left_of(few, path, False), few)


if __name__ == "__main__":
    unittest.main()
