# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder build programs and libraries on stand-ins for CUDA and run them alone and under fuseln."""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["TEST_BUILD"])
FUSELN = BUILD / "libfuseln.so"
SECONDS = int(os.environ.get("TEST_SECONDS", "60"))  # more by qemu (aarch64.py)
TESTS = pathlib.Path(__file__).resolve().parents[1]
HERE = TESTS / "preload" / "hooks"
sys.path.append(str(TESTS))
import names  # noqa: E402

NODES = {suffix: node for suffix, node, _ in names.rows("NOTICE_NODES")}
VERSIONS = {suffix: int(version) for suffix, _, version in names.rows("NOTICE_NODES")}
SYMBOL = "_ZN2at6native53_GLOBAL__N__4da244e1_20_layer_norm_kernel_cu_9c5ada8a" + (
    "28vectorized_layer_norm_kernelIffLb0EEEviT0_PKT_S6_S6_PS3_S7_PS4_"
)
LIBCUDA = "-Wl,-Bsymbolic,-soname,libcuda.so.1"
# What fuseln's own launches call of a driver; of a function that the sources before it define too, theirs is taken.
STAND_IN_CUDA = TESTS / "budgets" / "stand_in_cuda.c"
COMPLETE = "-w", f"-I{TESTS.parent}", f"-I{TESTS.parent}/src", STAND_IN_CUDA, "-Wl,-z,muldefs"
WAYS = {"linked": "-DLINKED", "dlsym": "-DDLSYM", "resolver": "-DRESOLVER=0", "resolver_ptsz": "-DRESOLVER=2"}  # ways.h


def gcc(output, *arguments):
    """Builds a program, which looks for its libraries in its own folder."""
    options = "-O1", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE", f'-DSYMBOL="{SYMBOL}"', "-Wl,--no-as-needed"
    rpath = f"-Wl,-rpath,{output.parent}"
    subprocess.run(["gcc", *options, *map(str, arguments), "-ldl", rpath, "-o", output], check=True)


def shared(output, *arguments):
    output.parent.mkdir(exist_ok=True)
    gcc(output, "-shared", "-fPIC", *arguments)


def exports(library):
    """(name, version node or "") of each function that the library exports."""
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    symbols = (line.split()[-2:] for line in lines.splitlines())
    return {symbol.replace("@@", "@").partition("@")[::2] for kind, symbol in symbols if kind in "TW"}


def asan():
    """The runtime library of gcc's address sanitizer."""
    return subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()


def versioned(folder, node):
    """The option that puts this version on all that a library exports."""
    script = folder / f"{node}.map"
    script.write_text(f"{node} {{ global: *; }};\n")
    return f"-Wl,--version-script={script}"


def environment(*preloads, **variables):
    """This process's environment, with no setting of fuseln but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FUSELN_")}
    settings = {name: value for name, value in variables.items() if value is not None}
    return inherited | {"LD_PRELOAD": ":".join(map(str, preloads))} | settings


def reasons(report):
    """How many launches were passed on for each reason."""
    return dict(sum((collections.Counter(site["passed_through"]) for site in report["sites"]), collections.Counter()))


class Preload(unittest.TestCase):
    """A folder for programs and libraries, in it the program `host` (host.c), and ways to run them."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.dir = pathlib.Path(folder.name)
        cls.path = cls.dir / "report.json"
        gcc(cls.dir / "host", HERE / "host.c")

    def execute(self, *command, preload=(FUSELN,), cwd=None, **variables):
        """The finished process, whose report is then in self.report."""
        self.path.unlink(missing_ok=True)
        defaults = {"FUSELN_REPORT": str(self.path), "LD_LIBRARY_PATH": str(self.dir), "FUSELN_CHECK": "0"}  # unknown builds
        env = environment(*preload, **defaults | variables)
        done = subprocess.run([*map(str, command)], env=env, cwd=cwd, capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(done.returncode, 0, (command, preload, done.stderr))
        self.report = json.loads(self.path.read_text()) if self.path.exists() else None
        return done

    def said(self, *command, **options):
        """What it prints: nothing to stderr."""
        done = self.execute(*command, **options)
        self.assertEqual(done.stderr, "", (command, options))
        return done.stdout

    def same(self, *command, **options):
        """It prints the same without fuseln and with it; the report."""
        plain = self.said(*command, preload=(), **options)
        self.assertEqual(self.said(*command, **options), plain, (command, options))
        return self.report

    def hosted(self, *clients, program="host"):
        """The command that runs clients: MODE:NAME for a library of this folder."""
        return [self.dir / program, *(f"{client[:2]}{self.dir}/{client[2:]}.so" for client in clients)]


class Clients(Preload):
    """And runtimes of every version node, with clients of each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for tag, node in NODES.items():
            cls.runtime(tag, node, versioned(cls.dir, node))
            cls.client(f"client{tag}", tag)
        # As torchvision's wheel carries one. Its functions lie elsewhere than those of the other runtimes.
        cls.runtime("13b", "libcudart.3eda8113.so.13", versioned(cls.dir, NODES["13"]), "-falign-functions=256")
        cls.client("client13b", "13b")

    @classmethod
    def runtime(cls, tag, soname, *options):
        shared(cls.dir / soname, f'-DTAG="{tag}"', HERE / "runtime.c", *options, f"-Wl,-soname,{soname}")
        cls.runtimes = getattr(cls, "runtimes", {}) | {tag: cls.dir / soname}

    @classmethod
    def client(cls, name, tag, *options):
        shared(cls.dir / f"{name}.so", *options, HERE / "client.c", cls.runtimes[tag])


def make_driver(folder):
    """The driver of libcuda.c, and a client for each way to it."""
    shared(folder / "libcuda.so.1", HERE / "libcuda.c", LIBCUDA)
    for way, option in WAYS.items():
        linked = [folder / "libcuda.so.1"] if way == "linked" else []
        shared(folder / f"{way}.so", option, HERE / "driver_client.c", *linked)
