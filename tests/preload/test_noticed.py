#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every noticed function of hooks/names.h, of each version node of the runtime and of the driver, linked or looked up by
dlsym: called between the two halves of a backward, it invalidates the partial sums, and it reaches the function it was
meant for with all its arguments. With a runtime newer than the list, or of an unknown node, nothing is paired."""
import unittest

import stand_in
from stand_in import COMPLETE, HERE, LIBCUDA, NODES, TESTS, VERSIONS, gcc, names, shared

SOURCE = ["-w", f"-I{TESTS.parent}", f"-I{TESTS}/faults", HERE / "noticed.c"]
RUNTIME_COUNT, DRIVER_COUNT = (len(names.listed(f"{which}_NOTICED")) for which in ("CUDART", "DRIVER"))


class Noticed(stand_in.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shared(cls.dir / "libcuda.so.1", "-DDRIVER", *SOURCE, *COMPLETE, LIBCUDA)

    def result(self, node, version, *options):
        """What the program says, and its report's totals."""
        runtime = self.dir / node
        shared(runtime, f"-DRUNTIME={version}", *SOURCE, TESTS / "budgets" / "stand_in_cudart.c", "-Wl,-z,muldefs",
               stand_in.versioned(self.dir, node), f"-Wl,-soname,{node}")  # fmt: skip
        gcc(self.dir / "client", *SOURCE, *options, runtime)
        return self.said(self.dir / "client"), self.report["totals"]

    def check(self, tag, count, *options):
        said, totals = self.result(NODES[tag], VERSIONS[tag], *options)
        self.assertEqual((said, totals["unpaired"]), (f"{count} ok\n", {"call": count + 1}))

    def test_of_each_runtime(self):
        for tag in NODES:
            with self.subTest(tag):
                self.check(tag, RUNTIME_COUNT, "-DCLIENT")

    def test_of_the_driver(self):
        for way in (["-DASKED"], ["-DLINKED", self.dir / "libcuda.so.1"]):
            with self.subTest(way=way[0]):
                self.check("13", DRIVER_COUNT, *way)

    def test_an_unknown_runtime_makes_no_pairs(self):
        for node, version in ((NODES["13"], VERSIONS["13"] + 10), ("libcudart.so.14", 14000)):
            with self.subTest(node=node):
                _, totals = self.result(node, version, "-DCLIENT")
                self.assertEqual((totals["pairs"], set(totals["unpaired"])), (0, {"unseen"}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
