#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runtime boundary: programs on stand-in runtimes of every version node, linked or loaded in every scope, see
the same runtime, called with the same arguments, with and without fuseln; and the report counts their launches. No
libcuda is loaded here, so every recognised launch is passed on, for that reason."""
import collections
import shutil
import struct
import unittest

import stand_in
from stand_in import HERE, NODES, gcc

PT_NOTE = 4
LAUNCHES = 4 * 9  # of each kernel in one client_run: two handles, two streams, nine calls
PASSED = {"driver": 4 * 6, "cooperative": 4 * 2, "attribute": 4 * 1}  # of the layer-norm kernel in one client_run


class Hooks(stand_in.Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client("second13b", "13b")
        for tag in ("12", "13"):
            cls.client(f"loud{tag}", tag, "-DLAUNCH_AT_LOAD")
        cls.client("anonymous13", "13", "-Wl,--build-id=none")
        cls.runtime("plain", "libplain.so")
        cls.client("clientplain", "plain")

    def check(self, *clients, runs, **settings):
        """Same words with and without fuseln; runs: how often a client's layer norm goes past the hooks."""
        report = self.same(*self.hosted(*clients), **settings)
        if not runs:
            self.assertIsNone(report)
            return None
        totals = report["totals"]
        self.assertEqual((totals["recognised"], totals["launches"]), (runs * LAUNCHES, 2 * runs * LAUNCHES))
        self.assertEqual(totals["substituted"], 0)
        sites = {(site["target"], site["cols"]) for site in report["sites"]}
        self.assertEqual(sites, {("pytorch/forward/vectorized/f32", 768)})
        self.assertEqual(stand_in.reasons(report), {reason: runs * count for reason, count in PASSED.items()})
        return report

    def test_every_node_in_every_scope(self):
        for tag in NODES:
            for mode in "lg":
                with self.subTest(node=tag, mode=mode):
                    report = self.check(f"{mode}:client{tag}", runs=2)
                    self.assertEqual({site["library"] for site in report["sites"]}, {f"client{tag}.so"})

    def test_a_library_without_build_id_is_unverified(self):
        report = self.check("l:anonymous13", "l:client13", runs=4)
        builds = {site["library"]: (len(site["build_id"] or ""), site["build"]) for site in report["sites"]}
        self.assertEqual(builds, {"anonymous13.so": (0, "unverified"), "client13.so": (40, "unverified")})

    def test_a_library_whose_notes_are_not_loaded_is_unverified(self):
        """As tools leave it that move sections. The loader itself reads only the notes that are aligned to 8 bytes."""
        library = bytearray((self.dir / "client13.so").read_bytes())
        begin, count = struct.unpack_from("<Q", library, 32)[0], struct.unpack_from("<H", library, 56)[0]
        for at in range(begin, begin + count * 56, 56):
            if struct.unpack_from("<I", library, at)[0] == PT_NOTE and struct.unpack_from("<Q", library, at + 48)[0] == 4:
                struct.pack_into("<Q", library, at + 16, 1 << 40)  # its address
        (self.dir / "stray13.so").write_bytes(library)
        report = self.check("l:stray13", runs=2)
        self.assertEqual({site["build_id"] for site in report["sites"]}, {None})

    def test_more_libraries_than_there_once_was_room_for(self):
        for i in range(70):
            shutil.copy(self.dir / "client13.so", self.dir / f"many{i}.so")
        report = self.check(*(f"c:many{i}" for i in range(70)), runs=70)
        self.assertEqual({site["library"] for site in report["sites"]}, {f"many{i}.so" for i in range(70)})
        self.assertEqual(report["totals"]["left_out"], 0)

    def test_more_owners_than_there_is_room_for(self):
        for owners, recognised in ((1000, 3), (1100, 2)):  # of 1,100 the first 76 were dropped
            gcc(self.dir / "owners", "-w", f"-DOWNERS={owners}", HERE / "owners.c", self.runtimes["13"])
            errors = self.execute(self.dir / "owners").stderr
            totals = self.report["totals"]
            self.assertEqual((totals["recognised"], totals["launches"]), (recognised, 3))
            self.assertEqual(totals["left_out"], max(0, owners - 1024))
            self.assertEqual(errors.count("more layer-norm kernels than fuseln has room for"), int(owners > 1024), errors)
            self.assertEqual(errors.count("\n"), int(owners > 1024), errors)

    def test_two_majors_in_one_process_do_not_cross(self):
        for modes in ("ll", "gg", "lg", "gl"):
            with self.subTest(modes=modes):
                self.check(f"{modes[0]}:client12", f"{modes[1]}:client13", runs=4)

    def test_two_runtimes_of_one_major_do_not_cross(self):
        for modes in ("ll", "gg", "lg", "gl"):
            with self.subTest(modes=modes):
                self.check(f"{modes[0]}:client13", f"{modes[1]}:client13b", runs=4)
                self.check(f"{modes[0]}:client13", f"{modes[1]}:client13b", "l:second13b", runs=6)

    def test_launches_from_a_constructor(self):
        self.check("l:loud13", "g:loud12", runs=6)

    def test_a_library_is_closed_and_another_loaded_at_its_place(self):
        report = self.check("c:client13", "c:client13b", "c:client12", "l:client13", "c:client13b", runs=6)
        launches = collections.Counter()
        for site in report["sites"]:
            launches[site["library"]] += site["launches"]
        runs = {"client13.so": 3, "client13b.so": 2, "client12.so": 1}
        self.assertEqual(launches, {library: count * LAUNCHES for library, count in runs.items()})

    def test_references_without_a_version_stay_where_they_were(self):
        self.check("l:clientplain", runs=0)

    def test_deepbind_passes_us_by(self):
        self.check("d:client13", runs=0)

    def test_off_and_a_foreign_executable_recognise_nothing(self):
        for setting in ({"FUSELN_MODE": "off"}, {"FUSELN_ONLY": "python*"}):
            with self.subTest(setting):
                self.check("l:client13", runs=0, **setting)
        self.check("l:client13", runs=2, FUSELN_ONLY="nothing,ho?t")


if __name__ == "__main__":
    unittest.main(verbosity=2)
