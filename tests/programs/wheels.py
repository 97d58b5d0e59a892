# SPDX-License-Identifier: Apache-2.0
"""Programs of large wheels, alone and with fuseln: both must print the same and end the same way, and the report must
count their launches. No real CUDA runtime starts on the software device's driver, but one inside a wheel must get our
launch functions. Run by tools/test.sh --all; usage: wheels.py BUILD CACHE TORCH, where TORCH is the environment that
has torchvision. Exits 1 if anything was wrong."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import names  # noqa: E402
from reports import environment  # noqa: E402

NO_DRIVER, DRIVER, DEVICE = "without a driver", "with a driver", "on the software device"
PROGRAMS = (  # wheel, program, where, kernels launched, of those replaced
    ("tensorflow", "use_tensorflow.py", DRIVER, 0, 0),
    ("onnxruntime-gpu", "use_onnxruntime.py", DRIVER, 0, 0),
    ("jax", "jax_norm.py", DRIVER, 0, 0),
    ("ctranslate2", "use_ctranslate2.py", NO_DRIVER, 0, 0),
    ("ctranslate2", "use_ctranslate2.py", DRIVER, 0, 0),
    ("cupy-cuda13x", "use_cupy.py", DRIVER, 0, 0),
    ("vllm", "use_vllm.py", DRIVER, 0, 0),
    ("torchvision", "use_torchvision.py", DRIVER, 0, 0),
    ("torchvision", "use_torchvision.py", DEVICE, 2, 1),
    ("numba-cuda", "numba_add.py", DEVICE, 3, 0),
)
STATIC = ("ctranslate2", "cupy-cuda13x")  # these have the CUDA runtime inside
LAUNCH = re.compile(r"\bcuLaunch(Cooperative)?Kernel(Ex)?(_ptsz)?\b")

build, cache, torch = map(pathlib.Path, sys.argv[1:])
fuseln, driver = build / "libfuseln.so", str(build / "tests" / "softgpu")


def run(command, *preload, **variables):
    """(exit status, what it printed, what it printed to stderr)"""
    env = environment(LD_PRELOAD=":".join(map(str, preload)), TEST_BUILD=str(build), TF_CPP_MIN_LOG_LEVEL="3", **variables)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def run_both(command, where, report):
    """Runs it alone and with fuseln: (what it printed with fuseln, launches, of those replaced, what is wrong)"""
    report.unlink(missing_ok=True)
    variables = {"FUSELN_REPORT": str(report), "LD_LIBRARY_PATH": "" if where == NO_DRIVER else driver}
    if where == DEVICE:
        runner = HERE.parent / "softgpu" / "run"
        alone, ours = (run([runner, *option, "--", *command], **variables) for option in (["--no-fuseln"], []))
    else:
        alone, ours = (run(command, *preload, **variables) for preload in ([], [fuseln]))
    totals = json.loads(report.read_text())["totals"] if report.exists() else {"launches": 0, "substituted": 0}
    same = alone[:2] == ours[:2] and alone[0] == 0 and "fuseln[" not in ours[2]
    wrong = [] if same else [f"alone: {alone}", f"with fuseln: {ours}"]
    return ours[1], totals["launches"], totals["substituted"], wrong


def asked(command, folder):
    """What is wrong with the functions that the CUDA runtime inside gets from the driver with fuseln (asked.c)."""
    library, log, lines = folder / "asked.so", folder / "asked", []
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", HERE / "asked.c", "-ldl", "-o", library], check=True)
    for preload in ([library], [library, fuseln]):
        run(command, *preload, ASKED=str(log), LD_LIBRARY_PATH=driver)
        lines.append([line.rsplit(" ", 1) for line in log.read_text().splitlines()])
    alone, ours = ([line for line, _ in part] for part in lines)
    launches = [(line, owner) for line, owner in lines[1] if LAUNCH.search(line)]
    wrong = [f"{line}: it got {owner}'s" for line, owner in launches if owner != fuseln.name]
    harmless = set(names.listed("DRIVER_HARMLESS"))
    passed = [line for line, owner in lines[1] if owner == "libcuda.so.1"]
    unknown = [line for line in passed if not harmless & set(re.sub(r"_v\d+\b", "", line).split())]
    wrong += [f"{line}: neither noticed nor harmless" for line in unknown]
    if len(launches) < 6:
        wrong.append(f"it asked for few launch functions: {launches}")
    if alone != ours:
        wrong.append(f"it asked for other functions than alone: {sorted(set(alone) ^ set(ours))}")
    return wrong


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for wheel, program, where, *wanted in PROGRAMS:
            (python,) = [torch / "bin" / "python"] if wheel == "torchvision" else cache.glob(f"{wheel}-*/bin/python")
            command = [python, HERE / program]
            said, *counts, wrong = run_both(command, where, pathlib.Path(folder, "report.json"))
            if counts != wanted:
                wrong.append(f"kernels launched and replaced: {counts}, wanted {wanted}")
            if wheel in STATIC and where == DRIVER:
                wrong += asked(command, pathlib.Path(folder))
            failed += bool(wrong)
            print(f"{'FAIL' if wrong else 'ok  '} {wheel} {where}: {said.strip()}")
            print(*(f"     WRONG {line}\n" for line in wrong), sep="", end="", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
