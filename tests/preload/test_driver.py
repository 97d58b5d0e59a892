#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The driver boundary: libraries that reach libcuda in every way see the same driver, called with the same arguments,
with and without fuseln, and the report counts their launches once. The driver lacks what our own launches need, so
every recognised launch is passed on, for that reason."""
import unittest

import stand_in
from stand_in import HERE, LIBCUDA, WAYS, shared

# In one client_run, which launches each handle by nine calls on two streams (driver_client.c).
RECOGNISED, FOREIGN = 6, 8
EACH = {"driver": 2 * 5, "geometry": 2 * 1, "attribute": 2 * 1, "cooperative": 2 * 2}


class Driver(stand_in.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stand_in.make_driver(cls.dir)

    def check(self, *clients, runs=None, folder=None, **settings):
        """On the driver of this folder."""
        report = self.same(*self.hosted(*clients), LD_LIBRARY_PATH=str(folder or self.dir), **settings)
        if runs == 0:
            self.assertIsNone(report)
            return None
        runs = runs or 2 * len(clients)
        for site in report["sites"]:
            self.assertEqual((site["boundary"], site["cols"] or 768, site["runtime"]), ("driver", 768, "none"))
        self.assertEqual(stand_in.reasons(report), {reason: runs * RECOGNISED * count for reason, count in EACH.items()})
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
        for setting in ({"FUSELN_MODE": "off"}, {"FUSELN_ONLY": "python*"}, {"FUSELN_HOOKS": "runtime"}):
            with self.subTest(setting):
                self.check("l:linked", "l:dlsym", "l:resolver", runs=0, **setting)
        self.check("l:resolver", FUSELN_HOOKS="driver")

    def test_a_library_that_looks_into_its_own_scope_first_is_left_alone(self):
        self.check("d:linked", "d:dlsym", "d:resolver", runs=0)

    def test_the_program_ends_in_a_constructor(self):
        shared(self.dir / "leaving.so", "-DEXIT_AT_LOAD", "-DDLSYM", HERE / "driver_client.c")
        self.check("l:leaving", runs=1)

    def driver(self, name, *options):
        """Another driver, in a folder of its own."""
        shared(self.dir / name / "libcuda.so.1", HERE / "libcuda.c", *options)
        return self.dir / name

    def test_another_library_of_that_name_is_not_the_driver(self):
        other = self.driver("other", "-Wl,-Bsymbolic,-soname,libother.so")
        self.check("l:dlsym", "l:resolver", runs=0, folder=other)

    def test_a_driver_that_looks_its_own_functions_up(self):
        """By its handle, or in the scope that it sees, as WSL's does: it must find its own, not ours."""
        for asks in ('dlopen("libcuda.so.1", RTLD_NOW)', "RTLD_DEFAULT"):
            folder = self.driver("asks" + asks[:4], f"-DASKS={asks}", LIBCUDA)
            for way in WAYS:
                for mode in "lg":
                    with self.subTest(asks=asks, way=way, mode=mode):
                        self.check(f"{mode}:{way}", folder=folder)

    def test_a_driver_that_is_not_bound_to_its_own_symbols(self):
        """It then hands out our exported functions as its own."""
        folder = self.driver("loose", "-Wl,-soname,libcuda.so.1")
        for way in WAYS:
            with self.subTest(way=way):
                self.check(f"l:{way}", folder=folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
