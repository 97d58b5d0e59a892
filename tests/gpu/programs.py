# SPDX-License-Identifier: Apache-2.0
"""Programs at the boundary of a real driver: closed binaries, a static CUDA runtime, and other people's programs, each
alone and with fuseln, which must change nothing but which kernel computes the layer norm. Run by tools/gpu_check.sh;
usage: programs.py [--small] KIND FOLDER, with the KIND closed, clients or training. Exits 1 if anything was wrong.
Names and leaves out a program that is not installed and, with --small, what the software device cannot do: green
contexts, packed originals, a static runtime, and training seen at the driver alone, which its runtime does not call.
"""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import preload

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS, ROOT = HERE.parent / "programs", HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "budgets"))
import wheel  # noqa: E402

folder, small_device = pathlib.Path(sys.argv[-1]), "--small" in sys.argv
failures = 0


def run(command, report=None, **env):
    """Returns (exit status, what it printed, its report)."""
    environ = preload.environment([])
    if report:
        report.unlink(missing_ok=True)
        environ = preload.environment([preload.LIBRARY], FUSELN_REPORT=str(report), FUSELN_CHECK="0", **env)
    try:
        done = subprocess.run([str(part) for part in command], env=environ, capture_output=True, text=True,
                              timeout=100)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "longer than 100 s", "", None
    text = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return done.returncode, text, json.loads(report.read_text()) if report and report.exists() else None


def numbers(text):
    return [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def small(alone, ours):
    """The first line begins with an error as a fraction of its bound."""
    return all(float(line.split()[0]) < 1 for text in (alone, ours) for line in text.splitlines()[:1])


def same(alone, ours):
    return alone == ours


def near(alone, ours):
    """Losses of runs whose layer norms differ in the last bit drift apart (2^-16 a step, as in torch/test_models.py)."""
    pairs = list(zip(numbers(alone), numbers(ours), strict=True))
    return all(abs(a - b) <= abs(a) * (i + 1) * 2.0**-16 for i, (a, b) in enumerate(pairs))


def check(name, command, agree, boundary=None, replaced=None, passed=None, runtime=None, optional=False, **env):
    """Runs it both ways. All its layer norms must be seen at `boundary`: `replaced` of them are replaced (None: all, at
    least one; 0: there are none), the others passed on for the reasons in `passed` (None: any)."""
    global failures
    start, path = time.monotonic(), folder / f"{name.replace(' ', '-')}.report.json"
    alone = run(command)
    if alone[0] and optional:
        print(f"     {name}: does not run here without fuseln either: {alone[1].strip().splitlines()[-1]}")
        return
    ours = run(command, path, **env)
    found, report = [], ours[2]
    for who, (status, text, _) in (("alone", alone), ("with fuseln", ours)):
        found += [f"{who}: exit status {status}: {text.strip()[-600:]}"] if status else []
    if not found and not agree(alone[1], ours[1]):
        found.append(f"alone it prints {alone[1][-300:]!r}, with fuseln {ours[1][-300:]!r}")
    if not found and report is None:
        found.append("no report was written")
    if not found:
        totals, sites, reasons = report["totals"], report["sites"], preload.reasons(report)
        preload.check_sums(report)
        wanted = totals["recognised"] if replaced is None else replaced
        if totals["substituted"] != wanted or (replaced is None and not wanted):
            found.append(f"replaced {totals['substituted']}, wanted {replaced}; passed on {reasons}")
        if passed is not None and reasons != passed:
            found.append(f"passed on {reasons}, wanted {passed}")
        found += [f"seen at {s['boundary']}, runtime {s['runtime']}: {s['target']}" for s in sites
                  if s["boundary"] != boundary or (runtime and s["runtime"] != runtime)]  # fmt: skip
        summary = f"{totals['launches']} launches, {totals['substituted']} replaced, passed on {reasons}"
    failures += bool(found)
    head = "FAIL" if found else "ok  "
    print(f"{head} {name}: {'' if found else summary}, {time.monotonic() - start:.1f} s", flush=True)
    for line in found:
        print(f"     WRONG {line}")


def client(module, name, *arguments, **options):
    if importlib.util.find_spec(module) is None:
        print(f"     {name}: {module} is not installed here")
        return
    check(name, [sys.executable, PROGRAMS / arguments[0], *arguments[1:]], optional=True, **options)


def image():
    """Returns (cubin, name) of PyTorch's own forward kernel for float on this device."""
    torch = pathlib.Path(importlib.util.find_spec("torch").origin).parent
    arch = int(subprocess.run([sys.executable, HERE / "device.py"], capture_output=True, text=True).stdout.split()[0])
    library = str(torch / "lib" / "libtorch_cuda.so")
    return wheel.kernel(library, arch, str(folder / "images"), "forward", "f32", 5, 768)


def build(name, *libraries):
    subprocess.run(["cc", "-O2", "-s", "-o", folder / name, PROGRAMS / f"{name}.c", *libraries, "-lm", "-ldl"], check=True)
    return folder / name


def static_runtime():
    """Finds the toolkit's libcudart_static.a, or the wheel's."""
    homes = [os.environ.get("CUDA_HOME", "/usr/local/cuda"), "/usr/local/cuda"]
    folders = [pathlib.Path(home, "lib64") for home in homes]
    folders += [pathlib.Path(path, "nvidia", "cu13", "lib") for path in sys.path]
    return next((str(p / "libcudart_static.a") for p in folders if (p / "libcudart_static.a").exists()), None)


def closed_programs():
    kernel = image()
    closed = build("closed")
    for way in ("module", "library", "function", "ex", "per-thread", *([] if small_device else ["packed"])):
        check(f"closed {way}", [closed, *kernel, way], small, "driver", 1, {}, "static")
    # The second launch is on a stream of another context. A green context is current, so its stream takes our kernel.
    check("closed elsewhere", [closed, *kernel, "elsewhere"], small, "driver", 1, {"context": 1}, "static")
    if not small_device:
        check("closed green", [closed, *kernel, "green"], small, "driver", 2, {}, "static")
    archive = None if small_device else static_runtime()
    if archive:
        library = build("library", archive, "-lpthread", "-lrt")
        check("static runtime", [library, *kernel], small, "driver", 2, {}, "static")
    else:
        print("     static runtime: left out")


def clients():
    kernel = image()
    client("cuda.bindings", "cuda-bindings", "bindings.py", *kernel, agree=small, boundary="driver", replaced=1, passed={})
    client("cupy", "CuPy", "cupy_raw.py", *kernel, agree=small, boundary="driver", replaced=1, passed={})
    client("numba", "numba", "numba_add.py", agree=same, replaced=0, passed={})
    client("jax", "JAX", "jax_norm.py", agree=same, replaced=0, passed={})
    client("triton", "Triton", "triton_add.py", agree=same, boundary="runtime", replaced=1, passed={}, runtime="shared")
    client("torch", "torch.compile", "compiled.py", agree=same, boundary="runtime", replaced=1, passed={})


def training():
    ways = [("runtime,driver", "runtime"), ("runtime", "runtime"), ("driver", "driver")]
    for hooks, boundary in ways[: 2 if small_device else 3]:
        check(f"training {hooks}", [sys.executable, ROOT / "tools" / "train.py"], near, boundary, None, None, "shared",
              FUSELN_HOOKS=hooks)  # fmt: skip


def main():
    folder.mkdir(parents=True, exist_ok=True)
    {"closed": closed_programs, "clients": clients, "training": training}[sys.argv[-2]]()
    print(f"{failures} programs failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
