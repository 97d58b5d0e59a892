# SPDX-License-Identifier: Apache-2.0
"""A real CUDA runtime inside of a program (the wheel's libcudart_static.a). No driver here lets it start, but it asks for
all its functions first: with fuseln it is given the same ones, but for those that we hook, so its launches would come
to us. And the resolver, asked for each of these names at every version, answers as without fuseln."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

BUILD = pathlib.Path(os.environ["TEST_BUILD"])
PROGRAMS = ROOT / "tests" / "programs"
LAUNCHES = {(f"cu{name}", version, flags) for name, version, flags in (
    ("LaunchKernel", "4000", "0"), ("LaunchKernel", "7000", "2"), ("LaunchKernelEx", "11060", "0"),
    ("LaunchKernelEx", "11060", "2"), ("LaunchCooperativeKernel", "9000", "0"), ("LaunchCooperativeKernel", "9000", "2"),
)}  # fmt: skip
LOOK_UPS = {"cuGetProcAddress", "cuModuleGetFunction", "cuModuleUnload", "cuLibraryGetKernel", "cuLibraryGetModule",
            "cuLibraryUnload", "cuKernelGetFunction", "cuLibraryEnumerateKernels", "cuModuleEnumerateFunctions"}  # fmt: skip


def base(name):
    return re.sub(r"_v\d+$", "", re.sub(r"_pt[sd][sz]$", "", name))


def listed(which):
    """The base names of a list of hooks/names.h."""
    text = f'#include "{ROOT}/hooks/names.h"\n#define NAME(name) name\nFUSELN_DRIVER_{which}(NAME)'
    done = subprocess.run(["gcc", "-E", "-P", "-"], input=text, check=True, capture_output=True, text=True)
    return set(map(base, done.stdout.split()))


NOTICED, HARMLESS = listed("NOTICED"), listed("HARMLESS")


def gcc(*arguments):
    subprocess.run(["gcc", "-O1", "-Wall", "-D_GNU_SOURCE", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("static")
    (runtime,) = pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/nvidia/cu13/lib/libcudart_static.a")
    gcc(PROGRAMS / "static.c", runtime, "-ldl", "-lpthread", "-lrt", "-o", place / "static")
    gcc(PROGRAMS / "resolve.c", "-ldl", "-o", place / "resolve")
    gcc("-shared", "-fPIC", PROGRAMS / "asked.c", "-ldl", "-o", place / "asked.so")
    return place


def run(command, preload, **options):
    """On the stand-in driver alone."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")}
    env |= {"LD_PRELOAD": ":".join(map(str, preload)), "LD_LIBRARY_PATH": str(BUILD / "tests" / "softgpu")}
    env |= options.pop("env", {})
    return subprocess.run([command], env=env, capture_output=True, text=True, timeout=100, check=True, **options)


def asked(place, *fuseln):
    """What the runtime in the program asked for, as rows of (name, version, flags, result, status, object)."""
    log = place / "log"
    done = run(place / "static", [place / "asked.so", *fuseln], env={"ASKED": str(log)})
    assert done.stdout == "cudaLaunchKernel: 500\n"  # it wants a driver's private tables
    assert done.stderr == ""
    return [line.split() for line in log.read_text().splitlines()]


def test_the_runtime_is_given_our_launches(place):
    plain, hooked = asked(place), asked(place, BUILD / "libfuseln.so")
    assert len(plain) > 440
    assert [row[:-1] for row in plain] == [row[:-1] for row in hooked]
    ours = {tuple(row[:3]) for row, before in zip(hooked, plain) if row != before}
    assert {row[-1] for row, before in zip(hooked, plain) if row != before} == {"libfuseln.so"}
    assert {row for row in ours if row[0].startswith("cuLaunch") and row[0] not in NOTICED} == LAUNCHES
    assert {row[0] for row in ours} - {row[0] for row in LAUNCHES} <= LOOK_UPS | NOTICED | {"dlsym"}
    for *asked_for, given in hooked:  # nothing that could change a tensor goes unseen, and nothing is unknown
        assert given != "libcuda.so.1" or HARMLESS & set(asked_for), (asked_for, given)
    print("\n" + "\n".join(" ".join(row) for row in hooked if row[-1] == "libfuseln.so"))


def test_switched_off_it_is_given_the_drivers_own(place):
    plain = asked(place)
    for variable, value in (("FUSELN_MODE", "off"), ("FUSELN_HOOKS", "runtime"), ("FUSELN_ONLY", "python*")):
        done = run(place / "static", [place / "asked.so", BUILD / "libfuseln.so"],
                   env={"ASKED": str(place / "log"), variable: value})  # fmt: skip
        assert done.stderr == ""
        assert [line.split() for line in (place / "log").read_text().splitlines()] == plain, variable


def test_the_resolver_answers_as_before(place):
    names = sorted({row[0] for row in asked(place) if row[0] not in ("dlsym", "-")})
    names += ["", "cuNoSuchFunction", "cuLaunch", "cuLaunchKernelX", "cuGetProcAddress_v2", "cuLaunchKernel_ptsz"]
    plain, hooked = (run(place / "resolve", fuseln, input="\n".join(names) + "\n").stdout.splitlines()
                     for fuseln in ([], [BUILD / "libfuseln.so"]))  # fmt: skip
    assert len(plain) == len(hooked) == len(names) * 21 * 3
    differ = {}
    for before, after in zip(plain, hooked):
        if before != after:
            assert after == before.replace("libcuda.so.1", "libfuseln.so")
            differ.setdefault(before.split()[0], []).append(after)
    others = set(differ) - LOOK_UPS - {name for name, _, _ in LAUNCHES} - NOTICED
    assert others <= {"cuGetProcAddress_v2", "cuLaunchKernel_ptsz"}
    assert {name for name, _, _ in LAUNCHES} <= set(differ)
    print("\n" + json.dumps({name: len(lines) for name, lines in differ.items()}, indent=1))
