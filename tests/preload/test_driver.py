#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The driver boundary: libraries that reach libcuda in every way see the same driver, called with the same arguments,
with and without fuseln, and the report counts their launches once. The driver is one that lacks what our own launches
need, so that every recognised launch is passed on, with that reason."""
import os
import pathlib
import unittest

import test_hooks
from test_hooks import HERE, SYMBOL, gcc

# Of one client_run: each handle is launched nine times (driver_client.c).
RECOGNISED, FOREIGN = 6, 8
EACH = {"driver": 5, "geometry": 1, "attribute": 1, "cooperative": 2}
WAYS = {"linked": ("-DLINKED",), "dlsym": ("-DDLSYM",), "resolver": ("-DRESOLVER=0",), "resolver_ptsz": ("-DRESOLVER=2",)}


def make_driver(folder):
    """The driver, and a client for each way to it."""
    gcc("-shared", "-fPIC", "-Wl,-Bsymbolic", HERE / "libcuda.c", "-Wl,-soname,libcuda.so.1", "-o",
        folder / "libcuda.so.1")  # fmt: skip
    for way, options in WAYS.items():
        linked = [folder / "libcuda.so.1"] if way == "linked" else []
        gcc("-shared", "-fPIC", f'-DSYMBOL="{SYMBOL}"', *options, HERE / "driver_client.c", *linked, "-ldl",
            f"-Wl,-rpath,{folder}", "-o", folder / f"{way}.so")  # fmt: skip


class Driver(test_hooks.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_driver(cls.dir)

    def check(self, *clients, runs=None, env=None):
        command = [self.dir / "host", *(f"{client[0]}:{self.dir}/{client[2:]}.so" for client in clients)]
        env = {"LD_LIBRARY_PATH": str(self.dir)} | (env or {})
        plain, errors, _ = self.run_host(command, False, env)
        self.assertEqual(errors, "")
        said, errors, report = self.run_host(command, True, env)
        self.assertEqual(said, plain)
        self.assertEqual(errors, "")
        if runs == 0:
            self.assertIsNone(report)
            return None
        runs = runs or 2 * len(clients)
        passed = {}
        for site in report["sites"]:
            self.assertEqual((site["boundary"], site["cols"] or 768, site["runtime"]), ("driver", 768, "none"))
            for reason, count in site["passed_through"].items():
                passed[reason] = passed.get(reason, 0) + count
        self.assertEqual(passed, {reason: runs * RECOGNISED * count for reason, count in EACH.items()})
        self.assertEqual(report["totals"]["launches"], runs * (RECOGNISED + FOREIGN) * sum(EACH.values()))
        return report

    def test_every_way_in_every_scope(self):
        for way in WAYS:
            for mode in "lg":
                with self.subTest(way=way, mode=mode):
                    report = self.check(f"{mode}:{way}")
                    self.assertEqual({site["library"] for site in report["sites"]}, {f"{way}.so"})

    def test_ways_side_by_side(self):
        self.check("l:linked", "l:dlsym", "l:resolver", "l:resolver_ptsz")
        self.check("g:dlsym", "g:linked")

    def test_a_library_is_closed_and_another_loaded_at_its_place(self):
        report = self.check("c:dlsym", "c:resolver", "l:dlsym", runs=4)
        self.assertEqual({site["library"] for site in report["sites"]}, {"dlsym.so", "resolver.so"})

    def test_off_and_not_hooked(self):
        for env in ({"FUSELN_MODE": "off"}, {"FUSELN_ONLY": "python*"}, {"FUSELN_HOOKS": "runtime"}):
            with self.subTest(env=env):
                self.check("l:linked", "l:dlsym", "l:resolver", runs=0, env=env)
        self.check("l:resolver", env={"FUSELN_HOOKS": "driver"})

    def test_a_library_that_looks_into_its_own_scope_first_is_left_alone(self):
        self.check("d:linked", "d:dlsym", "d:resolver", runs=0)

    def test_the_program_ends_in_a_constructor(self):
        gcc("-shared", "-fPIC", f'-DSYMBOL="{SYMBOL}"', "-DEXIT_AT_LOAD", "-DDLSYM", HERE / "driver_client.c", "-ldl",
            f"-Wl,-rpath,{self.dir}", "-o", self.dir / "leaving.so")  # fmt: skip
        self.check("l:leaving", runs=1)

    def test_another_library_of_that_name_is_not_the_driver(self):
        (self.dir / "other").mkdir()
        gcc("-shared", "-fPIC", HERE / "libcuda.c", "-Wl,-Bsymbolic,-soname,libother.so", "-o", self.dir / "other" / "libcuda.so.1")
        self.check("l:dlsym", "l:resolver", runs=0, env={"LD_LIBRARY_PATH": str(self.dir / "other")})

    def test_a_driver_that_looks_its_own_functions_up(self):
        """By its handle, or in the scope that it sees, as WSL's does: it must find its own, not ours."""
        for asks in ('dlopen("libcuda.so.1", RTLD_NOW)', "RTLD_DEFAULT"):
            folder = self.dir / ("asks" + asks[:4])
            folder.mkdir()
            gcc("-shared", "-fPIC", "-Wl,-Bsymbolic", "-D_GNU_SOURCE", f"-DASKS={asks}", HERE / "libcuda.c",
                "-Wl,-soname,libcuda.so.1", "-ldl", "-o", folder / "libcuda.so.1")  # fmt: skip
            for way in WAYS:
                for mode in "lg":
                    with self.subTest(asks=asks, way=way, mode=mode):
                        self.check(f"{mode}:{way}", env={"LD_LIBRARY_PATH": str(folder)})

    def test_a_driver_that_is_not_bound_to_its_own_symbols(self):
        """Then it gives out our exported functions as its own."""
        (self.dir / "loose").mkdir()
        gcc("-shared", "-fPIC", HERE / "libcuda.c", "-Wl,-soname,libcuda.so.1", "-o", self.dir / "loose" / "libcuda.so.1")
        for way in WAYS:
            with self.subTest(way=way):
                self.check(f"l:{way}", env={"LD_LIBRARY_PATH": str(self.dir / "loose")})


if __name__ == "__main__":
    unittest.main(verbosity=2)
