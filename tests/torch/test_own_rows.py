# SPDX-License-Identifier: Apache-2.0
"""A user's own rows (FUSELN_TARGETS) for a closed binary with kernels that nobody knows
(tests/programs/closed_norms.c), which launches them by the driver, or by a shared CUDA runtime: a right row is checked
three times, then replaced; a wrong one is refused, found or never proven, and never replaced. Whatever the row, the
program's numbers stay right."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import BUILD, PROGRAMS, ROOT
from norms_table import CACHE, registered

sys.path.append(str(ROOT / "tests" / "cli"))
import elf  # noqa: E402

NORM, ADD, PEAK, TWO = (
    "_ZN6closed4normEPKfS1_S1_Pfffiii", "_ZN6closed8add_normEPfS0_PKffi", "_ZN6closed9norm_peakEPKfS1_PfS2_fi",
    "_ZN6closed8two_rowsEPKfS1_Pffi",
)  # fmt: skip
TORCH = "_ZN2at6native53_GLOBAL__N__04f68ed5_20_layer_norm_kernel_cu_5f58bc5028vectorized_layer_norm_kernelIffLb0EEE" \
    "viT0_PKT_S6_S6_PS3_S7_PS4_"  # fmt: skip

ROWS = {
    NORM: "args = ptr ptr ptr ptr f32 f32 i32 i32 i32  op = layernorm  x = arg0  gamma = arg1  beta = arg2  y = arg3\n"
          "ignore = arg4, arg8  eps = arg5  rows = arg6  cols = arg7",
    ADD: "args = ptr ptr ptr f32 i32  op = rmsnorm  x = arg0  residual = arg1  gamma = arg2\n"
         "inplace = y:x, sum:residual  rows = grid.x  eps = arg3  cols = arg4",
    PEAK: "args = ptr ptr ptr ptr f32 i32  op = rmsnorm  x = arg0  gamma = arg1  y = arg2\n"
          "rows = grid.x  eps = arg4  cols = arg5",
    TWO: "args = ptr ptr ptr f32 i32  op = rmsnorm  x = arg0  gamma = arg1  y = arg2\n"
         "rows = grid.x  eps = arg3  cols = arg4",
    "closed_rms_v2": "args = ptr ptr ptr f32 i32  op = rmsnorm  x = arg0  gamma = arg1  y = arg2  in = arg0, arg1\n"
                     "rows = grid.x  eps = arg3  cols = arg4",
}  # fmt: skip
ROWS["closed_rms_v3"] = ROWS["closed_rms_v2"]
LAUNCHES = 8


@dataclasses.dataclass
class Program:
    path: pathlib.Path
    image: pathlib.Path
    boundary: str = "driver"
    runtime: str = "static"
    cuda: str | None = None
    first: int = 0  # launches before anything of them is read: at the runtime the first one tells what the kernel is


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the PTX of all kernels is."""
    folder = tmp_path_factory.mktemp("closed_norms")
    subprocess.run([sys.executable, ROOT / "tools/nvrtc.py", "--dir", CACHE / "nvrtc-12.0", "-ptx", "-arch=compute_90",
                    "-o", folder / "norms.ptx", PROGRAMS / "closed_norms.cu"], check=True)  # fmt: skip
    return folder


def build(folder, *options):
    path = folder / "".join(("closed", *options))
    subprocess.run(["gcc", "-O2", "-s", "-Wall", *options, "-o", path, PROGRAMS / "closed_norms.c", "-lm", "-ldl"],
                   check=True)  # fmt: skip
    return path


def build_library(folder, cuda, *options, build_id="01234567", edit=lambda ptx: ptx):
    """Registers the kernels, and their PTX, with the shared runtime of that version."""
    folder = folder / "-".join((cuda, build_id, *options))
    folder.mkdir()
    ptx = edit((folder.parent / "norms.ptx").read_text()).encode()
    (folder / "names").write_text("\n".join(ROWS))
    (folder / "fatbin").write_bytes(elf.fatbin(elf.image(ptx, 90, kind=elf.PTX)))
    (runtime,) = (BUILD / "tests/softgpu").glob(f"cuda-{cuda}.*/libcudart.so.*")
    options = f'-DFATBIN="{folder}/fatbin"', f"-Wl,--build-id=0x{build_id * 8}", *options
    return registered(folder, folder / "names", *options, runtime=runtime)


@pytest.fixture(scope="module")
def programs(folder):
    """The same program, which launches by the driver, or with a shared runtime of each version and way."""
    ways = {"11": (), "12": (), "13": (), "13 by handle": ("-DHANDLES",)}
    path = build(folder, "-DSHARED")
    shared = {way: Program(path, build_library(folder, way[:2], *options), "runtime", "shared", way[:2], 1)
              for way, options in ways.items()}  # fmt: skip
    return shared | {"driver": Program(build(folder), folder / "norms.ptx")}


@pytest.fixture(params=("driver", "13 by handle"))
def program(programs, request):
    return programs[request.param]


def row(symbol, *changes, name="mine/norm", more=""):
    """The right row of this kernel, with changes (from, to)."""
    fields = ROWS[symbol]
    for old, new in changes:
        assert old in fields
        fields = fields.replace(old, new)
    return f"[{name}]\nsymbol = {symbol}\ndtype = f32  {fields}\n{more}\n"


def launch(run, program, symbol, text, *data, env=None, launches=LAUNCHES):
    """Its report, and what it said on stderr. Its numbers are always right."""
    rows = run.folder / "rows.txt"
    rows.write_text(text)
    settings = {"FUSELN_TARGETS": str(rows), "FUSELN_CHECK": "0"} | (env or {})
    done = run.program([program.path, program.image, symbol, str(launches), *data], env=settings, cuda=program.cuda)
    assert float(done.stdout) < 1e-5
    return run.report(), done.stderr


RIGHT = {symbol: row(symbol) for symbol in (NORM, ADD, "closed_rms_v2")}


def passed(program, reason, count):
    """Why launches of a site were not replaced, among them those before anything was read."""
    first = {"check": program.first} if program.first else {}
    return first | {reason: count + (program.first if reason == "check" else 0)}


def assert_replaced(program, symbol, report, said):
    (site,) = report["sites"]
    assert (site["target"], site["symbol"]) == ("mine/norm", symbol)
    assert (site["boundary"], site["runtime"]) == (program.boundary, program.runtime)
    assert (site["substituted"], site["passed_through"]) == (LAUNCHES - 3 - program.first, passed(program, "check", 3))
    assert (site["verify"]["launches"], site["verify"]["failed"], site["verify"]["inconclusive"]) == (3, False, 0)
    assert report["targets"]["rows"] == 1 and report["targets"]["refused"] == []
    assert said == ""


@pytest.mark.parametrize("symbol", RIGHT)
def test_a_right_row_is_checked_and_then_replaced(run, program, symbol):
    assert_replaced(program, symbol, *launch(run, program, symbol, "# of a closed program\n" + RIGHT[symbol]))


@pytest.mark.parametrize("way", ("11", "12", "13", "13 by handle"))
@pytest.mark.parametrize("hooks", ("runtime,driver", "runtime"))
def test_a_right_row_holds_with_each_shared_runtime(run, programs, way, hooks):
    assert_replaced(programs[way], NORM, *launch(run, programs[way], NORM, RIGHT[NORM], env={"FUSELN_HOOKS": hooks}))


def test_verify_mode_replaces_nothing(run, program):
    (site,) = launch(run, program, NORM, RIGHT[NORM], env={"FUSELN_MODE": "verify"})[0]["sites"]
    checked = (site["substituted"], site["verify"]["launches"], site["verify"]["failed"])
    assert checked == (0, LAUNCHES - program.first, False)


def test_observe_mode_observes_each_launch(run, program):
    (site,) = launch(run, program, NORM, RIGHT[NORM], env={"FUSELN_MODE": "observe"})[0]["sites"]
    assert (site["substituted"], site["passed_through"]) == (0, {"observe": LAUNCHES})


def test_more_checks_may_be_asked_for(run, program):
    (site,) = launch(run, program, NORM, RIGHT[NORM], env={"FUSELN_CHECK": "5"})[0]["sites"]
    assert (site["substituted"], site["verify"]["launches"]) == (LAUNCHES - 5 - program.first, 5)


def test_skip_names_a_row(run, program):
    (site,) = launch(run, program, NORM, RIGHT[NORM], env={"FUSELN_SKIP": "mine/norm"})[0]["sites"]
    assert site["passed_through"] == passed(program, "skip", LAUNCHES - program.first)


def test_a_build_that_is_not_named_stays(run, program):
    report, _ = launch(run, program, NORM, row(NORM, more="build = 0123456789abcdef0123456789abcdef01234567"))
    assert report["sites"] == [] and report["targets"]["rows"] == 1


REFUSED = {
    "an argument too few": (NORM, row(NORM, (" i32 i32 i32", " i32 i32"), (", arg8", "")), "args has not as many"),
    "a type that the name denies": (NORM, row(NORM, ("f32 f32 i32", "f32 f32 f32")), "another type"),
    "too few, and no name to tell": (
        "closed_rms_v2",
        row("closed_rms_v2", (" f32 i32", " f32"), ("cols = arg4", "cols = arg3"), ("arg3  ", "1e-5  ")),
        "another type",
    ),
    "a size, and no name to tell": ("closed_rms_v2", row("closed_rms_v2", ("i32", "i64")), "has another size"),
    "one too many, and no name to tell": (
        "closed_rms_v2", row("closed_rms_v2", ("i32", "i32 i32"), more="ignore = arg5"),
        "more arguments than the kernel",
    ),
    "an output that the row ignores": (PEAK, row(PEAK, more="ignore = arg3"), "cannot be ignored"),
    "an output that the row calls an input": (PEAK, row(PEAK, more="bias = arg3"), "not const by the kernel's name"),
    "pointers without in": ("closed_rms_v2", row("closed_rms_v2", ("in = arg0, arg1", "")), "belongs into `in`"),
    "an output that the name shows as const": (
        NORM, row(NORM, ("x = arg0", "y = arg0"), ("y = arg3", "x = arg3")), "const",
    ),
    "a kernel of ours": (NORM, row(NORM).replace(NORM, TORCH), "that fuseln has a row for"),
    "an unknown word": (NORM, row(NORM, more="colour = red"), "colour is not a word of a row"),
    "beta of an RMS norm": (NORM, row(NORM, ("op = layernorm", "op = rmsnorm")), "not those of this operation"),
    "an unfilled skeleton": (NORM, row(NORM, ("layernorm", "?")), "is not an operation"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_can_be_seen_is_refused(run, program, wrong):
    symbol, text, reason = REFUSED[wrong]
    report, said = launch(run, program, symbol, text)
    (refused,) = report["targets"]["refused"]
    assert (report["sites"], report["targets"]["rows"]) == ([], 0)
    assert (refused["name"], reason in refused["reason"]) == ("mine/norm", True), refused
    assert re.search(r"FUSELN_TARGETS, line \d+: \[mine/norm\] is refused: ", said) and said.count("\n") == 1


FOUND = {
    "gamma and beta swapped": (NORM, row(NORM, ("gamma = arg1  beta = arg2", "beta = arg1  gamma = arg2")), "drawn"),
    "gamma and beta swapped, both plain": (
        NORM, row(NORM, ("gamma = arg1  beta = arg2", "beta = arg1  gamma = arg2")), "plain",
    ),
    "x and residual swapped": (ADD, row(ADD, ("x = arg0  residual = arg1", "x = arg1  residual = arg0")), "drawn"),
    "x and residual swapped, both equal": (
        ADD, row(ADD, ("x = arg0  residual = arg1", "x = arg1  residual = arg0")), "equal",
    ),
    "eps of another argument": (NORM, row(NORM, ("ignore = arg4, arg8  eps = arg5", "ignore = arg5, arg8  eps = arg4")),
                                "drawn", "1e-3"),
    "another operation": (ADD, row(ADD, ("op = rmsnorm", "op = layernorm")), "drawn"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", FOUND)
@pytest.mark.parametrize("mode", ("replace", "verify"))
def test_what_the_numbers_show_is_found(run, program, wrong, mode):
    symbol, text, *data = FOUND[wrong]
    (site,) = launch(run, program, symbol, text, *data, env={"FUSELN_MODE": mode})[0]["sites"]
    assert (site["substituted"], site["verify"]["failed"]) == (0, True)
    assert "failed" in site["passed_through"] or mode == "verify"


CHANGED = {
    "an in that the original writes": ("closed_rms_v3", row("closed_rms_v3")),
    "rows too few": (TWO, row(TWO)),
}


@pytest.mark.parametrize("wrong", CHANGED)
def test_what_is_written_besides_refuses_the_row(run, program, wrong):
    symbol, text = CHANGED[wrong]
    report, said = launch(run, program, symbol, text)
    (site,) = report["sites"]
    assert (site["substituted"], site["verify"]["failed"]) == (0, True)
    assert "the kernel writes" in report["targets"]["refused"][0]["reason"]
    assert "[mine/norm] is refused" in said


UNPROVEN = {
    "gamma is 1 and beta 0": (NORM, row(NORM), "plain"),
    "x is the residual": (ADD, row(ADD), "equal"),
    "two arguments may be eps": (NORM, row(NORM), "drawn", "1e-5"),
}


@pytest.mark.parametrize("case", UNPROVEN)
def test_a_right_row_is_not_replaced_while_nothing_proves_it(run, program, case):
    symbol, text, *data = UNPROVEN[case]
    (site,) = launch(run, program, symbol, text, *data)[0]["sites"]
    assert (site["substituted"], site["passed_through"]) == (0, {"check": LAUNCHES})
    assert (site["verify"]["failed"], site["verify"]["launches"]) == (False, 0)
    assert site["verify"]["inconclusive"] >= 3


PASSED = {
    "cols too large": (row(NORM, ("cols = arg7", "cols = arg8"), ("arg4, arg8", "arg4, arg7")), "check", "require"),
    "rows too large": (row(NORM, ("rows = arg6", "rows = arg8"), ("arg4, arg8", "arg4, arg6")), "geometry", None),
    "eps that is none": (
        row(NORM, ("ignore = arg4, arg8  eps = arg5", "ignore = arg5, arg8  eps = arg4")), "require", None,
    ),
    "a require that does not hold": (row(NORM, ("arg4, arg8", "arg4"), more="require = arg8 == rows"), "require", None),
}  # fmt: skip


@pytest.mark.parametrize("wrong", PASSED)
def test_what_a_launch_shows_passes(run, program, wrong):
    text, reason, unchecked = PASSED[wrong]
    (site,) = launch(run, program, NORM, text)[0]["sites"]
    read = LAUNCHES - program.first
    assert (site["substituted"], site["passed_through"]) == (0, passed(program, reason, read))
    assert unchecked is None or site["verify"]["unchecked"] == {unchecked: read}


@pytest.fixture(scope="module")
def libraries(folder, programs):
    """Two that register the same kernel, and one that registers another by its name: its last argument is longer."""
    longer = re.compile(rf"\.u32( {NORM}_param_8)")
    two = build_library(folder, "13", build_id="76543210")
    other = build_library(folder, "13", build_id="abcdef01", edit=lambda ptx: longer.sub(r".u64\1", ptx))
    return programs["13"], *(dataclasses.replace(programs["13"], image=library) for library in (two, other))


def use(run, libraries, text, how="", launches=8, hooks="runtime,driver"):
    """The sites of a program that launches NORM of these libraries in turn, those without columns first: (build,
    replaced, passed on); and what was said on stderr."""
    program = dataclasses.replace(libraries[0], image=",".join(str(library.image) for library in libraries))
    report, said = launch(run, program, NORM, text, "drawn", "0.5", how, env={"FUSELN_HOOKS": hooks}, launches=launches)
    sites = sorted(report["sites"], key=lambda site: (site["cols"], site["build_id"]))
    return [(site["build_id"][:8], site["substituted"], site["passed_through"]) for site in sites], said


@pytest.mark.parametrize("build, replaced", (("", 4), ("build = 01234567", 4), ("build = 12345678", 0)))
def test_a_row_holds_for_the_build_that_registered_it(run, libraries, build, replaced):
    sites, said = use(run, libraries[:1], row(NORM, more=build))
    assert (sites, said) == ([("01234567", 4, {"check": 4})] * (replaced > 0), "")
    assert {(site["library"], site["boundary"]) for site in run.report()["sites"]} <= {("registered.so", "runtime")}


def test_each_library_of_two_is_checked_on_its_own(run, libraries):
    sites, said = use(run, libraries[:2], row(NORM), launches=12)
    assert (sites, said) == ([("01234567", 2, {"check": 4}), ("76543210", 2, {"check": 4})], "")
    sites, _ = use(run, libraries[:2], row(NORM, more="build = 76543210"), launches=12)
    assert sites == [("76543210", 2, {"check": 4})]


def test_another_kernel_of_that_name_refuses_the_row(run, libraries):
    sites, said = use(run, libraries[2:], row(NORM))
    assert sites == [] and "an argument of the kernel has another size" in said and said.count("\n") == 1
    sites, said = use(run, libraries[1:], row(NORM))
    assert sites == [("76543210", 0, {"check": 1, "failed": 3})] and "another size" in said


def test_a_library_that_is_loaded_again_is_checked_again(run, libraries):
    sites, _ = use(run, libraries[:1], row(NORM), "reload", launches=12)
    assert sites == [("01234567", 2, {"check": 4})] * 2


def test_a_forked_child_proves_and_checks_by_itself(run, libraries):
    assert use(run, libraries[:1], row(NORM), "fork") == ([("01234567", 4, {"check": 4})], "")


def test_in_capture_nothing_is_asked_and_the_report_says_so(run, libraries):
    """The launches in capture have no columns, as nothing was read; the first one after them is asked about."""
    sites, said = use(run, libraries[:1], row(NORM), "capture")
    assert (sites, said) == ([("01234567", 0, {"capture": 2}), ("01234567", 2, {"check": 4})], "")
    assert {site["cols"] for site in run.report()["sites"]} == {0, 256}


def test_while_the_host_has_an_error_pending_nothing_is_asked(run, libraries):
    sites, said = use(run, libraries[:1], row(NORM), "failed")
    assert (sites, said) == ([("01234567", 0, {"check": 8})], "")


def test_at_the_driver_alone_a_shared_runtime_holds_the_kernels(run, libraries):
    """As rows of ours: nobody tells which library it got them from."""
    use(run, libraries[:1], row(NORM), hooks="driver")
    (site,) = run.report()["sites"]
    assert (site["substituted"], site["passed_through"], site["runtime"]) == (5, {"check": 3}, "shared")
    assert site["library"].startswith("libcudart.so.")
    assert use(run, libraries[:1], row(NORM, more="build = 01234567"), hooks="driver") == ([], "")


def bad_files(folder):
    (folder / "folder").mkdir()
    (folder / "large").write_text("#" * (1 << 21))
    (folder / "many").write_text("".join(f"[mine/{i}]\n" for i in range(300)))
    (folder / "empty").write_text("")
    (folder / "text").write_text("see the manual\n")
    os.mkfifo(folder / "fifo")
    return "folder", "large", "many", "empty", "text", "fifo", "missing"


def test_a_bad_file_is_one_line(run, program):
    for name in bad_files(run.folder):
        done = run.program([program.path, program.image, NORM, "1"], env={"FUSELN_TARGETS": name}, cuda=program.cuda)
        assert re.fullmatch(rf"fuseln\[\d+\]: FUSELN_TARGETS={name}: it .*\n", done.stderr), done.stderr
        assert run.report()["targets"]["rows"] == 0
        assert len(run.report()["targets"]["refused"]) == 1


def test_the_text_report_names_the_file(run, program):
    path = run.folder / "report.txt"
    launch(run, program, NORM, RIGHT[NORM] + row(ADD, name="mine/a name"), env={"FUSELN_REPORT": str(path)})
    assert "FUSELN_TARGETS: 1 of 2 rows are used" in path.read_text()
    assert "  line 6: [mine/a name] is refused: mine/a name is not a name" in path.read_text()
