#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every noticed function of hooks/names.h, of each version node of the runtime and of the driver, linked and asked of
dlsym: called between the two halves of a backward it makes the partial sums be forgotten, and reaches the function it was
meant for with all its arguments. A runtime that is newer than the list, or has a node that nobody knows, makes no pairs."""
import re
import unittest

import test_hooks
from test_hooks import HERE, NODES, gcc

BUDGETS, KERNELS, HOOKS = (HERE.parents[2] / folder for folder in ("tests/budgets", "kernels", "hooks"))
VERSIONS = {"11": 11080, "12": 12090, "13": 13050}


# Of what our launches call, noticed.c defines what is noticed.
OURS = [name for name in re.findall(r"^CUresult (cu\w+)\(", (BUDGETS / "stand_in_cuda.c").read_text(), re.MULTILINE)
        if f"X({name})" in (HOOKS / "names.h").read_text().split("FUSELN_DRIVER_NOTICED", 1)[1].split("\n\n", 1)[0]]  # fmt: skip


class Noticed(test_hooks.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = ["-w", f"-I{HOOKS.parent}", HERE / "noticed.c"]
        gcc("-c", "-fPIC", f"-I{KERNELS.parent}", *(f"-D{name}=unused_{name}" for name in OURS), BUDGETS / "stand_in_cuda.c", "-o", cls.dir / "cuda.o")
        gcc("-shared", "-fPIC", "-Wl,-Bsymbolic", "-DDRIVER", *cls.source, cls.dir / "cuda.o",
            "-Wl,-soname,libcuda.so.1", "-o", cls.dir / "libcuda.so.1")  # fmt: skip

    def said(self, node, version, *options):
        """What the program says, and its report's totals."""
        script, runtime = self.dir / "map", self.dir / node
        script.write_text(f"{node} {{ global: *; }};\n")
        gcc("-shared", "-fPIC", f"-DRUNTIME={version}", *self.source, f"-Wl,--version-script={script}",
            f"-Wl,-soname,{node}", "-o", runtime)  # fmt: skip
        gcc(*self.source, *options, runtime, f"-Wl,-rpath,{self.dir}", "-ldl", "-o", self.dir / "client")
        said, errors, report = self.run_host([self.dir / "client"], True, {"LD_LIBRARY_PATH": str(self.dir)})
        self.assertEqual(errors, "")
        return said, report["totals"]

    def listed(self, which):
        names = re.search(rf"define FUSELN_{which}_NOTICED\(X\)(.*?)\n\n", (HOOKS / "names.h").read_text(), re.DOTALL)
        return len(re.findall(r"X\((\w+)\)", names[1]))

    def test_of_each_runtime(self):
        for tag, node in NODES.items():
            with self.subTest(node=node):
                said, totals = self.said(node, VERSIONS[tag], "-DCLIENT")
                self.assertEqual(said, f"{self.listed('CUDART')} ok\n")
                self.assertEqual(totals["unpaired"], {"call": self.listed("CUDART") + 1})

    def test_of_the_driver(self):
        for way in (["-DASKED"], ["-DLINKED", self.dir / "libcuda.so.1"]):
            with self.subTest(way=way[0]):
                said, totals = self.said(NODES["13"], VERSIONS["13"], *way)
                self.assertEqual(said, f"{self.listed('DRIVER')} ok\n")
                self.assertEqual(totals["unpaired"], {"call": self.listed("DRIVER") + 1})

    def test_an_unknown_runtime_makes_no_pairs(self):
        for node, version in ((NODES["13"], VERSIONS["13"] + 10), ("libcudart.so.14", 14000)):
            with self.subTest(node=node):
                _, totals = self.said(node, version, "-DCLIENT")
                self.assertEqual((totals["pairs"], set(totals["unpaired"])), (0, {"unseen"}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
