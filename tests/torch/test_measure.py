# SPDX-License-Identifier: Apache-2.0
"""FUSELN_MODE=measure on a device whose launches take random times (SOFTGPU_COST): the faster kernel stays, the report
says what was measured, and each launch has the bits of one of the two kernels."""

import json
import statistics
import subprocess

from conftest import COMMAND, check_sums
from test_verify import CAPTURED, LAYER, FEW_SMS, RMS, program

MANY = """
import torch
torch.manual_seed(0)
for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
    for rows in (1, 2, 4, 8, 16):
        for cols in (64, 77, 132, 264):
            norm = torch.nn.LayerNorm(cols).to(dtype).cuda()
            x = torch.randn(rows, cols).to(dtype).cuda().requires_grad_()
            dy = torch.randn(rows, cols).to(dtype).cuda()
            for step in range({steps}):
                norm(x).backward(dy)
torch.cuda.synchronize()
"""
STEPS = 2 * (1 + 20) + 6


def buckets(report):
    return [(site, rows) for site in report["sites"] for rows in (site["measure"] or {"rows": []})["rows"]]


def test_the_faster_kernel_stays(run):
    log = run.folder / "log"
    env = {"FUSELN_MODE": "measure", "SOFTGPU_COST": "1", "SOFTGPU_LOG": str(log)} | FEW_SMS
    run(MANY.format(steps=STEPS), cpu_ops=True, env=env, timeout=900)
    report = run.report()
    check_sums(report)
    times = {}
    for line in map(json.loads, log.read_text().splitlines()):
        times.setdefault((line["name"], line["grid"][0]), []).append(line["us"])
    times = {key: statistics.median(values) for key, values in times.items()}
    cases = wrong = 0
    for site, rows in buckets(report):
        assert (rows["pairs"], rows["kept"] in ("ours", "original")) == (20, True), (site["target"], rows)
        if site["op"] != "dgamma":  # the rows tell the original's grid
            true = times[site["symbol"], rows["rows_from"] or 1]
            assert abs(rows["original_us"] / true - 1) < 0.03
        cases += abs(rows["ours_us"] / rows["original_us"] - 1) >= 0.05
        wrong += (rows["ours_us"] < rows["original_us"]) != (rows["kept"] == "ours")
        # Launches after the measurement, which takes 20 + 1 of each.
        assert rows["saved_us"] >= 0 and (rows["kept"] == "ours") == (rows["launches"] > 0)
        assert rows["saved_us"] == 0 or abs(rows["saved_us"] / (rows["saved_us_per_launch"] * rows["launches"]) - 1) < 1e-3
    assert cases >= 200 and wrong == 0
    kept = [rows["kept"] for _, rows in buckets(report)]
    assert kept.count("ours") > 40 and kept.count("original") > 40
    for site in report["sites"]:
        ours = sum(rows["kept"] == "ours" for rows in site["measure"]["rows"])
        assert (site["passed_through"].get("slower", 0) > 0) == (ours < len(site["measure"]["rows"]))
    table = subprocess.run([COMMAND, "report", run.path], capture_output=True, text=True, check=True).stdout
    assert " us " in table or " ms " in table
    assert max(map(len, table.splitlines())) <= 100


def test_each_launch_has_the_bits_of_one_of_the_two(run):
    code = program(steps=6, shapes=((40, 768),), norms=(LAYER, RMS))
    off, ours, measured = (
        run(code, cpu_ops=True, env=FEW_SMS | {"FUSELN_MODE": mode}).stdout.split() for mode in ("off", "replace", "measure")
    )
    either = list(zip(off, ours, measured))
    assert len(either) == 6 * (4 + 3)
    assert measured not in (off, ours)
    # Only the forward: a backward reads its statistics, and where the other kernel wrote those, has the bits of neither.
    forward = either[0::7] + either[4::7]
    assert all(measured in (off, ours) for off, ours, measured in forward)


def test_a_short_run_keeps_ours_and_says_so(run):
    run(program(steps=8, shapes=((40, 768),), norms=(LAYER,)), cpu_ops=True, env=FEW_SMS | {"FUSELN_MODE": "measure"})
    for site, rows in buckets(run.report()):
        assert (rows["kept"], site["launches"], site["substituted"]) == ("undecided", 8, 4)
        assert rows["pairs"] <= 3
    text = run.folder / "report.txt"
    run(program(steps=2, shapes=((40, 768),), norms=(LAYER,)), cpu_ops=True,
        env=FEW_SMS | {"FUSELN_MODE": "measure", "FUSELN_REPORT": str(text)})  # fmt: skip
    assert "of 20 pairs: not enough, ours" in text.read_text()


def test_a_captured_launch_is_ours_and_not_timed(run):
    run(CAPTURED.format(warm=True, launches=5), cpu_ops=True, env={"FUSELN_MODE": "measure"})
    (site,) = run.report()["sites"]
    assert (site["launches"], site["substituted"], site["passed_through"]) == (6, 6, {})
    assert site["measure"]["rows"][0]["pairs"] == 0
