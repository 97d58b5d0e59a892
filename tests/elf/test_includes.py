# SPDX-License-Identifier: Apache-2.0
# SPDX-License-Identifier: Apache-2.0
"""The layers of the product, as its includes show them: each quoted include names its folder, none points up, and no two
files include each other in a circle (x.c and x.h are one file here)."""
import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ["TEST_SOURCE"])
LAYERS = ["kernels", "base", "kernels/host", "core", "report", "hooks/targets", "hooks", "tools/fuseln", "tools"]
GENERATED = {"version.h", "images.inc", "page.inc"}


def includes(root):
    """{file without its ending: files that it includes}, and what is wrong with the includes themselves."""
    found, wrong = {}, []
    for path in sorted(path for folder in ("kernels", "src", "hooks", "tools") for path in (root / folder).rglob("*.*")):
        if path.suffix not in (".c", ".h", ".cu", ".cuh", ".S"):
            continue
        name = str(path.relative_to(root)).removeprefix("src/")
        below = found.setdefault(os.path.splitext(name)[0], set())
        for included in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.MULTILINE):
            if included in GENERATED:
                continue
            if not any((root / place / included).exists() for place in (".", "src")) or "/" not in included:
                wrong.append(f"{name} includes {included}, which does not name its folder")
            elif os.path.dirname(included) not in LAYERS or LAYERS.index(os.path.dirname(included)) > LAYERS.index(os.path.dirname(name)):
                wrong.append(f"{name} includes {included}, which stands above it")
            below.add(os.path.splitext(included)[0])
    return found, wrong


def circle(found):
    """The files of a circle, or none."""
    done, path = set(), []

    def visit(file):
        if file in path:
            return path[path.index(file):] + [file]
        path.append(file)
        for below in sorted(found.get(file, set()) - done - {file}):
            if below in found and (closed := visit(below)):
                return closed
        done.add(path.pop())
        return None

    return next((closed for file in sorted(found) if file not in done and (closed := visit(file))), [])


class Includes(unittest.TestCase):
    def test_no_include_points_up(self):
        self.assertEqual(includes(SOURCE)[1], [])

    def test_no_circle(self):
        self.assertEqual(circle(includes(SOURCE)[0]), [])

    def test_a_circle_is_found(self):
        self.assertEqual(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}), ["b", "c", "b"])


if __name__ == "__main__":
    unittest.main()
