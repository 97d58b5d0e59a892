# SPDX-License-Identifier: Apache-2.0
"""The lists of hooks/names.h, as the preprocessor reads them."""
import pathlib
import re
import subprocess

HEADER = pathlib.Path(__file__).resolve().parents[1] / "hooks" / "names.h"


def rows(which):
    """FUSELN_<which>(X), a tuple for each X(...)."""
    text = f'#include "{HEADER}"\n#define ROW(...) [__VA_ARGS__]\nLIST FUSELN_{which}(ROW)'
    done = subprocess.run(["gcc", "-E", "-P", "-xc", "-"], input=text, check=True, capture_output=True, text=True)
    return [tuple(re.findall(r"[\w.]+", row)) for row in re.findall(r"\[(.*?)\]", done.stdout.split("LIST")[-1])]


def listed(which):
    """The functions of an EXPORTS, NOTICED or HARMLESS list."""
    return [row[1 if which.endswith("EXPORTS") else 0] for row in rows(which)]


def base(name):
    """Without its version and its form for the per-thread stream."""
    return re.sub(r"_v\d+$", "", re.sub(r"_pt[sd][sz]$", "", name))
