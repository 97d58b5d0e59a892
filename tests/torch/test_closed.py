# SPDX-License-Identifier: Apache-2.0
"""A closed binary (tests/programs/closed.c) launches PyTorch's own layer-norm kernel, taken out of the wheel, through
the driver alone: with fuseln it is replaced and reported, whichever way it is launched."""

import json
import re
import subprocess

import pytest
from conftest import PROGRAMS

pytestmark = pytest.mark.usefixtures("unchecked")
WAYS = ("module", "library", "function", "ex", "per-thread", "packed")


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    program = tmp_path_factory.mktemp("closed") / "closed"
    subprocess.run(["gcc", "-O2", "-s", "-Wall", "-o", program, PROGRAMS / "closed.c", "-lm", "-ldl"], check=True)
    return program


def test_it_has_no_cuda_symbol(closed):
    symbols = subprocess.run(["nm", "-D", closed], check=True, capture_output=True, text=True).stdout
    assert "dlsym" in symbols
    assert not re.search(r"\bcu(da)?[A-Z]", symbols)


def launch(run, closed, image, way, **options):
    """Runs it; its one launch as the software device logs it, and the largest error as a share of the bound."""
    log = run.folder / "log"
    log.unlink(missing_ok=True)
    done = run.program([closed, *image, way], env={"SOFTGPU_LOG": str(log)} | options.pop("env", {}), **options)
    error, count = done.stdout.split()
    assert count == str(5 * 768)
    return json.loads(log.read_text()), float(error)


@pytest.mark.parametrize("way", WAYS)
def test_its_layer_norm_is_replaced_and_reported(run, closed, image, way):
    ours, error = launch(run, closed, image, way)
    assert ours["kind"] == "ours"
    assert error < 1
    report = run.report()
    (site,) = report["sites"]
    assert report["totals"]["launches"] == report["totals"]["substituted"] == 1
    assert (site["target"], site["boundary"]) == ("pytorch/forward/vectorized/f32", "driver")
    assert (site["library"], site["build"], site["cols"], site["rows"]) == ("(program)", "unverified", 768, 5)
    assert (site["symbol"], site["runtime"]) == (image[1], "static")
    if way == "packed":
        return  # the software device knows no packed original
    original, error = launch(run, closed, image, way, fuseln=False)
    assert (original["kind"], original["name"]) == ("original", image[1])
    assert error < 1
    assert ours["stream"] == original["stream"]


def test_a_stream_of_another_context_passes(run, closed, image):
    run.program([closed, *image, "elsewhere"])  # twice, first in the current context
    (site,) = run.report()["sites"]
    assert (site["launches"], site["substituted"], site["passed_through"]) == (2, 1, {"context": 1})


@pytest.mark.parametrize("mode", ("replace", "verify"))
def test_in_place_is_checked_from_a_copy(run, closed, image, mode):
    log = run.folder / "log"
    log.unlink(missing_ok=True)
    env = {"FUSELN_MODE": mode, "FUSELN_CHECK": "3", "SOFTGPU_LOG": str(log)}
    done = run.program([closed, *image, "in-place"], env=env)
    assert float(done.stdout.split()[0]) < 1
    names = [json.loads(line)["name"] for line in log.read_text().splitlines()]
    assert names[0] == image[1] and "fuseln_check_rows" in names[1:]  # which reads the copy
    (site,) = run.report()["sites"]
    assert (site["substituted"], site["verify"]["launches"], site["verify"]["unchecked"]) == (0, 1, {})
    assert site["verify"]["elements"] == 5 * (768 + 2) and not site["verify"]["failed"]
    ours, error = launch(run, closed, image, "in-place")  # at once: ours reads a row before it writes it
    assert (ours["kind"], error < 1) == ("ours", True)


def test_the_per_thread_stream_is_another(run, closed, image):
    assert len({launch(run, closed, image, way)[0]["stream"] for way in WAYS}) == 2


@pytest.mark.parametrize("hooks", ("runtime", "driver"))
def test_the_boundaries_can_be_chosen(run, closed, image, hooks):
    run.program([closed, *image, "module"], env={"FUSELN_HOOKS": hooks})
    assert (run.report() is not None) == (hooks == "driver")
