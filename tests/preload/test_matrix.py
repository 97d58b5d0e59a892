#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a launch arrives: every entry point, by every way to it, for CUDA 11, 12 and 13, of a layer norm and of another
kernel. The layer norm is replaced exactly where it must be, everything else reaches the function that it was meant for,
on its stream, and each launch is counted once. Prints the table. The driver is a stand-in that has all that our launches
need, and prints what it launches."""
import collections
import re
import unittest

import stand_in
from stand_in import COMPLETE, HERE, LIBCUDA, NODES, WAYS, shared

REPLACED, COOPERATIVE, ATTRIBUTE, GEOMETRY = "replaced", "cooperative", "attribute", "geometry"

# The calls that client.c and driver_client.c make for each handle and stream, and what becomes of a layer norm.
# `+cluster`: with a launch attribute that a replacement would lose; `+packed`, `+short`: arguments as one buffer.
RUNTIME = {"cudaLaunchKernel": REPLACED, "cudaLaunchKernel_ptsz": REPLACED, "cudaLaunchCooperativeKernel": COOPERATIVE,
           "cudaLaunchCooperativeKernel_ptsz": COOPERATIVE, "__cudaLaunchKernel": REPLACED, "__cudaLaunchKernel_ptsz": REPLACED,
           "cudaLaunchKernelExC": REPLACED, "cudaLaunchKernelExC_ptsz": REPLACED, "cudaLaunchKernelExC+cluster": ATTRIBUTE}  # fmt: skip
DRIVER = {"cuLaunchKernel": REPLACED, "cuLaunchKernel_ptsz": REPLACED, "cuLaunchKernel+packed": REPLACED,
          "cuLaunchKernel+short": GEOMETRY, "cuLaunchKernelEx": REPLACED, "cuLaunchKernelEx_ptsz": REPLACED,
          "cuLaunchCooperativeKernel": COOPERATIVE, "cuLaunchCooperativeKernel_ptsz": COOPERATIVE,
          "cuLaunchKernelEx+cluster": ATTRIBUTE}  # fmt: skip
# The handles that they launch, in this order; those of the layer norm are upper case.
HANDLES = {"runtime": "FUNCTION HANDLE function handle",
           "driver": "MODULE module MODULE-LISTED module-listed unloaded reused LIBRARY LIBRARY-FUNCTION library library-function "
                     "LIBRARY-MODULE unloaded LIBRARY-LISTED library-listed"}  # fmt: skip
STREAMS = ("0x40", "(nil)")


class Matrix(stand_in.Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stand_in.make_driver(cls.dir)
        shared(cls.dir / "libcuda.so.1", HERE / "libcuda.c", *COMPLETE, LIBCUDA)
        for tag in NODES:
            cls.client(f"cuda{tag}", tag, cls.dir / "libcuda.so.1")  # where no driver is loaded nothing is replaced

    def check(self, client, boundary, calls):
        """Runs a client; what it launched, and what the report counted, are as they must be."""
        launched = re.findall(r"^(?:\S+ )?(\w*[Ll]aunch\w*) (\S+)(?: \S+ \S+ \d+ (\S+))?", self.said(*self.hosted(f"l:{client}")), re.MULTILINE)
        expected, fates = [], collections.Counter()
        for handle in HANDLES[boundary].split() * 2:  # the host runs it twice
            for stream in STREAMS:
                for call, fate in calls.items():
                    fates[fate] += handle.isupper()
                    ours = handle.isupper() and fate == REPLACED
                    own_default = stream == "(nil)" and call.endswith("_ptsz")
                    expected.append(("cuLaunchKernel", "0x2" if own_default else stream) if ours else call.split("+")[0])
        self.assertEqual(
            [(call, stream) if name.startswith("fuseln_ln_forward_") else call for call, name, stream in launched], expected
        )
        totals = self.report["totals"]
        self.assertEqual((totals["launches"], totals["recognised"]), (len(expected), sum(fates.values())))
        self.assertEqual((totals["substituted"], stand_in.reasons(self.report)), (fates.pop(REPLACED), fates))
        self.assertEqual({site["boundary"] for site in self.report["sites"]}, {boundary})

    def test_every_way_of_a_launch(self):
        for boundary, calls, clients in (("runtime", RUNTIME, [f"cuda{tag}" for tag in NODES]), ("driver", DRIVER, WAYS)):
            for client in clients:
                with self.subTest(client=client):
                    self.check(client, boundary, calls)
            handles = " ".join(handle for handle in HANDLES[boundary].split() if handle.isupper()).lower()
            print(f"\n{', '.join(clients)}; {handles}; stream or default:", *(f"{call:<34}{fate}" for call, fate in calls.items()), sep="\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
