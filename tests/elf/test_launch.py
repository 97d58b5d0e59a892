# SPDX-License-Identifier: Apache-2.0
"""The way of a launch, as src/README.md lists it: each step is a function of the file that is named, called by the function
above it, and the launch passes from file to file at most 45 times."""
import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ["TEST_SOURCE"])
STEP = re.compile(r"^( *)- `([\w./]+)` `(\w+)`", re.MULTILINE)


def steps(text):
    """(depth, file, function) of each line of the list."""
    return [(len(indent) // 2, file, name) for indent, file, name in STEP.findall(text)]


def body(path, name):
    """The text of a function or of a macro that defines one; None where the file has none."""
    text = path.read_text()
    found = re.search(rf"^#define {name}\(.*?[^\\]$", text, re.MULTILINE | re.DOTALL) or re.search(
        rf"^(?!\s)[^\n;#]*\b{name}\((?:[^;{{}}])*\)\n{{\n.*?^}}", text, re.MULTILINE | re.DOTALL)
    return found and found[0]


class Launch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.steps = steps((SOURCE / "src/README.md").read_text())

    def callers(self):
        """Each step with the one that it is indented under."""
        above = []
        for depth, file, name in self.steps:
            del above[depth:]
            yield (above[-1] if above else None), (file, name)
            above.append((file, name))

    def test_each_step_is_called_by_the_one_above(self):
        self.assertGreater(len(self.steps), 20)
        for caller, (file, name) in self.callers():
            with self.subTest(f"{file} {name}"):
                self.assertIsNotNone(body(SOURCE / file, name), "is no function there")
                if caller:
                    reached = self.reached(*caller)
                    self.assertRegex(reached, rf"\b{name}\b", f"not called by {caller}")

    def reached(self, file, name):
        """The text of a function with that of the functions of its own file which it calls."""
        text, todo, seen = "", [name], set()
        while todo:
            one = body(SOURCE / file, todo.pop()) or ""
            text += one
            called = set(re.findall(r"\b(\w+)\(", one)) - seen
            seen |= called
            todo += [other for other in called if body(SOURCE / file, other)]
        return text

    def test_passes(self):
        passes = 2 * sum(caller[0] != step[0] for caller, step in self.callers() if caller)
        self.assertLessEqual(passes, 45)

    def test_a_step_that_is_not_there_is_found(self):
        self.assertIsNone(body(SOURCE / "hooks/launch.c", "no_such_function"))
        self.assertEqual(steps("- `a.c` `one`\n  - `b.c` `two`: text\n"), [(0, "a.c", "one"), (1, "b.c", "two")])


if __name__ == "__main__":
    unittest.main()
