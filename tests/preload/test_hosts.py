#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts that must not break: many threads at their first launch while another library's constructor, which registers
and launches, holds the loader's lock; forks beside threads that launch; the address sanitizer preloaded beside us."""
import json
import unittest

import stand_in
from stand_in import FUSELN, HERE, gcc


class Hosts(stand_in.Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        stand_in.make_driver(cls.dir)
        cls.client("waiting", "13", "-DWAIT_AT_LOAD", "-DLAUNCH_AT_LOAD")
        gcc(cls.dir / "forking", HERE / "forking.c", "-lpthread")
        gcc(cls.dir / "threads", "-rdynamic", HERE / "threads.c", "-lpthread")

    def test_first_launches_of_64_threads_while_the_loader_waits(self):
        for first in ("client13", "client12", "linked"):
            with self.subTest(first=first):
                for _ in range(3):
                    done = self.execute(self.dir / "threads", self.dir / f"{first}.so", self.dir / "waiting.so")
                    self.assertEqual(done.stderr, "done\n")

    def test_forks_while_threads_launch(self):
        for client in ("client13", "dlsym", "resolver"):
            with self.subTest(client=client):
                folder = self.dir / f"forks-{client}"
                folder.mkdir()
                done = self.execute(self.dir / "forking", self.dir / f"{client}.so", FUSELN_REPORT=f"{folder}/%p.json")
                self.assertEqual(done.stderr, "done\n")
                reports = [json.loads(path.read_text()) for path in folder.iterdir()]
                self.assertEqual(len(reports), 61)
                for report in reports:
                    self.assertGreater(report["totals"]["recognised"], 0)

    def test_a_program_of_the_address_sanitizer(self):
        gcc(self.dir / "host_asan", "-fsanitize=address", HERE / "host.c")
        command = self.hosted("l:client13", "l:dlsym", "l:resolver", program="host_asan")
        plain, hooked = (self.said(*command, preload=preload, ASAN_OPTIONS="detect_leaks=0")
                         for preload in ((), (stand_in.asan(), FUSELN)))  # fmt: skip
        self.assertEqual(hooked, plain)


if __name__ == "__main__":
    unittest.main(verbosity=2)
