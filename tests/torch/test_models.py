# SPDX-License-Identifier: Apache-2.0
"""Whole models on the software device: the loss curve with fuseln against the curve without."""

import pathlib

import pytest
from conftest import check_sums, launches

HERE = pathlib.Path(__file__).resolve().parent

# Two runs whose layer norms differ in the last bit of float32 (2^-24) drift apart by at most the rounding errors of a
# step's chain of operations. The chains here have fewer than 2^8 operations of norm 1, so 2^-16 a step, relative.
BOUND_A_STEP = 2.0**-16


def curves(run, command):
    with_fuseln = run(command, cpu_ops=True).stdout
    report = run.report()
    without = run(command, cpu_ops=True, fuseln=False).stdout
    parse = lambda text: [float(line.split()[-1]) for line in text.splitlines()]  # noqa: E731
    return parse(with_fuseln), parse(without), report


def check_curves(ours, theirs):
    assert len(ours) == len(theirs) > 3
    for step, (a, b) in enumerate(zip(ours, theirs)):
        assert abs(a - b) <= abs(b) * BOUND_A_STEP * (step + 1), (step, a, b)
    assert theirs[-1] < theirs[0], "it learns"


@pytest.mark.parametrize("model", ["bert", "vit", "swin"])
def test_a_well_known_model_trains_the_same(run, model):
    ours, theirs, report = curves(run, [str(HERE / "models.py"), model])
    check_curves(ours, theirs)
    check_sums(report)
    assert report["totals"]["passed_through"] == 0
    assert launches(report, "forward", "moments") > 0 and launches(report, "dx") > 0 and launches(report, "dgamma") > 0
