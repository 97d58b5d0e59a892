#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a launch arrives: every entry point, by every way to it, for CUDA 11, 12 and 13, of a layer norm and of another
kernel. The layer norm is replaced exactly where it must be, everything else reaches the function that it was meant for,
and each launch is counted once. Prints the table, each cell of which is a process of its own. The driver is a stand-in
that has all that our launches need, and says what it launches."""
import re
import unittest

import stand_in
from stand_in import COMPLETE, HERE, LIBCUDA, NODES, SYMBOL, WAYS, gcc, shared

OTHER = "_Z5otherv"
REPLACED, COOPERATIVE, ATTRIBUTE = "replaced", "cooperative", "attribute"

# entry point: what becomes of a layer norm. `+cluster`: with a launch attribute that a replacement would lose.
RUNTIME = {"cudaLaunchKernel": REPLACED, "__cudaLaunchKernel": REPLACED, "cudaLaunchKernelExC": REPLACED,
           "cudaLaunchKernelExC+cluster": ATTRIBUTE, "cudaLaunchCooperativeKernel": COOPERATIVE}  # fmt: skip
DRIVER = {"cuLaunchKernel": REPLACED, "cuLaunchKernelEx": REPLACED, "cuLaunchKernelEx+cluster": ATTRIBUTE,
          "cuLaunchCooperativeKernel": COOPERATIVE}  # fmt: skip
LOOK_UPS = {"runtime": ("stub", "handle"), "driver": ("module", "library", "function")}


def rows(entries):
    for entry, fate in entries.items():
        yield entry, fate
        if "+" not in entry:
            yield entry + "_ptsz", fate


class Matrix(stand_in.Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        driver = cls.dir / "libcuda.so.1"
        shared(driver, HERE / "libcuda.c", *COMPLETE, LIBCUDA)
        for tag in NODES:
            gcc(cls.dir / f"matrix{tag}", "-DRUNTIME", HERE / "matrix.c", cls.runtimes[tag])
        for way, option in WAYS.items():
            gcc(cls.dir / f"matrix{way}", "-w", option, HERE / "matrix.c", *([driver] if way == "linked" else []))

    def cell(self, way, entry, look_up, kernel, fate):
        """What happened to one launch, as the table shows it."""
        said = self.said(self.dir / f"matrix{way}", entry, look_up, kernel)
        launches = re.findall(r"^(?:\S+ )?(\w*[Ll]aunch\w*) (\S+)", said, re.MULTILINE)
        self.assertEqual(len(launches), 1, said)
        ours = launches[0][1].startswith("fuseln_ln_forward_")
        self.assertEqual(launches[0][0], "cuLaunchKernel" if ours else entry.split("+")[0], said)
        if ours:
            stream = re.search(r"^cuLaunchKernel fuseln\S+ \S+ \S+ \d+ (\S+)", said, re.MULTILINE)[1]
            self.assertEqual(stream, "0x2" if entry.endswith("_ptsz") else "(nil)", said)
        totals = self.report["totals"]
        boundary = "runtime" if way in NODES else "driver"
        self.assertEqual(totals["launches"], 1)
        if kernel == OTHER:
            self.assertEqual((ours, totals["recognised"]), (False, 0))
            return "passed"
        (site,) = self.report["sites"]
        self.assertEqual((site["launches"], site["boundary"]), (1, boundary))
        self.assertEqual((ours, totals["substituted"]), (fate == REPLACED, int(fate == REPLACED)))
        self.assertEqual(site["passed_through"], {} if ours else {fate: 1})
        return fate

    def test_every_way_of_a_launch(self):
        lines = []
        for kind, entries, ways in (("runtime", RUNTIME, NODES), ("driver", DRIVER, WAYS)):
            lines.append(f"\n{'launch':<34}{'handle':<10}" + "".join(f"{way:<26}" for way in ways))
            for entry, fate in rows(entries):
                for look_up in LOOK_UPS[kind]:
                    cells = []
                    for way in ways:
                        with self.subTest(entry=entry, look_up=look_up, way=way):
                            cells.append(" / ".join(self.cell(way, entry, look_up, kernel, fate)
                                                    for kernel in (SYMBOL, OTHER)))  # fmt: skip
                    lines.append(f"{entry:<34}{look_up:<10}" + "".join(f"{cell:<26}" for cell in cells))
        print("\n".join(lines) + "\n(layer norm / another kernel)")


if __name__ == "__main__":
    unittest.main(verbosity=2)
