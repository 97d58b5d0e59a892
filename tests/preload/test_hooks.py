#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runtime boundary: programs on stand-in runtimes of every version node, linked or loaded in every scope, see
the same runtime, called with the same arguments, with and without fuseln; and the report counts their launches. No
libcuda is loaded here, so that every recognised launch is passed on, with that reason."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["TEST_BUILD"])
HERE = pathlib.Path(__file__).resolve().parent / "hooks"
NODES = {"11": "libcudart.so.11.0", "12": "libcudart.so.12", "13": "libcudart.so.13"}
SYMBOL = "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a" + (
    "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_"
)
LAUNCHES = 9  # of each kernel in one client_run
PASSED = {"driver": 6, "cooperative": 2, "attribute": 1}  # of the layer-norm kernel in one client_run


def gcc(*arguments):
    subprocess.run(["gcc", "-O1", "-g", "-Wall", "-Wextra", *map(str, arguments)], check=True)


class Preload(unittest.TestCase):
    """A folder with the host program, and a way to run it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.dir = pathlib.Path(cls.folder.name)
        gcc(HERE / "host.c", "-ldl", "-o", cls.dir / "host")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_host(self, command, preload, env=None):
        report = self.dir / "report.json"
        report.unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")} | (env or {})
        environment = {"FUSELN_CHECK": "0"} | environment | {"FUSELN_REPORT": str(report)}  # no build here is known
        if preload:
            environment["LD_PRELOAD"] = str(BUILD / "libfuseln.so")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, done.stderr, json.loads(report.read_text()) if report.exists() else None


class Clients(Preload):
    """And clients of runtimes of every node."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for tag, node in NODES.items():
            cls.runtime(tag, node, node)
            cls.client(f"client{tag}", tag)
            cls.client(f"loud{tag}", tag, "-DLAUNCH_AT_LOAD")
        # torchvision's wheel carries one like it. Its functions lie elsewhere than those of the other runtimes.
        cls.runtime("13b", NODES["13"], "libcudart.3eda8113.so.13", "-falign-functions=256")
        cls.client("client13b", "13b")
        cls.client("second13b", "13b")
        cls.client("anonymous13", "13", "-Wl,--build-id=none")
        cls.runtime("plain", None, "libplain.so")
        cls.client("clientplain", "plain")

    @classmethod
    def runtime(cls, tag, node, soname, *options):
        if node:
            script = cls.dir / f"{tag}.map"
            script.write_text(f"{node} {{ global: *; }};\n")
            options += (f"-Wl,--version-script={script}",)
        (cls.dir / tag).mkdir()
        gcc("-shared", "-fPIC", f'-DTAG="{tag}"', HERE / "runtime.c", *options, f"-Wl,-soname,{soname}", "-o",
            cls.dir / tag / soname)  # fmt: skip
        (cls.dir / tag / "libruntime.so").symlink_to(soname)

    @classmethod
    def client(cls, name, tag, *options):
        gcc("-shared", "-fPIC", f'-DSYMBOL="{SYMBOL}"', *options, HERE / "client.c", "-L", cls.dir / tag, "-lruntime",
            f"-Wl,-rpath,{cls.dir / tag}", "-o", cls.dir / f"{name}.so")  # fmt: skip


class Hooks(Clients):
    def check(self, *clients, runs, env=None):
        """Same words with and without fuseln; runs: how often a client's layer norm goes past the hooks."""
        command = [self.dir / "host", *(f"{client[0]}:{self.dir}/{client[2:]}.so" for client in clients)]
        plain, errors, _ = self.run_host(command, False)
        self.assertEqual(errors, "")
        said, errors, report = self.run_host(command, True, env)
        self.assertEqual(said, plain)
        self.assertEqual(errors, "")
        if not runs:
            return report
        self.assertEqual(report["totals"]["recognised"], runs * LAUNCHES)
        self.assertEqual(report["totals"]["launches"], 2 * runs * LAUNCHES)
        self.assertEqual(report["totals"]["substituted"], 0)
        passed = {}
        for site in report["sites"]:
            self.assertEqual(site["target"], "pytorch/forward/vectorized/f32")
            self.assertEqual(site["cols"], 768)
            for reason, count in site["passed_through"].items():
                passed[reason] = passed.get(reason, 0) + count
        self.assertEqual(passed, {reason: runs * count for reason, count in PASSED.items()})
        return report

    def test_every_node_in_every_scope(self):
        for tag in NODES:
            for mode in "lg":
                with self.subTest(node=tag, mode=mode):
                    report = self.check(f"{mode}:client{tag}", runs=2)
                    self.assertEqual({site["library"] for site in report["sites"]}, {f"client{tag}.so"})

    def test_a_library_without_build_id_is_unverified(self):
        report = self.check("l:anonymous13", "l:client13", runs=4)
        builds = {site["library"]: (len(site["build_id"] or ""), site["build"]) for site in report["sites"]}
        self.assertEqual(builds, {"anonymous13.so": (0, "unverified"), "client13.so": (40, "unverified")})

    def test_more_libraries_than_there_once_was_room_for(self):
        for i in range(70):
            shutil.copy(self.dir / "client13.so", self.dir / f"many{i}.so")
        report = self.check(*(f"c:many{i}" for i in range(70)), runs=70)
        self.assertEqual({site["library"] for site in report["sites"]}, {f"many{i}.so" for i in range(70)})
        self.assertEqual(report["totals"]["left_out"], 0)

    def test_more_owners_than_there_is_room_for(self):
        for owners, recognised in ((1000, 3), (1100, 2)):  # of 1,100 the first 76 were forgotten
            gcc("-w", f"-DOWNERS={owners}", f'-DSYMBOL="{SYMBOL}"', HERE / "owners.c", "-L", self.dir / "13", "-lruntime",
                f"-Wl,-rpath,{self.dir}/13", "-o", self.dir / "owners")  # fmt: skip
            _, errors, report = self.run_host([self.dir / "owners"], True)
            self.assertEqual((report["totals"]["recognised"], report["totals"]["launches"]), (recognised, 3))
            self.assertEqual(report["totals"]["left_out"], max(0, owners - 1024))
            self.assertEqual(errors.count("more layer-norm kernels than fuseln has room for"), int(owners > 1024), errors)
            self.assertEqual(errors.count("\n"), int(owners > 1024), errors)

    def test_two_majors_in_one_process_do_not_cross(self):
        for modes in ("ll", "gg", "lg", "gl"):
            with self.subTest(modes=modes):
                self.check(f"{modes[0]}:client12", f"{modes[1]}:client13", runs=4)

    def test_two_runtimes_of_one_major_do_not_cross(self):
        for modes in ("ll", "gg", "lg", "gl"):
            with self.subTest(modes=modes):
                self.check(f"{modes[0]}:client13", f"{modes[1]}:client13b", runs=4)
                self.check(f"{modes[0]}:client13", f"{modes[1]}:client13b", "l:second13b", runs=6)

    def test_launches_from_a_constructor(self):
        self.check("l:loud13", "g:loud12", runs=6)

    def test_a_library_is_closed_and_another_loaded_at_its_place(self):
        report = self.check("c:client13", "c:client13b", "c:client12", "l:client13", "c:client13b", runs=6)
        launches = {}
        for site in report["sites"]:
            launches[site["library"]] = launches.get(site["library"], 0) + site["launches"]
        runs = {"client13.so": 3, "client13b.so": 2, "client12.so": 1}
        self.assertEqual(launches, {library: count * LAUNCHES for library, count in runs.items()})

    def test_references_without_a_version_stay_where_they_were(self):
        self.assertIsNone(self.check("l:clientplain", runs=0))

    def test_deepbind_passes_us_by(self):
        self.assertIsNone(self.check("d:client13", runs=0))

    def test_off_and_a_foreign_executable_recognise_nothing(self):
        for env in ({"FUSELN_MODE": "off"}, {"FUSELN_ONLY": "python*"}):
            with self.subTest(env=env):
                self.assertIsNone(self.check("l:client13", runs=0, env=env))
        self.check("l:client13", runs=2, env={"FUSELN_ONLY": "nothing,ho?t"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
