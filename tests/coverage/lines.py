#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which lines of the library ran (tools/coverage.sh): src, hooks and the host code of kernels.

    lines.py BUILD [--list]

Fails below 95 %, if a line that did not run has no reason in not_covered.txt, and if a reason is for a line that no
longer exists. (A line with a reason may have run: some depend on a race of threads.) --list prints the lines without a
reason in the form that not_covered.txt takes."""
import collections
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
REASONS = pathlib.Path(__file__).with_name("not_covered.txt")
FOLDERS = ("src", "hooks", "kernels")
LEAST = 95


def gcov(path):
    """Yields the source files of a .gcno file, with the counts of its .gcda file, if any."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", path.name], cwd=path.parent, check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    for text in done.stdout.splitlines():
        yield from json.loads(text)["files"]


def read(build):
    """Returns {file: {line: (function, did it run)}}; a line may be in several objects, or several functions of one."""
    files = collections.defaultdict(dict)
    for notes in sorted(build.rglob("*.gcno")):
        for file in gcov(notes):
            path = os.path.relpath(SOURCE / file["file"], SOURCE)  # ours are relative to it (-ffile-prefix-map)
            if not path.startswith(FOLDERS):
                continue
            for line in file["lines"]:
                _, ran = files[path].get(line["line_number"], ("", False))
                files[path][line["line_number"]] = line.get("function_name", ""), ran or line["count"] > 0
    return files


def read_reasons():
    """Returns {(file, function, text of a line or "*" for all): reason}."""
    reasons = {}
    for number, line in enumerate(REASONS.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        head, _, reason = line.rpartition(" | ")
        parts = head.split(" | ", 2)  # C has such bars too
        if len(parts) != 3 or not reason:
            sys.exit(f"{REASONS.name}:{number}: not FILE | FUNCTION | LINE or * | REASON")
        reasons[tuple(parts)] = reason
    return reasons


def main():
    build, as_list = pathlib.Path(sys.argv[1]).resolve(), "--list" in sys.argv[2:]
    files, reasons, there = read(build), read_reasons(), set()
    without, total, ran = [], 0, 0
    for path in sorted(files):
        texts = (SOURCE / path).read_text().splitlines()
        lines = files[path]
        missed = sorted(number for number, (_, did) in lines.items() if not did)
        total, ran = total + len(lines), ran + len(lines) - len(missed)
        there |= {(path, of[0], texts[number - 1].strip()) for number, of in lines.items()}
        there |= {(path, function, "*") for function, _ in lines.values()}
        if not as_list:
            print(f"{path:<28} {len(lines) - len(missed):>5} of {len(lines):>5} lines")
        for number in missed:
            text, function = texts[number - 1].strip(), lines[number][0]
            if (path, function, text) not in reasons and (path, function, "*") not in reasons:
                without.append((path, number, function, text))
    if as_list:
        print("\n".join(f"{path} | {function} | {text} | ? (line {number})" for path, number, function, text in without))
        return 0
    percent = 100 * ran / total if total else 0
    print(f"{ran} of {total} lines ran: {percent:.1f} % (at least {LEAST}); {total - ran} did not")
    for path, number, function, text in without:
        print(f"no reason: {path}:{number}: {function}: {text}")
    stale = sorted(set(reasons) - there)
    for key in stale:
        print(f"a reason for a line that no longer exists: {' | '.join(key)}")
    return bool(without or stale or percent < LEAST)


if __name__ == "__main__":
    sys.exit(main())
