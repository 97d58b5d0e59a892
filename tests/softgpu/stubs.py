# SPDX-License-Identifier: Apache-2.0
"""Completes the stand-in runtime: writes a stub for every name that NVIDIA's library exports and ours lacks.

    stubs.py REAL-LIBRARY OUT-FOLDER OBJECT...

OBJECTs are the hand-written part. Writes OUT-FOLDER/stubs.c (each stub says its name on stderr once and returns
cudaErrorNotSupported) and OUT-FOLDER/stubs.map (the version node, which is the real library's SONAME).
"""
import pathlib
import re
import subprocess
import sys

HEAD = """/* Written by stubs.py. */
#include "runtime.h"
#include <stdio.h>
static int stub(const char *name, char *done)
{
    if (!__atomic_exchange_n(done, 1, __ATOMIC_RELAXED))
        fprintf(stderr, "softgpu: %s is not supported\\n", name);
    return softgpu_runtime_set_error(cudaErrorNotSupported);
}
#define STUB(name) int name##_(void) __asm__(#name); int name##_(void) { static char done; return stub(#name, &done); }
"""


def defined(*arguments):
    lines = subprocess.run(["nm", "--defined-only", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
    return set(re.findall(r" T ((?:__)?cuda\w+)", lines))


def main(library, out, *objects):
    out = pathlib.Path(out)
    dynamic = subprocess.run(["readelf", "-d", library], check=True, stdout=subprocess.PIPE, text=True).stdout
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic)[1]
    missing = sorted(defined("-D", library) - defined(*objects))
    (out / "stubs.c").write_text(HEAD + "".join(f"STUB({name})\n" for name in missing))
    (out / "stubs.map").write_text(soname + " { global: cuda*; __cuda*; local: *; };\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
