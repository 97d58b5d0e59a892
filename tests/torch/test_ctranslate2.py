# SPDX-License-Identifier: Apache-2.0
"""CTranslate2's layer norms and RMS norms, taken out of its wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import compare, draw, library

TARGETS = {f"ctranslate2/{kernel}/{dtype}" for kernel in ("layer_norm", "rms_norm") for dtype in ("f32", "f16", "bf16")}


def command():
    return PROGRAMS / "use_ctranslate2_norms.py", library("ctranslate2-4.8.5")


def test_drawn_cases_are_replaced(run, capsys):
    assert compare(run, command(), capsys) == dict.fromkeys(TARGETS, 40)


def test_the_first_launches_of_each_site_are_checked(run):
    _, report = draw(run, command())
    assert {site["target"] for site in report["sites"]} == TARGETS
    for site in report["sites"]:
        found = site["verify"]
        assert (found["failed"], found["outside"], found["outside_original"]) == (False, 0, 0), site
        assert site["passed_through"] == {"check": min(site["launches"], 3 + found["inconclusive"])}, site


def test_a_wrong_kernel_of_ours_is_found_and_replaces_nothing(run):
    _, report = draw(run, command(), SOFTGPU_PLANT="tail")  # the last three elements of a row get the values of others
    wide = [site for site in report["sites"] if site["cols"] >= 6]
    assert {site["target"] for site in wide} == TARGETS
    assert all(site["verify"]["failed"] and not site["substituted"] for site in wide)
