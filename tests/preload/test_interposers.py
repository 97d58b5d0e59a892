#!/usr/bin/env python3
"""Other preload libraries keep their place. One that interposes every function that fuseln exports, with versions or
without, counts the same calls with fuseln as without it, in front of it and behind it; only the launches that fuseln
replaced do not come to one that stands behind it. Seen for each runtime alone, for two in one process, and for the
driver. What a library finds by its own look-ups stays the same too, a driver's above all; but a preload in front of
fuseln finds fuseln where it found a runtime."""
import collections
import json
import os
import pathlib
import re
import subprocess
import unittest

import test_hooks
from test_hooks import BUILD, HERE, NODES, SYMBOL, gcc

ROOT = HERE.parents[2]
SOURCE = HERE / "interposers.c"
VERSIONS = {"11": 11080, "12": 12090, "13": 13050}


def exported():
    """The names that fuseln exports, by the version node's tag, and the driver's."""
    lines = subprocess.run(["nm", "-D", "--defined-only", BUILD / "libfuseln.so"], check=True, capture_output=True, text=True).stdout
    names = collections.defaultdict(list)
    for name in (line.split()[-1] for line in lines.splitlines()):
        for tag, node in NODES.items():
            if name.endswith("@" + node):
                names[tag].append(name.split("@")[0])
        if re.match("cu[A-Z]", name):
            names["driver"].append(name)
    return names


class Interposers(test_hooks.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = exported()
        stand_in = ROOT / "tests/budgets/stand_in_cuda.c"
        called = re.findall(r"^CUresult (cu\w+)\(", stand_in.read_text(), re.MULTILINE)
        for tag, names in cls.names.items():
            own = {"cudaGetDevice", "cudaRuntimeGetVersion"} if tag in NODES else set(called) - set(names)
            cls.list_names(tag, names, own)
        # The driver: what our own launches need of the stand-in, all other names answer 0 and count.
        kept = [name for name in called if re.match("cuLaunchKernel|cuModuleGetFunction", name)]
        rest = [name for name in cls.names["driver"] if name not in kept]
        gcc("-c", "-fPIC", "-w", f"-I{ROOT}/kernels", *(f"-D{name}=unused_{name}" for name in rest), stand_in,
            "-o", cls.dir / "cuda.o")  # fmt: skip
        cls.list_names("rest", rest, ())
        cls.library("rest", "-DLIBRARY", "-Wl,-Bsymbolic", cls.dir / "cuda.o",
                    "-Wl,-soname,libcuda.so.1", output="libcuda.so.1")  # fmt: skip
        for tag, node in NODES.items():
            (cls.dir / tag / "map").write_text(f"{node} {{ global: *; }};\n")
            version = f"-Wl,--version-script={cls.dir / tag}/map"
            cls.library(tag, "-DLIBRARY", f"-DEXTRA={VERSIONS[tag]}", version,
                        f"-Wl,-soname,{node}", output=node)  # fmt: skip
            cls.library(tag, "-DINTERPOSER", f'-DNODE="{node}"', version, output=f"versioned{tag}.so")
            cls.library(tag, "-DINTERPOSER", f'-DNODE="{node}"', "-DHIDDEN", version, output=f"hidden{tag}.so")
            cls.library(tag, "-DINTERPOSER", output=f"plain{tag}.so")
            cls.library(tag, f"-DCALLER=call_{tag}", cls.dir / node, output=f"calls{tag}.so")
        cls.library("driver", "-DINTERPOSER", output="plaindriver.so")
        cls.library("driver", "-DCALLER=call_driver", cls.dir / "libcuda.so.1", output="callsdriver.so")
        for tags in (*((tag,) for tag in (*NODES, "driver")), ("12", "13"), ("13", "12")):
            gcc("-w", "-DPROGRAM", f"-I{cls.dir}/13", SOURCE, "-Wl,--no-as-needed", *(cls.dir / f"calls{tag}.so" for tag in tags),
                "-ldl", f"-Wl,-rpath,{cls.dir}", "-o", cls.dir / ("program" + "".join(tags)))  # fmt: skip
        cls.make_askers()

    @classmethod
    def make_askers(cls):
        """Libraries that look names up: one for any place, drivers and what stands in for one, and programs for them."""
        cls.asking = HERE / "asking.c"
        for tag in ("13", "driver"):
            cls.asker(tag, "-DASK=ask", output=f"asks{tag}.so")
        for name, soname in (("named", ["-Wl,-soname,libcuda.so.1"]), ("unnamed", [])):
            (cls.dir / name).mkdir()
            cls.asker("driver", "-DDRIVER", *soname, output=f"{name}/libcuda.so.1")
        cls.asker("driver", "-DDRIVER", output="libcuda.so.1.1")
        (cls.dir / "shim").mkdir()
        cls.asker("driver", "-DDRIVER", f'-DINNER="{cls.dir}/libcuda.so.1.1"', "-Wl,-soname,libcuda.so.1", output="shim/libcuda.so.1")
        gcc("-w", "-D_GNU_SOURCE", "-DPROGRAM", cls.asking, "-Wl,--no-as-needed", cls.dir / NODES["13"], f"-Wl,-rpath,{cls.dir}",
            "-ldl", "-o", cls.dir / "opens")  # fmt: skip
        for tag in ("13", "driver"):
            gcc("-w", "-D_GNU_SOURCE", "-DPROGRAM", cls.asking, "-Wl,--no-as-needed", cls.dir / f"asks{tag}.so", cls.dir / NODES["13"],
                f"-Wl,-rpath,{cls.dir}", "-ldl", "-o", cls.dir / f"linked{tag}")  # fmt: skip
        for name in ("named", "unnamed", "shim"):
            gcc("-w", "-D_GNU_SOURCE", "-DPROGRAM", cls.asking, "-Wl,--no-as-needed", cls.dir / name / "libcuda.so.1",
                f"-Wl,-rpath,{cls.dir}/{name}", "-ldl", "-o", cls.dir / f"linked{name}")  # fmt: skip

    @classmethod
    def list_names(cls, tag, names, own):
        (cls.dir / tag).mkdir()
        lists = (("NAMES", names), ("OWN", own))
        (cls.dir / tag / "names.h").write_text("".join(f"#define {which}(X) " + " ".join(f"X({name})" for name in some) + "\n"
                                                       for which, some in lists))  # fmt: skip

    @classmethod
    def library(cls, tag, *options, output):
        gcc("-w", "-shared", "-fPIC", "-D_GNU_SOURCE", f"-I{cls.dir}/{tag}", f'-DSYMBOL="{SYMBOL}"', f'-DWHO="{output}"', SOURCE, *options, "-ldl",
            f"-Wl,-rpath,{cls.dir}", "-o", cls.dir / output)  # fmt: skip

    def run_with(self, program, preloads, mode):
        """How often each function of the interposer and of the runtimes was called, {(who, name): count}, and the report.
        (A driver is called by us, too.)"""
        report = self.dir / "report.json"
        report.unlink(missing_ok=True)
        paths = {"fuseln": BUILD / "libfuseln.so"}
        env = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")} | {
            "LD_PRELOAD": ":".join(str(paths.get(name, self.dir / f"{name}.so")) for name in preloads),
            "LD_LIBRARY_PATH": str(self.dir), "FUSELN_MODE": mode, "FUSELN_CHECK": "0", "FUSELN_REPORT": str(report)}  # fmt: skip
        done = subprocess.run([self.dir / program], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), preloads)
        counts = {(who, name): int(count) for who, name, count in map(str.split, done.stdout.splitlines()) if who != "libcuda.so.1"}
        return counts, json.loads(report.read_text()) if report.exists() else None

    def check(self, program, *interposers):
        """The program with these in front of fuseln, behind it, and on both sides."""
        alone, report = self.run_with(program, interposers, "replace")
        self.assertIsNone(report)
        self.assertTrue(all(alone[f"{interposers[0]}.so", name] for name in self.names[re.sub("^(plain|versioned|hidden)", "", interposers[0])]))
        totals = collections.defaultdict(list)
        for at in range(len(interposers) + 1):
            order = [*interposers[:at], "fuseln", *interposers[at:]]
            for mode in ("observe", "replace"):
                counts, report = self.run_with(program, order, mode)
                totals[mode].append(report["totals"] | {"unpaired": 0})
                fewer = collections.Counter()  # calls that came than without fuseln, by who counts them
                for (who, name), count in alone.items():
                    if mode == "observe" or not re.search("Launch.*Kernel", name):
                        self.assertEqual(counts[who, name], count, (order, mode, who, name))
                    fewer[who] += count - counts[who, name]
                replaced = report["totals"]["substituted"]
                self.assertEqual(replaced > 0, mode == "replace")
                self.assertEqual([fewer[f"{who}.so"] for who in interposers[:at]], [0] * at, order)
                for who in interposers[at:]:
                    of_its_node = fewer[NODES[who[-2:]]] if not who.startswith("plain") else replaced
                    self.assertEqual(fewer[f"{who}.so"], of_its_node, (order, who))
        for mode, all_totals in totals.items():
            self.assertGreater(all_totals[0]["recognised"], 0)
            self.assertEqual(all_totals, all_totals[:1] * len(all_totals), mode)

    def test_each_runtime_alone(self):
        for tag in NODES:
            for kinds in (["plain"], ["versioned"], ["hidden"], ["plain", "versioned"]):
                interposers = [kind + tag for kind in kinds]
                with self.subTest(node=tag, interposers=interposers):
                    self.check(f"program{tag}", *interposers)

    def test_two_runtimes_in_one_process(self):
        for program in ("program1213", "program1312"):
            for interposers in (["plain13"], ["plain12"], ["versioned12"], ["versioned13"]):
                with self.subTest(program=program, interposers=interposers):
                    self.check(program, *interposers)

    def test_behind_a_runtime_of_another_node(self):
        """Linked, not preloaded: what the second runtime's callers bind to stands behind the first runtime."""
        gcc("-w", "-DPROGRAM", f"-I{self.dir}/13", SOURCE, "-Wl,--no-as-needed", self.dir / NODES["12"], self.dir / "plain13.so",
            self.dir / "calls13.so", "-ldl", f"-Wl,-rpath,{self.dir}", "-o", self.dir / "behind")  # fmt: skip
        alone, _ = self.run_with("behind", [], "replace")
        self.assertTrue(all(alone["plain13.so", name] for name in self.names["13"]))
        for mode in ("observe", "replace"):
            counts, report = self.run_with("behind", ["fuseln"], mode)
            fewer = {name: count - counts[who, name] for (who, name), count in alone.items() if who == "plain13.so"}
            self.assertEqual(sum(fewer.values()), report["totals"]["substituted"], mode)

    def test_a_library_that_finds_the_driver_through_the_one_that_loads_it(self):
        """It is not linked to the driver itself, so its own dependences do not lead there."""
        self.library("driver", "-DCALLER=call_driver", output="unlinked.so")
        gcc("-w", "-shared", "-fPIC", "-xc", "/dev/null", "-xnone", "-Wl,--no-as-needed", self.dir / "unlinked.so", self.dir / "libcuda.so.1",
            f"-Wl,-rpath,{self.dir}", "-o", self.dir / "loader.so")  # fmt: skip
        (self.dir / "opens.c").write_text("""#include <dlfcn.h>
int main(int argc, char **argv)
{
    int (*call)(void);
    *(void **)&call = dlsym(dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL), "call_driver");
    return call();
}
""")
        gcc("-w", self.dir / "opens.c", "-ldl", "-o", self.dir / "opensloader")
        said = []
        for preload in ({}, {"LD_PRELOAD": str(BUILD / "libfuseln.so"), "FUSELN_MODE": "observe"}):
            done = subprocess.run([self.dir / "opensloader", self.dir / "loader.so"], env=os.environ | preload, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), preload)
            said.append(done.stdout)
        self.assertIn("libcuda.so.1 cuMemFree_v2 1", said[0])
        self.assertEqual(said[1], said[0])

    def test_the_driver(self):
        self.check("programdriver", "plaindriver")

    @classmethod
    def asker(cls, tag, *options, output):
        gcc("-w", "-shared", "-fPIC", "-D_GNU_SOURCE", f"-I{cls.dir}/{tag}", f'-DWHO="{output}"', *options, cls.asking, "-ldl",
            "-o", cls.dir / output)  # fmt: skip

    def answers(self, *preloads, command):
        env = {k: v for k, v in os.environ.items() if not k.startswith("FUSELN_")} | {"LD_PRELOAD": ":".join(map(str, preloads))}
        done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), (preloads, command))
        lines = [line.split(" ", 3) for line in done.stdout.splitlines()]
        answers = {tuple(line[:3]): line[3] for line in lines if len(line) == 4}  # a runtime's counts have three words
        self.assertGreater(len(answers), 4 * 200)
        return answers

    def test_a_preload_in_front_finds_fuseln_where_it_found_a_runtime(self):
        library, command = self.dir / "asks13.so", [self.dir / "opens"]
        fuseln = BUILD / "libfuseln.so"
        plain = self.answers(library, command=command)
        behind, before = (self.answers(*order, command=command) for order in ([fuseln, library], [library, fuseln]))
        self.assertEqual(behind, plain)
        for (_, way, name), found in plain.items():
            ours = way in ("next", "default") and name in self.names["13"]
            self.assertEqual(found == NODES["13"], ours or (name == "cudaMalloc" and found != "nothing"), (way, name))
            self.assertEqual(before["asks13.so", way, name], "libfuseln.so" if ours else found, (way, name))
        self.assertEqual(self.answers(fuseln, command=[self.dir / "linked13"]), self.answers(command=[self.dir / "linked13"]))

    def test_a_driver_finds_what_it_finds_without_fuseln(self):
        fuseln = BUILD / "libfuseln.so"
        for name in ("named", "unnamed", "shim"):
            driver = self.dir / name / "libcuda.so.1"
            for command in ([self.dir / f"linked{name}"], [self.dir / "opens", "g", driver], [self.dir / "opens", "l", driver]):
                with self.subTest(driver=name, command=command):
                    self.assertEqual(self.answers(fuseln, command=command), self.answers(command=command))
            for order in ([driver, fuseln], [fuseln, driver]):
                with self.subTest(driver=name, order=order):
                    command = [self.dir / f"linked{name}"]
                    self.assertEqual(self.answers(*order, command=command), self.answers(driver, command=command))


if __name__ == "__main__":
    unittest.main(verbosity=2)
