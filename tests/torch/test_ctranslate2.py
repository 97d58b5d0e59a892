# SPDX-License-Identifier: Apache-2.0
"""CTranslate2's layer norms and RMS norms, taken out of its wheel, on the software device."""

from conftest import PROGRAMS
from norms_table import check, compare, draw, library

TARGETS = {f"ctranslate2/{kernel}/{dtype}" for kernel in ("layer_norm", "rms_norm") for dtype in ("f32", "f16", "bf16")}


def command():
    return PROGRAMS / "use_ctranslate2_norms.py", library("ctranslate2-4.8.5")


def test_drawn_cases_are_replaced(run, capsys):
    assert compare(run, command(), capsys) == dict.fromkeys(TARGETS, 40)


def test_the_first_launches_are_checked(run):
    assert check(run, command()).keys() == TARGETS


def test_a_wrong_kernel_of_ours_is_found_and_replaces_nothing(run):
    _, report = draw(run, command(), SOFTGPU_PLANT="tail")  # the last three elements of a row get the values of others
    wide = [site for site in report["sites"] if site["cols"] >= 6]
    assert {site["target"] for site in wide} == TARGETS
    assert all(site["verify"]["failed"] and not site["substituted"] for site in wide)
