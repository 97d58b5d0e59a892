#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every entry point of every CUDA runtime that is installed here, on the software device's stand-in for it: a program
that NVIDIA's headers of that version compile gets right numbers and right structures, with fuseln as without it, and
each layer norm is replaced. A runtime with a structure of another size must be found out."""
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

import stand_in
from stand_in import BUILD, FUSELN, HERE, NODES, TESTS, gcc

SOFTGPU = BUILD / "tests" / "softgpu"
FOLDERS = {folder.name.removeprefix("cuda-"): folder for folder in sorted(SOFTGPU.glob("cuda-*")) if
           (folder / "include").exists()}  # fmt: skip
# Headers in crt/ are the compiler's, which Triton has a copy of.
(CRT,) = glob.glob(f"{os.environ['TEST_VENV']}/lib/python3*/site-packages/triton/backends/nvidia/include")
COOPERATIVE = 2 * 2  # of a stream and of the default one, plain and per thread: never replaced
MULTI_DEVICE = "cudaLaunchCooperativeKernelMultiDevice"  # removed in CUDA 13, and a stub here
# What a planted field is put in front of: the structure, and what the program then says.
PLANTED = {
    "cudaDeviceProp": (r"struct __device_builtin__ cudaDeviceProp\s*\{", "cudaDeviceProp"),
    "cudaFuncAttributes": (r"struct __device_builtin__ cudaFuncAttributes\s*\{", "function:"),
    "cudaPointerAttributes": (r"struct __device_builtin__ cudaPointerAttributes\s*\{", "pointer:"),
    "cudaLaunchConfig_t": (r"typedef __device_builtin__ struct cudaLaunchConfig_st\s*\{", "cudaLaunchKernelExC"),
}


def exported_launches(folder):
    """The names by which NVIDIA's own runtime of that version launches a kernel."""
    names = {name for name, _ in stand_in.exports(folder / "real")}
    return {name for name in names if re.search("Launch(Cooperative)?Kernel", name)} - {MULTI_DEVICE}


class Runtimes(stand_in.Preload):
    def build(self, version):
        program, folder = self.dir / f"program-{version}", FOLDERS[version]
        if not program.exists():
            (runtime,) = folder.glob("libcudart.so.*")
            gcc(program, "-isystem", folder / "include", f"-idirafter{CRT}", HERE / "runtimes.c", runtime, "-lm")
        return program

    def run_on(self, version, preload=(FUSELN,)):
        """What the program prints, on the stand-in runtime of its version."""
        (runtime,) = FOLDERS[version].glob("libcudart.so.*")
        return self.said(self.build(version), preload=[*preload, runtime, SOFTGPU / "libcuda.so.1"],
                         LD_LIBRARY_PATH=str(SOFTGPU))  # fmt: skip

    def test_there_is_a_runtime_of_each_node(self):
        self.assertEqual({version.split(".")[0] for version in FOLDERS} & set(NODES), set(NODES))
        for version, folder in FOLDERS.items():
            self.assertTrue((folder / NODES[version.split(".")[0]]).exists(), version)

    def test_every_entry_point_gives_right_numbers_and_is_replaced(self):
        for version, folder in FOLDERS.items():
            with self.subTest(version):
                plain = self.run_on(version, preload=())
                self.assertIsNone(self.report)
                self.assertNotIn("wrong", plain)
                called = re.findall(r"^(\w+): y is right", plain, re.MULTILINE)
                self.assertEqual(set(called) - {"cudaGraphLaunch"}, exported_launches(folder))
                self.assertRegex(plain, r"\ncapture: active, an id, this graph, 1 nodes\n")
                self.assertRegex(plain, r"\ndevice: Software device.*\nfunction: 1024 threads, 49152 bytes .*\n"
                                 r"pointer: type 2, device 0, this\n$")  # fmt: skip
                headers, runtime = re.search(r"headers (\d+), runtime (\d+)", plain).groups()
                self.assertEqual(headers, runtime)
                self.assertEqual(self.run_on(version), plain)
                totals = self.report["totals"]
                self.assertEqual(totals["launches"], len(called))  # the graph's was counted when it was captured
                self.assertEqual(totals["substituted"], totals["launches"] - COOPERATIVE)
                self.assertEqual(stand_in.reasons(self.report), {"cooperative": COOPERATIVE})

    def plant(self, version, structure, pattern):
        """A runtime that was compiled with one more field at the start of this structure; None if there is none."""
        folder, name = FOLDERS[version], f"planted-{version}-{structure}"
        headers = self.dir / name
        shutil.copytree(folder / "include", headers, symlinks=False)
        text = (headers / "driver_types.h").read_text()
        changed = re.sub(pattern, lambda found: f"{found[0]} long planted[3];", text)
        (headers / "driver_types.h").write_text(changed)
        sources = TESTS / "softgpu"
        (runtime,) = folder.glob("libcudart.so.*")
        stubs = SOFTGPU / f"softgpu_cudart_{version}"
        objects, per_thread = [], "-DCUDA_API_PER_THREAD_DEFAULT_STREAM"
        for source, *options in [*zip(sorted(sources.glob("runtime*.c"))), (sources / "runtime_stream.c", per_thread),
                                 (stubs / "stubs.c",)]:  # fmt: skip
            objects.append(self.dir / f"{name}-{len(objects)}.o")
            subprocess.run(["gcc", "-c", "-fPIC", "-w", "-D_GNU_SOURCE", f"-I{sources}", "-isystem", headers,
                            f"-idirafter{CRT}", *options, source, "-o", objects[-1]], check=True)  # fmt: skip
        planted = self.dir / f"{name}.so"
        subprocess.run(["gcc", "-shared", *objects, "-ldl", "-lpthread", "-Wl,-z,defs", f"-Wl,-soname,{runtime.name}",
                        f"-Wl,--version-script={stubs / 'stubs.map'}", "-o", planted], check=True)  # fmt: skip
        return planted if changed != text else None

    def test_a_structure_of_another_size_is_found(self):
        for version in {version.split(".")[0]: version for version in FOLDERS}.values():  # one for each node
            plain, found = self.run_on(version, preload=()), 0
            for structure, (pattern, says) in PLANTED.items():
                with self.subTest(version=version, structure=structure):
                    planted = self.plant(version, structure, pattern)
                    if planted is None:
                        continue  # CUDA 11.7 has no cudaLaunchConfig_t
                    env = stand_in.environment(planted, SOFTGPU / "libcuda.so.1", LD_LIBRARY_PATH=str(SOFTGPU))
                    done = subprocess.run([self.build(version)], env=env, capture_output=True, text=True, timeout=60)
                    differ = set(done.stdout.splitlines()) ^ set(plain.splitlines())
                    self.assertTrue(done.returncode or any(says in line for line in differ), done)
                    found += 1
            self.assertEqual(found, len(PLANTED) - version.startswith("11"))


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
