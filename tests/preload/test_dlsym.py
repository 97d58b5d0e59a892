#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dlsym answers the same with and without fuseln: for 200 names, by every kind of handle, repeatedly, from a
constructor, a signal handler and a thread, and before any constructor. There are two exceptions: what we export ourselves is
found where the library loaded first is looked at, and of libcuda's functions, when libcuda is asked for them, those
that we hook are ours."""
import re
import subprocess
import unittest

import stand_in
from stand_in import FUSELN, HERE, LIBCUDA, gcc, shared

WAYS = {"default", "next", "libc.so.6", "libm.so.6", "libcuda.so.1", "program", "version"}
LIBC_NAMES, LIBM_NAMES = 120, 30
OTHERS = """ompt_start_tool dlsym dlopen dlvsym c cu cuX cudnnCreate cublasCreate_v2 curl_easy_init cufftExecC2C cusparseCreate
curandCreateGenerator cutensorCreate cupti cuda cudaMalloc cudaLaunchKernel __cudaRegisterFunction cuInit cuMemAlloc_v2
cuCtxCreate_v4 cuModuleLoadData cuModuleG cuModuleGetFunctionX cuLaunch cuLaunchHostFunc cuLaunchKernelX cuLibraryLoadData
cuLibrary cuGetP cuGetProcAddress_v3 cuKernelGetName cuNoSuchFunction""".split()


def exports(library):
    return sorted({name for name, _ in stand_in.exports(library)})


class Dlsym(stand_in.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hooked = {name for name in exports(FUSELN) if re.match("cu[A-Z]", name)}
        rest = cls.dir / "rest.c"
        rest.write_text("".join(f"__attribute__((weak)) int {name}(void) {{ return 0; }}\n" for name in cls.hooked))
        shared(cls.dir / "libcuda.so.1", HERE / "libcuda.c", rest, LIBCUDA)
        shared(cls.dir / "client.so", HERE / "dlsym_client.c", cls.dir / "libcuda.so.1", "-lm")
        gcc(cls.dir / "early", HERE / "early.c")
        listed = subprocess.run([cls.dir / "host"], check=True, capture_output=True, text=True, env=stand_in.environment(
            cls.dir / "client.so", LD_TRACE_LOADED_OBJECTS="1")).stdout  # fmt: skip
        found = dict(re.findall(r"(lib[cm]\.so\.6) => (\S+)", listed))
        names = [*exports(found["libc.so.6"])[::20][:LIBC_NAMES], *exports(found["libm.so.6"])[::30][:LIBM_NAMES], *OTHERS]
        names += sorted(cls.hooked)
        cls.names = list(dict.fromkeys(names))
        (cls.dir / "names").write_text("\n".join(cls.names))

    def answers(self, mode, *preload):
        return self.said(*self.hosted(f"{mode}:client"), preload=preload, NAMES=str(self.dir / "names")).splitlines()

    def test_the_same_answers(self):
        self.assertGreaterEqual(len(self.names), 200)
        for mode in "lg":
            plain, hooked = self.answers(mode), self.answers(mode, FUSELN)
            self.assertEqual(len(plain), len(hooked))
            self.assertEqual({line.split()[0] for line in plain} - WAYS, {"==", "ompt"})
            self.assertEqual([line for line in hooked if line.startswith("errno ")], [])
            replaced = set()
            for before, after in zip(plain, hooked):
                if before == after:
                    continue
                way, name = re.match(r"(\S+) (\S+): ", before).groups()
                self.assertIn("libfuseln.so+", after, (mode, before))
                exported = name == "dlsym" or name in self.hooked or name.startswith(("cudaLaunch", "__cuda"))
                if way == "libcuda.so.1":
                    self.assertIn(name, self.hooked)
                    replaced.add(name)
                else:
                    self.assertTrue(exported and way in ("default", "program", "version"), (mode, before, after))
            self.assertEqual(replaced, self.hooked)  # none is lost in dlsym.c's first look at a name

    def test_before_any_constructor(self):
        for preload in ((), (FUSELN,)):
            self.assertEqual(self.execute(self.dir / "early", preload=preload).stdout, "1 1 0\n")

    def test_a_library_that_hooks_dlsym_itself_is_still_asked(self):
        other, said = self.dir / "other.so", {}
        shared(other, HERE / "other_dlsym.c")
        for order in ((), (FUSELN,), (FUSELN, other), (other, FUSELN), (other,)):
            done = self.execute(*self.hosted("l:client"), preload=order, NAMES=str(self.dir / "names"))
            self.assertEqual(done.stderr.strip(), "asked" if other in order else "", order)
            said[order] = [line for line in done.stdout.splitlines() if line.startswith("lib") and " cu" not in line]
        for order, lines in said.items():
            self.assertEqual(lines, said[()], order)


if __name__ == "__main__":
    unittest.main(verbosity=2)
