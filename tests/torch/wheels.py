#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's wheels, one after the other: installs each, runs any_wheel.py with its Python, writes what it counted
to tests/data/wheels.json, and gives the disk back.

    wheels.py [VERSION...]     (none: every version below); exit 1 if anything was wrong: then the version's row is
                               removed, unless it could not even be installed
    wheels.py --table          the table of all rows, as hooks/targets/README.md has it
    wheels.py --versions       the versions, one a line

VERSION-aarch64 is the wheel for that machine, in a cross build, by qemu. An environment that was there before stays.
Needs a build; builds the stand-in runtime of the wheel's CUDA version."""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "softgpu"))
import libraries  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TEST_BUILD", ROOT / "build"))
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fuseln"
ROWS = ROOT / "tests" / "data" / "wheels.json"
VERSIONS = """1.13.1 2.0.1 2.1.2 2.2.2 2.4.1 2.5.1 2.6.0 2.7.1 2.8.0 2.10.0 2.11.0 2.12.1 2.13.0 2.15.0
2.15.0-aarch64""".split()
HEAD = "| PyTorch | CUDA | build-id | kernels recognised | cases | launches replaced | pairs | wrong |"
STATIC = "`libc10_cuda.so` has a CUDA runtime inside, which cannot start on the software device: names and layout alone"


def is_aarch64(version):
    return version.endswith("-aarch64")


def order(version):
    return [int(part) for part in version.partition("-")[0].split(".")], version


def rows():
    return json.loads(ROWS.read_text()) if ROWS.exists() else {}


def write(found):
    lines = (f'"{version}": {json.dumps(found[version])}' for version in sorted(found, key=order))
    ROWS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def table():
    print(HEAD)
    print("|---|---|---|--:|--:|--:|--:|--:|")
    for version, row in rows().items():
        counted = [row["cases"], row["replaced"], row["pairs"], row["wrong"]] if row["runs"] else ["(1)"] * 4
        cells = [version.replace("-", ", "), row["cuda"], f"`{row['build_id'][:16]}`", row["kernels"], *counted]
        print("|", " | ".join(map(str, cells)), "|")
    if not all(row["runs"] for row in rows().values()):
        print(f"\n(1) {STATIC}.")


def run(*command, **options):
    return subprocess.run([*map(str, command)], cwd=ROOT, **options)


def install(version):
    """Whether the environment is there."""
    return run("bash", "-c", f'. "{ROOT}/tools/setup.sh" && fuseln_need_torch {version}').returncode == 0


def build(version):
    """With the stand-in runtime of the wheel's CUDA version."""
    if is_aarch64(version):
        return run(ROOT / "tools" / "build.sh", "--arch", "aarch64", stdout=subprocess.DEVNULL).returncode == 0
    steps = ("cmake", "-S", ".", "-B", BUILD), ("cmake", "--build", BUILD)
    return all(run(*step, stdout=subprocess.DEVNULL).returncode == 0 for step in steps)


def python_of(version, environment, folder):
    """The command that starts it; that of aarch64 finds stand-ins for NVIDIA's libraries in the folder."""
    python = environment / "bin" / "python"
    if not is_aarch64(version):
        return [python]
    wheel = environment / "lib/python3/dist-packages/torch/lib"
    libraries.make(folder, *wheel.glob("libtorch*.so"), wheel / "libcaffe2_nvrtc.so", compiler="aarch64-linux-gnu-gcc")
    paths = f"{folder}:{environment}/lib/aarch64-linux-gnu"
    return [ROOT / "tools" / "aarch64_run", "env", f"LD_LIBRARY_PATH={paths}", python]


def test(version, environment):
    """The row of this version, or None if anything was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "row.json")
        env = os.environ | {"TEST_BUILD": str(BUILD), "WHEEL_ROW": str(path)}
        if is_aarch64(version):
            env |= {"TEST_BUILD": str(BUILD / "aarch64"), "TEST_SLOWER": "10"}
        command = "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / "tests" / "torch" / "any_wheel.py"
        passed = run(*python_of(version, environment, pathlib.Path(folder)), *command, env=env).returncode == 0
        row = json.loads(path.read_text()) if path.exists() else {}
    layout = run(sys.executable, ROOT / "tools" / "known_build.py", environment, stdout=subprocess.PIPE, text=True)
    if not passed or layout.returncode or row["build_id"] not in layout.stdout:
        return None
    _, build_id, _, _, _, _, _, machine, _, code, _ = layout.stdout.split('"')
    assert build_id == row["build_id"]
    return {**row, "wrong": 0, "machine": machine, "code": code}


def check(version):
    """Whether it could be tested and nothing was wrong."""
    environment = CACHE / f"torch-{version}"
    was_there = environment.exists()
    print(f"== PyTorch {version}", flush=True)
    built = install(version) and build(version)
    row = test(version, environment) if built else None
    if not was_there:
        shutil.rmtree(environment, ignore_errors=True)
    if built:
        others = {other: rows()[other] for other in rows() if other != version}
        write(others | ({version: row} if row else {}))
    print(f"== PyTorch {version}: {row or 'FAILED'}", flush=True)
    return row is not None


def main(arguments):
    if arguments == ["--table"]:
        return table()
    if arguments == ["--versions"]:
        return print("\n".join(VERSIONS))
    unknown = [version for version in arguments if version not in VERSIONS]
    if unknown:
        return f"wheels.py: unknown {' '.join(unknown)} (allowed: {' '.join(VERSIONS)})"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "wheels.lock", "w") as lock:  # another checkout would delete an environment that this one uses
        fcntl.flock(lock, fcntl.LOCK_EX)
        return 0 if all([check(version) for version in arguments or VERSIONS]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
