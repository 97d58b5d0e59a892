#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts that must not break: many threads at their first launch while the loader's lock is held by another library's
constructor, which registers and launches; forks beside threads that launch; allocators and the address sanitizer
preloaded beside us."""
import json
import os
import subprocess
import unittest

import test_hooks
from test_driver import make_driver
from test_hooks import BUILD, HERE, gcc

ALLOCATORS = {"jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so"}


class Hosts(test_hooks.Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_driver(cls.dir)
        cls.client("waiting", "13", "-DWAIT_AT_LOAD", "-DLAUNCH_AT_LOAD")
        gcc("-D_GNU_SOURCE", HERE / "forking.c", "-lpthread", "-ldl", "-o", cls.dir / "forking")
        gcc("-rdynamic", "-D_GNU_SOURCE", HERE / "threads.c", "-lpthread", "-ldl", "-o", cls.dir / "threads")

    def run_with(self, preload, *command, **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")}
        env |= {"LD_PRELOAD": ":".join(map(str, preload)), "LD_LIBRARY_PATH": str(self.dir),
                "ASAN_OPTIONS": "detect_leaks=0"} | variables  # fmt: skip
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)

    def said(self, preload, *clients, program="host"):
        return self.run_with(preload, self.dir / program,
                             *(f"{client[0]}:{self.dir}/{client[2:]}.so" for client in clients))  # fmt: skip

    def test_first_launches_of_64_threads_while_the_loader_waits(self):
        for first in ("client13", "client12", "linked"):
            with self.subTest(first=first):
                for _ in range(3):
                    done = self.run_with([BUILD / "libfuseln.so"], self.dir / "threads", self.dir / f"{first}.so",
                                         self.dir / "waiting.so")  # fmt: skip
                    self.assertEqual(done.stderr, "done\n")

    def test_forks_while_threads_launch(self):
        for client in ("client13", "dlsym", "resolver"):
            with self.subTest(client=client):
                folder = self.dir / f"forks-{client}"
                folder.mkdir()
                done = self.run_with([BUILD / "libfuseln.so"], self.dir / "forking", self.dir / f"{client}.so",
                                     FUSELN_REPORT=f"{folder}/%p.json")  # fmt: skip
                self.assertEqual(done.stderr, "done\n")
                reports = [json.loads(path.read_text()) for path in folder.iterdir()]
                self.assertEqual(len(reports), 61)
                for report in reports:
                    self.assertGreater(report["totals"]["recognised"], 0)

    def test_allocators_before_and_behind(self):
        clients = "l:client13", "g:client12", "l:dlsym", "l:resolver"
        plain = self.said([], *clients).stdout
        ours = BUILD / "libfuseln.so"
        for name, library in ALLOCATORS.items():
            for order in ([library, ours], [ours, library]):
                with self.subTest(allocator=name, order=order):
                    done = self.said(order, *clients)
                    self.assertEqual((done.stdout, done.stderr), (plain, ""))

    def test_a_program_of_the_address_sanitizer(self):
        gcc("-fsanitize=address", HERE / "host.c", "-ldl", "-o", self.dir / "host_asan")
        asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout
        clients = "l:client13", "l:dlsym", "l:resolver"
        plain = self.said([], *clients, program="host_asan").stdout
        done = self.said([asan.strip(), BUILD / "libfuseln.so"], *clients, program="host_asan")
        self.assertEqual((done.stdout, done.stderr), (plain, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
