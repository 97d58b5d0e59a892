#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuseln report --html, fuseln run --html: one page that is all there is, whatever it tells about; in a real browser
too."""
import base64
import collections
import copy
import hashlib
import html.parser
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import unittest

from cli import BUILD, COMMANDS, LAUNCH, SOURCE, Command
from test_report import DX, MEASURE, REPORT, SITE, VERIFY

BROWSER = pathlib.Path(os.environ.get("TEST_BROWSER", "/nonexistent"), "bin", "python")
BUCKET = MEASURE["rows"][0] | {"ours_gb_s": 1200.5, "original_gb_s": 600.25}
TEXTS = ("<script>alert(1)</script>", "</title><h1>x</h1>", "\"><img src=x onerror=alert(1)>", "' onclick='alert(1)",
         "&lt;&amp;&#60;", "<!--", "-->", "]]>", "</svg></table></main>", "<!--summary-->",
         "<style>*{display:none}</style>", "%s%n%d", "\x1b[31m\n", "\u202e\u2066\u200f", "\x85\x9b", "`${x}`",
         "javascript:alert(1)", "漢😀é", "<wbr>", "\\")


def full(text="PLAIN"):
    """A report with something to say in every section, in which all that anybody could choose is that text."""
    report = copy.deepcopy(REPORT)
    report["fuseln"] |= {"version": text, "mode": text}
    report["process"] |= {"rank": text, "host": text, "command": [text, text]}
    report["devices"][0] |= {key: text for key in ("name", "compute_capability", "driver", "image", "compiler")}
    report["totals"] |= {"reasons": {text: 4}, "unpaired": {text: 1}, "left_out": 3}
    report["foreign_norms"] = [{"maker": text, "symbol": text, "launches": 3}]
    report["why"] = text
    texts = {key: text for key in ("target", "library", "build_id", "op", "dtype", "kernel", "symbol")}
    report["sites"] = [SITE | texts | {"passed_through": {text: 4}},
                       DX | texts | {"cols": 768, "unpaired": {text: 1}}]
    report["sites"][0]["measure"] = {"saved_us": 1500.5, "rows": [BUCKET | {"kept": text}]}
    report["sites"][1]["measure"] = {"saved_us": 1.5, "rows": [BUCKET | {"kept": text, "rows_from": 128}]}
    report["sites"][1]["verify"] = VERIFY | {"failed": True, "first": {"row": 1, "col": 2}, "unchecked": {text: 3}}
    return report


class Parsed(html.parser.HTMLParser):
    """Its elements, in order, with their attributes; and its text, by the element that holds it."""

    EMPTY = {"meta", "link", "wbr"}

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], collections.defaultdict(list), []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag != "wbr":  # where a text may be broken
            self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        self.text[self.open[-1] if self.open else None].append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def all(self, tag, **attributes):
        return [found for name, found in self.elements if name == tag and found.items() >= attributes.items()]

    def words(self):
        shown = {tag: "".join(parts) for tag, parts in self.text.items() if tag not in ("style", "script")}
        return {tag: text for tag, text in shown.items() if text.strip()}

    def shown(self):
        return " ".join(self.words().values())


class Page(Command):
    def write(self, name, report):
        (self.dir / name).write_text(json.dumps(report))
        return name

    def page(self, *reports, options=(), code=0):
        files = [self.write(f"{i}.json", report) for i, report in enumerate(reports)]
        self.said("report", "--html", "page.html", *options, *files, code=code)
        return (self.dir / "page.html").read_text()

    def ranks(self):
        reports = [full("x"), full("x"), full("x")]
        for rank, report in enumerate(reports):
            report["process"] |= {"rank": rank, "pid": 100 + rank}
            report["sites"][0]["launches"] += rank * 20
        return reports


class Told(Page):
    def test_what_the_table_says(self):
        page = Parsed(self.page(REPORT, options=("--steps=3",)))
        shown = page.shown()
        for words in ("11 of 15 layer norms replaced", "pytorch/dx/vectorized/f32", "in stream capture, and this",
                      "a copy, a synchronisation or the like came first",
                      "saved since it was measured: 1.5 ms, 500 us in each of 3",
                      "64 to 256", "fuseln_ln_forward_warp8_f32", "libtorch_cuda.so", "ab12", "tested", "python",
                      "pid 7 on h", "sm_90", "NVRTC", "4,096", "mode replace"):
            self.assertIn(words, shown)
        self.assertEqual(page.text["title"], ["fuseln: 11 of 15 replaced: python"] + page.text["title"][1:])
        for section in ("sites", "reasons", "measure", "verify", "pairs", "unpaired", "processes", "devices", "builds"):
            self.assertEqual(len(page.all("section", id=section)), 1, section)
            self.assertEqual(len(page.all("a", href=f"#{section}")), 1, section)
        for section in ("ranks", "norms"):
            self.assertEqual(page.all("section", id=section), [], section)

    def test_ranks_side_by_side(self):
        shown = Parsed(self.page(*self.ranks(), code=3)).shown()
        for words in ("rank 0", "rank 1", "rank 2", "x, 1024 columns: 10 launches in rank 0, 50 in rank 2",
                      "rank 2, pid 102 on x"):
            self.assertIn(words, shown)

    def test_more_ranks_than_a_table_takes(self):
        reports = [copy.deepcopy(REPORT) for _ in range(100)]
        for rank, report in enumerate(reports):
            report["process"]["rank"] = rank
        page = self.page(*reports)
        for words in ("Of 100 ranks, the first 64", ">rank 63</th>", "rank 99, pid 7"):
            self.assertIn(words, page)
        self.assertNotIn(">rank 64</th>", page)

    def test_what_was_checked_and_timed(self):
        shown = Parsed(self.page(full(), code=3)).shown()
        for words in ("Checked against the original and found wrong: 1", "first at row 1, column 2", "WRONG",
                      "ours, GB/s", "1200", "600.2", "128 to 127"):
            self.assertIn(words, shown)

    def test_a_process_that_was_killed_and_one_without_layer_norms(self):
        none = {key: 0 for key in ("launches", "recognised", "substituted", "passed_through", "pairs")}
        report = REPORT | {"final": False, "process": REPORT["process"] | {"seconds": 123456.7}, "sites": [],
                           "devices": [], "totals": none, "why": "no CUDA runtime that fuseln knows"}
        shown = Parsed(self.page(report)).shown()
        for words in ("0 of 0 layer norms replaced", "no CUDA runtime that fuseln knows", "still running, or was",
                      "123457"):
            self.assertIn(words, shown)

    def test_the_reports_that_the_library_wrote(self):
        kept = SOURCE / "tests/data/reports"
        self.said("report", "--html=page.html", kept / "rank.json")
        self.assertIn("é, pid 22411 on vm", Parsed((self.dir / "page.html").read_text()).shown())
        (self.dir / "page.html").unlink()
        self.assert_one_line(self.fuseln("report", "--html=page.html", kept / "pairs.json"), 2, "pairs")
        self.assertFalse((self.dir / "page.html").exists())

    def test_values_that_no_library_wrote(self):
        """Each is refused in one line, or shown; a width is never below zero or no number."""
        for key in ("ours_gb_s", "launches", "rows_from", "kept", "saved_us"):
            for value in (-1, 1e300, 2**60, "1", None, [], {}, True):
                report = full()
                report["sites"][0]["measure"]["rows"][0][key] = value
                done = self.fuseln("report", "--html=page.html", self.write("a.json", report))
                self.assertTrue(done.returncode == 2 or value != -1, done.stderr)
                if done.returncode == 2:
                    self.assert_one_line(done, 2, key)
                    continue
                widths = re.findall(r'width="([^"]*)%"', (self.dir / "page.html").read_text())
                for width in widths:
                    self.assertRegex(width, r"^\d{1,3}(\.\d\d)?$")


class Markup(Page):
    def test_no_text_of_anybody_is_markup(self):
        """With any text in place of another, the page has the same elements, and that text in the same places."""
        draw = random.Random(1)
        drawn = ["".join(draw.choices("<>&\"'/!-=%;#`\\ \t\na1\u202e漢", k=draw.randrange(1, 40))) for _ in range(60)]
        plain = Parsed(self.page(full(), code=3))
        for text in (*TEXTS, *drawn):
            with self.subTest(text=text):
                report, name = full(text), text.replace("/", "|").strip(".\t\n ")[:40] + ".json"
                page = self.page(report, code=3)
                self.assertNotRegex(page, COMMANDS)
                found, clean = Parsed(page), re.sub(COMMANDS, "?", text.replace("\n", "?"))
                self.assertEqual(found.elements, plain.elements)
                for tag, words in plain.words().items():
                    self.assertEqual(found.words()[tag], words.replace("PLAIN", clean), tag)
                (self.dir / name).write_text(json.dumps(full()))
                self.said("report", "--html=page.html", f"./{name}", code=3)
                self.assertEqual(Parsed((self.dir / "page.html").read_text()).elements, plain.elements)

    def test_it_needs_nothing_else(self):
        page = Parsed(self.page(full(), code=3))
        for tag, attributes in page.elements:
            self.assertFalse({"src", "srcset", "action", "style", "background", "poster"} & set(attributes), tag)
            self.assertFalse([name for name in attributes if name.startswith("on")], tag)
            self.assertRegex(attributes.get("href", "#"), "^(#|data:,$)")
        self.assertNotRegex("".join(page.text["style"]), r"url\(|@import")
        policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
        self.assertTrue(policy.startswith("default-src 'none';"), policy)
        digest = base64.b64encode(hashlib.sha256("".join(page.text["script"]).encode()).digest()).decode()
        self.assertIn(f"script-src 'sha256-{digest}'", policy, "tools/fuseln/page.html names another script")

    def test_what_a_screen_reader_goes_by(self):
        page = Parsed(self.page(*self.ranks(), code=3))
        self.assertEqual(page.all("html")[0].get("lang"), "en")
        for landmark in ("header", "nav", "main", "footer", "h1", "title"):
            self.assertGreaterEqual(len(page.all(landmark)), 1, landmark)
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        self.assertEqual(len(ids), len(set(ids)))
        for tag, attributes in page.elements:
            self.assertIn(attributes.get("aria-labelledby", ids[0]), ids, tag)
            self.assertIn(attributes.get("href", "#").removeprefix("#") or ids[0], (*ids, "data:,"), tag)
        self.assertEqual(len(page.all("caption")), len(page.all("table")))
        self.assertTrue(all(attributes.get("scope") in ("row", "col") for attributes in page.all("th")))
        images = [attributes for attributes in page.all("svg") if attributes.get("aria-hidden") != "true"]
        self.assertTrue(images and all(image["role"] == "img" for image in images))

    def test_many_sites(self):
        sites = [SITE | {"cols": i, "launches": i % 997, "library": f"lib{i}.so"} for i in range(20000)]
        page = self.page(REPORT | {"sites": sites})
        self.assertEqual(page.count('<th scope="row">'), 20000 + 20000 + 4)  # and two reasons, a process, a device


class Written(Page):
    def assert_unwritten(self, path, *words, prefix=(), before=None):
        done = self.fuseln("report", "--html", path, "a.json", prefix=prefix)
        self.assert_one_line(done, 1, f"fuseln report: cannot write the page {path}: ", *words)
        self.assertEqual(list(self.dir.rglob(".fuseln-*")), [])
        if before is not None:
            self.assertEqual((self.dir / path).read_text(), before)

    def test_where_it_cannot_be_written(self):
        self.write("a.json", full())
        (self.dir / "folder").mkdir()
        (self.dir / "page.html").write_text("before")
        self.assert_unwritten("folder", "Is a directory")
        self.assert_unwritten("none/page.html", "No such file")
        self.assert_unwritten("page.html/page.html", "Not a directory")
        self.assert_unwritten("x" * 300, "name too long")
        self.assert_unwritten("none/" * 2000)
        self.assert_unwritten("")
        self.assert_unwritten("/proc/page.html")
        whole = len(self.fuseln("report", "--html=-", "a.json").stdout.encode())
        for room in 0, 4096, whole - 1:
            small = ["env", "--ignore-signal=XFSZ", "prlimit", f"--fsize={room}"]
            self.assert_unwritten("page.html", "too large", prefix=small, before="before")
        done = self.fuseln("report", "--html=/dev/full", "a.json")
        self.assert_one_line(done, 1, "/dev/full: No space left")

    def test_what_was_there_is_replaced_whole(self):
        self.write("a.json", full())
        (self.dir / "folder").mkdir()
        (self.dir / "link.html").symlink_to("folder/page.html")
        (self.dir / "folder/page.html").write_text("before" * 100000)
        self.said("report", "--html=link.html", "a.json", prefix=["sh", "-c", 'umask 027; exec "$0" "$@"'], code=3)
        self.assertTrue((self.dir / "link.html").is_symlink())
        page = (self.dir / "folder/page.html").read_text()
        self.assertTrue(page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n"))
        self.assertEqual((self.dir / "folder/page.html").stat().st_mode & 0o777, 0o640)
        self.assertEqual(list(self.dir.rglob(".fuseln-*")), [])

    def test_on_stdout_beside_json_and_into_a_pipe(self):
        self.write("a.json", REPORT)
        page = self.page(REPORT)
        done = self.fuseln("report", "--html", "-", "0.json")
        self.assertEqual((done.returncode, done.stdout), (0, page))
        done = self.fuseln("report", "--json", "--html=page.html", "a.json")
        self.assertEqual(json.loads(done.stdout)["totals"]["launches"], 100)
        self.assertIn("a.json", (self.dir / "page.html").read_text())
        self.assert_one_line(self.fuseln("report", "--json", "--html=-", "a.json"), 2, "stdout")
        script = '"$0" report --html >(cat >out.html) 0.json >/dev/null; wait $!'
        subprocess.run(["bash", "-c", script, str(BUILD / "fuseln")], cwd=self.dir, check=True, timeout=60)
        self.until(lambda: (self.dir / "out.html").read_text() == page, "the page in the pipe")

    def test_a_report_is_not_overwritten(self):
        """`--html *.json` would take the first one for the page."""
        self.write("a.json", REPORT)
        self.assert_one_line(self.fuseln("report", "--html", "a.json", "a.json"), 2, "a.json", "page")
        self.assertEqual(json.loads((self.dir / "a.json").read_text()), REPORT)

    def test_no_report_no_page(self):
        self.assert_one_line(self.fuseln("report", "--html=page.html", "none.json"), 2, "none.json")
        self.assertEqual(list(self.dir.iterdir()), [])


class Run(Page):
    def shown(self):
        return Parsed((self.dir / "page.html").read_text()).shown()

    def test_at_the_end_however_it_ends(self):
        for end, code in (("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", -9), ("kill -TERM $$", -15)):
            done = self.fuseln("run", "--html", "page.html", "sh", "-c", f"{LAUNCH} pair 10 >/dev/null; {end}")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn("1 report, mode replace", done.stderr)
            self.assertTrue(done.stderr.endswith("fuseln run: page: page.html\n"), done.stderr)
            self.assertIn("launch pair 10", self.shown())
            self.assertEqual([path.name for path in self.dir.iterdir()], ["page.html"])

    def test_of_several_processes_and_beside_reports_that_stay(self):
        script = f"{LAUNCH} pair 10 >/dev/null; {LAUNCH} pair 20 >/dev/null"
        done = self.fuseln("run", "--html=page.html", "sh", "-c", script)
        self.assertIn("2 reports, mode replace", self.shown())
        done = self.fuseln("run", "--html=page.html", "--report=r-%p.json", "sh", "-c", script)
        self.assertEqual(done.stderr.count("fuseln run: report: r-"), 2, done.stderr)
        self.assertIn("2 reports, mode replace", self.shown())

    def test_without_a_report_an_older_page_does_not_stay(self):
        (self.dir / "page.html").write_text("before")
        done = self.fuseln("run", "--html=page.html", "true")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no report: no kernel was launched", done.stderr)
        self.assertIn("no report: no kernel was launched", self.shown())

    def test_a_report_that_cannot_be_read_is_not_taken_for_none(self):
        done = self.fuseln("run", "--html=page.html", "--report=r-%p.json", "sh", "-c", "echo {} >r-1.json")
        self.assertIn("fuseln run: r-1.json: ", done.stderr)
        self.assertNotIn("no kernel was launched", done.stderr + self.shown())
        self.assertIn("no report could be read", self.shown())

    def test_what_cannot_be_is_said_before_the_program_runs(self):
        (self.dir / "folder").mkdir()
        for words, code, said in ((["--html=folder"], 1, "folder: Is a directory"),
                                  (["--html=none/x.html"], 1, "No such file"),
                                  (["--html="], 1, "No such file"), (["--html=" + "x" * 300], 1, "too long"),
                                  (["--html=-"], 2, "stdout"), (["--html=a.json"], 2, "a.json"),
                                  (["--html=x.html", "--report=r.txt"], 2, "r.txt")):
            done = self.fuseln("run", *words, "touch", "ran")
            self.assert_one_line(done, code, said)
            self.assertEqual([path.name for path in self.dir.iterdir()], ["folder"], words)
        self.assert_one_line(self.fuseln("run", "--html=x.html", "touch", "ran", FUSELN_REPORT="stderr"), 2, "stderr")

    def test_a_folder_that_takes_no_file_is_said_before_the_program_runs(self):
        for name in ("fuseln", "libfuseln.so"):
            shutil.copy(BUILD / name, self.dir)
        (self.dir / "closed").mkdir()
        (self.dir / "closed/page.html").write_text("before")
        (self.dir / "closed/page.html").chmod(0o666)
        self.dir.chmod(0o777)
        (self.dir / "closed").chmod(0o555)
        nobody = {"user": 65534} if os.geteuid() == 0 else {}
        done = subprocess.run(["./fuseln", "run", "--html=closed/page.html", "touch", "ran"], cwd=self.dir, text=True,
                              stderr=subprocess.PIPE, env=self.environment(), check=False, **nobody)
        self.assert_one_line(done, 1, "closed/page.html: Permission denied")
        self.assertFalse((self.dir / "ran").exists())

    def test_a_place_that_is_lost_meanwhile_is_one_line(self):
        (self.dir / "folder").mkdir()
        script = f"{LAUNCH} pair 10 >/dev/null; rmdir folder; exit 5"
        done = self.fuseln("run", "--html=folder/page.html", "sh", "-c", script)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("1 report, mode replace", done.stderr)
        self.assertIn("fuseln run: cannot write the page folder/page.html: No such file or directory\n", done.stderr)


@unittest.skipUnless(BROWSER.exists(), "no browser")
class Browser(Page):
    def looks(self, name, reports, *looks):
        folder = BUILD / "tests/html"
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / f"{name}.html"
        page.write_text(self.page(*reports, code=3))
        done = subprocess.run([BROWSER, SOURCE / "tests/cli/browser.py", page, folder, *looks], text=True,
                              capture_output=True, timeout=240, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = json.loads(done.stdout)
        for how, look in seen.items():
            with self.subTest(page=name, how=how):
                self.assertEqual((look["messages"], look["requests"]), ([], [page.as_uri()]))
                self.assertEqual((look.get("wider", 0), look.get("violations", [])), (0, []))
        return seen

    def test_by_eye_by_role_and_by_keyboard(self):
        looks = self.looks("report", self.ranks(), "1280 light", "1280 dark", "390 light", "390 dark",
                           "1280 light no-script")
        tree = looks["390 dark"]["tree"]
        for role in ("banner", "navigation \"Sections\"", "main", "contentinfo", "heading \"fuseln report\" [level=1]",
                     "region \"Layer norms of the program\"", "table \"Ranks side by side\"",
                     "columnheader \"launches\"", "rowheader \"rank 2, pid 102 on x\"", "button \"launches\"",
                     "img \"Launches of the layer norms, and how many of them were replaced. The numbers"):
            self.assertIn(f"- {role}", tree)
        before, down, up = looks["1280 light"]["sorted"]
        self.assertEqual((before[0], down, up), (None, ["descending", ["90", "15"]], ["ascending", ["15", "90"]]))
        plain = looks["1280 light no-script"]
        self.assertEqual(plain["buttons"], 0)
        self.assertEqual(re.sub(r' *- button.*\n|(columnheader ".*"):', r"\1", tree), plain["tree"])

    def test_with_texts_that_would_be_markup(self):
        looks = self.looks("hostile", map(full, TEXTS), "390 dark")
        self.assertIn("<script>alert(1)</script>", looks["390 dark"]["tree"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
