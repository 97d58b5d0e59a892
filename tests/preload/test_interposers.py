#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other preload libraries work as they do without fuseln. One that interposes every function that fuseln exports, with
versions or without, counts the same calls with fuseln as without it, in front of it and behind it; only the launches
that fuseln replaced do not reach one behind it. Tested for each runtime alone, for two in one process, and for the
driver. What a library finds by its own look-ups stays the same too, above all what a driver finds; but a preload in
front of fuseln finds fuseln where it found a runtime."""
import collections
import subprocess
import re
import unittest

import stand_in
from stand_in import COMPLETE, FUSELN, HERE, LIBCUDA, NODES, VERSIONS, gcc, shared, versioned

SOURCE, ASKING = HERE / "interposers.c", HERE / "asking.c"
DRIVERS = ("named", "unnamed", "poor", "shim")


def exported():
    """The names that fuseln exports, by the version node's tag, and the driver's."""
    exports = sorted(stand_in.exports(FUSELN))
    names = {tag: [name for name, version in exports if version == node] for tag, node in NODES.items()}
    return names | {"driver": [name for name, version in exports if not version and re.match("cu[A-Z]", name)]}


class Interposers(stand_in.Preload):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = exported()
        called = set(re.findall(r"^CUresult (cu\w+)\(", stand_in.STAND_IN_CUDA.read_text(), re.MULTILINE))
        for tag, names in cls.names.items():
            cls.list_names(tag, names, {"cudaGetDevice", "cudaRuntimeGetVersion"} if tag in NODES else called - set(names))
        # The driver: what our launches need is the stand-in's, all other names count and return 0.
        needed = {name for name in called if re.match("cuLaunchKernel|cuModuleGetFunction", name)}
        counted = [name for name in cls.names["driver"] if name not in needed]
        cls.list_names("counted", counted, ())
        cls.library("counted", "-DLIBRARY", *COMPLETE, LIBCUDA, output="libcuda.so.1")
        for tag, node in NODES.items():
            version = versioned(cls.dir, node)
            table = f"-Wl,--hash-style={'sysv' if tag == '11' else 'gnu'}"  # sysv: as linkers wrote it before 2006
            cls.library(tag, "-DLIBRARY", f"-DEXTRA={VERSIONS[tag]}", version, table, f"-Wl,-soname,{node}", output=node)
            cls.library(tag, "-DINTERPOSER", f'-DNODE="{node}"', version, output=f"versioned{tag}.so")
            cls.library(tag, "-DINTERPOSER", f'-DNODE="{node}"', "-DHIDDEN", version, output=f"hidden{tag}.so")
            cls.library(tag, "-DINTERPOSER", table, output=f"plain{tag}.so")
            cls.library(tag, f"-DCALLER=call_{tag}", cls.dir / node, output=f"calls{tag}.so")
        cls.library("driver", "-DINTERPOSER", output="plaindriver.so")
        cls.library("driver", "-DCALLER=call_driver", cls.dir / "libcuda.so.1", output="callsdriver.so")
        for tags in (*((tag,) for tag in (*NODES, "driver")), ("12", "13"), ("13", "12")):
            cls.program("program" + "".join(tags), *(f"calls{tag}.so" for tag in tags))
        cls.make_askers()

    @classmethod
    def make_askers(cls):
        """Libraries that look names up: preloads, drivers and a driver's shim; and programs for them."""
        soname, runtime = "-Wl,-soname,libcuda.so.1", NODES["13"]
        for tag in ("13", "driver"):
            cls.library(tag, "-DASK=ask", source=ASKING, output=f"asks{tag}.so")
            cls.program(f"linked{tag}", f"asks{tag}.so", runtime, source=ASKING)
        cls.library("driver", "-DDRIVER", source=ASKING, output="libcuda.so.1.1")
        inner = f'-DINNER="{cls.dir}/libcuda.so.1.1"'
        for name, options in zip(DRIVERS, ([soname], [], [soname, "-DPOOR"], [soname, inner])):
            cls.library("driver", "-DDRIVER", *options, source=ASKING, output=f"{name}/libcuda.so.1")
            cls.program(f"linked{name}", f"{name}/libcuda.so.1", f"-Wl,-rpath,{cls.dir}/{name}", source=ASKING)
        cls.program("opens", runtime, source=ASKING)

    @classmethod
    def list_names(cls, tag, names, own):
        (cls.dir / tag).mkdir()
        lists = {"NAMES": names, "OWN": own}
        lines = (f"#define {which}(X) " + " ".join(f"X({name})" for name in some) for which, some in lists.items())
        (cls.dir / tag / "names.h").write_text("\n".join(lines) + "\n")

    @classmethod
    def library(cls, tag, *options, source=SOURCE, output):
        shared(cls.dir / output, "-w", f"-I{cls.dir}/{tag}", f'-DWHO="{output}"', source, *options)

    @classmethod
    def program(cls, name, *linked, source=SOURCE):
        """Linked to these libraries of the folder, in this order."""
        linked = [part if part.startswith("-") else cls.dir / part for part in linked]
        gcc(cls.dir / name, "-w", "-DPROGRAM", f"-I{cls.dir}/13", source, *linked)

    def counted(self, program, preloads, mode):
        """How often each function of the interposers and the runtimes was called, {(who, name): count}, and the report.
        (The driver's own counts are left out: fuseln calls it too.)"""
        preload = [FUSELN if name == "fuseln" else self.dir / f"{name}.so" for name in preloads]
        lines = self.said(self.dir / program, preload=preload, FUSELN_MODE=mode).splitlines()
        return {(who, name): int(count) for who, name, count in map(str.split, lines) if who != "libcuda.so.1"}, self.report

    def check(self, program, *interposers):
        """The program with these in front of fuseln, behind it, and on both sides."""
        alone, report = self.counted(program, interposers, "replace")
        self.assertIsNone(report)
        tag = re.sub("^(plain|versioned|hidden)", "", interposers[0])
        self.assertTrue(all(alone[f"{interposers[0]}.so", name] for name in self.names[tag]))
        totals = collections.defaultdict(list)
        for at in range(len(interposers) + 1):
            order = [*interposers[:at], "fuseln", *interposers[at:]]
            for mode in ("observe", "replace"):
                counts, report = self.counted(program, order, mode)
                totals[mode].append(report["totals"] | {"unpaired": 0})
                fewer = collections.Counter()  # calls than without fuseln, by who counts them
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
        """Linked, not preloaded: what the callers of the second runtime bind to stands behind the first runtime."""
        self.program("behind", NODES["12"], "plain13.so", "calls13.so")
        alone, _ = self.counted("behind", [], "replace")
        self.assertTrue(all(alone["plain13.so", name] for name in self.names["13"]))
        for mode in ("observe", "replace"):
            counts, report = self.counted("behind", ["fuseln"], mode)
            fewer = {name: count - counts[who, name] for (who, name), count in alone.items() if who == "plain13.so"}
            self.assertEqual(sum(fewer.values()), report["totals"]["substituted"], mode)

    def test_a_library_that_finds_the_driver_through_the_one_that_loads_it(self):
        """The library itself is not linked to the driver, so its own dependencies do not lead there."""
        self.library("driver", "-DCALLER=call_driver", output="unlinked.so")
        shared(self.dir / "loader.so", "-xc", "/dev/null", "-xnone", self.dir / "unlinked.so", self.dir / "libcuda.so.1")
        gcc(self.dir / "opensloader", "-w", '-DCALLED="call_driver"', "-DPROGRAM", ASKING)
        command = [self.dir / "opensloader", "l", self.dir / "loader.so"]
        self.same(*command, FUSELN_MODE="observe")
        self.assertIn("libcuda.so.1 cuMemFree_v2 1", self.said(*command, preload=()))

    def test_the_driver(self):
        self.check("programdriver", "plaindriver")

    def answers(self, *preloads, command):
        said = self.said(*command, preload=preloads, FUSELN_REPORT=None, LD_LIBRARY_PATH=None)
        lines = [line.split(" ", 3) for line in said.splitlines()]
        answers = {tuple(line[:3]): line[3] for line in lines if len(line) == 4}  # a runtime's counts have three words
        self.assertGreater(len(answers), 4 * 200)
        return answers

    def test_a_preload_in_front_finds_fuseln_where_it_found_a_runtime(self):
        library, command = self.dir / "asks13.so", [self.dir / "opens"]
        plain = self.answers(library, command=command)
        behind, before = (self.answers(*order, command=command) for order in ([FUSELN, library], [library, FUSELN]))
        self.assertEqual(behind, plain)
        for (_, way, name), found in plain.items():
            ours = way in ("next", "default") and name in self.names["13"]
            self.assertEqual(found == NODES["13"], ours or (name == "cudaMalloc" and found != "nothing"), (way, name))
            self.assertEqual(before["asks13.so", way, name], "libfuseln.so" if ours else found, (way, name))
        self.assertEqual(self.answers(FUSELN, command=[self.dir / "linked13"]), self.answers(command=[self.dir / "linked13"]))

    def test_a_driver_finds_what_it_finds_without_fuseln(self):
        for name in DRIVERS:
            driver = self.dir / name / "libcuda.so.1"
            opens = self.dir / "opens"
            for command in ([self.dir / f"linked{name}"], [opens, "g", driver], [opens, "l", driver]):
                with self.subTest(driver=name, command=command):
                    self.assertEqual(self.answers(FUSELN, command=command), self.answers(command=command))
            for order in ([driver, FUSELN], [FUSELN, driver]):
                with self.subTest(driver=name, order=order):
                    command = [self.dir / f"linked{name}"]
                    self.assertEqual(self.answers(*order, command=command), self.answers(driver, command=command))


class Order(stand_in.Preload):
    """Which library is reached, where the loader's order is not the usual one."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for node in NODES.values():
            cls.make(node, "-shared", "-fPIC", "-DRUNTIME", versioned(cls.dir, node), f"-Wl,-soname,{node}")
        cls.make("plain.so", "-shared", "-fPIC", "-DPLAIN")
        cls.make("ifunc.so", "-shared", "-fPIC", "-DIFUNC")
        cls.make("asks.so", "-shared", "-fPIC", "-DASKS")
        cls.make("calls.so", "-shared", "-fPIC", "-DCALLS", cls.dir / NODES["13"])
        # As an old kernel's vDSO, which was linked for an address that it is never at.
        cls.make("high.so", "-shared", "-fPIC", "-Wl,-Ttext-segment=0xffffffffff700000")

    @classmethod
    def make(cls, name, *options):
        gcc(cls.dir / name, "-w", f'-DWHO="{name}"', HERE / "order.c", *options)

    def linked(self, name, interposer, *options):
        runtime = self.dir / NODES["12"]
        self.make(name, *options, runtime, self.dir / interposer, self.dir / "calls.so")

    def check(self, said, *command, before=()):
        """With fuseln as without it."""
        for fuseln in ((), (FUSELN,)):
            self.assertEqual(self.said(*command, preload=(*before, *fuseln)).split(), said.split(), (fuseln, command))

    def test_behind_a_runtime_of_another_node(self):
        for position in ("-pie", "-no-pie"):
            self.linked("behind", "plain.so", "-DLINKED", position)
            self.check("plain.so", self.dir / "behind")
            segments = subprocess.run(["readelf", "-lW", self.dir / "behind"], check=True, capture_output=True, text=True)
            loader = re.search(r"interpreter: (.*)]", segments.stdout)[1]
            self.check("plain.so", loader, self.dir / "behind")
        self.linked("behind", "ifunc.so", "-DLINKED")
        self.check("ifunc.so", self.dir / "behind")

    def test_deep_down(self):
        """The loader itself is searched before them."""
        self.linked("inner.so", "plain.so", "-shared", "-fPIC")
        self.make("outer.so", "-shared", "-fPIC", self.dir / "inner.so")
        self.make("deep", "-DOPENS", self.dir / "outer.so")
        self.check("plain.so", self.dir / "deep", f"+{self.dir}/calls.so", "!")

    def test_what_was_opened_later_is_not_searched(self):
        self.make("program", "-DOPENS", self.dir / NODES["12"])
        for interposer in ("plain.so", "ifunc.so"):
            self.check(NODES["13"], self.dir / "program", f"-{self.dir}/{interposer}", f"-{self.dir}/calls.so", "!")

    def test_libraries_that_come_and_go(self):
        self.make("opens", "-DOPENS")
        plain, calls, runtime = (self.dir / name for name in ("plain.so", "calls.so", NODES["13"]))
        self.check("plain.so " * 2, self.dir / "opens", f"+{plain}", f"+{calls}", "!", f"~{plain}", "^", "!")
        self.check(f"{runtime.name} " * 2, self.dir / "opens", f"+{calls}", "!", f"~{calls}", "^", f"+{calls}", "!")
        self.check("plain.so", self.dir / "opens", f"-{runtime}", f"+{plain}", f"+{runtime}", f"+{calls}", "!")

    def test_an_address_of_the_programs_own(self):
        for options in (("-pie", "-fPIE"), ("-no-pie", "-fno-pic")):
            self.make("pointer", "-DPOINTER", *options, self.dir / NODES["13"])
            self.check(f"same {NODES['13']}", self.dir / "pointer")

    def test_a_library_below_address_0(self):
        self.make("caller", "-DLINKED", self.dir / "calls.so")
        self.check(f"found {NODES['13']}", self.dir / "caller", before=(self.dir / "asks.so", self.dir / "high.so"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
