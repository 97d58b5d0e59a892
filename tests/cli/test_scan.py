#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`fuseln scan`: what it says of libraries, cubins, wheels and folders, sound and broken (that none ends it by a signal,
tests/fuzz shows). Libraries are made here, by the compiler or byte by byte, with names that PyTorch's wheels register
(tests/data/symbols); the wheel itself is scanned where it is installed."""
import glob
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import time
import unittest
import zipfile
import zlib

from cli import COMMANDS, FUSELN, SOURCE, Command
from elf import CUDA, PROGBITS, SHF_ALLOC, STRTAB, elf, fatbin, image, strings

VENV = os.environ.get("TEST_VENV", "")
WHEEL = (glob.glob(f"{VENV}/lib/python3*/site-packages/torch/lib/libtorch_cuda.so") or [None])[0]
CUDART = (glob.glob(f"{VENV}/lib/python3*/site-packages/nvidia/cu13/lib/libcudart.so.13") or [None])[0]
KNOWN_BUILDS = re.findall(r'{"([0-9a-f]{40})", "', (SOURCE / "hooks/targets/pytorch.c").read_text())
NAMES = (SOURCE / "tests/data/symbols/torch-2.15.0.txt").read_text().split()
FORWARD = next(name for name in NAMES if "vectorized_layer_norm_kernelIffLb0E" in name)
FOREIGN = (SOURCE / "tests/data/symbols/paddlepaddle-gpu-2.6.2.txt").read_text().split()
RUNTIME = "CUDA driver version is insufficient for CUDA runtime version"
CC = os.environ.get("CC", "cc")


def library(*names, extra=()):
    return elf([(".rodata", PROGBITS, SHF_ALLOC, strings(*names)), *extra])


def cubin(*names):
    return elf([(".strtab", STRTAB, 0, strings(*names))], machine=CUDA)


class Case(Command):
    def scan(self, *arguments, **options):
        return self.fuseln("scan", *arguments, **options)

    def write(self, name, data):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def wheel(self, name, members, compression=zipfile.ZIP_DEFLATED):
        path = self.dir / name
        with zipfile.ZipFile(path, "w", compression) as wheel:
            for member, data in members.items():
                wheel.writestr(member, data)
        return path

    def files(self, *paths, code=0):
        """The files of the JSON document."""
        result = self.scan("--json", "--symbols", *paths)
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)["files"]

    def one(self, data):
        return self.files(self.write("one.so", data))[0]

    def refused(self, path, message, *more):
        done = self.scan(path, *more)
        self.assert_one_line(done, 2, f"{path}", message)
        return done.stdout


class Usage(Case):
    def test_help_tells_all(self):
        text = self.scan("--help").stdout
        for word in ("--json", "--symbols", "wheel", "folder", "build-id", "static", "Exit code"):
            self.assertIn(word, text)

    def test_wrong_usage_is_one_line(self):
        for arguments in ([], ["--bogus"], ["--json"], ["--json=1", "."]):
            done = self.scan(*arguments)
            self.assert_one_line(done, 2)
            self.assertEqual(done.stdout, "", arguments)

    def test_other_files_are_refused_after_the_rest(self):
        text = self.write("text", b"no ELF\n")
        good = self.write("good.so", library(FORWARD))
        self.assertIn("1 known kernel in 1", self.refused(text, "neither an ELF file, a wheel nor a folder", good))
        self.assertIn("1 known kernel in 1", self.refused(self.dir / "missing", "No such file", good))
        self.refused(self.write("empty", b""), "neither")
        self.refused("/dev/null", "neither")

    def test_a_pipe_is_not_waited_for(self):
        os.mkfifo(self.dir / "pipe")
        self.refused(self.dir / "pipe", "neither")
        self.assertEqual(self.scan(self.dir).returncode, 0)


def parameters(*sizes):
    """The section .nv.info.NAME of a kernel with parameters of these sizes; the compiler writes the last one first."""
    records = [struct.pack("<BBHIIII", 4, 0x11, 4, 0, 0, 0, 0)[:8]]
    offset = 0
    for i, size in enumerate(sizes):
        offset = (offset + size - 1) // size * size
        records.insert(1, struct.pack("<BBHIII", 4, 0x17, 12, 0, i | offset << 16, size << 18 | 0xf000))
        offset += size
    return b"".join(records)


class Rows(Case):
    def rows(self, data):
        return self.said("scan", "--rows", self.write("one.so", data))

    def test_a_name_tells_types_and_const(self):
        name = "_ZN6engine14rms_norm_fusedEPK6__halfS2_PS0_fi"
        text = self.rows(library(name, FORWARD, "_ZN6engine4gemmEPf"))
        self.assertEqual(text.count("\n["), 1)  # ours and other kernels are left out
        self.assertIn(f"[mine/norm1]\nsymbol = {name}\n", text)
        self.assertIn("args = ptr ptr ptr f32 i32\nop = ?", text)
        self.assertIn("arg1: a pointer to const\n#   arg2: a pointer\n#   arg3: a value", text)

    def test_a_cubin_tells_sizes_where_the_name_tells_nothing(self):
        info = (".nv.info.engine_rmsnorm_v2", 0x70000000, 0, parameters(8, 8, 4, 1, 24))
        text = self.rows(elf([info, (".strtab", STRTAB, 0, strings("engine_rmsnorm_v2"))], machine=CUDA))
        self.assertIn("symbol = engine_rmsnorm_v2\n#   arg0: 8 bytes, of unknown type", text)
        self.assertIn("arg4: 24 bytes, by value: no row can say it\nargs = ? ? ? bool ?", text)
        self.assertIn("in = ?", text)

    def test_names_of_kernels_command_nothing(self):
        info = (".nv.info.rmsnorm\x1b[2J\n\x9b\u202e", 0x70000000, 0, parameters(8))
        text = self.rows(elf([info], machine=CUDA))
        self.assertIn("symbol = rmsnorm?[2J???\n", text)
        self.assertNotRegex(text, COMMANDS)

    def test_nothing_to_print(self):
        self.assertIn("# no layer or RMS norm", self.rows(library(FORWARD)))


class Text(Case):
    def test_block(self):
        path = self.write("many.so", library(*NAMES, *FOREIGN))
        lines = self.scan(path).stdout.splitlines()
        self.assertEqual(lines[0], str(path))
        self.assertRegex(lines[1], r"build-id +none \(not tested\)")
        self.assertRegex(lines[2], r"CUDA runtime +none seen")
        self.assertRegex(lines[3], r"kernels +120$")
        self.assertLessEqual(max(map(len, lines[1:])), 100)
        rows = [line.split() for line in lines[5:lines.index("")]]
        self.assertEqual(sum(int(row[3]) for row in rows), 120)
        self.assertIn(["pytorch/forward/vectorized/f32", "forward", "f32", "1"], rows)
        self.assertIn(["pytorch/rms-dgamma/template/bf16", "dgamma", "bf16", "6"], rows)
        self.assertEqual(lines[-1], "1 ELF file scanned: 120 known kernels in 1 of them")

    def test_symbols_follow_their_target(self):
        lines = self.scan("--symbols", self.write("one.so", library(FORWARD))).stdout.splitlines()
        at = next(i for i, line in enumerate(lines) if "pytorch/forward/vectorized/f32" in line)
        self.assertEqual(lines[at + 1].strip(), FORWARD)

    def test_nothing_is_one_line(self):
        path = self.write("nothing.so", library(*FOREIGN))
        self.assertEqual(self.scan(path).stdout.splitlines(), [
            f"{path}: no known kernel; CUDA runtime: none seen",
            "1 ELF file scanned: 0 known kernels in 0 of them"])

    def test_control_characters_are_not_printed(self):
        path = self.write("bad\x1b[31m.so", library(FORWARD))
        self.assertNotIn("\x1b", self.scan(path).stdout)
        self.assertEqual(self.files(path)[0]["path"], str(path).replace("\x1b", "?"))

    def test_a_name_is_one_line_and_commands_nothing(self):
        for name in ("a\n1 ELF file scanned: 9 known kernels in 9 of them", "b\x1b]0;title\x07", "c\u009b31m", "d\u202egnp.so",
                     "e\u2028f", "g\u2066h\u200f"):
            path = self.write(name, library(FORWARD))
            for options in ((), ("--json",)):
                done = self.scan(*options, path, self.write(f"{name}.bad", b"none"))
                self.assertEqual(done.returncode, 2)
                self.assertNotRegex(done.stdout + done.stderr, COMMANDS)
                self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertEqual(len(self.scan(path).stdout.splitlines()), len(self.scan(self.write("p", path.read_bytes())).stdout.splitlines()))
            path.unlink()

    def test_a_path_that_is_no_utf8(self):
        path = os.fsencode(self.dir) + b"/\xff.so"
        with open(path, "wb") as file:
            file.write(library(FORWARD))
        self.assertTrue(self.files(path)[0]["path"].endswith("/?.so"))


class Names(Case):
    def test_every_release(self):
        for table in sorted((SOURCE / "tests/data/symbols").glob("torch-*.txt")):
            with self.subTest(table=table.name):
                names = table.read_text().split()
                found = self.one(library(*names))
                listed = [name for target in found["targets"] for name in target["symbols"]]
                self.assertEqual(sorted(listed), sorted(set(names)))
                self.assertEqual(found["kernels"], len(listed))

    def test_of_other_programs(self):
        for table, kernels in (("ctranslate2-4.8.5", 6), ("onnxruntime-gpu-1.31.1", 84), ("paddlepaddle-gpu-2.6.2", 0),
                               ("vllm-0.33.0", 42)):
            names = (SOURCE / f"tests/data/symbols/{table}.txt").read_text().split()
            self.assertEqual(self.one(library(*names))["kernels"], kernels, table)

    def test_only_whole_ones_are_known(self):
        found = self.one(elf([(".rodata", PROGBITS, SHF_ALLOC, FORWARD.encode() + b"x\0" + FORWARD.encode())]))
        self.assertEqual(found["kernels"], 0) # another name, and one that does not end

    def test_what_stands_before_may_be_a_number(self):
        found = self.one(elf([(".rodata", PROGBITS, SHF_ALLOC, b"\0\0@A" + strings(FORWARD)[1:])]))
        self.assertEqual(found["kernels"], 1)

    def test_other_sections_hold_none(self):
        sections = (".text", PROGBITS, SHF_ALLOC | 4), (".strtab", STRTAB, 0), (".debug_str", PROGBITS, 0)
        for name, kind, flags in sections:
            self.assertEqual(self.one(elf([(name, kind, flags, strings(FORWARD))]))["kernels"], 0, name)

    def test_large_model_data(self):
        self.assertEqual(self.one(elf([(".lrodata", PROGBITS, SHF_ALLOC, strings(FORWARD))]))["kernels"], 1)

    def test_cubin(self):
        found = self.one(cubin(*NAMES))
        self.assertEqual((found["kernels"], found["cubin"]), (120, True))
        self.assertIn("none: device code", self.scan(self.dir / "one.so").stdout)

    def test_fat_binaries_without_host_names(self):
        packed = image(b"\x28\xb5\x2f\xfd" + bytes(12))
        images = fatbin(packed, image(cubin(*NAMES[:7]))) + bytes(8) + fatbin(image(cubin(*NAMES[5:9])))
        found = self.one(elf([(".nv_fatbin", PROGBITS, SHF_ALLOC, images)]))
        self.assertEqual((found["kernels"], found["cubin"]), (9, False))

    def test_each_name_counts_once(self):
        images = fatbin(image(cubin(*NAMES)), image(cubin(*NAMES)))
        found = self.one(library(*NAMES, *NAMES, extra=[(".nv_fatbin", PROGBITS, SHF_ALLOC, images)]))
        self.assertEqual(found["kernels"], 120)


@unittest.skipUnless(shutil.which(CC), "no compiler")
class Linked(Case):
    """What a linker makes."""

    def link(self, name, *options, names=(FORWARD,), text=""):
        source = self.write("source.c", ("const char *const names[] = {%s};" % ", ".join(
            f'"{name}"' for name in (*names, text))).encode())
        path = self.dir / name
        subprocess.run([CC, "-shared", "-fPIC", "-o", path, source, *options], check=True)
        return path

    def runtime(self, path):
        return self.files(path)[0]["cuda_runtime"]

    def test_build_id(self):
        for build in KNOWN_BUILDS:
            known = self.files(self.link("known.so", f"-Wl,--build-id=0x{build}"))[0]
            self.assertEqual((known["build_id"], known["known_build"]), (build, True))
            self.assertIn(f"{build} (known)", self.scan(self.dir / "known.so").stdout)
        other = self.files(self.link("other.so", "-Wl,--build-id=0x0123"))[0]
        self.assertEqual((other["build_id"], other["known_build"]), ("0123", False))
        self.assertIn("0123 (not tested)", self.scan(self.dir / "other.so").stdout)
        self.assertIsNone(self.files(self.link("none.so", "-Wl,--build-id=none"))[0]["build_id"])

    def test_runtime(self):
        self.assertEqual(self.runtime(self.link("plain.so")), {"link": "none seen", "library": None})
        self.assertEqual(self.runtime(self.link("inside.so", text=RUNTIME)), {"link": "static", "library": None})
        cudart = self.link("libcudart.so.99", "-Wl,-soname,libcudart.so.99", text=RUNTIME)
        self.assertEqual(self.runtime(cudart)["link"], "itself")
        shared = self.link("shared.so", "-Wl,--no-as-needed", cudart)
        self.assertEqual(self.runtime(shared), {"link": "shared", "library": "libcudart.so.99"})
        self.assertRegex(self.scan(shared).stdout, r"CUDA runtime +shared libcudart.so.99\n")
        both = self.link("both.so", "-Wl,--no-as-needed", cudart, text=RUNTIME)
        self.assertEqual(self.runtime(both), {"link": "static and shared", "library": "libcudart.so.99"})

    def test_without_a_section_table(self):
        cudart = self.link("libcudart.so.99", "-Wl,-soname,libcudart.so.99")
        path = self.link("stripped.so", f"-Wl,--no-as-needed,--build-id=0x{KNOWN_BUILDS[0]}", cudart, names=NAMES)
        data = bytearray(path.read_bytes())
        data[40:48], data[58:64] = bytes(8), bytes(6) # e_shoff; e_shentsize, e_shnum, e_shstrndx
        path.write_bytes(data)
        found = self.files(path)[0]
        self.assertEqual((found["kernels"], found["known_build"]), (120, True))
        self.assertEqual(found["cuda_runtime"], {"link": "shared", "library": "libcudart.so.99"})


class Broken(Case):
    def test_impossible_headers(self):
        sections = [(".rodata", PROGBITS, SHF_ALLOC, strings(FORWARD))]
        for changes in ({"shoff": 2**64 - 1}, {"shoff": 2**64 - 64}, {"shoff": 1}, {"shnum": 65535}, {"shstrndx": 9},
                        {"shentsize": 1}, {"shoff": 0, "phoff": 2**64 - 56, "phnum": 65535},
                        {"shoff": 0, "phoff": 64, "phnum": 65535}):
            self.refused(self.write("bad.so", elf(sections, **changes)), "its headers point beyond its end")

    def test_a_count_that_overflows(self):
        data = bytearray(elf([(".rodata", PROGBITS, SHF_ALLOC, strings(FORWARD))], shnum=0))
        shoff, = struct.unpack_from("<Q", data, 40)
        for count in (2**64 - 1, 2**58, 2**58 + 3, 2**32):
            struct.pack_into("<Q", data, shoff + 32, count)
            self.refused(self.write("bad.so", data), "its headers point beyond its end")
        struct.pack_into("<Q", data, shoff + 32, 3) # and one that does not
        self.assertEqual(self.one(data)["kernels"], 1)

    def test_a_section_beyond_the_end(self):
        data = bytearray(library(FORWARD))
        shoff, = struct.unpack_from("<Q", data, 40)
        for offset, size in ((len(data), 1), (2**64 - 1, 2), (64, 2**64 - 1), (64, len(data))):
            struct.pack_into("<QQ", data, shoff + 64 + 24, offset, size)
            self.refused(self.write("bad.so", data), "its headers point beyond its end")

    def test_cut_short(self):
        self.refused(self.write("bad.so", b"\x7fELF"), "cut short")
        self.refused(self.write("bad.so", library(FORWARD)[:63]), "cut short")

    def test_sections_that_overlap_take_no_time(self):
        rodata = strings(*["_Z" * 2000] * 500)
        data = elf([(".rodata", PROGBITS, SHF_ALLOC, rodata)])
        shoff, = struct.unpack_from("<Q", data, 40)
        head, rodata_header = data[:60] + struct.pack("<HH", 40002, 40001), data[shoff + 64:shoff + 128]
        data = head + data[64:shoff + 64] + rodata_header * 40000 + data[shoff + 128:]
        self.refused(self.write("bad.so", data), "overlap")

    def test_more_names_than_there_can_be(self):
        variants = (FORWARD.replace("4da244e1", f"{i:08x}") for i in range(70000))
        self.refused(self.write("bad.so", library(*variants)), "kernel names without end")

    def test_other_machines(self):
        data = library(FORWARD)
        for at, value in ((4, 1), (5, 2)):
            other = bytearray(data)
            other[at] = value
            path = self.write("folder/other.so", other)
            self.refused(path, "no 64-bit little-endian ELF file")
            self.assertEqual(self.scan(path.parent).returncode, 0)

    def test_a_file_that_shrinks_is_no_crash(self):
        path = self.write("large.so", elf([(".rodata", PROGBITS, SHF_ALLOC, strings(*["_Zabc"] * 2000000))]))
        for delay in (0, .001, .002, .004, .008):
            data = path.read_bytes()
            scanned = subprocess.Popen([FUSELN, "scan", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            os.truncate(path, 100)
            self.assertIn(scanned.wait(timeout=60), (0, 2))
            path.write_bytes(data)


class Folders(Case):
    def test_are_walked(self):
        self.write("a/b/deep.so", library(FORWARD))
        self.write("a/text.py", b"pass\n")
        self.write("a/nothing.so", library(*FOREIGN))
        self.write("empty", b"")
        os.symlink(self.dir / "a/b/deep.so", self.dir / "link.so")
        os.symlink(self.dir, self.dir / "a/loop")
        said = self.said("scan", self.dir)
        self.assertEqual(said.count("deep.so"), 1)
        self.assertNotIn("nothing.so", said)
        self.assertIn("2 ELF files scanned: 1 known kernel in 1 of them", said)

    def test_named_links_are_followed(self):
        os.symlink(self.write("real/one.so", library(FORWARD)), self.dir / "link.so")
        os.symlink(self.dir / "real", self.dir / "link")
        self.assertEqual([file["kernels"] for file in self.files(self.dir / "link.so", self.dir / "link")],
                         [1, 1])

    def test_one_without_any_says_so(self):
        self.write("nothing.so", library(*FOREIGN))
        self.assertEqual(self.scan(self.dir).stdout.splitlines()[0], f"{self.dir}: no known kernel in 1 ELF file")

    def test_a_broken_file_does_not_stop_it(self):
        self.write("a.so", library(FORWARD)[:100])
        self.write("b.so", library(FORWARD))
        self.assertIn("1 known kernel in 1", self.refused(self.dir, "a.so: cut short"))

    def test_a_link_cycle_is_refused(self):
        os.symlink(self.dir / "loop", self.dir / "loop")
        self.refused(self.dir / "loop", "symbolic links")


class Wheels(Case):
    def test_each_library_is_scanned(self):
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            members = {"torch/a.py": b"pass\n", "torch/lib/one.so": library(*NAMES), "empty": b"",
                       "torch/lib/none.so": library(*FOREIGN), "t/two.so": library(FORWARD)}
            path = self.wheel("two.whl", members, compression)
            self.assertEqual([(file["path"], file["kernels"]) for file in self.files(path)],
                             [(f"{path}:torch/lib/one.so", 120), (f"{path}:t/two.so", 1)])
            self.assertIn("3 ELF files scanned: 121 known kernels in 2 of them", self.scan(path).stdout)

    def test_one_larger_than_a_block(self):
        data = library(FORWARD, extra=[(".data", PROGBITS, SHF_ALLOC, random.Random(1).randbytes(5 << 20)),
                                       (".rodata.last", PROGBITS, SHF_ALLOC, strings(*NAMES))])
        self.assertEqual(self.files(self.wheel("large.whl", {"large.so": data}))[0]["kernels"], 120)

    def test_one_without_any_says_so(self):
        path = self.wheel("none.whl", {"a.py": b"pass\n", "lib.so": library(*FOREIGN)})
        self.assertEqual(self.scan(path).stdout.splitlines()[0], f"{path}: no known kernel in 1 ELF file")

    def test_in_folders_by_their_name(self):
        self.wheel("one.whl", {"a.so": library(FORWARD)})
        self.wheel("checkpoint.pt", {"a.so": library(FORWARD)})
        self.assertEqual([file["path"] for file in self.files(self.dir)], [f"{self.dir}/one.whl:a.so"])

    def test_temporary_files_are_gone_and_go_where_they_should(self):
        path, place = self.wheel("one.whl", {"a.so": library(FORWARD)}), self.dir / "tmp"
        place.mkdir()
        self.assertEqual(self.scan(path, TMPDIR=str(place)).returncode, 0)
        self.assertEqual(list(place.iterdir()), [])
        done = self.scan(path, TMPDIR=str(self.dir / "missing"))
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^fuseln scan: .*one.whl:a.so: cannot unpack it into .*TMPDIR.*\n$")

    def test_names_in_it_command_nothing(self):
        path = self.wheel("one.whl", {"a\x1b[2J\n\u009b\u202e.so": library(FORWARD), "\x1b\nb.so": library(FORWARD)[:100]})
        for options in ((), ("--json",)):
            done = self.scan(*options, path)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))
            self.assertNotRegex(done.stdout + done.stderr, COMMANDS)

    def test_one_that_becomes_too_large_is_given_up(self):
        """A few hundred kilobytes that would fill a disk, in one member or in many; what came before is told."""
        for members in ({"large.so": b"\x7fELF" + bytes(256 << 20)},
                        {f"{i}.so": b"\x7fELF\2\1\1" + bytes(3 << 20) for i in range(8)}):
            path, place = self.wheel("bomb.whl", {"good.so": library(FORWARD)} | members), self.dir / "tmp"
            self.assertLess(path.stat().st_size, 300000)
            place.mkdir(exist_ok=True)
            limited = "sh", "-c", 'ulimit -f 60000; exec "$0" "$@"'  # 30 MB
            done = self.scan(path, prefix=limited, TMPDIR=str(place))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr.splitlines()[-1], f"{path}:.*.so: .*more than a hundred times its size")
            self.assertEqual(done.stderr.count("hundred times"), 1)
            self.assertIn("1 known kernel in 1", done.stdout)
            self.assertEqual(list(place.iterdir()), [])

    def test_a_member_that_says_it_is_too_large_is_given_up(self):
        """5 GiB, says its header: it is not unpacked to see."""
        data = library(FORWARD, extra=[(".data", PROGBITS, SHF_ALLOC, random.Random(1).randbytes(2 << 20))])
        name, extra = b"a.so", struct.pack("<HHQ", 1, 8, 5 << 30)
        deflate = zlib.compressobj(wbits=-15)
        packed = deflate.compress(data) + deflate.flush()
        facts = struct.pack("<HHHHIIIHH", 0, 8, 0, 0x21, zlib.crc32(data), len(packed), 2**32 - 1, len(name), len(extra))
        local = struct.pack("<IH", 0x04034b50, 45) + facts + name + extra + packed
        central = struct.pack("<IHH", 0x02014b50, 45, 45) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name + extra
        end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 1, 1, len(central), len(local), 0)
        path = self.write("one.whl", local + central + end)
        self.refused(path, "a.so: not unpacked to its end: it is larger than 4 GiB")

    def test_one_that_compresses_well_is_scanned(self):
        data = library(FORWARD, extra=[(".data", PROGBITS, SHF_ALLOC, bytes(12 << 20)),
                                       (".rodata.last", PROGBITS, SHF_ALLOC, strings(*NAMES))])
        path = self.wheel("small.whl", {"a.so": data})
        self.assertLess(path.stat().st_size, 50000)
        self.assertEqual(self.files(path)[0]["kernels"], 120)

    def test_a_broken_member_does_not_stop_it(self):
        path = self.wheel("one.whl", {"a.so": library(FORWARD)[:100], "b.so": library(FORWARD)})
        self.assertIn("1 known kernel in 1", self.refused(path, "a.so: cut short"))


class Bar(Case):
    """On a terminal; elsewhere the other tests find nothing on stderr."""

    def test_it_is_there_meanwhile_and_gone_at_the_end(self):
        self.wheel("two.whl", {f"{i}.so": library(FORWARD) + bytes(i << 20) for i in range(1, 9)}, zipfile.ZIP_STORED)
        self.write("a\x1b[2J\nb.so", library(FORWARD, "_Z8rms_normPf"))
        for options in (), ("--json",), ("--rows",), ("--symbols",):
            code, text, shown = self.on_terminal(FUSELN, "scan", *options, self.dir)
            self.assertEqual((code, shown), (0, self.scan(*options, self.dir).stdout))
            self.assertRegex(text, r"\r\[#* *\] +\d+ %  \S")
            self.assertNotRegex(re.sub(r"\r(\[#* *\].*)?\x1b\[K", "", text), COMMANDS)

    def test_an_error_stands_alone(self):
        self.write("a.so", library(FORWARD)[:100])
        code, text, shown = self.on_terminal(FUSELN, "scan", self.dir)
        self.assertEqual((code, shown.splitlines()[0]), (2, f"fuseln scan: {self.dir}/a.so: "
                         "cut short or broken: its headers point beyond its end"))
        self.assertIn("0 %  a.so", text)


@unittest.skipUnless(WHEEL, "the PyTorch wheel is not installed")
class Wheel(Case):
    """120: the names that the library was seen to register, each of them and no other, by tests/data/symbols."""

    def check(self, path):
        started = time.monotonic()
        found, = self.files(path)
        self.assertLess(time.monotonic() - started, 60)
        self.assertIn(found["build_id"], KNOWN_BUILDS)
        self.assertEqual((found["known_build"], found["kernels"]), (True, 120))
        self.assertEqual(found["cuda_runtime"], {"link": "shared", "library": "libcudart.so.13"})
        self.assertEqual(sorted(name for target in found["targets"] for name in target["symbols"]), sorted(NAMES))

    def test_library(self):
        self.check(WHEEL)

    def test_installed_folder(self):
        self.check(pathlib.Path(WHEEL).parent.parent)

    def test_zipped(self):
        path = self.dir / "torch.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
            wheel.write(WHEEL, "torch/lib/libtorch_cuda.so")
        self.check(path)

    def test_memory_stays_small(self):
        limit = (os.path.getsize(WHEEL) >> 10) + 100000 # the mapping, and no copy beside it
        result = self.scan(WHEEL, prefix=["bash", "-c", f'ulimit -v {limit}; exec "$0" "$@"'])
        self.assertIn("120 known kernels", result.stdout, result.stderr)

    @unittest.skipUnless(CUDART, "no CUDA runtime is installed")
    def test_cuda_runtimes(self):
        self.assertEqual(self.files(CUDART)[0]["cuda_runtime"]["link"], "itself")
        inside = glob.glob(f"{VENV}/lib/python3*/site-packages/nvidia/cudnn/lib/libcudnn_ops.so.9")
        for path in inside:
            self.assertEqual(self.files(path)[0]["cuda_runtime"]["link"], "static")


if __name__ == "__main__":
    unittest.main()
