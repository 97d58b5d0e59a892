# SPDX-License-Identifier: Apache-2.0
"""The real PyTorch with libfuseln.so preloaded, on the device: right numbers, the same bits, and a report that says
that everything was substituted. Needs only PyTorch. Run by tools/gpu_check.sh; usage: check.py [--small] FOLDER
The parent starts one process for each part and dtype, several at a time, since a report has room for 1,024 sites. It
prints what each found as soon as it ends, and exits 1 if anything was wrong.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import sys
import time

import preload

DTYPES = ["f32", "bf16", "f16", "f64"]
PARTS = ["step", *(f"cases-{d}" for d in DTYPES), *(f"rows-{d}" for d in DTYPES), "autograd", "streams", "graphs",
         "special", "accuracy"]  # fmt: skip


def run_part(part, folder, small, seen):
    """Runs one child; returns its text and whether nothing was wrong."""
    start = time.monotonic()
    status, text, report = preload.run(
        pathlib.Path(__file__).with_name("check_parts.py"),
        [part, folder / f"{part}.calls.json", *(["--small"] if small else [])],
        folder / f"{part}.report.json",
    )
    made = folder / f"{part}.calls.json"
    found = [f"exit status {status}"] if status else preload.wrong_in_report(report, json.loads(made.read_text()))
    seen.update(site["kernel"] for site in report["sites"]) if report else None
    lines = [f"     {line}" for line in text.splitlines()] + [f"     WRONG {line}" for line in found]
    replaced = report["totals"]["substituted"] if report else 0
    pairs = report["totals"]["pairs"] if report else 0
    head = f"{'FAIL' if found else 'ok  '} {part}: {replaced} launches replaced, {pairs} pairs, {time.monotonic() - start:.1f} s"
    return "\n".join([head, *lines]), not found


def check_bits(folder):
    """The same step in several processes: two runs have the same bits, and so has one without pairs; off, observe and
    verify have the originals' bits."""
    modes = {mode: {"FUSELN_MODE": mode} for mode in ("off", "observe", "verify")}
    runs = {"first": {}, "second": {}, "apart": {"FUSELN_SKIP": "pairs"}, **modes, "none": None}
    got = {}
    for name, env in runs.items():
        report_path = folder / f"bits-{name}.report.json"
        status, text, report = preload.run(pathlib.Path(__file__).with_name("check_parts.py"), ["bits", os.devnull],
                                           report_path, fuseln=env is not None, env=env)  # fmt: skip
        got[name] = [line for line in text.splitlines() if not line.startswith("fuseln[")]
        got[name] += [f"exit status {status}"] if status else []
        if status == 0 and name == "observe":
            assert report["totals"]["substituted"] == 0, report["totals"]
            assert set(preload.reasons(report)) == {"observe"}, preload.reasons(report)
        if status == 0 and name == "verify":
            checks = [site["verify"] for site in report["sites"]]
            assert report["totals"]["substituted"] == 0, report["totals"]
            assert checks and all(c and c["launches"] and not c["failed"] and not c["unchecked"] for c in checks), checks
        if status == 0 and name in ("first", "apart"):
            pairs = report["totals"]["pairs"]
            assert (pairs > 0) == (name == "first"), f"{name}: {pairs} pairs, {report['totals']['unpaired']}"
    found = [f"{name}: {lines[-1]}" for name, lines in got.items() if not lines or lines[-1].startswith("exit")]
    for one, two in (("first", "second"), ("first", "apart"), ("none", "off"), ("none", "observe"), ("none", "verify")):
        other = [f"{a} | {b}" for a, b in zip(got[one], got[two]) if a != b]
        found += [f"{one} and {two} differ in {len(other)} outputs, first {other[0]}"] if other else []
    return "\n".join([f"{'FAIL' if found else 'ok  '} bits", *(f"     WRONG {line}" for line in found)]), not found


def unseen(seen):
    """Returns the library's kernels that no part launched (but for reductions, which a report does not name)."""
    names = set(re.findall(rb"\.text\.(fuseln_ln_\w+)\0", (preload.BUILD / "libfuseln.so").read_bytes()))
    return sorted(name for name in {n.decode() for n in names} - seen if "reduce" not in name)


def main():
    small = "--small" in sys.argv
    folder = pathlib.Path(sys.argv[-1])
    folder.mkdir(parents=True, exist_ok=True)
    preload.make_switch()
    seen, good = set(), []
    with concurrent.futures.ThreadPoolExecutor(max(1, min(4, os.cpu_count() // 4))) as pool:
        first, *others = PARTS + ([] if small else ["huge"])
        jobs = [lambda p=p: run_part(p, folder, small, seen) for p in others] + [lambda: check_bits(folder)]
        text, well = run_part(first, folder, small, seen)
        print(text, flush=True)
        good.append(well)
        for job in concurrent.futures.as_completed([pool.submit(job) for job in jobs]):
            try:
                text, well = job.result()
            except Exception as error:  # a part that breaks must not hide the others
                text, well = f"FAIL {type(error).__name__}: {error}", False
            print(text, flush=True)
            good.append(well)
    left = unseen(seen)
    print(f"kernels of ours that no part launched: {', '.join(left) or 'none'}")
    print(f"{sum(good)} parts passed, {good.count(False)} failed")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
