# SPDX-License-Identifier: Apache-2.0
"""What a run of tools/bench.sh gained: README's table, or its chart as SVG.

    python3 tools/gains.py [--svg] FOLDER

FOLDER holds the bench.csv and bench.txt that the run wrote. Needs nothing but Python; the same folder gives the same
bytes, so tools/readme.sh can check both.
"""

import math
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/gpu"))
import chart  # noqa: E402

OPS = [(op, dtype) for op in ("forward", "backward") for dtype in ("bf16", "f16", "f32")]
LEFT, RIGHT, ROW, LARGEST = 130, 680, 34, 12


def facts(text):
    """GPU, driver, PyTorch, date and commit from the head of bench.txt."""
    device, day = re.search(r"^bench on (.*?) \(.*?\), (\S+)", text).groups()
    driver = re.search(r"^GPU: [^,]*, ([^,]*)", text, re.M).group(1)
    pytorch, commit = (re.search(rf"^{key}: (\S+)", text, re.M).group(1) for key in ("PyTorch", "commit"))
    return f"{device}, driver {driver}, PyTorch {pytorch}, {day}, `tools/bench.sh` at {commit}"


def print_table(rows, folder):
    print("| PyTorch's time / fuseln's | cases of 20 us and more | mean | smallest | largest | shorter cases | mean "
          "| smallest |\n|---|--:|--:|--:|--:|--:|--:|--:|")
    for op, dtype in OPS:
        cells = []
        for long in (True, False):
            gains = [row["gain"] for row in chart.select(rows, op, dtype, long)]
            cells += [f"{len(gains)}", f"{chart.mean(gains):.2f}x", f"{min(gains):.2f}x"]
            cells += [f"{max(gains):.2f}x"] if long else []
        print(f"| {op} {dtype} | {' | '.join(cells)} |")
    print(f"\n({facts((folder / 'bench.txt').read_text())})")


def at(gain):
    """Where a gain stands on the logarithmic axis from 0.8x to 12x."""
    return LEFT + (RIGHT - LEFT) * math.log(gain / 0.8) / math.log(LARGEST / 0.8)


def print_chart(rows):
    height = ROW * len(OPS) + 60
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 770 {height}" font-family="sans-serif" '
          f'font-size="13">')
    print(f'<rect width="770" height="{height}" fill="#fff"/>')
    for gain in (1, 2, 4, 8):
        colour = "#888" if gain == 1 else "#ddd"
        print(f'<path d="M{at(gain):.1f} 12V{height - 42}" stroke="{colour}"/>')
        print(f'<text x="{at(gain):.1f}" y="{height - 26}" text-anchor="middle" fill="#444">{gain}x</text>')
    for number, (op, dtype) in enumerate(OPS):
        gains = sorted(row["gain"] for row in chart.select(rows, op, dtype, True))
        y, mean = 30 + ROW * number, chart.mean(gains)
        print(f'<text x="{LEFT - 22}" y="{y + 4}" text-anchor="end">{op} {dtype}</text>')
        begin, end = sorted((at(1), at(mean)))
        print(f'<rect x="{begin:.1f}" y="{y - 9}" width="{end - begin:.1f}" height="18" fill="#9ecae1"/>')
        for gain in gains:
            print(f'<circle cx="{at(gain):.1f}" cy="{y}" r="3" fill="#08519c" fill-opacity=".35"/>')
        print(f'<text x="{RIGHT + 5}" y="{y + 4}" font-weight="bold">{mean:.2f}x</text>')
    print(f'<text x="20" y="{height - 8}" fill="#444">PyTorch\'s time / fuseln\'s where PyTorch takes 20 us or '
          f'more: a dot for each case, a bar to the geometric mean</text>\n</svg>')


def main():
    drawn = sys.argv[1:2] == ["--svg"]
    if len(sys.argv) != 2 + drawn:
        sys.exit("usage: gains.py [--svg] FOLDER")
    folder = pathlib.Path(sys.argv[-1])
    rows, _ = chart.read(folder / "bench.csv")
    if drawn:
        print_chart(rows)
    else:
        print_table(rows, folder)


main()
