#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Could fuseln know this build of PyTorch, or of another program that it has rows for?

    known_build.py LIBRARY | ENVIRONMENT

LIBRARY is the one with the norms where the wheel puts it, ENVIRONMENT a folder with such a library below it. For each
kernel that fuseln recognises, the parameters that the compiler wrote into every image (how many, their offsets and
sizes) are compared with those that fuseln reads. If all agree, the row for hooks/targets/PROGRAM.c goes to standard
output. What differs goes to standard error, and so do the layer and RMS norms that no target matches, or that are new:
in no release of tests/data/symbols. Exit 0: a row; 1: none; 2: wrong usage.

A row does not make a build known: hooks/targets/README.md says what else must hold. Needs build/tools/layouts."""
import collections
import hashlib
import mmap
import os
import pathlib
import re
import struct
import subprocess
import sys

import fatbin

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAYOUTS = pathlib.Path(os.environ.get("TEST_BUILD", ROOT / "build"), "tools/layouts")
NORM = re.compile(r"layer_?norm|rms_?norm|\dnorm_f32", re.IGNORECASE)
MACHINES = {62: "x86-64", 183: "aarch64"}
# Where an environment has them; the last is a folder of tools/setup.sh, which keeps one library of a wheel.
LIBRARY = re.compile(r"torch/lib/libtorch_cuda[^/]*\.so$|/libonnxruntime_providers_cuda\.so$|/libctransformers\.so$|"
                     r"vllm/_C_stable_libtorch\.abi3\.so$|sgl_kernel/[^/]*/common_ops\.abi3\.so$|/libctranslate2[^/]*$|"
                     r"-library/[^/]*\.so[^/]*$")


def say(*words):
    print(*words, file=sys.stderr)


def norm_images(elf):
    """(architecture, cubin) of each image of a translation unit with layer or RMS norms."""
    for binary in fatbin.fat_binaries(elf):
        # All images of a translation unit hold the same kernels: the first one tells whether a norm is among them.
        if any(map(NORM.search, fatbin.sections(fatbin.unpack(binary[0])) if binary else ())):
            yield from ((image.architecture, fatbin.unpack(image)) for image in binary)


def norm_kernels(images):
    """{kernel: [(architecture, its parameters)]}"""
    found = collections.defaultdict(list)
    for architecture, cubin in images:
        for name, parameters in fatbin.parameters(cubin).items():
            if NORM.search(name):
                found[name].append((architecture, parameters))
    return found


def layouts(names):
    """{name: (target, [(offset, size) of each argument])} of the names that a target matches."""
    done = subprocess.run([LAYOUTS], input="".join(f"{name}\n" for name in names), check=True, capture_output=True,
                          text=True)
    found = {}
    for name, line in zip(names, done.stdout.splitlines(), strict=True):
        target, *arguments = line.split()
        if arguments:
            found[name] = target, [tuple(map(int, argument.split(":"))) for argument in arguments]
    return found


def differences(kernels, expected):
    def text(parameters, size):
        return " ".join(f"{offset}:{size}" for offset, size in parameters) + f", {size} bytes in all"

    for name, (target, arguments) in expected.items():
        for architecture, parameters in kernels[name]:
            if parameters != (arguments, sum(arguments[-1])):
                yield (f"{name} ({target}), sm_{architecture}: its parameters are {text(*parameters)}; "
                       f"fuseln reads {text(arguments, sum(arguments[-1]))}")


def without_hashes(name):
    """The hashes of the build in an anonymous namespace's name, and its length, differ from wheel to wheel."""
    found = re.search(r"(\d+)(_GLOBAL__N__)", name)
    if not found:
        return name
    end = found.start(2) + int(found[1])
    unit = re.sub(r"_cu_[0-9a-f]{8}(_\d+)?$", "", name[found.end() + 8:end])
    return name[:found.start()] + unit + name[end:]


def new_names(names):
    """Those that no release in tests/data/symbols registers."""
    listed = {without_hashes(name) for path in (ROOT / "tests/data/symbols").glob("*.txt")
              for name in path.read_text().split()}
    return [name for name in names if without_hashes(name) not in listed]


def torch_release(library):
    """What PyTorch's own file says: its version, and CUDA's; None where there is no such file."""
    file = library.parents[1] / "version.py"
    text = file.read_text() if "torch" in library.name and file.exists() else ""
    found = [re.search(rf"^{name}\b.*= *'([\d.]+)", text, re.MULTILINE) for name in ("__version__", "cuda")]
    return [match[1] for match in found] if all(found) else None


def release(elf, library):
    """Version and CUDA: of another program, what the wheel's own list of files says, or the folder of tools/setup.sh, and
    which CUDA runtime the library needs."""
    if found := torch_release(library):
        return found
    records = [record for folder in library.parents for record in folder.glob("*.dist-info/RECORD")
               if f"{library.relative_to(folder)}," in record.read_text()]
    names = [record.parent.name.removesuffix(".dist-info") for record in records] + [library.parent.name]
    version = re.search(r"-(\d[\d.]*)(-library)?$", names[0])
    offset, size = fatbin.sections(elf).get(".dynstr", (0, 0))
    runtime = re.search(rb"libcudart[\w-]*\.so\.([\d.]+)", elf[offset:offset + size])
    return [version[1] if version else "?", runtime[1].decode() if runtime else "static"]


def facts(elf, library):
    """What the row says: build-id, version, CUDA, machine. "" for a build-id that is not there."""
    offset, size = fatbin.sections(elf).get(".note.gnu.build-id", (0, 0))
    return elf[offset + 16:offset + size].hex(), *release(elf, library), MACHINES[struct.unpack_from("<H", elf, 18)[0]]


def judge(library):
    """None if no kernel is recognised, else the row, or "" if there is to be none; says the rest."""
    with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as elf:
        images = list(norm_images(elf))
        kernels = norm_kernels(images)
        expected = layouts(sorted(kernels))
        if not expected:
            return None
        row = *facts(elf, library), hashlib.sha256(b"".join(cubin for _, cubin in images)).hexdigest()[:16]
    wrong = [f"differs: {text}" for text in differences(kernels, expected)]
    wrong += [] if row[0] else ["it has no build-id"]
    programs = {target.split("/")[0] for target, _ in expected.values()}
    say(f"{library}: {len(expected)} kernels of {' and '.join(sorted(programs))} recognised, images for "
        f"{' '.join(f'sm_{architecture}' for architecture, _ in images)}")
    for text in wrong:
        say(text)
    for name in sorted(kernels.keys() - expected):
        say("not recognised:", name)
    for name in new_names(kernels):
        say("new:", name)
    return "" if wrong else "    {%s}," % ", ".join(f'"{fact}"' for fact in row)


def main():
    if sys.argv[1:] == ["--help"]:
        sys.exit(print(__doc__))
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        say("usage: known_build.py LIBRARY|ENVIRONMENT")
        sys.exit(2)
    path = pathlib.Path(sys.argv[1])
    libraries = sorted(found for found in path.rglob("*.so*") if LIBRARY.search(str(found))) if path.is_dir() else [path]
    rows = [row for row in map(judge, libraries) if row is not None]
    if not rows:
        sys.exit(f"known_build.py: {path}: no kernel that fuseln recognises")
    print(*filter(None, rows), sep="\n")
    sys.exit(0 if all(rows) else 1)


if __name__ == "__main__":
    main()
