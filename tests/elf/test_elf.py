#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the linker made of libfuseln.so: what it needs, what it exports, what runs when it is loaded, which device
images are inside. Each of these is a promise to every process that inherits LD_PRELOAD. The expected exports come
from hooks/names.h, the expected images from the build's images.inc."""
import os
import re
import subprocess
import sys
import unittest

BUILD = os.environ["TEST_BUILD"]
sys.path.append(f"{os.environ['TEST_SOURCE']}/tests")
import names  # noqa: E402

LIBRARY = f"{BUILD}/libfuseln.so"
ALL_ARCHS = {("sm", n) for n in (70, 75, 80, 90, 100, 120)} | {("compute", 90)}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def version(text):
    return tuple(int(part) for part in text.split("."))


class Dynamic(unittest.TestCase):
    def setUp(self):
        self.dynamic = run("readelf", "-dW", LIBRARY)

    def test_needs_libc_and_libdl_only(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", self.dynamic)
        self.assertEqual(sorted(needed), ["libc.so.6", "libdl.so.2"])

    def test_nothing_runs_at_load(self):
        for tag in ("(INIT)", "(INIT_ARRAY)", "(PREINIT_ARRAY)", "(TEXTREL)", "(RPATH)", "(RUNPATH)"):
            self.assertNotIn(tag, self.dynamic)

    def test_binds_now_and_stack_is_not_executable(self):
        self.assertRegex(self.dynamic, r"\(FLAGS_1\).*NOW")
        segments = run("readelf", "-lW", LIBRARY)
        self.assertIn("GNU_RELRO", segments)
        self.assertNotRegex(segments, r"GNU_STACK.*RWE")

    def test_size(self):
        self.assertLessEqual(os.path.getsize(LIBRARY), 16 << 20)


class Symbols(unittest.TestCase):
    def symbols(self, which):
        lines = run("nm", "-D", "--with-symbol-versions", which, LIBRARY).splitlines()
        return [(line.split()[-1], line.split()[-2]) for line in lines]

    def test_glibc_2_28_is_enough(self):
        for name, _ in self.symbols("--undefined-only"):
            found = re.search(r"@GLIBC_([0-9.]+)$", name)
            if found:
                self.assertLessEqual(version(found[1]), (2, 28), name)

    def test_libpthread_is_not_needed_on_an_old_glibc(self):
        """A strong reference to what lived in libpthread before 2.34 kills each process on Debian 11 (exit 127)."""
        strong = [n.split("@")[0] for n, kind in self.symbols("--undefined-only") if kind == "U"]
        always_in_libc = {"pthread_mutex_lock", "pthread_mutex_unlock", "pthread_mutex_init", "pthread_self",
                              "pthread_mutex_destroy", "pthread_cond_wait", "pthread_cond_signal", "pthread_equal",
                              "pthread_setcancelstate"}
        bad = [n for n in strong if re.match(r"(pthread_|sem_|mtx_|cnd_|tss_|thrd_|call_once)", n)]
        self.assertEqual(sorted(set(bad) - always_in_libc), [])

    def test_no_reference_to_cuda(self):
        for name, _ in self.symbols("--undefined-only"):
            self.assertNotRegex(name, r"^_*(cu[A-Z]|cuda|nvrtc|nvml)")

    def test_exports_are_the_hook_list(self):
        exported = {name for name, kind in self.symbols("--defined-only") if kind != "A"}
        self.assertEqual(sorted(exported), sorted(expected_exports()))

    def test_first_version_node_is_ours_and_empty(self):
        """glibc binds an unversioned reference (TensorFlow's own cuda* stubs) to names of the first node."""
        listing = run("readelf", "-VW", LIBRARY)
        definitions = listing.split(".gnu.version_d")[1].split("Version needs section")[0]
        nodes = re.findall(r"Flags: (?:none|WEAK).*Name: (\S+)", definitions)
        self.assertEqual(nodes[0], "FUSELN")
        self.assertEqual(nodes[1:], [node for _, node in names.rows("CUDART_NODES")])


def expected_exports():
    hooked = [f"{name}@{node}" for _, node in names.rows("CUDART_NODES") for name in names.listed("CUDART_EXPORTS")]
    noticed = [f"{name}@{node}" for _, node, _ in names.rows("NOTICE_NODES") for name in names.listed("CUDART_NOTICED")]
    return hooked + noticed + names.listed("DRIVER_EXPORTS") + names.listed("DRIVER_NOTICED") + ["dlsym"]


class Images(unittest.TestCase):
    """Each FUSELN_IMAGE line of the build against the bytes in the library."""

    def setUp(self):
        with open(f"{BUILD}/generated/images.inc", encoding="ascii") as lines:
            found = re.findall(r'FUSELN_IMAGE\((\w+), (\w+), (\d+), "(\w+) ([0-9.]+)"\)', lines.read())
        self.images = [(m, kind, int(arch), tool, version(v)[:2]) for m, kind, arch, tool, v in found]
        self.assertTrue(self.images)
        with open(LIBRARY, "rb") as file:
            self.bytes = file.read()
        sections = run("readelf", "-SW", LIBRARY)
        address, offset = re.search(r"\.rodata\s+PROGBITS\s+(\w+)\s+(\w+)", sections).groups()
        self.slide = int(offset, 16) - int(address, 16)
        self.symbols = {}
        for line in run("nm", "-S", LIBRARY).splitlines():
            fields = line.split()
            if len(fields) == 4 and re.fullmatch(r"fuseln_image_\w+_(sm|compute)_\d+", fields[3]):
                self.symbols[fields[3]] = (int(fields[0], 16), int(fields[1], 16))

    def image(self, module, kind, arch):
        address, size = self.symbols[f"fuseln_image_{module}_{kind}_{arch}"]
        self.assertEqual(address % 64, 0)
        return self.bytes[address + self.slide:address + self.slide + size]

    def test_no_image_beside_the_list(self):
        listed = {f"fuseln_image_{m}_{kind}_{arch}" for m, kind, arch, _, _ in self.images}
        self.assertEqual(listed, set(self.symbols))

    def test_every_module_has_every_architecture(self):
        modules = {}
        for module, kind, arch, tool, _ in self.images:
            modules.setdefault(module, set()).add((kind, arch))
            if tool == "NVRTC":
                self.assertLessEqual({(kind, arch)}, ALL_ARCHS)
        self.assertEqual(len({frozenset(archs) for archs in modules.values()}), 1)
        if self.images[0][3] == "NVRTC":
            self.assertEqual(next(iter(modules.values())), ALL_ARCHS)

    def test_architecture_and_abi_of_each_image(self):
        """OS/ABI 0x33, version 7 loads on drivers from 525 on; 0x41, version 8 on much newer ones (sm_100 and up, or
        anything nvcc 13 made)."""
        for module, kind, arch, tool, release in self.images:
            with self.subTest(module=module, kind=kind, arch=arch):
                image = self.image(module, kind, arch)
                if kind == "compute":
                    self.assertEqual(image[-1], 0)
                    self.assertEqual(image.count(b"\0"), 1)
                    self.assertRegex(image, rb"\.target sm_%d" % arch)
                    if tool == "NVRTC":
                        self.assertRegex(image, rb"\.version 8\.0\s")
                    continue
                self.assertEqual(image[:4], b"\x7fELF")
                self.assertEqual(int.from_bytes(image[18:20], "little"), 190)
                flags = int.from_bytes(image[48:52], "little")
                abi = tuple(image[7:9])
                self.assertIn(abi, [(0x33, 7), (0x41, 8)])
                self.assertEqual((flags >> 8) & 0xFF if abi == (0x41, 8) else flags & 0xFF, arch)
                if tool == "NVRTC" and arch < 100:
                    self.assertEqual((release, abi), ((12, 0), (0x33, 7)))


if __name__ == "__main__":
    unittest.main()
