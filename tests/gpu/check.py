# SPDX-License-Identifier: Apache-2.0
"""The real PyTorch with libfuseln.so preloaded, on the device: right numbers, the same bits, and a report that says
that everything was substituted. Needs only PyTorch. Run by tools/gpu_check.sh; usage: check.py [--small] GROUP FOLDER
with the GROUP pairs, modes or cases. The parent starts one process for each part and dtype, several at a time, since a
report has room for 1,024 sites. It prints what each found as soon as it ends, and exits 1 if anything was wrong.
"""

import concurrent.futures
import functools
import itertools
import json
import os
import pathlib
import re
import sys
import time

import preload

HERE = pathlib.Path(__file__).resolve().parent
CHILD = HERE / "check_parts.py"
BOTH = {"paired": {}, "apart": {"FUSELN_SKIP": "pairs"}}
DTYPES = ["f32", "bf16", "f16", "f64"]
PARTS = [*(f"cases-{d}" for d in DTYPES), *(f"rows-{d}" for d in DTYPES), "autograd", "streams", "graphs", "special",
         "accuracy"]  # fmt: skip


def child(part, name, folder, small, **options):
    """Runs check_parts.py PART; returns its lines, its exit status among them unless that is 0, and its report."""
    arguments = [part, folder / f"{name}.calls.json", *small]
    status, text, report = preload.run(CHILD, arguments, folder / f"{name}.report.json", **options)
    return text.splitlines() + ([f"exit status {status}"] if status else []), report


def failed(lines):
    return not lines or lines[-1].startswith("exit status")


def wrong_calls(name, folder, report):
    return preload.wrong_in_report(report, json.loads((folder / f"{name}.calls.json").read_text()))


def verdict(name, found, lines=()):
    """Returns the text to print, and whether nothing was wrong."""
    found = [f"     WRONG {line}" for line in found[:20]]
    return "\n".join([f"{'FAIL' if found else 'ok  '} {name}", *(f"     {line}" for line in lines), *found]), not found


def run_part(part, folder, small, seen):
    start = time.monotonic()
    lines, report = child(part, part, folder, small)
    found = lines[-1:] if lines and failed(lines) else wrong_calls(part, folder, report)
    seen.update(site["kernel"] for site in report["sites"]) if report else None
    totals = report["totals"] if report else {"substituted": 0, "pairs": 0}
    head = f"{part}: {totals['substituted']} launches replaced, {totals['pairs']} pairs"
    return verdict(f"{head}, {time.monotonic() - start:.1f} s", found, lines)


def check_stale(folder, small):
    """Sums of a pair that may be stale are not used: the cases of tests/torch/pairs.py, with pairs and without. Left
    out is what needs the host to write device memory, the driver to reuse a handle, or, on the software device, a
    recorded copy."""
    left_out = ["-host_function", "-a_stream_of_the_same_handle"]
    return run_stale("stale", left_out + (["-a_graph"] if small else []), folder)


def check_captured(folder, small):
    """The same in stream capture, for cases that synchronise with nothing there."""
    left_out = ["-host_function", "-another_thread", "-freed_and_taken_again"]
    return run_stale("stale in capture", ["--captured", *left_out], folder)


def run_stale(what, words, folder):
    script, got, pairs = HERE.parent / "torch" / "pairs.py", {}, {}
    for name, env in BOTH.items():
        status, text, report = preload.run(script, words, folder / f"{what}-{name}.report.json", env=env)
        got[name] = text.splitlines() + [f"exit status {status}"]
        if not status:  # without warnings
            got[name] = [line for line in got[name] if re.fullmatch(r"\w+( [0-9a-f]{16})+", line)]
        pairs[name] = report["totals"]["pairs"] if report else None
    found = differing(got, [("paired", "apart")])
    wanted = {"paired": 2 * len(got["paired"]), "apart": 0}  # the two before each case
    found += [] if pairs == wanted else [f"pairs: {pairs}, expected: {wanted}"]
    return verdict(f"{what}: {len(got['paired'])} cases, {pairs['paired']} pairs", found)


def check_pairs(folder, small):
    """Pairs have the bits of the halves apart, and every backward of many rows is one."""
    got = {}
    for name, env in BOTH.items():
        got[name], report = child("pairs", name, folder, small, env=env)
        if name == "paired" and not failed(got[name]):
            wrong = wrong_calls(name, folder, report)
            pairs = report["totals"]["pairs"]
    found = differing(got, [("paired", "apart")])
    return verdict("pairs", found) if found else verdict(f"pairs: {pairs} formed", wrong)


def check_bits(folder, small):
    """The same step in several processes: two runs have the same bits, and so has one without pairs; off, observe and
    verify have the originals' bits."""
    modes = {mode: {"FUSELN_MODE": mode} for mode in ("off", "observe", "verify")}
    runs = {"first": {}, "second": {}, "apart": {"FUSELN_SKIP": "pairs"}, **modes, "none": None}
    got = {}
    for name, env in runs.items():
        library = None if env is None else preload.LIBRARY
        lines, report = child("bits", f"bits-{name}", folder, small, fuseln=library, env=env)
        got[name] = [line for line in lines if not line.startswith("fuseln[")]
        if failed(lines):
            continue
        if name == "observe":
            assert report["totals"]["substituted"] == 0, report["totals"]
            assert set(preload.reasons(report)) == {"observe"}, preload.reasons(report)
        if name == "verify":
            checks = [site["verify"] for site in report["sites"]]
            assert report["totals"]["substituted"] == 0, report["totals"]
            assert checks and all(c and c["launches"] and not (c["failed"] or c["unchecked"]) for c in checks), checks
        if name in ("first", "apart"):
            pairs = report["totals"]["pairs"]
            assert (pairs > 0) == (name == "first"), f"{name}: {pairs} pairs, {report['totals']['unpaired']}"
    pairs = [("first", "second"), ("first", "apart"), ("none", "off"), ("none", "observe"), ("none", "verify")]
    return verdict("bits", differing(got, pairs))


def check_first_use(folder, small):
    """On a build that is not known, the first three launches of each site are checked, and the others replaced."""
    unknown = folder / "unknown"
    unknown.mkdir(exist_ok=True)
    found, report = child("steps", "first-use", folder, small, fuseln=preload.unknown(unknown), env={"FUSELN_CHECK": "3"})
    sites = report["sites"] if report else []
    for site in sites:
        check, passed = site["verify"] or {"launches": 0, "failed": False}, site["passed_through"]
        if check["launches"] < 3 or check["failed"] or not site["substituted"] or set(passed) != {"check"}:
            found.append(f"{site['target']} {site['cols']}: {site['substituted']} replaced, {passed}, {check}")
    return verdict(f"first-use check: {len(sites)} sites checked, then replaced", found if sites else ["no site"])


def check_measure(folder, small):
    """Measure mode times both kernels and keeps the faster one. What it found is for the reader: no time is wrong."""
    found, report = child("steps", "measure", folder, small, env={"FUSELN_MODE": "measure"})
    times = []
    for site in report["sites"] if report else []:
        for rows in (site["measure"] or {"rows": []})["rows"]:
            what, kept = f"{site['target']} {rows['rows_from']}x{site['cols']}", rows["kept"]
            times.append(f"{what}: {rows['original_us']} -> {rows['ours_us']} us, kept {kept}")
            found += [] if kept in ("ours", "original") else [f"{what}: {kept} after {rows['pairs']} pairs"]
    return verdict("measure", found + ([] if times else ["nothing was measured"]), times)


def differing(got, pairs):
    """Returns the runs that failed, and those that should have printed the same lines and did not."""
    found = [f"{name}: {' | '.join(lines[-3:])}" for name, lines in got.items() if failed(lines)]
    for one, two in pairs:
        other = [f"{a} | {b}" for a, b in itertools.zip_longest(got[one], got[two]) if a != b]
        found += [f"{one} and {two} differ in {len(other)} lines, first {other[0]}"] if other else []
    return found


def unseen(seen):
    """Returns the library's kernels that no part launched (but for reductions, which a report does not name)."""
    names = set(re.findall(rb"\.text\.(fuseln_ln_\w+)\0", (preload.BUILD / "libfuseln.so").read_bytes()))
    return sorted(name for name in {n.decode() for n in names} - seen if "reduce" not in name)


def main():
    group, folder = sys.argv[-2], pathlib.Path(sys.argv[-1])
    small = [word for word in sys.argv if word == "--small"]
    folder.mkdir(parents=True, exist_ok=True)
    preload.make_switch()
    seen, good = set(), []
    parts = PARTS + ([] if small else ["huge"])
    groups = {
        "pairs": [check_stale, check_pairs] + ([] if small else [check_captured]),
        "modes": [check_first_use, check_measure, check_bits],
        "cases": [functools.partial(run_part, part, seen=seen) for part in parts],
    }
    with concurrent.futures.ThreadPoolExecutor(max(1, min(4, os.cpu_count() // 4))) as pool:
        jobs = [pool.submit(job, folder=folder, small=small) for job in groups[group]]
        for job in concurrent.futures.as_completed(jobs):
            try:
                text, well = job.result()
            except Exception as error:  # a part that breaks must not hide the others
                text, well = f"FAIL {type(error).__name__}: {error}", False
            print(text, flush=True)
            good.append(well)
    if group == "cases":
        print(f"kernels of ours that no part launched: {', '.join(unseen(seen)) or 'none'}")
    print(f"{sum(good)} parts passed, {good.count(False)} failed")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
