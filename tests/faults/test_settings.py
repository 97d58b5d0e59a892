#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Settings, on a driver of no cost: whatever is set, each launch of host.c happens once, with the right result. What
FUSELN_SKIP names stays with the original; a bad value is one clear line, and the program goes on as without it."""
import unittest

import sweep

ALL = {("forward", 1024), ("forward", 12288), ("moments", 1024), ("dx", 1024), ("dgamma", 1024)}
FORWARD, BACKWARD = ({site for site in ALL if (site[0] in ("dx", "dgamma")) == of} for of in (False, True))
LEFT = {  # sites that are replaced all the same
    "forward": BACKWARD,
    "backward": FORWARD,
    "dx,dgamma": FORWARD,
    "f32": set(),
    "cols=1024": {("forward", 12288)},
    "cols=1023": ALL,
    "rms": ALL,
    "pytorch/dx/vectorized/f32": ALL - {("dx", 1024)},
}
BAD = [
    ({"FUSELN_MODE": "fast"}, "replace"),
    ({"FUSELN_SCRATCH": "much"}, "FUSELN_SCRATCH"),
    ({"FUSELN_LOG": "loud"}, "debug"),
    ({"FUSELN_CHECK": "some"}, "0 to 1000000"),
    ({"FUSELN_SKIP": "nonsense"}, "nonsense"),
    ({"FUSELN_REPORT_EVERY": "-1"}, "FUSELN_REPORT_EVERY"),
    ({"FUSELN_REPORT": "/nonexistent/folder/report.json"}, "/nonexistent/folder/report.json"),
    ({"FUSELN_REPORT": "/"}, "/"),
    ({"FUSELN_REPORT": "%q{UNSET_VARIABLE}.json"}, "UNSET_VARIABLE"),
    ({"FUSELN_TRACE": "/nonexistent/trace"}, "/nonexistent/trace"),
]


class Settings(unittest.TestCase):
    def run_host(self, settings):
        """On a known build: the kernels that ran, what was said, and the report."""
        seen, code, said, report = sweep.run(sweep.Mode("", "faults_host_known", settings, True))
        self.assertEqual(code, sweep.EXIT_FINE, said)
        return seen["kernels"], said, report

    def test_what_is_skipped_is_not_replaced(self):
        for skip, left in LEFT.items():
            with self.subTest(skip=skip):
                _, said, report = self.run_host({"FUSELN_SKIP": skip})
                self.assertEqual(said, "")
                self.assertEqual({(site["op"], site["cols"]) for site in report["sites"] if site["substituted"]}, left)
                for site in report["sites"]:
                    self.assertIn(site["passed_through"], ({}, {"skip": site["launches"]}))

    def test_a_bad_setting_is_one_clear_line_and_the_program_goes_on(self):
        clean, said, _ = self.run_host({})
        self.assertEqual(said, "")
        for settings, message in BAD:
            with self.subTest(settings=settings):
                kernels, said, _ = self.run_host(settings)
                self.assertEqual(kernels, clean)
                (line,) = [line for line in said.splitlines() if line.startswith("fuseln[")]  # the others are a report
                self.assertIn(message, line)


if __name__ == "__main__":
    unittest.main()
