# SPDX-License-Identifier: Apache-2.0
"""The real PyTorch with libfuseln.so preloaded, on the device: right numbers, the same bits, and a report that says
that everything was substituted. Needs only PyTorch. Run by tools/gpu_check.sh; usage: check.py [--small] GROUP FOLDER
with the GROUP pairs, modes or cases. The parent starts one process for each part and dtype, several at a time, since a
report has room for 1,024 sites. It prints what each found as soon as it ends, and exits 1 if anything was wrong.
"""

import concurrent.futures
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
DTYPES = ["f32", "bf16", "f16", "f64"]
PARTS = ["step", *(f"cases-{d}" for d in DTYPES), *(f"rows-{d}" for d in DTYPES), "autograd", "streams", "graphs",
         "special", "accuracy"]  # fmt: skip


def run_part(part, folder, small, seen):
    """Runs one child; returns its text and whether nothing was wrong."""
    start = time.monotonic()
    arguments = [part, folder / f"{part}.calls.json", *small]
    status, text, report = preload.run(CHILD, arguments, folder / f"{part}.report.json")
    made = folder / f"{part}.calls.json"
    found = [f"exit status {status}"] if status else preload.wrong_in_report(report, json.loads(made.read_text()))
    seen.update(site["kernel"] for site in report["sites"]) if report else None
    lines = [f"     {line}" for line in text.splitlines()] + [f"     WRONG {line}" for line in found]
    replaced = report["totals"]["substituted"] if report else 0
    pairs = report["totals"]["pairs"] if report else 0
    head = f"{'FAIL' if found else 'ok  '} {part}: {replaced} launches replaced, {pairs} pairs, {time.monotonic() - start:.1f} s"
    return "\n".join([head, *lines]), not found


def check_stale(folder, small):
    """Sums of a pair that may be stale are not used: the cases of tests/torch/pairs.py, with pairs and without. Left out
    is what needs the host to write device memory, the driver to reuse a handle, or the software device to record a copy."""
    script, left_out = HERE.parent / "torch" / "pairs.py", ["-host_function", "-a_stream_of_the_same_handle"]
    left_out += ["-a_graph"] if small else []
    got, reports = {}, {}
    for name, env in {"paired": {}, "apart": {"FUSELN_SKIP": "pairs"}}.items():
        status, text, reports[name] = preload.run(script, left_out, folder / f"stale-{name}.report.json", env=env)
        got[name] = text.splitlines() + ([f"exit status {status}"] if status else [])
    found = differing(got, [("paired", "apart")])
    pairs, wanted = (reports["paired"] or {"totals": {"pairs": 0}})["totals"]["pairs"], 2 * len(got["paired"])
    found += [] if pairs == wanted else [f"{pairs} pairs, {wanted} expected"]  # the two before each case
    return verdict(f"stale: {len(got['paired'])} cases, {pairs} pairs", found)


def check_pairs(folder, small):
    """Pairs have the bits of the halves apart, and every backward of many rows is one."""
    got, made = {}, folder / "pairs.calls.json"
    for name, env in {"paired": {}, "apart": {"FUSELN_SKIP": "pairs"}}.items():
        status, text, report = preload.run(CHILD, ["pairs", made, *small], folder / f"pairs-{name}.report.json", env=env)
        got[name] = text.splitlines() + ([f"exit status {status}"] if status else [])
        if name == "paired" and not status:
            wrong = preload.wrong_in_report(report, json.loads(made.read_text()))
            pairs = report["totals"]["pairs"]
    found = differing(got, [("paired", "apart")])
    return verdict(*((f"pairs: {pairs} formed", found + wrong) if not found else ("pairs", found)))


def check_bits(folder, small):
    """The same step in several processes: two runs have the same bits, and so has one without pairs; off, observe and
    verify have the originals' bits."""
    modes = {mode: {"FUSELN_MODE": mode} for mode in ("off", "observe", "verify")}
    runs = {"first": {}, "second": {}, "apart": {"FUSELN_SKIP": "pairs"}, **modes, "none": None}
    got = {}
    for name, env in runs.items():
        status, text, report = preload.run(CHILD, ["bits", os.devnull, *small], folder / f"bits-{name}.report.json",
                                           fuseln=preload.LIBRARY if env is not None else None, env=env)  # fmt: skip
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
    pairs = [("first", "second"), ("first", "apart"), ("none", "off"), ("none", "observe"), ("none", "verify")]
    return verdict("bits", differing(got, pairs))


def check_first_use(folder, small):
    """On a build that is not known, the first three launches of each site are checked, and the others replaced."""
    folder = folder / "unknown"
    folder.mkdir(exist_ok=True)
    status, text, report = preload.run(CHILD, ["steps", os.devnull, *small], folder / "first-use.report.json",
                                       fuseln=preload.unknown(folder), env={"FUSELN_CHECK": "3"})  # fmt: skip
    found = text.splitlines() + ([f"exit status {status}"] if status else [])
    for site in report["sites"] if report else []:
        check, passed = site["verify"] or {}, site["passed_through"]
        if check.get("launches", 0) < 3 or check["failed"] or not site["substituted"] or set(passed) != {"check"}:
            found.append(f"{site['target']} {site['cols']}: {site['substituted']} replaced, passed on {passed}, {check}")
    return verdict(f"first-use check: {len(report['sites']) if report else 0} sites checked, then replaced", found)


def check_measure(folder, small):
    """Measure mode times both kernels and keeps the faster one. Prints what it found, for the reader: no time is wrong."""
    status, text, report = preload.run(CHILD, ["steps", os.devnull, *small], folder / "measure.report.json",
                                       env={"FUSELN_MODE": "measure"})  # fmt: skip
    found = text.splitlines() + ([f"exit status {status}"] if status else [])
    times = []
    for site in report["sites"] if report else []:
        for rows in (site["measure"] or {"rows": []})["rows"]:
            what = f"{site['target']} {rows['rows_from']}x{site['cols']}"
            times.append(f"     {what}: {rows['original_us']} -> {rows['ours_us']} us, kept {rows['kept']}")
            found += [] if rows["kept"] in ("ours", "original") else [f"{what}: {rows['kept']} after {rows['pairs']} pairs"]
    found += [] if times else ["nothing was measured"]
    text, well = verdict("measure", found)
    return "\n".join([text, *times]), well


def differing(got, pairs):
    """Returns the runs that failed, and those that should have printed the same lines and did not."""
    found = [f"{name}: {' | '.join(lines[-3:])}" for name, lines in got.items() if not lines or lines[-1].startswith("exit")]
    for one, two in pairs:
        other = [f"{a} | {b}" for a, b in itertools.zip_longest(got[one], got[two]) if a != b]
        found += [f"{one} and {two} differ in {len(other)} lines, first {other[0]}"] if other else []
    return found


def verdict(name, found):
    return "\n".join([f"{'FAIL' if found else 'ok  '} {name}", *(f"     WRONG {line}" for line in found[:20])]), not found


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
    groups = {
        "pairs": [lambda: check_stale(folder, small), lambda: check_pairs(folder, small)],
        "modes": [lambda: check_first_use(folder, small), lambda: check_measure(folder, small), lambda: check_bits(folder, small)],
        "cases": [lambda p=p: run_part(p, folder, small, seen) for p in PARTS + ([] if small else ["huge"])],
    }
    with concurrent.futures.ThreadPoolExecutor(max(1, min(4, os.cpu_count() // 4))) as pool:
        for job in concurrent.futures.as_completed([pool.submit(job) for job in groups[group]]):
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
