# SPDX-License-Identifier: Apache-2.0
"""Does a test fail without each rule of pairing? Each mutant removes one rule from src/core/pairing.c, from hooks/ or
from kernels/host/scratch.c, and its test must then fail: the unit test of pairing, a program of tests/torch/pairs.py,
whose values then come from stale sums, one of 200 random programs (tests/torch/random_programs.py), or captured pairs
whose sums lie in one place (tests/torch/graphs.py). Where several are named, each must fail.

    rules.py BUILD [NAME...]

Prints a line for each, then the counts; exit 1 if one survived, 2 if a mutant could not be made. tools/test.sh --all
runs it, in the environment that has PyTorch. BUILD must be complete; only a temporary directory is written."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
UNIT, RANDOM, BOTH, GRAPHS = ["unit"], ["random"], ["unit", "random"], ["graphs"]
PAIRING, SCRATCH = "src/core/pairing.c", "kernels/host/scratch.c"
PARTNER = "GET(entry, {0}) == call->{0} &&"


def name_gone(name):
    """The changes after which a name and its per-thread form are no longer noticed nor exported; a driver's is then listed
    as harmless."""
    text = re.search(rf" (X\(|PT[DS][SZ]\(X, ){name}, .+?\)(?= [XP]| \\|\n)", (SOURCE / "hooks/names.h").read_text())[0]
    changes = [("hooks/names.h", text, "")]
    if not name.startswith("cuda"):
        base = re.sub(r"_v\d+$", "", name)
        harmless = (SOURCE / "hooks/names.h").read_text().split("FUSELN_DRIVER_HARMLESS(X)")[1].split("#define")[0]
        after = next(other for other in re.findall(r"X\((\w+)\)", harmless) if other > base)
        changes.append(("hooks/names.h", f" X({after})", f" X({base}) X({after})"))
    return changes


RULES = {  # name: (changes of (file, text, other text), what must fail: cases of pairs.py or the unit test)
    "launches of the thread": ([(PAIRING, "is_own(entry) || by->stream == UNKNOWN", "by->stream == UNKNOWN")], UNIT),
    "launches on the stream": ([(PAIRING, "return GET(entry, stream) == by->stream && by->stream != LEGACY;", "return false;")], BOTH),
    "launches on an unknown stream": ([(PAIRING, "by->stream == UNKNOWN || ", "")], UNIT),
    "launches in an unknown context": ([(PAIRING, "== UNKNOWN || !by->context)", "== UNKNOWN)")], UNIT),
    "the legacy stream waits": ([(PAIRING, " || by->stream == LEGACY", "")], BOTH),
    "others wait for the legacy stream": ([(PAIRING, "GET(entry, stream) == LEGACY || ", "")], BOTH),
    "the legacy stream's other name": ([(PAIRING, "key_of_thread(stream) : LEGACY", "key_of_thread(stream) : (uintptr_t)stream")], UNIT),
    "other contexts are left alone": ([(PAIRING, "GET(entry, context) == by->context && (", "(")], UNIT),
    **{f"the same {word}": ([(PAIRING, PARTNER.format(word), "")], UNIT) for word in ("dy", "x", "rstd", "rows", "cols")},
    "the same mean": ([(PAIRING, "GET(entry, mean) == call->mean &&", "")], UNIT),
    "the same stream": ([(PAIRING, "GET(entry, stream) == by->stream && GET", "GET")], UNIT),
    "the same context": ([(PAIRING, "by->stream && GET(entry, context) == by->context &&", "by->stream &&")], UNIT),
    "the same library": ([(PAIRING, "dx->library == target->library &&", "")], UNIT),
    "the same element type": ([(PAIRING, "dx->dtype == call->dtype;", "true;")], UNIT),
    "only DGAMMA": ([(PAIRING, " && pass->call.op == FUSELN_OP_DGAMMA", "")], UNIT),
    "memory owned until the launch": ([(PAIRING, "        if (reserved)\n            return; /* its thread does the rest */\n", "")],
                                      UNIT),
    "nobody finds what is not launched": ([(PAIRING, "phase_of(state) != READY ||", "phase_of(state) < RESERVED ||")], UNIT),
    "no overlap": ([(PAIRING, "return overlaps(call, plan) ?", "return false ?")], UNIT),
    "each thread's own stream": ([(PAIRING, "> PER_THREAD", ">= PER_THREAD")], UNIT),
    "no partner on an unknown stream": ([(PAIRING, "launcher.stream != UNKNOWN && ", "")], UNIT),
    "pairs allowed": ([(PAIRING, "if (config->pairs != FUSELN_PAIRING_PAIRED)", "if (0)")], UNIT),
    "nothing unseen": ([(PAIRING, "if (atomic_load_explicit(&unseen, memory_order_acquire))", "if (0)")], UNIT),
    "a site learns": ([(PAIRING, ">= FUSELN_PAIRING_TRIES", ">= 1000000")], UNIT),
    "a site resumes": ([(PAIRING, "        atomic_store_explicit(&sums->site->alone, 0, memory_order_relaxed);", "        ;")], UNIT),
    "noticed calls": ([("src/core/pairing.h", "        fuseln_pairing_forget(FUSELN_REACH_ALL, NULL);", "        ;")], UNIT),
    "calls of the thread": ([(PAIRING, "    if (is_own(entry))\n        return true;\n    switch", "    switch")], UNIT),
    "calls on the stream": ([(PAIRING, "GET(entry, stream) == stream || GET", "GET")],
                            ["unit", "another_thread_records_an_event", "another_thread_waits"]),
    "calls on streams that the legacy stream orders": ([(PAIRING, "GET(entry, stream) == stream || GET(entry, stream) == LEGACY", "GET(entry, stream) == stream")], UNIT),
    "calls of an unknown context": ([(PAIRING, "return !context || fuseln_context_device", "return context && fuseln_context_device")], UNIT),
    "others teach nothing": ([(PAIRING, "alone = on_its_stream || is_own(entry);", "alone = true;")], UNIT),
    "followed without sums": ([(PAIRING, "        if (alone)\n            release(entry);\n        else\n            follow(entry);\n", "        release(entry);\n")], UNIT),
    "stubs forget": ([("hooks/notice.c", "        forget(name, saved);\n", "        ;\n")],
                     ["copy", "driver_copy"]),
    "launches of others": ([("hooks/launch.c", "fuseln_pairing_foreign_launch(hooked->launch.stream);", ";")], ["fill", "random"]),
    "recognised launches": ([("src/core/pairing.c", "    if (fuseln_pairing_any())\n        invalidate_by(&launcher);\n", "")], UNIT),
    "cudaMemcpyAsync": (name_gone("cudaMemcpyAsync"), ["copy", "change_x", "another_thread", "random"]),
    "cudaMemsetAsync": (name_gone("cudaMemsetAsync"), ["zero", "random"]),
    "cudaGraphLaunch": (name_gone("cudaGraphLaunch"), ["a_graph", "random"]),
    "cuMemsetD32_v2": (name_gone("cuMemsetD32_v2"), ["driver_memset"]),
    "cuMemcpyDtoD_v2": (name_gone("cuMemcpyDtoD_v2"), ["driver_copy"]),
    "cuMemcpyDtoDAsync_v2": (name_gone("cuMemcpyDtoDAsync_v2"), ["driver_copy_async", "random"]),
    "cuLaunchHostFunc": (name_gone("cuLaunchHostFunc"), ["host_function", "random"]),
    "a slab for each stream": ([(SCRATCH, "GET(slab, stream_id) == want->stream_id && GET", "GET")], GRAPHS),
    "a slab for each capture": ([(SCRATCH, "atomic_load_explicit(&slab->capture_id, memory_order_acquire) == want->capture_id &&\n           ", "")], GRAPHS),
    "a slab as long as its graph": ([(SCRATCH, "return atomic_load_explicit(&slab->orphaned, memory_order_acquire) &&", "return")], GRAPHS),
    "an order that the program sets": ([(SCRATCH, "atomic_fetch_add(&capture_order, 1);", ";")], GRAPHS),
    "calls that set it are seen": ([("hooks/notice.c", "if (shape == ORDERS)\n        fuseln_scratch_unordered();\n    else if", "if")], GRAPHS),
}  # fmt: skip


class MutantError(Exception):
    pass


def call(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise MutantError(f"{command if isinstance(command, str) else command[0]}: {done.stderr.strip()[-800:]}")
    return done.stdout


def plant(changes, work):
    """Copies the sources, makes the changes, and returns which files they are in."""
    for folder in ("src", "hooks", "kernels", "tests/unit"):
        shutil.copytree(SOURCE / folder, work / folder)
    for file, old, new in changes:
        text = (work / file).read_text()
        if text.count(old) != 1:
            raise MutantError(f"its text occurs in {file} {text.count(old)} times: {old!r}")
        (work / file).write_text(text.replace(old, new))
    return [file for file, _, _ in changes]


def unit_fails(build, work):
    """Returns the name of a failed test, or None if all pass."""
    program = work / "test_pairing"
    call(["gcc", "-O1", "-D_GNU_SOURCE", f"-I{work}", f"-I{work}/src",
          f"-I{build}/generated", f"{work}/tests/unit/test_pairing.c", f"{work}/src/core/pairing.c", "-o", str(program),
          "-lcmocka", "-lpthread"])  # fmt: skip
    done = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    failed = re.search(r"\[  FAILED  \] (\w+)", done.stdout + done.stderr)
    return failed and failed[1]


def library(build, files, work):
    """Links libfuseln.so with the changed files compiled again: all of hooks/ and src/ for a header."""
    headers = any(file.endswith(".h") for file in files)
    *compiles, link = call(["ninja", "-C", str(build), "-t", "commands", "libfuseln.so"]).splitlines()
    for command in compiles:
        found = re.search(rf" -o (CMakeFiles/\S+\.o) -c {SOURCE}/((?:src|hooks|kernels/host)/\S+)$", command)
        if found and (headers or found[2] in files):
            out = work / found[1].replace("/", "_")
            mutated = command.replace(f" -I{SOURCE} ", f" -I{work} ").replace(f"{SOURCE}/", f"{work}/")
            mutated = mutated.replace(f"{work}/build/", f"{build}/")
            mutated = mutated.replace(f" -o {found[1]} ", f" -o {out} ")
            call(re.sub(r" -M[TF] \S+| -MD", "", mutated), shell=True, cwd=build)
            link = link.replace(f" {found[1]}", f" {out}")
    call(link.replace(" -o libfuseln.so ", f" -o {work}/libfuseln.so "), shell=True, cwd=build)
    return work / "libfuseln.so"


def values(build, cases, folder, env=None):
    """Returns what each case prints, or how it failed."""
    environment = {**os.environ, "TEST_BUILD": str(folder or build), **(env or {})}
    command = [SOURCE / "tests/softgpu/run", "--", sys.executable, SOURCE / "tests/torch/pairs.py"]
    printed = {}
    for case in cases:
        done = subprocess.run([*command, case], capture_output=True, text=True, env=environment, timeout=200, check=False)
        printed[case] = done.stdout if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()[-300:]}"
    return printed


def random_fails(folder):
    """Returns which of 200 random programs is the first wrong one, or None."""
    environment = {**os.environ, "TEST_BUILD": str(folder), "SOFTGPU_SMS": "2", "SOFTGPU_SEED": "1",
                   "RANDOM_PROGRAMS": "200", "RANDOM_COUNT": str(folder / "count")}  # fmt: skip
    command = [SOURCE / "tests/softgpu/run", "--", sys.executable, SOURCE / "tests/torch/random_programs.py"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400, check=False)
    return f"random program {(folder / 'count').read_text()}" if "AssertionError" in done.stderr else None


def graphs_fail(folder):
    """Returns under which seed captured pairs are wrong, or None."""
    names = ("two_streams_of_one_capture", "two_graphs_at_once", "dependencies_set_by_the_program")
    environment = {**os.environ, "TEST_BUILD": str(folder), "SOFTGPU_SMS": "1"}
    for seed in map(str, range(1, 9)):
        command = [SOURCE / "tests/softgpu/run", "--seed", seed, "--", sys.executable, SOURCE / "tests/torch/graphs.py"]
        done = subprocess.run([*command, *names], capture_output=True, text=True, env=environment, timeout=400, check=False)
        if "AssertionError" in done.stderr:
            return f"seed {seed}"
    return None


def try_rule(build, rule, right):
    changes, tests = RULES[rule]
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        files, found = plant(changes, work), []
        if tests != UNIT:
            library(build, files, work)
            (work / "tests/softgpu").symlink_to(build / "tests/softgpu")
        printed = values(build, [test for test in tests if test in right], work)
        for test in tests:
            if test == "unit":
                found.append(unit_fails(build, work))
            elif test == "random":
                found.append(random_fails(work))
            elif test == "graphs":
                found.append(graphs_fail(work))
            else:
                found.append(printed[test] != right[test] and test)
        return all(found) and ", ".join(found)


def main(arguments):
    if not arguments:
        sys.exit("usage: rules.py BUILD [NAME...]")
    build, names = pathlib.Path(arguments[0]).resolve(), arguments[1:] or list(RULES)
    cases = {case for name in names for case in RULES[name][1]} - {"unit", "random", "graphs"}
    right = values(build, cases, None, {"FUSELN_SKIP": "pairs"})
    found = survived = errors = 0
    for name in names:
        try:
            by = try_rule(build, name, right)
            found, survived = found + bool(by), survived + (not by)
            print(f"{name}: {by or 'SURVIVED'}", flush=True)
        except (MutantError, subprocess.TimeoutExpired) as error:
            errors += 1
            print(f"{name}: ERROR: {error}", flush=True)
    print(f"{found} found, {survived} survived, {errors} errors")
    return 2 if errors else 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
