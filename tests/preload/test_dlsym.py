#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dlsym gives the same answers with and without fuseln: for 200 names, by every kind of handle, again and again, from a
constructor, a signal handler, a thread, before any constructor. The exceptions are ours to name: what we export
ourselves is found where a library that is loaded first is looked at, and libcuda's functions that we hook are ours when
they are asked of libcuda."""
import os
import re
import subprocess
import unittest

import test_hooks
from test_hooks import BUILD, HERE, gcc

WAYS = {"default", "next", "libc.so.6", "libm.so.6", "libcuda.so.1", "program", "version"}
LIBC_NAMES, LIBM_NAMES = 120, 30
OTHERS = """ompt_start_tool dlsym dlopen dlvsym c cu cuX cudnnCreate cublasCreate_v2 curl_easy_init cufftExecC2C cusparseCreate
curandCreateGenerator cutensorCreate cupti cuda cudaMalloc cudaLaunchKernel __cudaRegisterFunction cuInit cuMemAlloc_v2
cuCtxCreate_v4 cuModuleLoadData cuModuleG cuModuleGetFunctionX cuLaunch cuLaunchHostFunc cuLaunchKernelX cuLibraryLoadData
cuLibrary cuGetP cuGetProcAddress_v3 cuKernelGetName cuNoSuchFunction""".split()


def exports(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    return sorted({line.split()[-1].split("@")[0] for line in lines.splitlines() if line.split()[-2] in "TW"})


class Dlsym(test_hooks.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        hooked = {name for name in exports(BUILD / "libfuseln.so") if re.match("cu[A-Z]", name)}
        (cls.dir / "rest.c").write_text("".join(f"__attribute__((weak)) int {name}(void) {{ return 0; }}\n" for name in hooked))
        gcc("-shared", "-fPIC", "-Wl,-Bsymbolic", HERE / "libcuda.c", cls.dir / "rest.c", "-Wl,-soname,libcuda.so.1",
            "-o", cls.dir / "libcuda.so.1")  # fmt: skip
        gcc("-shared", "-fPIC", "-D_GNU_SOURCE", HERE / "dlsym_client.c", "-Wl,--no-as-needed", cls.dir / "libcuda.so.1",
            "-lm", "-ldl", f"-Wl,-rpath,{cls.dir}", "-o", cls.dir / "client.so")  # fmt: skip
        gcc("-D_GNU_SOURCE", HERE / "early.c", "-ldl", "-o", cls.dir / "early")
        found = dict(re.findall(r"(lib[cm]\.so\.6) => (\S+)", subprocess.run(
            ["ldd", cls.dir / "client.so"], check=True, capture_output=True, text=True).stdout))  # fmt: skip
        cls.hooked = hooked
        names = [*exports(found["libc.so.6"])[::20][:LIBC_NAMES], *exports(found["libm.so.6"])[::30][:LIBM_NAMES], *OTHERS]
        names += sorted(cls.hooked)
        cls.names = list(dict.fromkeys(names))
        (cls.dir / "names").write_text("\n".join(cls.names))

    def answers(self, mode, preload):
        env = {"NAMES": str(self.dir / "names"), "LD_LIBRARY_PATH": str(self.dir)}
        said, errors, _ = self.run_host([self.dir / "host", f"{mode}:{self.dir}/client.so"], preload, env)
        self.assertEqual(errors, "")
        return said.splitlines()

    def test_the_same_answers(self):
        self.assertGreaterEqual(len(self.names), 200)
        for mode in "lg":
            plain, hooked = self.answers(mode, False), self.answers(mode, True)
            self.assertEqual(len(plain), len(hooked))
            self.assertEqual({line.split()[0] for line in plain} - WAYS, {"==", "ompt"})
            self.assertNotIn("errno", "".join(hooked))
            given, ours = set(), 0
            for before, after in zip(plain, hooked):
                if before == after:
                    continue
                way, name = re.match(r"(\S+) (\S+): ", before).groups()
                self.assertIn("libfuseln.so+", after, (mode, before))
                exported = name == "dlsym" or name in self.hooked or name.startswith(("cudaLaunch", "__cuda"))
                if way == "libcuda.so.1":
                    self.assertIn(name, self.hooked)
                    given.add(name)
                else:
                    self.assertTrue(exported and way in ("default", "program", "version"), (mode, before, after))
                    ours += 1
            self.assertEqual(given, self.hooked)  # also through dlsym.c's own first look at a name

    def test_before_any_constructor(self):
        plain, _, _ = self.run_host([self.dir / "early"], False)
        hooked, _, _ = self.run_host([self.dir / "early"], True)
        self.assertEqual((plain, hooked), ("1 1 0\n", "1 1 0\n"))

    def test_a_library_that_hooks_dlsym_itself_is_still_asked(self):
        gcc("-shared", "-fPIC", "-D_GNU_SOURCE", HERE / "other_dlsym.c", "-ldl", "-o", self.dir / "other.so")
        env = {"NAMES": str(self.dir / "names"), "LD_LIBRARY_PATH": str(self.dir)}
        command = [self.dir / "host", f"l:{self.dir}/client.so"]
        said = {}
        for order in ((), ("fuseln",), ("fuseln", "other"), ("other", "fuseln"), ("other",)):
            libraries = {"fuseln": BUILD / "libfuseln.so", "other": self.dir / "other.so"}
            done = subprocess.run(command, env=os.environ | env | {"LD_PRELOAD": ":".join(str(libraries[o]) for o in order)},
                                  capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
            self.assertEqual(done.stderr.strip(), "asked" if "other" in order else "", order)
            said[order] = [line for line in done.stdout.splitlines() if line.startswith("lib") and " cu" not in line]
        for order, lines in said.items():
            self.assertEqual(lines, said[()], order)


if __name__ == "__main__":
    unittest.main(verbosity=2)
