# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the CUDA libraries that a program needs beside the runtime: cuBLAS, cuDNN and others, with the names
that the program's own libraries ask for, and with no work in them. So the program starts, and what it launches
itself runs on the software device; what it leaves to such a library is not computed."""
import pathlib
import re
import subprocess

NEEDED = re.compile(r"NEEDED.*\[(lib(?:cublas|cublasLt|cudnn|cufft|cufile|cupti|curand|cusolver|cusparse|cusparseLt|"
                    r"nccl|nvrtc|nvshmem_host)\.so\.\d+)\]")  # fmt: skip
NODES = {"libnvshmem_host.so.3": "NVSHMEM"}  # others' symbol versions are named like the library
UNVERSIONED = {"cuFile": "libcufile.so.0", "cusparseLt": "libcusparseLt.so.0", "nccl": "libnccl.so.2"}
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


def wanted(*libraries):
    """The functions that these libraries ask for, by the library that has them."""
    found = {name: set() for library in libraries for name in NEEDED.findall(said("readelf", "-d", library))}
    owner = {NODES.get(name, name): name for name in found}
    text = "".join(said("nm", "-D", library) for library in libraries)
    for function, version in re.findall(r" U (\w+)(?:@(\S+))?", text):
        if not version:
            version = next((name for prefix, name in UNVERSIONED.items() if function.startswith(prefix)), None)
        if version in owner:
            found[owner[version]].add(function)
    for name in OPENED.keys() - found.keys():
        data = b"".join(pathlib.Path(library).read_bytes() for library in libraries)
        found[name] = {match[0][:-1].decode() for match in re.finditer(rb"(?<=\0)" + OPENED[name], data)}
    return found


def make(folder, *libraries, compiler="cc"):
    """Makes what these libraries ask for in the folder, which belongs in LD_LIBRARY_PATH."""
    for name, functions in wanted(*libraries).items():
        source, script = folder / f"{name}.c", folder / f"{name}.map"
        lines = [f"CREATE({function})\n" if "Create" in function else f"STUB({function}, {VALUES.get(function, 0)})\n"
                 for function in sorted(functions)]  # fmt: skip
        source.write_text(HEAD + "".join(lines))
        script.write_text(NODES.get(name, name) + " { *; };\n")
        subprocess.run([compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", f"-Wl,--version-script={script}", source,
                        "-o", folder / name], check=True)  # fmt: skip
