#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a launch arrives: every entry point, by every way to it, for CUDA 11, 12 and 13, of a layer norm and of another
kernel. The layer norm is replaced exactly where it must be, everything else reaches the function that it was meant for,
and each launch is counted once. Prints the table. The driver is a stand-in that has all that our launches need, and
prints what it launches."""
import collections
import re
import unittest

import stand_in
from stand_in import COMPLETE, HERE, LIBCUDA, NODES, WAYS, shared

REPLACED, COOPERATIVE, ATTRIBUTE, GEOMETRY = "replaced", "cooperative", "attribute", "geometry"

# The calls that client.c and driver_client.c make for each handle and stream, and what becomes of a layer norm.
# `+cluster`: with a launch attribute that a replacement would lose; `+packed`, `+short`: arguments as one buffer.
RUNTIME = {
    "cudaLaunchKernel": REPLACED, "cudaLaunchKernel_ptsz": REPLACED,
    "cudaLaunchCooperativeKernel": COOPERATIVE, "cudaLaunchCooperativeKernel_ptsz": COOPERATIVE,
    "__cudaLaunchKernel": REPLACED, "__cudaLaunchKernel_ptsz": REPLACED,
    "cudaLaunchKernelExC": REPLACED, "cudaLaunchKernelExC_ptsz": REPLACED, "cudaLaunchKernelExC+cluster": ATTRIBUTE,
}  # fmt: skip
DRIVER = {
    "cuLaunchKernel": REPLACED, "cuLaunchKernel_ptsz": REPLACED,
    "cuLaunchKernel+packed": REPLACED, "cuLaunchKernel+short": GEOMETRY,
    "cuLaunchKernelEx": REPLACED, "cuLaunchKernelEx_ptsz": REPLACED,
    "cuLaunchCooperativeKernel": COOPERATIVE, "cuLaunchCooperativeKernel_ptsz": COOPERATIVE,
    "cuLaunchKernelEx+cluster": ATTRIBUTE,
}  # fmt: skip
# The handles that they launch, in this order; those of the layer norm are in upper case.
RUNTIME_HANDLES = "FUNCTION HANDLE function handle".split()
DRIVER_HANDLES = """MODULE module MODULE-LISTED module-listed unloaded reused LIBRARY LIBRARY-FUNCTION library
library-function LIBRARY-MODULE unloaded LIBRARY-LISTED library-listed""".split()
STREAMS = ("0x40", "(nil)")


def default_stream(call):
    return "0x2" if call.endswith("_ptsz") else "(nil)"


class Matrix(stand_in.Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stand_in.make_driver(cls.dir)
        shared(cls.dir / "libcuda.so.1", HERE / "libcuda.c", *COMPLETE, LIBCUDA)
        for tag in NODES:
            cls.client(f"cuda{tag}", tag, cls.dir / "libcuda.so.1")  # where no driver is loaded nothing is replaced

    def check(self, client, boundary, calls, handles):
        """Runs a client; what it launched, and what the report counted, must be as expected."""
        said = self.said(*self.hosted(f"l:{client}"))
        launches = re.findall(r"^(?:\S+ )?(\w*[Ll]aunch\w*) (\S+)(?: \S+ \S+ \d+ (\S+))?", said, re.MULTILINE)
        expected, fates = [], collections.Counter()
        for handle in handles * 2:  # the host runs it twice
            for stream in STREAMS:
                for call, fate in calls.items():
                    fates[fate] += handle.isupper()
                    if handle.isupper() and fate == REPLACED:
                        expected.append(("cuLaunchKernel", default_stream(call) if stream == "(nil)" else stream))
                    else:
                        expected.append(call.split("+")[0])
        ours = "fuseln_ln_forward_"
        self.assertEqual([(call, stream) if name.startswith(ours) else call for call, name, stream in launches], expected)
        totals = self.report["totals"]
        self.assertEqual((totals["launches"], totals["recognised"]), (len(expected), sum(fates.values())))
        self.assertEqual((totals["substituted"], stand_in.reasons(self.report)), (fates.pop(REPLACED), fates))
        self.assertEqual({site["boundary"] for site in self.report["sites"]}, {boundary})

    def check_all(self, clients, *expected):
        for client in clients:
            with self.subTest(client):
                self.check(client, *expected)
        _, calls, handles = expected
        print(f"\n{' '.join(clients)}, {' '.join(handles)}, on a stream and on the default one:")
        print(*(f"    {call:<34}{fate}" for call, fate in calls.items()), sep="\n")

    def test_every_way_of_a_launch_at_the_runtime(self):
        self.check_all([f"cuda{tag}" for tag in NODES], "runtime", RUNTIME, RUNTIME_HANDLES)

    def test_every_way_of_a_launch_at_the_driver(self):
        self.check_all(WAYS, "driver", DRIVER, DRIVER_HANDLES)


if __name__ == "__main__":
    unittest.main(verbosity=2)
