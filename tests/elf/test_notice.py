#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hooks/names.h against the public headers and libraries of CUDA that are installed here: each function of the runtime
and of the driver is hooked, noticed or harmless, and stands once in one list alone; and a stream is the argument that
they say."""
import glob
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.append(f"{os.environ['TEST_SOURCE']}/tests")
import names  # noqa: E402
from names import base  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fuseln"
# The runtime's headers include crt/, which is in another wheel than they; as tests/softgpu has it.
CRT = [f"-idirafter{folder}" for folder in CACHE.glob("torch-*/lib/python3*/site-packages/triton/backends/nvidia/include")]
IN_A_REGISTER = (r"\*|^(const )?(size_t|int|unsigned|CU(device(ptr)?|context|array|event|graphExec)|"
                 r"cuda(Event|GraphExec)_t|enum)")
LISTS = ("CUDART_EXPORTS", "DRIVER_EXPORTS", "CUDART_NOTICED", "DRIVER_NOTICED", "DRIVER_HARMLESS", "CUDART_HARMLESS")


def header_folders():
    found = [*CACHE.glob("nvrtc-*/nvidia/*/include"), *CACHE.glob("torch-*/lib/python3*/site-packages/nvidia/*/include"),
             *map(pathlib.Path, glob.glob("/usr/local/cuda*/include"))]  # fmt: skip
    return [folder for folder in found if (folder / "cuda.h").exists() and (folder / "cuda_runtime_api.h").exists()]


def texts(folder, header):
    """The header, as programs see it that are compiled in different ways."""
    for options in ((), ("-DCUDA_API_PER_THREAD_DEFAULT_STREAM",), ("-D__CUDA_API_VERSION_INTERNAL",)):
        command = ["gcc", "-E", "-P", "-xc", f"-I{folder}", *CRT, *options, "-"]
        yield subprocess.run(command, input=f"#include <{header}>", check=True, capture_output=True, text=True).stdout


def declared(folder, header, pattern):
    found, inline = set(), set()
    for text in texts(folder, header):
        found |= set(re.findall(rf"\b({pattern})\s*\(", text))
        inline |= set(re.findall(rf"\bstatic inline \w+ ({pattern})\s*\(", text))
    return found - inline - {"cudaError_t"} # CUDA 11 makes cuGetProcAddress_ptsz in the program itself


class Notice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lists = {which: names.listed(which) for which in LISTS}
        cls.folders = header_folders()

    def check(self, header, pattern, which):
        exports, noticed, harmless = (self.lists[f"{which}_{kind}"] for kind in ("EXPORTS", "NOTICED", "HARMLESS"))
        self.assertTrue(self.folders)
        for folder in self.folders:
            for name in declared(folder, header, pattern):
                lists = [name in exports, name in noticed, base(name) in harmless]
                self.assertEqual(sum(lists), 1, f"{name} of {folder}/{header}: hooked, noticed, harmless: {lists}")

    def test_every_function_of_the_runtime_is_listed_once(self):
        self.check("cuda_runtime_api.h", r"cuda[A-Z]\w*", "CUDART")

    def test_every_function_of_the_driver_is_listed_once(self):
        self.check("cuda.h", r"cu[A-Z]\w*", "DRIVER")

    def test_what_the_libraries_export_is_listed(self):
        libraries = [*CACHE.glob("nvrtc-*/nvidia/*/lib/libcudart.so.*"), *glob.glob("/usr/local/cuda*/lib*/stubs/libcuda.so"),
                     *CACHE.glob("torch-*/lib/python3*/site-packages/nvidia/*/lib/libcudart.so.*")]  # fmt: skip
        self.assertTrue(libraries)
        for library in libraries:
            which = "CUDART" if "cudart" in str(library) else "DRIVER"
            exports, noticed, harmless = (self.lists[f"{which}_{kind}"] for kind in ("EXPORTS", "NOTICED", "HARMLESS"))
            lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True)
            for name in re.findall(r" T (?:__)?(cu\w+)", lines.stdout):
                listed = {name, f"__{name}"} & {*exports, *noticed} or {base(name), f"__{base(name)}"} & set(harmless)
                self.assertTrue(listed, f"{name} of {library}")

    def check_streams(self, header, which):
        """In every declaration, the stream is that argument, and what comes before it are numbers and pointers, which
        take a register each."""
        stream_of = {row[0]: int(row[2]) for row in names.rows(f"{which}_NOTICED") if row[1] in ("STREAM", "COPY")}
        seen = set()
        for text in (text for folder in self.folders for text in texts(folder, header)):
            for name, parameters in re.findall(r"\b(cu[A-Z]\w+|cuda[A-Z]\w+)\s*\(([^()]*)\)\s*;", text):
                if name not in stream_of:
                    continue
                seen.add(name)
                *before, stream = (text.strip() for text in parameters.split(",")[:stream_of[name] + 1])
                self.assertRegex(stream, r"^(CUstream|cudaStream_t)( \w+)?$", name)
                for parameter in before:
                    self.assertRegex(parameter, IN_A_REGISTER, name)
        # Those that no header here declares, as libcuda exports them, are versions of declared ones.
        self.assertFalse({base(name) for name in stream_of} - {base(name) for name in seen})

    def test_a_stream_is_the_argument_that_the_lists_say(self):
        self.check_streams("cuda_runtime_api.h", "CUDART")
        self.check_streams("cuda.h", "DRIVER")

    def test_listed_once_and_short_enough(self):
        for which in LISTS:
            self.assertEqual(len(self.lists[which]), len(set(self.lists[which])), which)
        for which in LISTS[:5]:  # NAME_BYTES of names.c
            self.assertLess(max(map(len, self.lists[which])), 56)

    def test_what_changes_memory_or_order_is_noticed(self):
        """By their names, so that somebody has to think about a new function."""
        for which in ("CUDART", "DRIVER"):
            for name in self.lists[f"{which}_HARMLESS"]:
                self.assertNotRegex(name, r"Memcpy(?!Node)|Memset(?!Node)|Free(?!Node)|Synchronize|(Stream|Ctx)WaitEvent|"
                                          r"EventRecord(?!Node)|GraphLaunch|LaunchHostFunc|StreamCreate|Capture(?!Info|Mode)|"
                                          r"(Stream|Event|Ctx|Graph|Exec|Array|Pool)Destroy(?!Node)|(Device|Ctx)Reset$")  # fmt: skip


if __name__ == "__main__":
    unittest.main()
