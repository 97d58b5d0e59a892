#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/known_build.py: a build gets its row if its kernels take their arguments where fuseln reads them, and none
otherwise. The kernels here have PyTorch's names and are compiled by the NVRTC releases that compile ours; the wheels
are those that the other tests installed."""
import ctypes
import glob
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

from cli import SOURCE, Command
from elf import NOTE, PROGBITS, SHF_ALLOC, elf, fatbin, image

sys.path.append(str(SOURCE / "tools"))
import fatbin as reader  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "fuseln")
COMPILERS = sorted(CACHE.glob("nvrtc-*"))
VENV = os.environ.get("TEST_VENV", "")
WHEELS = sorted(path[:path.index("/lib/python3")] for path in glob.glob(
    f"{pathlib.Path(VENV).parent}/torch-[0-9]*/lib/python3*/site-packages/torch/lib/libtorch_cuda.so"))
ROWS = (SOURCE / "hooks/targets/pytorch.c").read_text()
WHEELS_THAT_RAN = SOURCE / "tests/data/wheels.json"  # tests/torch/wheels.py
NAMES = (SOURCE / "tests/data/symbols/torch-2.15.0.txt").read_text().split()
# What tools/test.sh keeps of other programs' wheels: is that build known?
OTHERS = {"vllm-0.33.0-library": True, "sglang-kernel-0.4.10-library": True, "onnxruntime-gpu-1.31.1": True,
          "ctranslate2-4.8.5-library": False, "ctransformers-0.2.27-library": False}
BUILD_ID = "0123456789abcdef0123456789abcdef01234567"


def name_of(part):
    return next(name for name in NAMES if part in name)


CTRANSLATE2 = next(name for name in (SOURCE / "tests/data/symbols/ctranslate2-4.8.5.txt").read_text().split()
                   if "LayerNormForwardCUDAKernelIfj" in name)  # fmt: skip
POINTERS = "const void *, const void *, const void *, void *, void *, void *"
FORWARD, F64 = name_of("vectorized_layer_norm_kernelIffLb0E"), name_of("vectorized_layer_norm_kernelIddLb0E")
DX = name_of("layer_norm_grad_input_kernelIffLb0E")
RIGHT = {FORWARD: f"int, float, {POINTERS}", F64: f"int, double, {POINTERS}", DX: f"{POINTERS}, int"}


def lz4(data):
    library = ctypes.CDLL("liblz4.so.1")
    buffer = ctypes.create_string_buffer(library.LZ4_compressBound(len(data)))
    packed = library.LZ4_compress_default(data, buffer, len(data), len(buffer))
    return buffer.raw[:packed]


def zstd(data):
    size = [ctypes.c_size_t(count) for count in (len(data) + 1024, len(data))]
    buffer = ctypes.create_string_buffer(len(data) + 1024)
    packed = ctypes.CDLL("libzstd.so.1").ZSTD_compress(buffer, size[0], data, size[1], 3)
    return buffer.raw[:packed]


PACKED = [(0, lambda data: b""), (reader.LZ4, lz4), (reader.ZSTD, zstd)]


class Case(Command):
    def compile(self, kernels, compiler=COMPILERS[-1] if COMPILERS else None, architecture=80):
        """A cubin of {name: types of the parameters}."""
        source, cubin = self.dir / "kernels.cu", self.dir / "kernels.cubin"
        source.write_text("".join(f'extern "C" __global__ void {name}({kernels[name]}) {{}}\n' for name in kernels))
        subprocess.run([sys.executable, SOURCE / "tools/nvrtc.py", "--dir", compiler, f"-arch=sm_{architecture}",
                        "-cubin", "-o", cubin, source], check=True)
        return cubin.read_bytes()

    def library(self, *fatbins, build=BUILD_ID):
        """libtorch_cuda.so where an environment has it."""
        path = self.dir / "lib/python3.11/site-packages/torch/lib/libtorch_cuda.so"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parents[1] / "version.py").write_text("__version__ = '9.8.7+cu999'\ncuda: Optional[str] = '99.9'\n")
        self.write(path, *fatbins, build=build)
        return path

    def write(self, path, *fatbins, build=BUILD_ID, needed=b""):
        note = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0" + bytes.fromhex(build)
        path.write_bytes(elf([(".note.gnu.build-id", NOTE, SHF_ALLOC, note), (".dynstr", PROGBITS, SHF_ALLOC, needed),
                              (".nv_fatbin", PROGBITS, SHF_ALLOC, b"".join(fatbins))]))

    def judge(self, *arguments):
        return subprocess.run([sys.executable, SOURCE / "tools/known_build.py", *arguments], capture_output=True,
                              text=True, timeout=120)

    def assert_row(self, done, *cubins, release='"9.8.7", "99.9"'):
        code = hashlib.sha256(b"".join(cubins)).hexdigest()[:16]
        row = f'    {{"{BUILD_ID}", {release}, "x86-64", "{code}"}},\n'
        self.assertEqual((done.stdout, done.returncode), (row, 0), done.stderr)

    def assert_no_row(self, done, *words):
        self.assertEqual((done.stdout.strip(), done.returncode), ("", 1), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


@unittest.skipUnless(COMPILERS, "the pinned NVRTC releases are not installed")
class Compiled(Case):
    def test_a_right_layout_gives_the_row(self):
        for compiler in COMPILERS:
            cubin = self.compile(RIGHT, compiler)
            for flags, pack in PACKED:
                with self.subTest(compiler=compiler.name, flags=hex(flags)):
                    path = self.library(fatbin(image(cubin, 80, flags, pack(cubin))))
                    self.assert_row(self.judge(path), cubin)
                    self.assert_row(self.judge(self.dir), cubin)

    def test_a_wrong_one_gives_none_and_is_named(self):
        for name, types, said in (
                (FORWARD, f"int, double, {POINTERS}", "0:4 8:8 16:8"),  # a wider parameter
                (FORWARD, f"int, int, float, {POINTERS}", "0:4 4:4 8:4 16:8"),  # one more
                (FORWARD, f"float, {POINTERS}", "0:4 8:8"),  # one less
                (F64, f"int, float, {POINTERS}", "0:4 4:4 8:8"),
                (DX, f"int, {POINTERS}", "0:4 8:8"),  # in another order
                (DX, f"{POINTERS}, long long", "0:8 8:8 16:8 24:8 32:8 40:8 48:8, 56 bytes in all"),
                (DX, POINTERS, "0:8 8:8 16:8 24:8 32:8 40:8, 48 bytes in all")):
            with self.subTest(types=types):
                path = self.library(fatbin(image(self.compile(RIGHT | {name: types}))))
                done = self.judge(path)
                self.assert_no_row(done, f"differs: {name} (pytorch/", f"sm_80: its parameters are {said}")
                self.assertEqual(done.stderr.count("differs"), 1)

    def test_every_image_counts(self):
        right, wrong = self.compile(RIGHT), self.compile(RIGHT | {DX: POINTERS}, architecture=90)
        done = self.judge(self.library(fatbin(image(right), image(wrong, 90))))
        self.assert_no_row(done, f"{DX} (pytorch/dx/f32), sm_90")
        self.assertEqual(done.stderr.count("differs"), 1)

    def test_every_fat_binary_is_looked_at(self):
        others = fatbin(image(self.compile({"_Z5otheri": "int"}))), fatbin()
        norms = self.compile(RIGHT), self.compile(RIGHT, architecture=90)
        self.assert_row(self.judge(self.library(*others, bytes(8), fatbin(*map(image, norms)))), *norms)

    def test_new_kernels_are_named_and_cost_no_row(self):
        new = FORWARD.replace("28vectorized_layer_norm_kernelI", "22another_layer_norm_kernelI")
        cubin = self.compile(RIGHT | {new: "int", "_Z9rms_norm2i": "int"})
        done = self.judge(self.library(fatbin(image(cubin))))
        self.assert_row(done, cubin)
        for name in new, "_Z9rms_norm2i":
            self.assertIn(f"new: {name}\n", done.stderr)
            self.assertIn(f"not recognised: {name}\n", done.stderr)

    def test_known_kernels_of_another_build_are_not_new(self):
        assert "53_GLOBAL__N__4da244e1" in FORWARD
        other = FORWARD.replace("53_GLOBAL__N__4da244e1", "59_GLOBAL__N__01234567").replace(
            "_cu_9c5ada8a", "_cu_76543210_26520")
        cubin = self.compile({other: RIGHT[FORWARD]})
        done = self.judge(self.library(fatbin(image(cubin))))
        self.assert_row(done, cubin)
        self.assertNotIn("new:", done.stderr)

    def test_another_programs_release_is_what_its_wheel_says(self):
        cubin = self.compile({CTRANSLATE2: "unsigned, float, const void *, const void *, const void *, void *"})
        folder = self.dir / "lib/python3.11/site-packages"
        path = folder / "ctranslate2.libs/libctranslate2-0123.so.4"
        for each in path.parent, folder / "ctranslate2-4.5.6.dist-info":
            each.mkdir(parents=True)
        (folder / "ctranslate2-4.5.6.dist-info/RECORD").write_text(f"{path.relative_to(folder)},sha256=0,1\n")
        for needed, runtime in (b"", "static"), (b"\0libcudart-ab12.so.11.0\0", "11.0"):
            self.write(path, fatbin(image(cubin)), needed=needed)
            self.assert_row(self.judge(self.dir), cubin, release=f'"4.5.6", "{runtime}"')

    def test_no_build_id_no_row(self):
        self.assert_no_row(self.judge(self.library(fatbin(image(self.compile(RIGHT))), build="")), "it has no build-id")

    def test_no_kernel_of_ours(self):
        path = self.library(fatbin(image(self.compile({"_Z5otheri": "int"}))))
        self.assert_no_row(self.judge(path), "no kernel that fuseln recognises")

    def test_a_broken_image_is_refused(self):
        cubin = self.compile(RIGHT)
        for flags, pack in PACKED[1:]:
            broken = reader.Image(80, flags, len(cubin), pack(cubin)[:-9])
            self.assertRaises(ValueError, reader.unpack, broken)
            self.assertEqual(reader.unpack(broken._replace(body=pack(cubin))), cubin)


class Evidence(unittest.TestCase):
    def test_each_known_build_is_one_whose_cases_ran_or_has_its_device_code(self):
        ran = {(row["version"], row["code"]) for row in json.loads(WHEELS_THAT_RAN.read_text()).values()
               if row["runs"] and row["wrong"] == 0 and row["cases"] and row["replaced"]}
        known = re.findall(r'\{"[0-9a-f]{40}", "([\d.]+)", "[\d.]+", "[\w-]+", "([0-9a-f]{16})"\}', ROWS)
        self.assertTrue(known)
        self.assertEqual(set(known) - ran, set())


    def test_other_programs_wheels_give_their_rows(self):
        rows = "".join(path.read_text() for path in (SOURCE / "hooks/targets").glob("*.c"))
        for name, known in OTHERS.items():
            with self.subTest(name=name):
                done = Case.judge(self, CACHE / name)
                self.assertEqual((done.returncode, done.stdout.count("\n")), (0, 1), done.stderr)
                self.assertEqual(done.stdout in rows, known)


class Usage(Case):
    def test_wrong_usage_is_one_line(self):
        for arguments in ([], ["--bogus"], ["a", "b"]):
            self.assert_one_line(self.judge(*arguments), 2, "usage:")


@unittest.skipUnless(VENV in WHEELS, "the PyTorch wheel is not installed")
class Wheels(Case):
    def test_each_gives_its_row_and_no_new_kernel(self):
        for environment in WHEELS:
            with self.subTest(environment=environment):
                done = self.judge(environment)
                self.assertEqual((done.returncode, done.stdout.count("\n")), (0, 1), done.stderr)
                self.assertNotIn("new:", done.stderr)
                self.assertNotIn("not recognised:", done.stderr)
                if environment == VENV or done.stdout.split('"')[1] in ROWS:
                    self.assertIn(done.stdout, ROWS)


if __name__ == "__main__":
    unittest.main()
