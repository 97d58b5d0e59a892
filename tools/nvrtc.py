#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles one .cu file for one architecture with a given NVRTC release, by nvcc's options.

    nvrtc.py --dir DIR -arch=sm_90 -cubin|-ptx -o OUT [-I DIR]... [other nvrtc options] IN.cu
    nvrtc.py --dir DIR --version

DIR holds the unpacked wheels nvidia-cuda-nvrtc-cu12 and nvidia-cuda-runtime-cu12 (the headers) of one release.
Needs no GPU, driver or nvcc. The compiler's log goes to stderr; exit status 1 on any error.
"""
import argparse
import ctypes
import pathlib
import re
import sys


class Nvrtc:
    def __init__(self, directory):
        libraries = sorted(directory.glob("**/libnvrtc.so.*"))
        if not libraries:
            sys.exit(f"nvrtc.py: no libnvrtc.so.* under {directory}")
        self.directory = libraries[0].parent
        for builtins in self.directory.glob("libnvrtc-builtins.so.*.*"):
            # NVRTC opens it by its bare name, and finds it only because it is already loaded.
            ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(libraries[0]))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
        self.program = ctypes.c_void_p()

    def call(self, function, *arguments):
        result = getattr(self.library, function)(*arguments)
        if result:
            raise RuntimeError(f"{function}: {self.library.nvrtcGetErrorString(result).decode()}")

    def fetch(self, what):
        """The bytes of `what`: ProgramLog, CUBIN or PTX."""
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", self.program, ctypes.byref(size))
        data = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", self.program, data)
        if what == "CUBIN":
            return data.raw
        # Without comments and indentation, which are a fifth of PTX.
        return re.sub(rb"[ \t]+", b" ", re.sub(rb"\s*//[^\n]*|\n\s+", b"\n", data.raw.rstrip(b"\0"))).lstrip()

    def version(self):
        """From the wheel's metadata (12.0.140): the library itself knows only major and minor."""
        for metadata in self.directory.parents[2].glob("nvidia_cuda_nvrtc*.dist-info/METADATA"):
            return re.search(r"^Version: (\S+)", metadata.read_text(), re.M).group(1)
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def compile(self, source, what, options):
        self.call("nvrtcCreateProgram", ctypes.byref(self.program), source.read_bytes(), str(source).encode(), 0, None,
                  None)
        encoded = [option.encode() for option in options]
        try:
            self.call("nvrtcCompileProgram", self.program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
        finally:
            sys.stderr.write(self.fetch("ProgramLog").rstrip(b" \n").decode(errors="replace"))
        return self.fetch(what)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-arch")
    parser.add_argument("-cubin", dest="what", action="store_const", const="CUBIN")
    parser.add_argument("-ptx", dest="what", action="store_const", const="PTX")
    parser.add_argument("-o", type=pathlib.Path)
    parser.add_argument("-I", action="append", default=[])
    parser.add_argument("source", nargs="?", type=pathlib.Path)
    arguments, others = parser.parse_known_args()
    nvrtc = Nvrtc(arguments.dir)
    if arguments.version:
        print("NVRTC", nvrtc.version())
        return
    if not (arguments.arch and arguments.what and arguments.o and arguments.source):
        parser.error("-arch, -cubin or -ptx, -o and a source are needed")
    headers = [str(path.parent) for path in sorted(arguments.dir.glob("**/cuda_fp16.h"))]
    includes = [*arguments.I, str(arguments.source.parent), *headers]
    # a * b + c in the source means two roundings, fmaf() one, so that the CPU and all variants agree.
    options = [f"--gpu-architecture={arguments.arch}", "--std=c++17", "--fmad=false", *others,
               *(f"-I{path}" for path in includes)]
    try:
        arguments.o.write_bytes(nvrtc.compile(arguments.source, arguments.what, options))
    except (OSError, RuntimeError) as error:
        sys.exit(f"nvrtc.py: {arguments.source}: {error}")


main()
