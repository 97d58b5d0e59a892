#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`fuseln doctor` on set-ups that are really broken, each by one cause: it must name that cause, say what to do, and
exit 1; and on good ones, where it must find nothing. The driver is the software device's."""
import glob
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from cli import BUILD, COMMANDS, FUSELN, ON_DEVICE, PYTHON, SOURCE, Command

SOFTGPU = f"{BUILD}/tests/softgpu"
RUNTIME = sorted(glob.glob(f"{SOFTGPU}/cuda-13.*/libcudart.so.13"))[-1]

STEP = """
import torch
from torch.nn import functional as F
rows = 4096
x = torch.randn(rows, 64).cuda().requires_grad_()
weight, bias = torch.ones(64).cuda().requires_grad_(), torch.zeros(64).cuda().requires_grad_()
dy = torch.randn(rows, 64).cuda()
for _ in range(3):
    torch.autograd.grad(F.layer_norm(x, (64,), weight, bias), [x, weight, bias], dy)
print("done")
"""
# A library of an unknown build that launches PyTorch's layer-norm forward by the shared runtime: 5 rows of 768 floats.
LAUNCH = """
#include "tests/cudart.h"
#include <unistd.h>
register_image __cudaRegisterFatBinary;
void __cudaRegisterFatBinaryEnd(void *handle);
register_function __cudaRegisterFunction;
runtime_launch cudaLaunchKernel;
int cudaMalloc(void **memory, size_t bytes), cudaDeviceSynchronize(void);
static const unsigned long long image[] = {0x0010000100000000ull | 0xba55ed50u, 0};
static const struct { int magic, version; const void *data, *names; } wrapper = {0x466243b1, 1, image, 0};
static void kernel(void) {}
void client_run(void)
{
    char *name = "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a28"
                 "vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_";
    void *handle = __cudaRegisterFatBinary((void *)&wrapper), *x, *mean, *rstd, *y, *none = 0;
    __cudaRegisterFunction(handle, (const char *)kernel, name, name, -1, 0, 0, 0, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);
    cudaMalloc(&x, 1 << 20), cudaMalloc(&mean, 4096), cudaMalloc(&rstd, 4096), cudaMalloc(&y, 1 << 20);
    int cols = 768;
    float eps = 1e-5f;
    void *args[] = {&cols, &eps, &x, &none, &none, &mean, &rstd, &y};
    if (cudaLaunchKernel((void *)kernel, (struct dim3){5, 1, 1}, (struct dim3){32, 4, 1}, args, 64, 0) ||
        cudaDeviceSynchronize())
        _exit(99);
    usleep(300000);
}
"""
HOST = SOURCE / "tests/preload/hooks/host.c"  # which runs a library's client_run twice


def gcc(*arguments, source=None):
    """Skips the test where this machine's gcc cannot do it."""
    language = ["-x", "c", "-", "-x", "none"] if source is not None else []
    done = subprocess.run(["gcc", *language, *arguments], input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise unittest.SkipTest(f"gcc: {done.stderr[:200]}")


def c_text(text):
    return '"' + "".join(f"\\{byte:03o}" for byte in text.encode()) + '"'


def has_driver():
    code = "import ctypes; ctypes.CDLL('libcuda.so.1')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def copy_for_another_machine(path, copy):
    shutil.copyfile(path, copy)
    os.chmod(copy, 0o755)
    with open(copy, "r+b") as file:
        file.seek(18)  # e_machine
        file.write(struct.pack("=H", 0xF3 if os.uname().machine != "riscv64" else 0x3E))


class Doctor(Command):
    def setUp(self):
        super().setUp()
        self.temporary = self.path("temporary")
        os.mkdir(self.temporary)

    def path(self, name):
        return str(self.dir / name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def program(self, name, *options, body="return 0;"):
        gcc(*options, "-o", self.path(name), source=f"#include <unistd.h>\nint main(void) {{ {body} }}")
        return self.path(name)

    def library(self, name, *options, source="int nothing;"):
        gcc("-shared", "-fPIC", *options, "-o", self.path(name), source=source)
        return self.path(name)

    def environment(self, **more):
        return super().environment(**{"TMPDIR": self.temporary} | more)

    def doctor(self, *arguments, env=None, driver=SOFTGPU, **options):
        path = {"LD_LIBRARY_PATH": driver} if driver else {}
        done = self.fuseln("doctor", *arguments, **options, **path | (env or {}))
        self.assertEqual(os.listdir(self.temporary), [], "it leaves no file behind")
        return done

    def bad_lines(self, *arguments, **options):
        """The BAD lines; each finding but the good has a line of what to do under it, and the exit code follows."""
        done = self.doctor(*arguments, **options)
        lines = done.stdout.splitlines()
        for line, following in zip(lines, lines[1:] + [""]):
            self.assertRegex(line, r"^(ok  |note|BAD ) \w+: .|^       \S")
            if line.startswith("BAD"):
                self.assertRegex(following, r"^       \S", line)
        bad = [line for line in lines if line.startswith("BAD")]
        self.assertEqual(done.returncode, 1 if bad else 0, done.stdout + done.stderr)
        return bad

    def assert_one_cause(self, pattern, *arguments, **options):
        bad = self.bad_lines(*arguments, **options)
        self.assertEqual(len(bad), 1, bad)
        self.assertRegex(bad[0], pattern)

    # The eight

    @unittest.skipIf(has_driver(), "this machine has a driver, which cannot be hidden")
    def test_no_driver_library(self):
        self.assert_one_cause("driver: there is no driver library: libcuda.so.1", driver=None)

    def test_a_driver_that_is_too_old(self):
        self.assert_one_cause(r"driver: .*too old: it is of CUDA 11\.4", env={"SOFTGPU_DRIVER_VERSION": "11040"})

    def test_a_device_without_an_image(self):
        self.assert_one_cause(r"device: 0: .*capability 5\.2: no image", env={"SOFTGPU_CC": "5.2"})

    def test_a_statically_linked_program(self):
        self.assert_one_cause("program: .*/static is statically linked", "--", self.program("static", "-static"))

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a file away")
    def test_a_setuid_program(self):
        program = self.path("setuid")
        shutil.copyfile("/bin/true", program)
        os.chown(program, 65534, 65534)
        os.chmod(program, 0o4755)
        if os.statvfs(program).f_flag & os.ST_NOSUID:
            self.skipTest("mounted nosuid")
        self.assert_one_cause("program: .*/setuid is setuid", "--", program)

    def test_a_program_of_another_architecture(self):
        copy_for_another_machine("/bin/true", self.path("foreign"))
        self.assert_one_cause("program: .*/foreign is for another architecture", "--", self.path("foreign"))

    def test_it_is_switched_off(self):
        self.assert_one_cause("environment: FUSELN_MODE=off", "--", "sleep", "0.3", env={"FUSELN_MODE": "off"})
        self.assert_one_cause("environment: FUSELN_ONLY=python.,x does not name this program .sleep",
                              "--", "sleep", "0.3", env={"FUSELN_ONLY": "python?,x"})

    def test_a_wrapper_that_drops_the_preload(self):
        dropped = "run: the preload was dropped on the way: .*/sleep "
        self.assert_one_cause(dropped, "--", "env", "-u", "LD_PRELOAD", "sleep", "0.5")
        self.assert_one_cause(dropped, "--", "env", "-i", "/bin/sleep", "0.5")
        self.write("wrapper", "#!/bin/sh\nunset LD_PRELOAD\nsleep 0.5\n", 0o755)
        self.assert_one_cause(dropped, "--", "./wrapper")

    # More of the library

    def test_a_library_that_is_not_there_damaged_or_of_another_machine(self):
        os.mkdir(self.path("bin"))
        command, library = self.path("bin/fuseln"), self.path("bin/libfuseln.so")
        shutil.copy(FUSELN, command)
        self.assert_one_cause("library: no libfuseln.so", command=command)
        self.write("bin/libfuseln.so", "nothing")
        self.assert_one_cause("library: .*damaged", command=command)
        with open(f"{BUILD}/libfuseln.so", "rb") as whole, open(library, "wb") as file:
            file.write(whole.read(200000))
        self.assert_one_cause("library: .*does not load", command=command)
        copy_for_another_machine(f"{BUILD}/libfuseln.so", library)
        self.assert_one_cause("library: .*another architecture", command=command)

    def test_a_library_whose_path_cannot_be_preloaded(self):
        os.mkdir(self.path("two words"))
        for file in FUSELN, f"{BUILD}/libfuseln.so":
            shutil.copy(file, self.path("two words"))
        self.assert_one_cause("library: .*/libfuseln.so: LD_PRELOAD cannot hold", command=self.path("two words/fuseln"))

    def test_a_library_of_another_build(self):
        shutil.copy(FUSELN, self.path("fuseln"))
        self.library("libfuseln.so")
        done = self.doctor(command=self.path("fuseln"))
        self.assertIn("is of another build than this command", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout)

    # More of the driver

    def driver_of(self, source):
        os.makedirs(self.path("driver"), exist_ok=True)
        head = "int cuDriverGetVersion(int *v) { *v = 12040; return 0; }\n"
        self.library("driver/libcuda.so.1", "-Wl,-soname,libcuda.so.1", source=head + source)
        return self.path("driver")

    def test_a_driver_that_crashes_fails_or_is_a_stub(self):
        crash = self.driver_of("int cuInit(unsigned f) { __builtin_trap(); return f; }")
        self.assert_one_cause("driver: cuInit failed: it was killed by signal", driver=crash)
        fails = self.driver_of("int cuInit(unsigned f) { return 999 + (int)f; }")
        self.assert_one_cause("driver: cuInit failed with error 999", driver=fails)
        stub = self.driver_of("int cuInit(unsigned f) { return 34 + (int)f; }")
        self.assertIn("stubs", self.doctor(driver=stub).stdout)
        self.write("driver/libcuda.so.1", "nothing")
        self.assert_one_cause("driver: libcuda.so.1 does not load", driver=self.path("driver"))

    def test_no_device(self):
        none = self.driver_of("int cuInit(unsigned f) { return 100 + (int)f; }")
        self.assert_one_cause("device: the driver shows no device", driver=none)
        self.assertIn("CUDA_VISIBLE_DEVICES is set here: 7",
                      self.doctor(driver=none, env={"CUDA_VISIBLE_DEVICES": "7"}).stdout)

    def test_a_device_that_the_driver_is_too_old_for(self):
        """A copy of the command that says that a compiler of a later release made the images."""
        os.symlink(f"{BUILD}/libfuseln.so", self.path("libfuseln.so"))
        shutil.copy(FUSELN, self.path("fuseln"))
        with open(self.path("fuseln"), "r+b") as file:
            later = re.sub(rb"((?:NVRTC|nvcc) \d+\.)\d", rb"\g<1>9", file.read())
            file.seek(0)
            file.write(later)
        self.assert_one_cause(r"device: .*11\.0: image compute_90 by \w+ \d+\.9.*too old", command=self.path("fuseln"),
                              env={"SOFTGPU_CC": "11.0", "SOFTGPU_DRIVER_VERSION": "12000"})

    def test_which_image_and_why(self):
        for cc, line in {"8.0": "image sm_80 by .* .machine code for just this device",
                         "8.9": "image sm_80 by .*newest machine code for 8.x that is not above 8.9",
                         "11.0": "image compute_90 by .*PTX.*no machine code for 11.x"}.items():
            done = self.doctor(env={"SOFTGPU_CC": cc, "SOFTGPU_DEVICES": "2"})
            self.assertEqual(len(re.findall(f"ok   device: [01]: .*{line}", done.stdout)), 2, done.stdout)

    # More of the environment

    def test_variables(self):
        bad = self.bad_lines(env={"FUSELN_SCRATCH": "lots", "FUSELN_SKIP": "dx,nonsense", "FUSELN_MODE": "Off",
                                  "FUSELN_HOOKS": "runtime", "FUSELN_LOG": "loud:/nonexistent/log"})
        self.assertEqual(len(bad), 4, bad)
        self.assertIn("SCRATCH=lots is not valid (allowed: bytes", "".join(bad))
        done = self.doctor(env={"FUSELN_REPROT": "x", "FUSELN_LOG": f"error:{self.path('log')}"})
        self.assertRegex(done.stdout, r"note environment: FUSELN_REPROT is not a variable .*FUSELN_REPORT\)\n  +correct")
        self.assertRegex(done.stdout, "ok   environment: FUSELN_LOG=error:/")
        self.assertEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(self.path("log")))

    def test_places_that_cannot_be_written(self):
        for name in "FUSELN_REPORT", "FUSELN_TRACE":
            self.assert_one_cause(f"environment: {name}: .*/no/r.1?json cannot be written: No such",
                                  env={name: self.path("no/r.json")})
        self.assert_one_cause("FUSELN_LOG: .*/no/log cannot", env={"FUSELN_LOG": f"info:{self.path('no/log')}"})
        self.assert_one_cause("FUSELN_REPORT: .* Is a directory", env={"FUSELN_REPORT": str(self.dir)})
        self.assertEqual(self.bad_lines(env={"FUSELN_REPORT": self.path("r-%p.json"), "FUSELN_TRACE": "stderr"}), [])

    def test_other_preloads(self):
        self.library("other.so")
        copy_for_another_machine(self.path("other.so"), self.path("foreign.so"))
        shutil.copy(self.path("other.so"), self.path("libasan.so.8"))
        shutil.copy(self.path("other.so"), self.path("libfuseln.so.1"))
        self.assert_one_cause("preload: LD_PRELOAD: .*/missing.so was not found",
                              env={"LD_PRELOAD": self.path("missing.so")})
        self.assert_one_cause("preload: LD_PRELOAD: .*/foreign.so is for another architecture",
                              env={"LD_PRELOAD": self.path("foreign.so")})
        self.assert_one_cause("preload: LD_PRELOAD holds .*/libasan.so.8",
                              env={"LD_PRELOAD": f"{self.path('other.so')}:{self.path('libasan.so.8')}"})
        self.assert_one_cause("preload: LD_PRELOAD holds another fuseln",
                              env={"LD_PRELOAD": self.path("libfuseln.so.1")})
        good = self.doctor(env={"LD_PRELOAD": f"{BUILD}/libfuseln.so {self.path('other.so')}"})
        self.assertRegex(good.stdout, "ok   preload: LD_PRELOAD holds .*/libfuseln.so")
        self.assertRegex(good.stdout, "note preload: another preload, in LD_PRELOAD: .*/other.so")
        self.assertEqual(good.returncode, 0)
        by_name = self.doctor(env={"LD_PRELOAD": "libfuseln.so", "LD_LIBRARY_PATH": f"{SOFTGPU}:{BUILD}"})
        self.assertIn("ok   preload: LD_PRELOAD holds libfuseln.so\n", by_name.stdout)

    def test_an_existing_preload_stays_behind_ours_and_asan_in_front(self):
        self.library("other.so")
        shutil.copy(self.path("other.so"), self.path("libasan.so.8"))
        for first, order in ("other.so", ("libfuseln", "other")), ("libasan.so.8", ("libasan", "libfuseln", "other")):
            done = self.doctor("--", "printenv", "LD_PRELOAD",
                               env={"LD_PRELOAD": f"{self.path(first)}:{self.path('other.so')}"})
            names = re.findall(r"/(libfuseln|libasan|other)\.so", done.stderr)
            self.assertEqual(tuple(dict.fromkeys(names)), order, done.stderr)

    # More of the program

    def test_programs_that_cannot_be_run(self):
        self.write("text", "nothing")
        self.assert_one_cause("program: nosuchprogram: not found", "--", "nosuchprogram")
        self.assert_one_cause("program: ./text: Permission denied", "--", "./text")
        os.chmod(self.path("text"), 0o755)
        self.assert_one_cause("program: ./text is neither a program nor a script", "--", "./text")
        self.write("text", "#!/no/interpreter -x\n", 0o755)
        self.assert_one_cause("program: ./text: its interpreter /no/interpreter", "--", "./text")

    def test_a_program_with_another_c_library(self):
        musl = self.program("musl", "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
        missing = self.program("missing", "-Wl,--dynamic-linker=/lib/ld-none.so.1")
        self.assert_one_cause("program: .* uses the C library musl", "--", musl)
        self.assert_one_cause("program: .* needs the loader /lib/ld-none.so.1", "--", missing)

    def test_a_script_is_followed_to_its_interpreter(self):
        self.write("script", f"#!{self.program('static', '-static')} -x\n", 0o755)
        self.assert_one_cause("program: .*/static is statically linked", "--", "./script")

    # More of the run

    def test_a_static_program_behind_a_wrapper(self):
        self.program("static", "-static", body="usleep(500000); return 0;")
        self.assert_one_cause("run: .*/static .*is statically linked", "--", "sh", "-c", "./static; true")

    def test_a_program_without_cuda(self):
        done = self.doctor("--", "sh", "-c", "sleep 0.3; echo out; echo err >&2; exit 3")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, "note run: libfuseln.so is in .*, but it loads no CUDA library")
        self.assertIn("note run: the program ended with exit code 3", done.stdout)
        self.assertNotIn("out\n", done.stdout)
        self.assertEqual(done.stderr, "out\nerr\n")

    def test_a_program_that_launches_out_of_sight(self):
        code = "import ctypes, time; ctypes.CDLL('libcuda.so.1'); time.sleep(0.3)"
        done = self.doctor("--", sys.executable, "-c", code)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, "note run: .* loads CUDA, but no kernel launch was seen\n.*RTLD_DEEPBIND.*dlvsym")
        self.assertRegex(done.stdout, "ok   run: driver library loaded: .*/libcuda.so.1")

    def test_a_launch_that_is_seen_only_without_rtld_deepbind(self):
        self.library("step.so", "-w", f"-I{SOURCE}", RUNTIME, f"-Wl,-rpath,{os.path.dirname(RUNTIME)}",
                     source=LAUNCH)
        gcc("-o", self.path("host"), "-D_GNU_SOURCE", HOST, "-ldl")
        seen = self.doctor("--", "./host", "l:./step.so")
        self.assertEqual(seen.returncode, 0, seen.stdout + seen.stderr)
        self.assertIn("note run: 2 layer norms recognised, 0 replaced\n", seen.stdout)
        self.assertRegex(seen.stdout, r"note run: 2 passed on to the original \(check\)")
        self.assertRegex(seen.stdout, r"note run: step.so, build .*compared first\n  +.*FUSELN_SKIP=build=[0-9a-f]{40} ")
        seen = self.doctor("--", "./host", "l:./step.so", env={"FUSELN_CHECK": "0"})
        self.assertIn("ok   run: 2 layer norms recognised, 2 replaced\n", seen.stdout)
        self.assertRegex(seen.stdout, r"note run: step.so, build .*replaced by name alone\n")
        os.mkdir(self.path("newer"))
        self.library("newer/libcudart.so.99", "-Wl,-soname,libcudart.so.99",
                     source="#include <unistd.h>\nvoid client_run(void) { usleep(300000); }")
        newer = self.doctor("--", "./host", "l:newer/libcudart.so.99")
        self.assertRegex(newer.stdout, "note run: CUDA runtime loaded: .*/libcudart.so.99, of a release that fuseln does")
        hidden = self.doctor("--", "./host", "d:./step.so")
        self.assertRegex(hidden.stdout, "note run: .*/host, which loads CUDA, but no kernel.*\n.*RTLD_DEEPBIND")

    def test_a_program_is_stopped_in_time(self):
        done = self.doctor("--seconds", "1", "--", "sh", "-c", "sleep 100; true")
        self.assertEqual(done.returncode, 0)
        self.assertIn("the program was stopped after 1 s", done.stdout)

    def test_a_program_that_is_only_looked_at(self):
        done = self.doctor("--no-run", "--", "touch", "file", env={"FUSELN_ONLY": "x"})
        self.assertEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(self.path("file")))
        self.assertIn("note environment: FUSELN_ONLY=x does not name", done.stdout)

    def start(self, script, *options):
        """The doctor with a program that has written its pid."""
        command = [*options, FUSELN, "doctor", "--", "sh", "-c", f"echo $$ >{self.path('new')}; mv new pid; {script}"]
        doctor = subprocess.Popen(command, env=self.environment(LD_LIBRARY_PATH=SOFTGPU), cwd=self.dir, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(doctor.stdout.close)
        self.until(lambda: os.path.exists(self.path("pid")), "the program's start")
        with open(self.path("pid"), encoding="ascii") as file:
            pid = int(file.read())
        os.unlink(self.path("pid"))
        return doctor, pid

    def test_a_signal_ends_it_and_its_program_and_leaves_nothing(self):
        scripts = "exec sleep 100", "sleep 100; true", "trap '' TERM HUP INT; exec sleep 100"
        for number, script in zip((signal.SIGTERM, signal.SIGHUP, signal.SIGINT), scripts):
            doctor, pid = self.start(script, "env", "--default-signal")  # what runs in the background ignores SIGINT
            doctor.send_signal(number)
            self.assertEqual(doctor.wait(timeout=60), -number)
            self.until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "the program's end")
            self.assertEqual(os.listdir(self.temporary), [])

    def test_a_signal_that_is_ignored_stays_ignored(self):
        doctor, pid = self.start("exec sleep 100", "env", "--ignore-signal=HUP")
        doctor.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        self.assertIsNone(doctor.poll())
        os.kill(pid, signal.SIGKILL)
        self.assertIn("the program was killed by signal 9", doctor.communicate(timeout=60)[0])

    # What others named

    def test_nothing_that_others_named_commands_the_terminal(self):
        bad = "\x1b[2J\nok   driver: forged\x9b31m\u202e\u2028\x7f\r"
        self.library("other.so")
        folder = self.path(f"p{bad.replace('/', '')}")
        os.mkdir(folder)
        shutil.copy(self.path("other.so"), f"{folder}/other.so")
        shutil.copy("/bin/true", f"{folder}/true")
        named = self.driver_of(f"""
            int cuInit(unsigned f) {{ return (int)f; }}
            int cuDeviceGetCount(int *n) {{ *n = 1; return 0; }}
            int cuDeviceGet(int *d, int i) {{ *d = i; return 0; }}
            int cuDeviceGetName(char *name, int size, int d) {{ return __builtin_snprintf(name, size, "%s", {c_text(bad)}), d; }}
            int cuDeviceGetAttribute(int *v, int what, int d) {{ *v = what == 75 ? 9 : 0; return d; }}""")
        for options in [], ["--json"]:
            for arguments in ("--", f"{folder}/true"), ("--", f"{folder}/none"):
                done = self.doctor(*options, *arguments, driver=named, env={
                    "FUSELN_SKIP": bad, f"FUSELN_X{bad}": "1", "LD_PRELOAD": f"{folder}/other.so:{folder}/none.so",
                    "FUSELN_REPORT": f"{folder}/none/%p.json"})
                self.assertNotRegex(done.stdout, COMMANDS)
                self.assertNotRegex(done.stdout, r"(?m)^ok   driver: forged")
        self.assertRegex(done.stdout, r"0: \?\[2J\?ok   driver: forged")

    # Good ones

    def test_nothing_is_wrong(self):
        self.assertEqual(self.bad_lines(), [])

    def test_json_says_the_same(self):
        env = {"SOFTGPU_CC": "5.2", "FUSELN_MODE": "observe"}
        said = json.loads(self.doctor("--json", env=env).stdout)
        lines = self.doctor(env=env).stdout.splitlines()
        self.assertEqual(said["bad"], 1)
        self.assertEqual([f"{f['finding']:<4} {f['check']}: {f['text']}" for f in said["findings"]],
                         [line for line in lines if not line.startswith("     ")])
        self.assertEqual([f["remedy"] for f in said["findings"] if f["remedy"]],
                         [line.strip() for line in lines if line.startswith("     ")])
        self.assertEqual(sorted(said["fuseln"]), ["commit", "version"])

    def test_usage(self):
        self.assertEqual(self.doctor("--help").returncode, 0)
        for arguments in ["--nonsense"], ["--seconds"], ["--seconds", "0"], ["--seconds", "1x"], ["-x"]:
            done = self.doctor(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, r"^fuseln doctor: .*\n$")
            self.assertEqual(done.stderr.count("\n"), 1)

    def on_softgpu(self, code, *options, **env):
        if not os.path.exists(PYTHON):
            self.skipTest("no environment with PyTorch (TEST_VENV)")
        return self.doctor(*options, "--", PYTHON, "-c", code, prefix=ON_DEVICE, driver=None, env=env)

    def test_a_training_step(self):
        done = self.on_softgpu(STEP)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("done\n", done.stderr)
        for line in (r"the preload is in effect: \d+ kernel launches seen in 1 process",
                     "9 layer norms recognised, 9 replaced", "3 pairs", "1 device: .*image sm_90 by",
                     "libtorch_cuda.so, build .*, shared CUDA runtime", r"CUDA runtime loaded: .*libcudart.so.13",
                     "driver library loaded: .*libcuda.so.1"):
            self.assertRegex(done.stdout, f"\nok   run: {line}")

    def test_a_training_step_in_which_nothing_is_replaced(self):
        skipped = self.on_softgpu(STEP, FUSELN_SKIP="forward,backward")
        self.assertRegex(skipped.stdout, "note run: 9 layer norms recognised, 0 replaced\n")
        self.assertRegex(skipped.stdout, r"note run: 9 passed on to the original \(skip\)")
        self.assertEqual(skipped.returncode, 0, skipped.stdout)

    def test_a_training_step_that_is_compared_and_found_wrong(self):
        done = self.on_softgpu(STEP, FUSELN_MODE="verify", SOFTGPU_PLANT="tail")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "BAD  run: pytorch/forward.*: compared with the original and found wrong\n")

    def test_a_training_step_on_a_device_without_an_image(self):
        done = self.on_softgpu(STEP, SOFTGPU_CC="5.2")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "BAD  run: 9 layer norms recognised, 0 replaced\n")
        self.assertRegex(done.stdout, r"note run: 9 passed on to the original \(image\)")

    def test_a_program_without_layer_norms(self):
        done = self.on_softgpu("import torch; torch.zeros(4).cuda()\n"
                               "try:\n  torch.nn.functional.group_norm(torch.ones(2, 4, 8).cuda(), 2)\n"
                               "except RuntimeError: pass")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, "note run: (No layer norm was recognised|.*no kernel launch was seen)")

    def test_a_program_whose_norms_run_on_kernels_that_fuseln_does_not_know(self):
        done = self.on_softgpu("""
from cuda.bindings import driver
assert driver.cuInit(0)[0] == 0
driver.cuCtxSetCurrent(driver.cuDevicePrimaryCtxRetain(0)[1])
for name in b"kernel_cutlass_kernel_torch_vendorquackrmsnormRMSNorm_object_at_", b"triton_per_fused_native_layer_norm_0":
    error, module = driver.cuModuleLoadData(b".version 8.0\\n.target sm_90\\n.visible .entry " + name + b"() { ret; }")
    assert error == 0
    driver.cuLaunchKernel(driver.cuModuleGetFunction(module, name)[1], 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)
""")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, "note run: No layer norm was recognised: those of this program ran on kernels that")
        self.assertRegex(done.stdout, "note run: 2 launches of norm kernels that fuseln does not know\n"
                                      "       .*TORCH_DISABLE_NATIVE_JIT=1 leaves")


if __name__ == "__main__":
    unittest.main()
