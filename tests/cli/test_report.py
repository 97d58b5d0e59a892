#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuseln report: many reports as one table, and one clear line for each file that is none."""
import copy
import json
import os
import re
import resource
import unittest

from cli import COMMANDS, LAUNCH, Command

SITE = {"target": "pytorch/forward/vectorized/f32", "symbol": "_Zfwd", "library": "libtorch_cuda.so", "build_id": "ab12",
        "build": "known", "runtime": "shared", "op": "forward", "dtype": "f32", "rms": False, "cols": 1024, "device": 0,
        "boundary": "runtime", "access_bytes": 16, "null_arguments": [], "rows": 64, "rows_min": 64, "rows_max": 256,
        "kernel": "fuseln_ln_forward_warp8_f32", "launches": 10, "substituted": 6,
        "passed_through": {"capture": 4}, "verify": None, "measure": None}
VERIFY = {"launches": 2, "waiting": 1, "failed": False, "elements": 100, "outside": 0, "outside_original": 0, "nan": 0,
          "apart": {"max_ulp": 2.0, "rms_ulp": 0.5}, "ours": {"max_ulp": 1.0, "rms_ulp": 0.25},
          "original": {"max_ulp": 1.5, "rms_ulp": 0.25}, "nearer": "equal", "unchecked": {"capture": 3}}
MEASURE = {"saved_us": 1500.5, "rows": [{"rows_from": 64, "rows_to": 127, "pairs": 20, "kept": "ours", "ours_us": 10.0,
           "original_us": 20.0, "launches": 150, "saved_us": 1500.5}]}
DX = SITE | {"target": "pytorch/dx/vectorized/f32", "op": "dx", "launches": 5, "substituted": 5, "passed_through": {},
             "pairs": 4, "unpaired": {"call": 1}, "verify": VERIFY, "measure": MEASURE}
REPORT = {"schema": 1, "fuseln": {"version": "0.1.0", "commit": "abc", "mode": "replace"}, "written_at": 1.5, "final": True,
          "process": {"pid": 7, "host": "h", "rank": None, "command": ["python"], "seconds": 1.5},
          "devices": [{"index": 0, "name": "GPU", "compute_capability": "9.0", "driver": "13.2", "image": "sm_90",
                       "compiler": "NVRTC", "scratch_bytes": 4096}],
          "totals": {"launches": 100, "recognised": 15, "substituted": 11, "passed_through": 4, "pairs": 4,
                     "reasons": {"capture": 4}, "unpaired": {"call": 1}},
          "why": None, "sites": [SITE, DX]}


class Report(Command):
    def write(self, name, report):
        (self.dir / name).write_text(report if isinstance(report, str) else json.dumps(report))
        return name

    def of_rank(self, rank, launches=10):
        report = copy.deepcopy(REPORT)
        report["process"] |= {"rank": rank, "pid": 100 + rank}
        report["sites"][0]["launches"] = launches
        report["sites"][0]["substituted"] = launches - 4
        report["totals"]["recognised"] = launches + 5
        report["totals"]["substituted"] = launches + 1
        return report

    def merged(self, *reports):
        files = [self.write(f"{i}.json", report) for i, report in enumerate(reports)]
        return json.loads(self.said("report", "--json", *files))

    def test_one_is_itself(self):
        merged = self.merged(REPORT)
        self.assertEqual({key: merged["totals"][key] for key in REPORT["totals"]}, REPORT["totals"])
        for site, before in zip(merged["sites"], REPORT["sites"]):
            for key in ("target", "op", "dtype", "cols", "rows_min", "rows_max", "launches", "substituted", "passed_through",
                        "kernel"):
                self.assertEqual(site[key], before[key])
        self.assertEqual((merged["sites"][1]["pairs"], merged["sites"][1]["unpaired"]), (4, {"call": 1}))

    def test_ranks_and_restarts_add_up(self):
        reports = [self.of_rank(0), self.of_rank(0), self.of_rank(1, 20)]
        reports[2]["sites"][0] |= {"rows_min": 1, "rows_max": 900, "device": 1}
        merged = self.merged(*reports)
        site = merged["sites"][0]
        self.assertEqual((site["launches"], site["substituted"], site["passed_through"]), (40, 28, {"capture": 12}))
        self.assertEqual((site["rows_min"], site["rows_max"], site["by_rank"]), (1, 900, {"0": 20, "1": 20}))
        self.assertEqual(merged["totals"]["recognised"], 15 + 15 + 25)
        self.assertEqual(merged["differences"], ["pytorch/dx/vectorized/f32, 1024 columns: 5 launches in rank 1, 10 in rank 0"])
        self.assertEqual([d["count"] for d in merged["devices"]], [3])
        self.assertEqual(len(merged["files"]), 3)

    def test_ranks_that_agree_are_not_named(self):
        self.assertEqual(self.merged(self.of_rank(0), self.of_rank(1))["differences"], [])
        self.assertEqual(self.merged(REPORT, REPORT)["differences"], [])

    def test_sites_that_differ_in_what_they_are_stay_apart(self):
        for change in ({"cols": 768}, {"build_id": "cd34"}, {"dtype": "f16"}, {"boundary": "driver"}, {"symbol": "_Zother"}):
            other = copy.deepcopy(REPORT)
            other["sites"] = [SITE | change]
            self.assertEqual(len(self.merged(REPORT, other)["sites"]), 3, change)

    def test_the_table(self):
        long = self.of_rank(0)
        long["sites"][0] |= {"target": "pytorch/" + "x" * 90, "build": "unverified", "rows_min": 0, "rows_max": 10**9,
                             "passed_through": {f"reason{i}": 10**9 for i in range(9)}, "launches": 10**9}
        long["process"]["host"] = "\x1b[31m"
        long["devices"][0]["name"] = "G" * 200 + "\x1b]0;title\x07"
        files = [self.write("a.json", REPORT), self.write("b.json", long)]
        said = self.said("report", *files)
        self.assertLessEqual(max(map(len, said.splitlines())), 100)
        self.assertNotRegex(said, "[\x00-\x09\x0b-\x1f\x7f]")
        self.assertRegex(said, r"(?m)^pytorch/forward/vectorized/f32 +1024 +64-256 +10 +6 +- +- capture$")
        self.assertRegex(said, r"(?m)^pytorch/dx/vectorized/f32 +1024 +64-256 +10 +10 +4 +3 ms *$")
        self.assertIn("* of a build that was not tested", said)
        self.assertIn("8 backwards read dY and X once; others did not:", said)
        self.assertRegex(said, r"8  capture +in stream capture")

    def test_checks_and_times_add_up(self):
        other = copy.deepcopy(REPORT)
        other["sites"][1]["verify"] |= {"elements": 300, "apart": {"max_ulp": 9.0, "rms_ulp": 1.5}, "original": None}
        del other["sites"][1]["verify"]["original"]
        site = self.merged(REPORT, other)["sites"][1]
        found = site["verify"]
        self.assertEqual((found["launches"], found["waiting"], found["elements"], found["failed"]), (4, 2, 400, False))
        self.assertEqual((found["unchecked"], found["apart"]["max_ulp"]), ({"capture": 6}, 9.0))
        self.assertAlmostEqual(found["apart"]["rms_ulp"], ((0.5**2 * 100 + 1.5**2 * 300) / 400) ** 0.5)
        self.assertEqual((site["measure"]["saved_us"], len(site["measure"]["rows"])), (3001.0, 2))
        self.assertIsNone(self.merged(REPORT)["sites"][0].get("verify"))

    def test_what_proved_nothing_and_what_found_no_room_is_said(self):
        odd = copy.deepcopy(REPORT)
        odd["totals"]["left_out"] = 3
        odd["sites"][1]["verify"] |= {"launches": 0, "inconclusive": 120}
        merged = self.merged(odd, odd)
        self.assertEqual(merged["totals"]["left_out"], 6)
        self.assertEqual(next(site for site in merged["sites"] if site.get("verify"))["verify"]["inconclusive"], 240)
        table = self.fuseln("report", self.write("odd.json", odd)).stdout
        self.assertIn(" unclear ", table)
        self.assertIn("3 registrations of layer-norm kernels found no room", table)

    def test_pairs_and_checks_are_worded_as_in_the_library(self):
        """All paired: no reasons follow; checks without a result yet are waited for."""
        report = copy.deepcopy(REPORT)
        report["totals"] |= {"pairs": 1234567, "unpaired": {}}
        report["sites"][1]["verify"] |= {"launches": 0, "inconclusive": 99}
        table = self.fuseln("report", self.write("a.json", report)).stdout
        self.assertIn("\n1,234,567 backwards read dY and X once\n", table)
        self.assertRegex(table, r"(?m)^pytorch/dx/vectorized/f32 .* waiting ")

    def test_saved_time_is_told_for_each_step(self):
        files = [self.write(f"{i}.json", REPORT) for i in range(2)]
        saved = json.loads(self.fuseln("report", "--json", *files).stdout)["saved"]
        self.assertEqual(saved, {"us": 3001.0})
        saved = json.loads(self.fuseln("report", "--json", "--steps", "20", *files).stdout)["saved"]
        self.assertEqual(saved, {"us": 3001.0, "steps": 20, "us_per_step": 150.05})
        self.assertIn("\nsaved since it was measured: 3 ms\n", self.fuseln("report", *files).stdout)
        self.assertIn("\nsaved since it was measured: 3 ms, 150 us in each of 20 steps\n",
                      self.fuseln("report", "--steps=20", *files).stdout)
        unmeasured = copy.deepcopy(REPORT)
        unmeasured["sites"][1]["measure"] = None
        done = self.fuseln("report", "--json", "--steps=20", self.write("none.json", unmeasured))
        self.assertNotIn("saved", json.loads(done.stdout))
        self.assertNotIn("saved since", self.fuseln("report", "--steps=20", "none.json").stdout)
        for bad in ("0", "-1", "x", "20x", "1e30"):
            self.assert_one_line(self.fuseln("report", f"--steps={bad}", *files), 2, f"--steps={bad} ")

    def test_a_failed_check_is_exit_3_with_the_numbers(self):
        wrong = copy.deepcopy(REPORT)
        wrong["sites"][1]["verify"] |= {"failed": True, "outside": 7, "first": {"row": 3, "col": 5}}
        for reports in ((wrong,), (REPORT, wrong), (wrong, REPORT)):
            said = self.said("report", *[self.write(f"{i}.json", report) for i, report in enumerate(reports)], code=3)
            self.assertRegex(said, r"(?m)^pytorch/dx/vectorized/f32 .* WRONG ")
            text = " ".join(said.split())  # lines are wrapped
            self.assertIn("found wrong, so not replaced:", text)
            self.assertIn("7 of our values and 0 of the original's", text)
            self.assertIn("first at row 3, column 5", text)
        self.assertEqual(self.fuseln("report", "0.json", self.write("bad.json", "{}")).returncode, 2)

    def test_nothing_recognised_says_why(self):
        report = copy.deepcopy(REPORT) | {"why": "No layer norm was recognised: reasons.", "sites": []}
        report["totals"] |= {"recognised": 0, "substituted": 0, "passed_through": 0, "reasons": {}}
        done = self.fuseln("report", self.write("a.json", report))
        self.assertIn("No layer norm was recognised: reasons.", done.stdout)

    def test_the_norms_that_fuseln_does_not_know_are_added_up_by_name(self):
        norms = [{"maker": "inductor", "symbol": "triton_per_fused_native_layer_norm_0", "launches": 3},
                 {"maker": "quack", "symbol": "quackrmsnorm" + "R" * 140, "launches": 1}]
        reports = [REPORT | {"foreign_norms": norms}, REPORT, REPORT | {"foreign_norms": norms[:1]}]
        self.assertEqual(self.merged(*reports)["foreign_norms"], [norms[0] | {"launches": 6}, norms[1]])
        done = self.fuseln("report", "0.json", "1.json", "2.json")
        self.assertIn("\nlayer norms by kernels that fuseln does not know, left as they are:\n             6  inductor     "
                      "triton_per_fused_native_layer_norm_0\n             1  quack        quackrmsnormR", done.stdout)
        self.assertTrue(all(len(line) <= 100 for line in done.stdout.splitlines()))
        bad = self.write("bad.json", REPORT | {"foreign_norms": [norms[0] | {"launches": -1}]})
        self.assertIn("foreign_norms[0].launches is not a count", self.fuseln("report", bad).stderr)

    def test_refused_rows_of_the_user_are_named_once(self):
        row = {"line": 6, "name": "mine/norm", "reason": "args has not as many as the kernel's name"}
        file = {"line": 0, "name": None, "reason": "it cannot be opened; no row is used"}
        unnamed = row | {"line": 9, "name": ""}
        files = ("rows.txt", [row]), ("rows.txt", [row, file, unnamed]), ("more.txt", [row]), ("more.txt", [])
        targets = [{"file": name, "rows": 1, "refused": refused} for name, refused in files]
        reports = [REPORT | {"targets": each} for each in (*targets, None)]
        self.merged(*reports)
        done = self.fuseln("report", *(f"{i}.json" for i in range(len(reports))))
        self.assertIn("\nrefused of FUSELN_TARGETS:\n  rows.txt, line 6: [mine/norm] args has not as many as the kernel's name\n"
                      "  rows.txt: it cannot be opened; no row is used\n  rows.txt, line 9: [] args has not as many as the "
                      "kernel's name\n  more.txt, line 6: [mine/norm] args has", done.stdout)
        self.assertNotIn("FUSELN_TARGETS", self.fuseln("report", "3.json", "4.json").stdout)
        bad = self.write("bad.json", REPORT | {"targets": {"file": "rows.txt", "refused": [{"line": 6}]}})
        self.assertIn("targets.refused[0].reason is missing", self.fuseln("report", bad).stderr)

    def test_a_bad_file_is_one_line_and_the_others_are_added_up(self):
        bad = {
            "not JSON": "fuseln 0.1.0, mode replace\n", "nothing": "", "a number": "3", "a list": "[]", "no report": "{}",
            "another schema": json.dumps(REPORT | {"schema": 2}), "a huge number": re.sub("100", "9" * 40, json.dumps(REPORT)),
            "a huge count": re.sub(r'"launches": 10,', '"launches": 9223372036854775807,', json.dumps(REPORT)),
            "a negative count": re.sub(r'"launches": 10,', '"launches": -2,', json.dumps(REPORT)),
            "a text for a count": re.sub(r'"launches": 10,', '"launches": "10",', json.dumps(REPORT)),
            "no totals": json.dumps({k: v for k, v in REPORT.items() if k != "totals"}),
            "a site of none": json.dumps(REPORT | {"sites": [None]}),
            "a reason of none": re.sub(r'"capture": 4', '"capture": null', json.dumps(REPORT)),
            "a check of no launches": json.dumps(REPORT).replace('"waiting": 1', '"waiting": "1"'),
            "a check that failed perhaps": json.dumps(REPORT).replace('"failed": false', '"failed": 0'),
            "a distance of none": json.dumps(REPORT).replace('"max_ulp": 2.0', '"max_ulp": "2"'),
            "a time below zero": json.dumps(REPORT).replace('"saved_us": 1500.5, "rows', '"saved_us": -1, "rows'),
            "twice the same": '{"schema": 1, "schema": 1}', "deep": "[" * 100000, "a NUL": '{"schema": "\\u0000"}',
        }
        good = self.write("good.json", REPORT)
        for what, text in bad.items():
            with self.subTest(what):
                done = self.fuseln("report", self.write("bad.json", text), good)
                self.assert_one_line(done, 2, "fuseln report: bad.json: ")
                self.assertIn("1 report, mode replace: 100 kernel launches", done.stdout)
        for name in ("none.json", "."):
            self.assert_one_line(self.fuseln("report", name, good), 2, name)

    def test_a_rank_may_be_any_text(self):
        """Also one of so many bytes that a buffer would cut it inside a character."""
        for rank in ("é", "a" * 62 + "é", "a" * 63, "a" * 61 + "漢", "漢" * 21 + "a", "a" * 60 + "😀", "r" * 5000, ""):
            report = copy.deepcopy(REPORT)
            report["process"] |= {"rank": rank, "host": "h" * 300 + "é"}
            merged = self.merged(report, self.of_rank(1, 20))
            self.assertEqual(merged["files"][0]["rank"], rank)
            self.assertEqual(merged["sites"][0]["by_rank"], {rank: 10, "1": 20})
            self.assertEqual(self.fuseln("report", "0.json", "1.json").returncode, 0)

    def test_a_rank_that_the_library_wrote(self):
        """The report of a program whose RANK has 64 bytes, from beginning to end."""
        done = self.fuseln("run", "--report=r.json", LAUNCH, "pair", "10", RANK="a" * 62 + "é")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 reports, mode replace: ", self.said("report", "r.json", "r.json"))

    def test_names_of_files_may_be_any_bytes(self):
        names = [os.fsdecode(name) for name in (b"\xff.json", b"a\xc3", b"\xed\xa0\x80", b"\xf8\x80", b"\xc3\xa9.json")]
        for name in names:
            self.write(name, REPORT)
        merged = json.loads(self.said("report", "--json", *names))
        self.assertEqual([file["file"] for file in merged["files"]], ["?.json", "a?", "???", "??", "é.json"])
        self.assertEqual(merged["totals"]["launches"], 500)
        self.write(names[0], "{}")
        self.assert_one_line(self.fuseln("report", "--json", names[0]), 2, "fuseln report: ?.json: ")

    def test_output_that_cannot_be_written_is_said(self):
        self.write("a.json", REPORT)
        self.write("bad.json", "{}")
        for words in (("report", "a.json"), ("report", "--json", "a.json"), ("report", "--json", *["a.json"] * 3000),
                      ("report", "--json", "none.json"), ("--help",), ("--version",), ("scan", "."), ("scan", "--json", "."),
                      *((word, "--help") for word in ("run", "report", "scan", "doctor")), ("doctor",), ("doctor", "--json")):
            with self.subTest(words=words[:3]), open("/dev/full", "w", encoding="ascii") as full:
                done = self.fuseln(*words, stdout=full)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, r"(?m)^fuseln.*: cannot write: ")
        # No stdout at all, and nothing to write there.
        self.assertEqual(self.fuseln("run", "true", prefix=["sh", "-c", 'exec "$0" "$@" >&-']).returncode, 0)

    BAD = "\x1b[2J\x1b]0;title\x07|\n0 reports, mode forged|\r|\x7f|\x80|\x9b31m|\u202e|\u2066|\u200f|\u2028|\t|"

    def test_no_text_of_others_commands_the_terminal_or_forges_a_line(self):
        plain, bad = copy.deepcopy(REPORT), copy.deepcopy(REPORT)
        for report, text in ((plain, "plain"), (bad, self.BAD)):
            site, dx = report["sites"]
            dx["verify"] |= {"failed": True, "first": {"row": 1, "col": 2}}
            report["fuseln"] |= {"mode": text, "version": text}
            report["process"] |= {"rank": text, "host": text, "command": [text]}
            report["devices"][0] |= {"name": text, "compute_capability": text, "driver": text, "image": text}
            report["totals"] |= {"reasons": {text: 4}, "unpaired": {text: 1}}
            report["why"] = text
            site |= {key: text for key in ("target", "library", "build_id", "op", "dtype", "kernel")}
            site |= {"launches": 20, "passed_through": {text: 4}}
            dx |= {"target": text, "library": text}
        outputs = []
        for report in (plain, bad):
            other = copy.deepcopy(report)
            other["process"]["rank"] = 2
            other["sites"][0]["launches"] = 5
            other["totals"]["recognised"] = report["totals"]["recognised"] = 0
            files = [self.write("a.json", report), self.write("b.json", other)]
            said = self.said("report", *files, code=3)
            self.assertNotRegex(said, COMMANDS)
            outputs.append(said)
            self.assertNotRegex(self.fuseln("report", "--json", *files).stdout, COMMANDS)
        joined = [re.sub(r"\s+", "", output) for output in outputs]  # where long lines are broken does not matter
        self.assertEqual(joined[1].replace("plain", "").count("0reports"), outputs[1].count("0 reports"))
        self.assertNotRegex(outputs[1], r"(?m)^0 reports")
        self.assertRegex(outputs[1], r"(?m)^device: \?\[2J\?\]0;title")

    def test_no_message_commands_the_terminal_or_is_two_lines(self):
        text = json.dumps(self.BAD)
        for name, content in {"a\x1b[31m\n\x9b\u202e.json": "{}", "b.json": '{"schema": ' + text + "}",
                              "c.json": json.dumps(REPORT | {"totals": REPORT["totals"] | {"reasons": {self.BAD: -1}}}),
                              "d.json": '{"a": 1, ' + f"{text}: 1, {text}: 2" + "}"}.items():
            done = self.fuseln("report", self.write(name, content))
            self.assert_one_line(done, 2)
            self.assertNotRegex(done.stderr, COMMANDS)
        done = self.fuseln("report", "none\x1b[31m\n\x9b.json")
        self.assert_one_line(done, 2, "none?[31m??.json: ")

    def test_long_texts_are_broken_anywhere(self):
        report = copy.deepcopy(REPORT) | {"why": "漢" * 200}
        report["totals"]["recognised"] = 0
        lines = self.fuseln("report", self.write("a.json", report)).stdout.splitlines()
        self.assertEqual("".join(line for line in lines if "漢" in line), "漢" * 200)
        self.assertEqual(sum("漢" in line for line in lines), 7)  # 33 of three bytes in a line

    def test_each_count_is_checked(self):
        """Of each kind that is added up: one line that names it."""
        for path in ("totals.launches", "totals.pairs", "totals.reasons.capture", "totals.unpaired.call",
                     "devices.0.scratch_bytes", "sites.0.launches", "sites.0.substituted", "sites.0.passed_through.capture",
                     "sites.0.rows_min", "sites.0.cols", "sites.1.pairs", "sites.1.unpaired.call",
                     "sites.1.verify.launches", "sites.1.verify.outside", "sites.1.verify.unchecked.capture"):
            for value in (-1, 2**53 + 1, 2**63 - 1, 1e300 if path.endswith("e") else "1"):
                with self.subTest(path=path, value=value):
                    report = copy.deepcopy(REPORT)
                    *parents, last = path.split(".")
                    place = report
                    for key in parents:
                        place = place[int(key) if key.isdigit() else key]
                    place[last] = value
                    done = self.fuseln("report", self.write("bad.json", report))
                    self.assert_one_line(done, 2, "fuseln report: bad.json: ", last)
        for what, bad in (("reasons", {"reasons": [1]}), ("unpaired", {"unpaired": "x"})):
            report = REPORT | {"totals": REPORT["totals"] | bad}
            self.assert_one_line(self.fuseln("report", self.write("bad.json", report)), 2, f"totals.{what} ")

    def test_sums_stay_counts(self):
        """Each count is one, and so many of them are more than 64 bits hold."""
        report, most = copy.deepcopy(REPORT), 2**53
        report["totals"] |= {"launches": most, "reasons": {"capture": most}}
        report["sites"][1] |= {"pairs": most, "unpaired": {"call": most}, "launches": most}
        report["sites"][1]["verify"]["elements"] = most
        self.write("a.json", report)
        merged = json.loads(self.fuseln("report", "--json", *["a.json"] * 1100).stdout)
        site = merged["sites"][0]
        for count in (merged["totals"]["launches"], merged["totals"]["reasons"]["capture"], site["pairs"],
                      site["unpaired"]["call"], site["launches"], site["by_rank"][""], site["verify"]["elements"]):
            self.assertEqual(count, most)
        self.assertNotIn("-9", self.fuseln("report", *["a.json"] * 1100).stdout)

    def assert_quick(self, *files):
        """By the processor's time, as other tests run beside this one: about 1 s; if each site is looked for among all,
        it is 17 s and more."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = self.said("report", "--json", *files)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 8)
        return json.loads(said)

    def test_many_sites_take_no_time(self):
        one = REPORT | {"sites": [SITE | {"cols": i, "launches": i % 997} for i in range(20000)]}
        merged = self.assert_quick(self.write("one.json", one))
        order = [(-site["launches"], site["cols"]) for site in merged["sites"]]
        self.assertEqual((len(order), order), (20000, sorted(order)))  # most launches first, else as they came

    def test_many_ranks_take_no_time(self):
        names = []
        for rank in range(40):
            sites = [SITE | {"cols": i, "launches": i} for i in range(1025)]
            report = REPORT | {"process": REPORT["process"] | {"rank": rank}, "sites": sites,
                               "devices": [REPORT["devices"][0] | {"name": f"GPU {i}"} for i in range(64)]}
            names.append(self.write(f"{rank}.json", report))
        merged = self.assert_quick(*names)
        self.assertEqual((len(merged["sites"]), len(merged["devices"])), (1025, 64))
        self.assertEqual(sum(merged["sites"][0]["by_rank"].values()), 40 * 1024)

    def test_cut_off_at_every_byte(self):
        text = json.dumps(REPORT)
        names = [self.write(f"{length}.json", text[:length]) for length in range(len(text))]
        done = self.fuseln("report", *names)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual([line.split(": ")[:2] for line in done.stderr.splitlines()], [["fuseln report", name] for name in names])


if __name__ == "__main__":
    unittest.main(verbosity=2)
