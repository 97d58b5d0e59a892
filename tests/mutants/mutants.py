# SPDX-License-Identifier: Apache-2.0
"""Does a test fail when our kernels are wrong? Each mutant of mutants.diff is planted in a copy of kernels/, its
modules are compiled for the CPU by the build's commands, and the programs of tests/kernels must find it.

    mutants.py BUILD [NAME...]    all mutants, after the unmutated tree has passed; or only these, without that
    mutants.py --texts            only: does every mutant's text still exist?

A mutant is found if a program fails by an assertion or by a named check of the counters. It is an error if it does not
compile, crashes or hangs, or if its text does not occur as often as mutants.diff says. Prints a line per mutant, then
the counts; exit 1 if one survived, 2 on an error. tools/test.sh --all runs it. BUILD must be complete; only a temporary
directory is written."""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = {  # the kernels that each holds, and what else it links
    "test_counters": ("softgpu_counted_kernels", ["softgpu_executor", "softgpu_counters"]),
    "test_kernels": ("softgpu_kernels", ["softgpu_executor"]),
    "test_bits": ("softgpu_kernels", ["softgpu_executor"]),
    "test_residual": ("softgpu_kernels", ["softgpu_executor"]),
    "test_alignment": ("softgpu_kernels", ["softgpu_executor"]),
}
MODULES = ["apply", "backward", "dgamma", "dx", "forward", "residual"]
PLAN = "plan"  # compiled from C into the programs' archive
SECONDS = 600  # of one program; each takes less than a minute on an idle core


class MutantError(Exception):
    pass


def read_mutants(path):
    """Returns {name, file, modules, programs, times, old, new} for each `@ name file modules first-programs [times]`."""
    mutants = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("@ "):
            name, file, modules, programs, *times = line.split()[1:]
            modules = MODULES if modules == "all" else modules.split(",")
            first = programs.split(",")
            rest = [program for program in PROGRAMS if program not in first]
            mutants.append({"name": name, "file": file, "modules": modules, "programs": first + rest,
                            "times": int(times[0]) if times else 1, "old": "", "new": ""})
        elif line[:1] in ("-", "+", " ") and mutants:
            for kind, marks in (("old", "- "), ("new", "+ ")):
                if line[0] in marks:
                    mutants[-1][kind] += line[1:] + "\n"
        elif line and not line.startswith("#"):
            raise MutantError(f"{path.name}:{number}: neither of '@', '-', '+', ' ', '#'")
    return mutants


def planted(mutant):
    """Returns the mutant's file with its text changed."""
    text = (SOURCE / "kernels" / mutant["file"]).read_text()
    found = text.count(mutant["old"])
    if found != mutant["times"] or not mutant["old"]:
        raise MutantError(f"its text occurs in kernels/{mutant['file']} {found} times, not {mutant['times']}")
    return text.replace(mutant["old"], mutant["new"])


def check_texts(mutants):
    """Returns how many mutants' texts are missing."""
    errors = 0
    for mutant in mutants:
        try:
            planted(mutant)
        except MutantError as error:
            errors += 1
            print(f"{mutant['name']}: ERROR: {error}")
    return errors


def read_build(build):
    """Returns {(target, source's stem): (command, its directory, object)} of the build."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        command = shlex.split(entry["command"])
        out = pathlib.Path(entry["directory"], command[command.index("-o") + 1])
        target = re.search(r"/CMakeFiles/([^/]*)\.dir/", str(out)).group(1)
        commands[target, pathlib.Path(entry["file"]).stem] = (command, entry["directory"], out)
    return commands


def libraries(build):
    cache = dict(re.findall(r"^(\w+):\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.M))
    archive = next(build.rglob("libfuseln_archive.a"), None)
    if not archive:
        raise MutantError(f"no libfuseln_archive.a in {build}: build first (tools/build.sh)")
    return [str(archive), cache["BOOST_CONTEXT"], cache["CMOCKA"], "-ldl", "-lpthread", "-lm"], cache


def call(command, what, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                            check=False, **options)
    if result.returncode:
        raise MutantError(f"{what}: {result.stdout.strip()[:2000]}")


def compile_one(build, target, stem, work):
    """Returns the object of one source in the copy of kernels/ in `work`; compiles it once."""
    command, directory, _ = build["commands"][target, stem]
    out = work / f"{target}.{stem}.o"
    if not out.exists():
        command = [f"-I{work}" if word == f"-I{SOURCE}" else word.replace(str(SOURCE / "kernels"), str(work / "kernels"))
                   for word in command if word != "-g"]
        command[command.index("-o") + 1] = str(out)
        call(command, f"{stem} does not compile", cwd=directory)
    return str(out)


def link(build, mutant, program, work):
    target, others = PROGRAMS[program]
    objects = [str(out) for (owner, _), (_, _, out) in build["commands"].items() if owner in [program, *others]]
    for (owner, stem), (_, _, out) in build["commands"].items():
        if owner == target and stem not in mutant["modules"]:
            objects.append(str(out))
        elif owner == target:
            objects.append(compile_one(build, target, stem, work))
    if PLAN in mutant["modules"]:  # before the archive, so that the linker takes this one
        objects.append(compile_one(build, "fuseln_kernels", PLAN, work))
    out = work / program
    call([build["cache"]["CMAKE_CXX_COMPILER"], "-o", str(out), *objects, *build["libraries"]],
         f"{program} does not link")
    return out


def first_message(output, errors):
    """Returns what a program's first failed test says, or None if none failed by an assertion. cmocka names tests on one
    stream and writes messages to the other."""
    test = re.search(r"\[  FAILED  \] (\w+)", output + errors)
    lines = [re.sub(r"^(ERROR:|\[  ERROR   \] ---) *(\[   LINE   \] --- )?", "", line).strip()
             for line in errors.splitlines() if re.match(r"ERROR:|\[  ERROR   \]", line)]
    lines = [line.replace(str(SOURCE) + "/", "") for line in lines if line]
    return f"{test.group(1)}: {lines[0]}" if test and lines and "error: Failure!" in errors else None


def run(command):
    """Returns the message of a failed test, or None if all passed."""
    program = pathlib.Path(command[0]).name
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise MutantError(f"{program} hangs") from None
    if result.returncode == 0:
        return None
    message = first_message(result.stdout, result.stderr)
    if result.returncode < 0 or not message:
        raise MutantError(f"{program} ends with {result.returncode}: {result.stderr.strip()[-500:]}")
    return message


def try_mutant(build, mutant, folder):
    """Returns the program that found it with its message, or None; and the seconds it took."""
    began = time.monotonic()
    work = pathlib.Path(tempfile.mkdtemp(dir=folder))
    shutil.copytree(SOURCE / "kernels", work / "kernels")
    try:
        if mutant["old"]:
            (work / "kernels" / mutant["file"]).write_text(planted(mutant))
        for program in mutant["programs"]:
            name, *arguments = program.split(":")
            message = run([str(link(build, mutant, name, work)), *arguments])
            if message:
                return f"{name}: {message}", time.monotonic() - began
        return None, time.monotonic() - began
    finally:
        shutil.rmtree(work)


def try_all(build, mutants, folder, survivor="SURVIVED"):
    """Returns how many survived and how many ended in an error. Prints a line for each as it ends."""
    survived = errors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {pool.submit(try_mutant, build, mutant, folder): mutant for mutant in mutants}
        for job in concurrent.futures.as_completed(jobs):
            name = f"{jobs[job]['file']}: {jobs[job]['name']}"
            try:
                found, seconds = job.result()
                survived += found is None
                print(f"{name}: {found or survivor} ({seconds:.0f} s)", flush=True)
            except (MutantError, OSError) as error:
                errors += 1
                print(f"{name}: ERROR: {error}", flush=True)
    return survived, errors


def unmutated(build, folder):
    """Runs the same commands on the unchanged tree, where every program must pass."""
    nothing = {"name": "nothing planted", "file": "kernels", "modules": [*MODULES, PLAN], "old": ""}
    targets = {target for target, _ in PROGRAMS.values()}
    jobs = [nothing | {"programs": [name for name, of in PROGRAMS.items() if of[0] == target]} for target in targets]
    passed, errors = try_all(build, jobs, folder, "every program passes")
    return passed == len(jobs) and not errors


def main(arguments):
    if not arguments:
        sys.exit("usage: mutants.py BUILD [NAME...] | --texts")
    mutants = read_mutants(pathlib.Path(__file__).with_name("mutants.diff"))
    if arguments == ["--texts"]:
        return 2 if check_texts(mutants) else 0
    folder = pathlib.Path(arguments[0]).resolve()
    began = time.monotonic()
    unknown = set(arguments[1:]) - {mutant["name"] for mutant in mutants}
    if unknown:
        sys.exit(f"mutants.py: no mutant {' '.join(sorted(unknown))}")
    links, cache = libraries(folder)
    build = {"commands": read_build(folder), "libraries": links, "cache": cache}
    with tempfile.TemporaryDirectory() as work:
        if not arguments[1:] and not unmutated(build, work):
            print("mutants.py: the unmutated tree fails")
            return 2
        chosen = [mutant for mutant in mutants if mutant["name"] in arguments[1:] or not arguments[1:]]
        survived, errors = try_all(build, chosen, work)
    print(f"{len(chosen)} mutants, {survived} survived, {errors} errors, {(time.monotonic() - began) / 60:.0f} minutes")
    return 2 if errors else 1 if survived else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except MutantError as error:
        sys.exit(f"mutants.py: {error}")
