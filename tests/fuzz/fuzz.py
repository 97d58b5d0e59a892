#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libFuzzer on `fuseln scan`, `fuseln report` or a file of a user's own rows (FUSELN_TARGETS), with the address and
undefined-behaviour sanitizers, for some seconds.

    fuzz.py scan|report|rows SECONDS [--seed N]

Starts from files made now (a library, a wheel, reports of this build) and those of tests/data. Fails if an input
crashes, hangs or takes too much memory; then stores that input and says how to run it again."""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(SOURCE / "tests/cli"))
from elf import CUDA, PROGBITS, SHF_ALLOC, STRTAB, elf, fatbin, image, strings

BUILD = pathlib.Path(os.environ.get("TEST_BUILD", SOURCE / "build"))
FOUND = BUILD / "tests/fuzz/found"  # not a temporary folder: someone must look at it
# No check for leaks: a command's memory goes when it ends.
OPTIONS = ["-close_fd_mask=3", "-timeout=20", "-rss_limit_mb=2048", "-detect_leaks=0", "-max_len=65536"]

WHAT = {"scan": "`fuseln scan`", "report": "`fuseln report`", "rows": "`FUSELN_TARGETS`"}


def kernel_names():
    for path in sorted((SOURCE / "tests/data/symbols").glob("torch-2.1*.txt")):
        yield from (line for line in path.read_text().split() if line.startswith("_Z") and "norm" in line)


def library(path, names):
    """Makes a shared library with these names where a CUDA program has them, a build-id and the name of a runtime."""
    text = "".join(f'.asciz "{name}"\n' for name in names)
    text = (f'.section .rodata\n{text}.asciz "CUDA driver version is insufficient for CUDA runtime version"\n'
            '.section .note.GNU-stack,"",%progbits\n')
    subprocess.run(["gcc", "-shared", "-nostdlib", "-Wl,--build-id,-soname,libcudart.so.13", "-x", "assembler", "-",
                    "-o", path], check=True, input=text, text=True)


def seeds_scan(folder):
    names = list(dict.fromkeys(kernel_names()))
    library(folder / "library", names[:8])
    library(folder / "empty", [])
    cubins = [image(elf([(".strtab", STRTAB, 0, strings(*names[i:i + 3]))], machine=CUDA)) for i in (0, 2)]
    (folder / "fat").write_bytes(elf([(".nv_fatbin", PROGBITS, SHF_ALLOC, fatbin(*cubins))]))
    with zipfile.ZipFile(folder / "wheel", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(folder / "library", "torch/lib/libtorch_cuda.so")
        wheel.writestr("torch/__init__.py", "pass\n")
    smallest = min((BUILD / "images").glob("*.cubin"), key=lambda path: path.stat().st_size)
    shutil.copy(smallest, folder / "cubin")


def seeds_report(folder):
    """Reports as the tests' programs write them now, in all modes, and a text that is no report."""
    settings = [{"FUSELN_CHECK": "0"}, {"FUSELN_CHECK": "3"}, {"FUSELN_MODE": "verify"}, {"FUSELN_MODE": "measure"},
                {"FUSELN_SKIP": "f32"}, {"FUSELN_MODE": "observe", "RANK": "1"}]
    others = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")}
    written = []
    for i, setting in enumerate(settings):
        path = folder / f"report{i}.json"
        env = others | setting | {"LD_PRELOAD": str(BUILD / "libfuseln.so"), "FUSELN_REPORT": str(path)}
        subprocess.run([BUILD / "tests/faults/faults_host", "40"], env=env, stdout=subprocess.DEVNULL, check=False)
        written.append(path.read_bytes())
    for path in sorted((SOURCE / "tests/data/reports").glob("*.json")):
        shutil.copy(path, folder)
        written.append(path.read_bytes())
    (folder / "ranks").write_bytes(b"\0".join(written[-3:]))
    (folder / "text").write_text("not a report\n")


def seeds_rows(folder):
    """A row, all words as their header explains them, and names for the signature's parser."""
    (folder / "row").write_text(
        "[mine/norm/f16]\nsymbol = _Z4normILi4EEvPK6__halfS2_S2_PS0_fi\nargs = ptr ptr ptr ptr f32 i32\n"
        "op = layernorm dtype = f16 x = arg0 gamma? = arg1 beta = arg2 y = arg3 eps = arg4\n"
        "cols = arg5 rows = grid.x # in\nin = arg0, arg1 build = 0123456789abcdef\n"
    )
    (folder / "words").write_text((SOURCE / "hooks/targets/words.h").read_text().replace("*", ""))
    names = "".join(f"[a/{i}]\nsymbol = {name}\n" for i, name in enumerate(kernel_names()) if i < 40)
    (folder / "names").write_text(names)


def dictionary(path, folder):
    """The words of the seeds, for libFuzzer to insert."""
    words = set()
    for seed in folder.iterdir():
        words |= set(re.findall(rb'"[a-z_]{2,24}":|\b[a-z_.]{2,16} =|\barg[0-9]+\b', seed.read_bytes()))
    words |= {b"\x7fELF", b"PK\x03\x04", b"\x50\xed\x55\xba", b"9007199254740993", b"null", b"-1", b"[]", b"{}"}
    path.write_text("".join('"%s"\n' % "".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("word", choices=["scan", "report", "rows"])
    parser.add_argument("seconds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    target = BUILD / f"tests/fuzz/fuzz_{options.word}"
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        corpus, seeds, words = (pathlib.Path(work, name) for name in ("corpus", "seeds", "words"))
        corpus.mkdir(), seeds.mkdir()
        {"scan": seeds_scan, "report": seeds_report, "rows": seeds_rows}[options.word](seeds)
        dictionary(words, seeds)
        done = subprocess.run([target, corpus, seeds, f"-seed={options.seed}", f"-max_total_time={options.seconds}",
                               f"-dict={words}", f"-artifact_prefix={FOUND}/{options.word}-", *OPTIONS], text=True,
                              env=os.environ | {"TMPDIR": work}, capture_output=True, errors="replace", check=False)
    if done.returncode:
        print(done.stderr[-8000:])
        for path in re.findall(r"Test unit written to (\S+)", done.stderr):
            print(f"again: {target} {path}")
        print(f"| broken files for {WHAT[options.word]} (libFuzzer) | until the first | 1 |")
        return 1
    runs = re.search(r"Done (\d+) runs in (\d+) second", done.stderr)
    if not runs or int(runs[1]) < 100:
        print(done.stderr[-8000:])
        return 1
    print(f"| broken files for {WHAT[options.word]} (libFuzzer) | {int(runs[1]):,} in {runs[2]} s | nothing |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
