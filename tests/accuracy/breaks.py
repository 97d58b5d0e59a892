# SPDX-License-Identifier: Apache-2.0
"""The margins of accuracy can be broken, and are not by chance.

    python breaks.py ACCURACY ACTIVATIONS

A sum of squares in place of our forward must break them for rows with an offset (exit 1); PyTorch's algorithm in place
of ours must keep every one.
"""

import re
import subprocess
import sys


def accuracy(name):
    command = [sys.argv[1], "--quick", "--dtype", "f32", "--activations", sys.argv[2], "--in-place-of-ours", name]
    done = subprocess.run(command, capture_output=True, text=True)
    margins, broken = map(int, re.search(r"(\d+) margins, (\d+) broken\n$", done.stdout).groups())
    assert margins == 746, margins
    return done.returncode, broken, done.stdout


def main():
    code, broken, table = accuracy("naive")
    assert code == 1 and broken > 0, (code, broken)
    for output in "y", "rstd":
        block = table[table.index(f"\n{output:6} f32") :].split("\n\n")[0]
        for row in "offset 1e2", "offset 1e4":
            assert re.search(rf"^{row}.*\n  X .*rms", block, re.M), block
    code, broken, table = accuracy("PyTorch")
    assert code == 0 and broken == 0, table


main()
