# SPDX-License-Identifier: Apache-2.0
# Sourced by tools/gpu_check.sh and tools/bench.sh. A script is a list of steps, each with a time limit of its own
# within the script's. A step that fails is reported, and the next one runs. Everything is printed as it comes and
# stored in FOLDER. Needs a checkout, a CUDA Toolkit and PyTorch, and downloads what is missing.
# shellcheck shell=bash disable=SC2119,SC2154
# shellcheck source=tools/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/setup.sh"

# gpu_begin NAME SECONDS FOLDER: exits 77 without a GPU. From here on, output also goes to FOLDER/NAME.txt.
gpu_begin() {
    gpu_name=$1 gpu_until=$2 gpu_failed=() gpu_table=''
    local folder=${3:-$fuseln_root/build-gpu/results}
    SECONDS=0
    if ! gpu_device=$(timeout 60 python3 "$fuseln_root/tests/gpu/device.py"); then
        fuseln_say "no CUDA device here"
        exit 77
    fi
    mkdir -p "$folder" || fuseln_die "cannot make $folder"
    gpu_folder=$(cd "$folder" && pwd)
    export TEST_BUILD=${TEST_BUILD-}
    exec > >(exec tee "$gpu_folder/$gpu_name.txt") 2>&1
    gpu_tee=$!
    echo "$gpu_name on ${gpu_device#* } (compute capability ${gpu_device%% *}), $(date -u '+%Y-%m-%d %H:%M UTC')"
    gpu_header
}

# gpu_finish: prints the result of each step; exits 1 if one failed.
gpu_finish() {
    printf '\n%s%s: %d s in all\n' "$gpu_table" "$gpu_name" "$SECONDS"
    [ ${#gpu_failed[@]} -eq 0 ] || echo "FAILED: ${gpu_failed[*]}"
    exec >&- 2>&-
    wait "$gpu_tee"
    exit $((${#gpu_failed[@]} > 0))
}

# One fact a line, or that it is unknown.
gpu_header() {
    gpu_fact commit git -C "$fuseln_root" describe --always --dirty --tags
    gpu_fact command echo "$gpu_command"
    gpu_fact GPU nvidia-smi -i 0 --format=csv,noheader \
        --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit
    gpu_python
    gpu_fact PyTorch "$gpu_python" -c 'import sys, torch
print(torch.__version__, torch.version.git_version[:12], "Python", sys.version.split()[0])'
    gpu_nvcc
    gpu_fact nvcc "${gpu_nvcc:-nvcc}" --version
}
gpu_fact() {
    local name=$1 value
    shift
    value=$(timeout 120 "$@" 2>&1) || value="unknown (${value##*$'\n'})"
    printf '%s: %s\n' "$name" "${value##*$'\n'}"
}

# The Python that has PyTorch: the tests' own, the machine's, or one that this project installs.
gpu_python() {
    if [ -n "${TEST_VENV:-}" ]; then
        gpu_python=$TEST_VENV/bin/python
    elif python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
        gpu_python=python3
    else
        fuseln_need_torch
        gpu_python=$fuseln_cache/torch-$fuseln_torch/bin/python
    fi
}
gpu_nvcc() {
    gpu_nvcc=
    PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin:/usr/local/cuda/bin
    [ -n "$TEST_BUILD" ] || gpu_nvcc=$(command -v nvcc) || true
}

# gpu_step NAME SECONDS COMMAND...
gpu_step() {
    local name=$1 limit=$2 start=$SECONDS left=$((gpu_until - SECONDS)) status=0 result
    shift 2
    printf '\n== %s (at %d s)\n' "$name" "$start"
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -lt 3 ]; then
        result='FAILED, no time left'
        gpu_failed+=("$name")
    else
        timeout -k 5 "$limit" "$@" || status=$?
        case $status in
        0) result=ok ;;
        77) result='not possible here' ;;
        124 | 137) result="FAILED, longer than $limit s" ;;
        *) result="FAILED, exit status $status" ;;
        esac
        case $result in FAILED*) gpu_failed+=("$name") ;; esac
    fi
    gpu_table+=$(printf '%-24s %4d s  %s' "$name" $((SECONDS - start)) "$result")$'\n'
    echo "$name: $result"
    return $status
}

# Builds the library for this device, with the toolkit's nvcc or the compilers that tools/setup.sh fetches. With
# TEST_BUILD set, uses what was built there.
gpu_build() {
    [ -n "$TEST_BUILD" ] && return 0
    local options=("-DFUSELN_ARCHS=${gpu_device%% *}")
    TEST_BUILD=$fuseln_root/build-gpu
    if [ -n "$gpu_nvcc" ]; then
        options+=("-DFUSELN_NVCC=$gpu_nvcc")
    else
        fuseln_need_nvrtc
        options=(-DFUSELN_CUDA=nvrtc "-DFUSELN_NVRTC_FLOOR=$fuseln_cache/nvrtc-12.0"
            "-DFUSELN_NVRTC_NEW=$fuseln_cache/nvrtc-12.8")
    fi
    gpu_step configure 60 cmake -S "$fuseln_root" -B "$TEST_BUILD" -DFUSELN_TESTS=OFF "${options[@]}"
    gpu_step build 180 cmake --build "$TEST_BUILD" -j "$(nproc)"
}
