#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the reader of machine code on kernels whose counts are known by construction (known.cu), compiled here for
every architecture that is shipped, by the release that compiles its images, and on some of the images that were built.
tools/budgets.sh runs it first."""
import subprocess
import sys
import tempfile
import unittest

import images
import listing
import sass

COMPILERS = {70: "12.0", 75: "12.0", 80: "12.0", 90: "12.0", 100: "12.8", 120: "12.8"}
WORDS = "x y maybe rows:q trips:i"


def setUpModule():
    global KERNELS, FOLDER
    FOLDER, KERNELS = tempfile.TemporaryDirectory(), {}
    for arch, release in COMPILERS.items():
        out = f"{FOLDER.name}/known.sm_{arch}.cubin"
        subprocess.run([sys.executable, sass.ROOT / "tools/nvrtc.py", "--dir", listing.CACHE / f"nvrtc-{release}",
                        f"-arch=sm_{arch}", "-cubin", "-o", out, sass.ROOT / "tests/budgets/known.cu"], check=True)
        KERNELS[arch] = listing.read(out)


def tearDownModule():
    FOLDER.cleanup()


def measure(arch, name, threads=128, grid=4, **values):
    kernel, code = KERNELS[arch][name]
    parameters, tensors = sass.pack(WORDS, {"rows": 4, "trips": 1, **values})
    return sass.measure(arch, kernel, code, {"grid": grid, "block": (threads, 1), "smem": 0,
                                             "parameters": parameters, "tensors": tensors})


def for_each(test):
    def run(self):
        for arch in COMPILERS:
            with self.subTest(arch=arch):
                test(self, arch)
    return run


class Known(unittest.TestCase):
    @for_each
    def test_straight_line_is_every_instruction_up_to_the_exit(self, arch):
        for name, count in (("straight5", 5), ("straight25", 25)):
            found = measure(arch, name)
            listing = [instruction.op for instruction in KERNELS[arch][name][1][0]]
            self.assertEqual(found["instructions"], listing.index("EXIT") + 1)
            self.assertEqual(found["ops"]["MUFU"], count)
            self.assertEqual(found["access"], {("store", "y", 4): 1})
        self.assertGreaterEqual(measure(arch, "straight25")["instructions"],
                                measure(arch, "straight5")["instructions"] + 20)

    @for_each
    def test_loops_go_as_often_as_the_parameters_say(self, arch):
        for rows, trips in ((1, 1), (1, 7), (9, 3), (12, 100)):
            found = measure(arch, "loops", rows=rows, trips=trips, grid=4)
            self.assertEqual(found["ops"]["MUFU"], (rows + 3) // 4 * trips * 2, (rows, trips))
        once, more, most = (measure(arch, "loops", rows=1, trips=n)["instructions"] for n in (10, 110, 111))
        self.assertEqual(more - once, 100 * (most - more)) # every trip costs the same
        self.assertEqual(measure(arch, "loops", rows=0)["ops"]["MUFU"], 0)

    @for_each
    def test_flight_is_what_is_loaded_before_the_first_use(self, arch):
        for name, flight, loads, rounds in (("batch4", 64, 4, 1), ("batch3x2", 48, 6, 2)):
            found = measure(arch, name)
            self.assertEqual((found["flight"], found["rounds"]), (flight, rounds), name)
            self.assertEqual(found["access"]["load", "x", 16], flight / 16)
            unknown = found["access"].get(("load", "?", 16), 0)
            self.assertEqual(unknown, loads - flight / 16) # their address came from memory
            self.assertEqual(found["kb"], flight * found["resident"] / 1024)

    @for_each
    def test_asynchronous_copies_are_in_flight_until_their_group_is_waited_for(self, arch):
        if arch >= 80:
            found = measure(arch, "copies")
            self.assertEqual(found["access"]["async", "x", 16], 11)
            self.assertEqual((found["flight"], found["rounds"]), (7 * 16, 2)) # 4 + 2, then 2 + 5

    @for_each
    def test_slow_paths_are_left_out(self, arch):
        found = measure(arch, "division")
        listing = [instruction.op for instruction in KERNELS[arch]["division"][1][0]]
        self.assertIn("CALL", listing)
        self.assertEqual((found["ops"]["CALL"], found["ops"]["MUFU"], found["ops"]["FCHK"]), (0, 1, 1))

    @for_each
    def test_branches_follow_parameters_and_threads(self, arch):
        there, null = measure(arch, "optional"), measure(arch, "optional", maybe=0)
        self.assertEqual((there["ops"]["MUFU"], null["ops"]["MUFU"]), (3, 0))
        loads = [one["access"].get(("load", "maybe", 4)) for one in (there, null)]
        self.assertEqual(loads, [1, None])
        self.assertEqual([measure(arch, "chosen", rows=n, trips=4)["ops"]["MUFU"] for n in (5, 6)], [7, 4])
        found = measure(arch, "leader", threads=128)
        self.assertEqual(found["ops"]["MUFU"], 4)
        self.assertGreater(found["busiest"], found["instructions"])
        self.assertLess(found["instructions"], found["busiest"] - 2) # three warps of four do less

    @for_each
    def test_local_memory_is_found(self, arch):
        self.assertGreaterEqual(KERNELS[arch]["local"][0]["stack"], 256)
        self.assertEqual(KERNELS[arch]["batch4"][0]["stack"], 0)


class Turns(unittest.TestCase):
    def test_the_short_walks_tell_what_a_long_one_does(self):
        for shape in ((90, "forward", "f32", 16384), (80, "dgamma", "bf16", 1024), (100, "dx", "f32", 96)):
            launch = images.Launch(*shape, 1 << 20, "", 0)
            told, walked = launch.after(8), launch.walk(8 * launch.turn)
            for key in ("instructions", "busiest", "rounds", "access", "row_kb"):
                self.assertEqual(told[key], walked[key], (shape, key))
            self.assertGreater(walked["instructions"], launch.walk(7 * launch.turn)["instructions"])


class Occupancy(unittest.TestCase):
    def test_what_the_programming_guide_says(self):
        for arch, registers, threads, shared, blocks in (
                (80, 32, 128, 0, 16), (80, 33, 256, 0, 6), (80, 128, 256, 0, 2), (80, 255, 512, 0, 0),
                (80, 16, 32, 0, 32), (80, 40, 96, 0, 16), (90, 32, 1024, 0, 2), (90, 64, 256, 65536, 3),
                (90, 64, 256, 232448 - 1024, 1),
                (75, 32, 256, 0, 4), (75, 32, 256, 32768, 2), (120, 32, 256, 0, 6), (120, 32, 64, 0, 24)):
            case = arch, registers, threads, shared
            self.assertEqual(sass.occupancy(*case), blocks, case)


if __name__ == "__main__":
    unittest.main()
