# SPDX-License-Identifier: Apache-2.0
"""A real CUDA runtime inside a program (the wheel's libcudart_static.a). No driver here lets it start, but it first asks
for all its functions: with fuseln it gets the same ones, except for those that we hook, so its launches would come to
us. And the resolver, asked for each of these names at every version, answers as without fuseln."""

import json
import pathlib
import subprocess
import sys

import pytest
from conftest import BUILD, FUSELN, PROGRAMS, environment, names

LAUNCHES = {(f"cu{name}", version, flags) for name, version, flags in (
    ("LaunchKernel", "4000", "0"), ("LaunchKernel", "7000", "2"), ("LaunchKernelEx", "11060", "0"),
    ("LaunchKernelEx", "11060", "2"), ("LaunchCooperativeKernel", "9000", "0"), ("LaunchCooperativeKernel", "9000", "2"),
)}  # fmt: skip
LAUNCH_NAMES = {name for name, _, _ in LAUNCHES}
LOOK_UPS = {"cuGetProcAddress", "cuModuleGetFunction", "cuModuleUnload", "cuLibraryGetKernel", "cuLibraryGetModule",
            "cuLibraryUnload", "cuKernelGetFunction", "cuLibraryEnumerateKernels", "cuModuleEnumerateFunctions"}  # fmt: skip
NOTICED, HARMLESS = (set(map(names.base, names.listed(f"DRIVER_{which}"))) for which in ("NOTICED", "HARMLESS"))


def gcc(*arguments):
    subprocess.run(["gcc", "-O1", "-Wall", "-D_GNU_SOURCE", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    (runtime,) = pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/nvidia/cu13/lib/libcudart_static.a")
    gcc(PROGRAMS / "static.c", runtime, "-ldl", "-lpthread", "-lrt", "-o", folder / "static")
    gcc(PROGRAMS / "resolve.c", "-ldl", "-o", folder / "resolve")
    gcc("-shared", "-fPIC", PROGRAMS / "asked.c", "-ldl", "-o", folder / "asked.so")
    return folder


def run(command, preload, **options):
    """On the stand-in driver alone."""
    env = environment(LD_PRELOAD=":".join(map(str, preload)), LD_LIBRARY_PATH=str(BUILD / "tests" / "softgpu"))
    env |= options.pop("env", {})
    return subprocess.run([command], env=env, capture_output=True, text=True, timeout=100, check=True, **options)


def asked(folder, *fuseln, **env):
    """What the runtime in the program asked for, as rows of (name, version, flags, result, status, object)."""
    log = folder / "log"
    done = run(folder / "static", [folder / "asked.so", *fuseln], env={"ASKED": str(log)} | env)
    assert done.stdout == "cudaLaunchKernel: 500\n"  # it wants a driver's private tables
    assert done.stderr == ""
    return [line.split() for line in log.read_text().splitlines()]


def test_the_runtime_is_given_our_launches(folder):
    plain, hooked = asked(folder), asked(folder, FUSELN)
    assert len(plain) > 440
    assert [row[:-1] for row in plain] == [row[:-1] for row in hooked]
    differ = [row for row, before in zip(hooked, plain) if row != before]
    assert {row[-1] for row in differ} == {"libfuseln.so"}
    ours = {tuple(row[:3]) for row in differ}
    assert {row for row in ours if row[0].startswith("cuLaunch") and row[0] not in NOTICED} == LAUNCHES
    assert {row[0] for row in ours} - LAUNCH_NAMES <= LOOK_UPS | NOTICED | {"dlsym"}
    for *function, library in hooked:  # nothing that could change a tensor goes unseen, and nothing is unknown
        assert library != "libcuda.so.1" or HARMLESS & set(function), (function, library)
    print("\n" + "\n".join(" ".join(row) for row in hooked if row[-1] == "libfuseln.so"))


def test_switched_off_it_is_given_the_drivers_own(folder):
    plain = asked(folder)
    for variable, value in (("FUSELN_MODE", "off"), ("FUSELN_HOOKS", "runtime"), ("FUSELN_ONLY", "python*")):
        assert asked(folder, FUSELN, **{variable: value}) == plain, variable


def test_the_resolver_answers_as_before(folder):
    functions = sorted({row[0] for row in asked(folder) if row[0] not in ("dlsym", "-")})
    functions += ["", "cuNoSuchFunction", "cuLaunch", "cuLaunchKernelX", "cuGetProcAddress_v2", "cuLaunchKernel_ptsz"]
    plain, hooked = (run(folder / "resolve", fuseln, input="\n".join(functions) + "\n").stdout.splitlines()
                     for fuseln in ([], [FUSELN]))  # fmt: skip
    assert len(plain) == len(hooked) == len(functions) * 21 * 3
    differ = {}
    for before, after in zip(plain, hooked):
        if before != after:
            assert after == before.replace("libcuda.so.1", "libfuseln.so")
            differ.setdefault(before.split()[0], []).append(after)
    assert differ.keys() - LOOK_UPS - LAUNCH_NAMES - NOTICED <= {"cuGetProcAddress_v2", "cuLaunchKernel_ptsz"}
    assert LAUNCH_NAMES <= differ.keys()
    print("\n" + json.dumps({name: len(lines) for name, lines in differ.items()}, indent=1))
