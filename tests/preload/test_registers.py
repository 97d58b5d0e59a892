#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The entries of dlsym and of the noticed functions leave all registers that may hold arguments, and the return address,
as they are for the function behind them; on aarch64 they can be called where the loader guards libraries by BTI."""
import unittest

import stand_in
from stand_in import FUSELN, HERE, NODES, gcc, shared, versioned


class Registers(stand_in.Preload):
    def test_arrive_behind_our_entries(self):
        source, runtime, hook = HERE / "registers.c", self.dir / NODES["13"], self.dir / "hook.so"
        shared(self.dir / "libobserved.so", HERE / "observed.c")
        for library, name, options in ((runtime, "cudaFree", [versioned(self.dir, NODES["13"])]), (hook, "dlsym", [])):
            shared(library, f"-DOBSERVER=\"{name}\"", source, *options, f"-Wl,-soname,{library.name}",
                   self.dir / "libobserved.so")  # fmt: skip
        gcc(self.dir / "registers", source, runtime, self.dir / "libobserved.so")
        plain = self.said(self.dir / "registers", preload=(hook,))
        self.assertRegex(plain, "^guarded: 0 of [01]\n$")
        guarded = plain[-2]
        self.assertEqual(self.said(self.dir / "registers", preload=(FUSELN, hook)), f"guarded: {guarded} of {guarded}\n")



if __name__ == "__main__":
    unittest.main(verbosity=2)
