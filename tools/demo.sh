#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/demo.sh: installs what is needed, builds, and trains a small GPT with an unmodified PyTorch wheel, first alone
# and then with fuseln, on the GPU if there is one and on the software device otherwise. Prints both loss curves and
# fuseln's report, and writes it as a page. STEPS=N sets the number of training steps (30).
set -euo pipefail
. "$(dirname "$0")/setup.sh"
root=$fuseln_root
"$root/tools/build.sh"

cd "$root" # the report has the command as it is given
export PATH=$fuseln_cache/torch-$fuseln_torch/bin:$PATH
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
train=(python tools/train.py --steps "${STEPS:-30}")

if python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "== device: $(python -c 'import torch; print(torch.cuda.get_device_name())')"
    "${train[@]}" >"$out/alone"
    LD_PRELOAD="$root/build/libfuseln.so" FUSELN_REPORT="$out/report.json" "${train[@]}" >"$out/fuseln"
else
    echo "== device: none; the software device stands in (tests/softgpu: right numbers, no speed)"
    "$root/tests/softgpu/run" --no-fuseln --cpu-ops -- "${train[@]}" >"$out/alone"
    FUSELN_REPORT="$out/report.json" "$root/tests/softgpu/run" --cpu-ops -- "${train[@]}" >"$out/fuseln"
fi

echo "== loss of each step: PyTorch alone | with fuseln"
paste -d'|' "$out/alone" "$out/fuseln" | sed 's/|step *[0-9]* loss/ |/'
# Layer norms that differ in float32's last bit (2^-24) let two runs drift apart by at most 2^-16 per step
# (tests/torch/test_models.py derives the bound).
paste "$out/alone" "$out/fuseln" | awk '
    { d = $4 - $8; if (d < 0) d = -d; d /= $4; if (d > worst) worst = d; if (d > (NR) / 65536) bad = 1 }
    END { printf "== largest relative difference %.2g; bound 2^-16 per step, %.2g at the last\n", worst, NR / 65536
          exit bad }'
echo
"$root/build/fuseln" report --html "$root/build/demo.html" "$out/report.json"
echo "== the same as a page: $root/build/demo.html"
