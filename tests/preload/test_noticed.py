#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every noticed function of hooks/names.h, of each version node of the runtime and of the driver, linked or looked up by
dlsym: called between the two halves of a backward, it invalidates the partial sums, by another thread only where its
reach says so, and it reaches the function it was meant for with all its arguments. With a runtime newer than the list,
or of an unknown node, nothing is paired."""
import unittest

import stand_in
from stand_in import COMPLETE, HERE, LIBCUDA, NODES, TESTS, VERSIONS, gcc, names, shared

SOURCE = ["-w", f"-I{TESTS.parent}", f"-I{TESTS}/faults", HERE / "noticed.c"]
LEFT_ALONE = {"THREAD": ("another", "same", "default"), "STREAM": ("another",), "COPY": ("another",)}
CALLS = 4  # of each function: by DX's own thread, and those three by another


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

    def check(self, tag, which, *options):
        said, totals = self.result(NODES[tag], VERSIONS[tag], *options)
        rows = names.rows(f"{which}_NOTICED")
        alone = [f"{row[0]} {stream}" for row in rows for stream in LEFT_ALONE.get(row[1], ())]
        self.assertEqual(said.splitlines(), [*alone, f"{len(rows)} ok"])
        self.assertEqual(totals["unpaired"], {"call": CALLS * len(rows) - len(alone) + 1})

    def test_of_each_runtime(self):
        for tag in NODES:
            with self.subTest(tag):
                self.check(tag, "CUDART", "-DCLIENT")

    def test_of_the_driver(self):
        for way in (["-DASKED"], ["-DLINKED", self.dir / "libcuda.so.1"]):
            with self.subTest(way=way[0]):
                self.check("13", "DRIVER", *way)

    def test_an_unknown_runtime_makes_no_pairs(self):
        for node, version in ((NODES["13"], VERSIONS["13"] + 10), ("libcudart.so.14", 14000)):
            with self.subTest(node=node):
                _, totals = self.result(node, version, "-DCLIENT")
                self.assertEqual((totals["pairs"], set(totals["unpaired"])), (0, {"unseen"}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
