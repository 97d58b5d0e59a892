# SPDX-License-Identifier: Apache-2.0
"""`python -m fuseln ...` is the command `fuseln ...`, which pip put beside this package, wherever that is."""
import importlib.metadata
import os
import sys


def main():
    for file in importlib.metadata.files("fuseln") or ():
        if file.name == "fuseln" and file.parent.name in ("bin", "scripts"):
            path = str(file.locate().resolve())
            try:
                os.execv(path, [path, *sys.argv[1:]])
            except OSError as error:  # as of a wheel for another architecture
                return f"fuseln: {path}: {error.strerror}"
    return "fuseln: the command fuseln is not where pip put it; install the package again"


if __name__ == "__main__":
    sys.exit(main())
