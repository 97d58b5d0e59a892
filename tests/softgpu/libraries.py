# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the CUDA libraries that a program needs beside the runtime: cuBLAS, cuDNN and others, with the names
that one of the program's own libraries asks for, and with no work in them. So the program starts, and what it launches
itself runs on the software device; what it leaves to such a library is not computed."""
import pathlib
import re
import subprocess

OPENED = {  # libraries that are opened by name: their functions' names are text in the program's library
    "libcudnn.so.9": rb"cudnn[A-Z]\w+\0",
    "libcufft.so.12": rb"cufft[A-Z]\w+\0",
}
HEAD = """/* Written by libraries.py. A function that creates something hands out one object; all return success. */
static char object[4096];
#define CREATE(name) int name(void **handle) { *handle = object; return 0; }
#define STUB(name, value) long name(void) { return value; }
"""
VALUES = {"cudnnGetVersion": 91400, "cudnnGetCudartVersion": 13000}


def said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wanted(library):
    """The functions that a library asks for, by the library that has them."""
    needed = re.findall(r"NEEDED.*\[(lib(?:cublas|cublasLt|curand)\.so\.\d+)\]", said("readelf", "-d", library))
    found = {name: set() for name in needed}
    for function, version in re.findall(r" U (\w+)@(\S+)", said("nm", "-D", library)):
        if version in found:
            found[version].add(function)
    text = pathlib.Path(library).read_bytes()
    for name, pattern in OPENED.items():
        found[name] = {match[0][:-1].decode() for match in re.finditer(pattern, text) if text[match.start() - 1] == 0}
    return found


def make(library, folder):
    """Makes them in the folder, which belongs in LD_LIBRARY_PATH."""
    for name, functions in wanted(library).items():
        source, script = folder / f"{name}.c", folder / f"{name}.map"
        lines = [f"CREATE({function})\n" if "Create" in function else f"STUB({function}, {VALUES.get(function, 0)})\n"
                 for function in sorted(functions)]  # fmt: skip
        source.write_text(HEAD + "".join(lines))
        script.write_text(name + " { *; };\n")
        subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", f"-Wl,--version-script={script}", source, "-o",
                        folder / name], check=True)  # fmt: skip
