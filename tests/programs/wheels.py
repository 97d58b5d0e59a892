"""Programs of large wheels, alone and with fuseln, with the software device's driver in reach: they must say the same
and end the same way. Run by tools/test.sh --all; usage: wheels.py BUILD CACHE. Exits 1 if one did not."""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = {"tensorflow": "use_tensorflow.py", "onnxruntime-gpu": "use_onnxruntime.py", "jax": "jax_norm.py"}


def run(command, build, preload):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")}
    env |= {"LD_LIBRARY_PATH": str(build / "tests" / "softgpu"), "LD_PRELOAD": preload, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def main():
    build, cache = map(pathlib.Path, sys.argv[1:])
    failed = 0
    for wheel, program in PROGRAMS.items():
        (python,) = cache.glob(f"{wheel}-*/bin/python")
        alone, ours = (run([python, HERE / program], build, preload) for preload in ("", str(build / "libfuseln.so")))
        same = alone[:2] == ours[:2] and alone[0] == 0 and "fuseln" not in ours[2]
        failed += not same
        print(f"{'ok  ' if same else 'FAIL'} {wheel}: {ours[1].strip()}")
        if not same:
            print(f"alone: {alone}\nwith fuseln: {ours}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
