# SPDX-License-Identifier: Apache-2.0
"""aarch64.py SCRIPT|PROGRAM: runs a test script, or a unit test's program, of a build for aarch64, without those tests
that cannot run by qemu; each is printed with its reason."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).parent
NATIVE = "starts programs of this machine, which cannot load a library for another"
SLOW = "allows less time than qemu takes"
START = "qemu tells a forked child its parent's start, so the child's report never seems older than the next child"
FORK = "forks beside other threads: a mutex of qemu's own may stay locked in the child, which then waits for ever"
LEFT_OUT = {
    "cli/test_run": {
        "test_the_program_finds_signals_as_they_were": "/proc/self/status has the signals of qemu",
        "test_the_table_at_the_end_or_the_report": "needs the software device",
    },
    "preload/test_hosts": {"test_forks_while_threads_launch": FORK},
    "preload/test_quiet": {
        "test_commands": NATIVE,
        "test_twice": NATIVE,
        "test_with_jemalloc": NATIVE,
        "test_after_libasan": NATIVE,
        "test_loads_and_stays_silent": "has Debian 11's libc for x86-64 alone",
    },
    "unit/test_output": {
        "a_stalled_reader_of_the_trace_loses_lines_but_costs_no_time": SLOW,
        "a_stalled_reader_of_stderr_loses_lines_but_costs_no_time": SLOW,
    },
    "unit/test_record": {"a_forked_child_counts_from_zero": FORK},
    "unit/test_report": {"a_report_without_layer_norms_says_why": START},
    "unit/test_report_file": {
        "processes_with_one_path_lose_no_report": START,
        "a_later_run_replaces_the_report": START,
        "a_device_or_a_link_stays_what_it_is": START,
        "what_cannot_be_written_goes_to_stderr_with_one_line": "a blocked SIGXFSZ ended it in one run of three: why is not known",
    },
    "unit/test_report_owner": {
        "ranks_keep_their_reports_whatever_the_clocks_say": START,
        "an_earlier_report_is_replaced_whatever_the_clocks_say": START,
        "a_cloned_child_leaves_its_parents_report_alone": START,
        "a_forked_child_does_not_hold_its_ended_parents_report": START,
        "a_report_is_its_owners_alone": START,
        "a_link_of_ours_is_followed_even_if_it_dangles": START,
        "a_process_title_is_one_word": "qemu's /proc/self/cmdline stays what the program began with",
        "a_refused_system_call_does_not_mean_that_nothing_is_there": "filters qemu's own system calls",
        "what_others_planted_is_not_followed": "gives files to another user, whom the namespace does not have",
    },
}


def cases(suite):
    for test in suite:
        yield from cases(test) if isinstance(test, unittest.TestSuite) else (test,)


def run_script(script, left_out):
    os.environ["TEST_SECONDS"] = "600"
    sys.path.insert(0, str(script.parent))
    tests = [*cases(unittest.defaultTestLoader.loadTestsFromName(script.stem))]
    suite = unittest.TestSuite(test for test in tests if test.id().split(".")[-1] not in left_out)
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


def main(program):
    name = f"{program.parent.name}/{program.stem}"
    left_out = LEFT_OUT.get(name, {})
    source = program if program.suffix else HERE / f"{name}.c"
    for test, reason in left_out.items():
        print(f"left out: {test}: {reason}")
        assert re.search(rf"\b{test}\b", source.read_text()), f"no test {test} in {source}"
    if program.suffix:
        return run_script(program, left_out)
    return subprocess.run([program], env=os.environ | {"TEST_LEFT_OUT": " ".join(left_out)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
