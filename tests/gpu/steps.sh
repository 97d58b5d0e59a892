# SPDX-License-Identifier: Apache-2.0
# Sourced by tools/gpu_check.sh and tools/bench.sh. A script is a list of steps, each with a time limit of its own
# within the script's, $GPU_SECONDS (540): it stops in time by its own clock, also on a machine lent for ten minutes. A
# step that fails is reported, and the next one runs. What passed is noted in the folder of results and not run again
# there, so a script may be called again until everything has run. Needs a checkout, a CUDA Toolkit with cmake and a
# compiler, and a Python that has PyTorch; downloads nothing.
# shellcheck shell=bash disable=SC2154,SC2034
# shellcheck source=tools/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/setup.sh"

# gpu_options [--dry-run] ARGUMENT...: leaves the arguments in gpu_arguments. With --dry-run no GPU is needed, and each
# step only says its name and its time limit.
gpu_options() {
    gpu_dry=
    [ "${1:-}" != --dry-run ] || { gpu_dry=1 && shift; }
    gpu_arguments=("$@")
}

# gpu_begin NAME FOLDER: exits 77 without a GPU. From here on, output also goes to NAME.txt in FOLDER/DEVICE-COMMIT, so
# that results of two devices or two commits never mix. On the software device, few and small cases run and nothing is
# kept.
gpu_begin() {
    gpu_name=$1 gpu_until=${GPU_SECONDS:-540} gpu_patience=1 gpu_failed=() gpu_table='' gpu_small=() gpu_temporary=
    gpu_device='' gpu_python=python3 gpu_folder=
    local folder=${2:-$fuseln_root/build-gpu/results}
    export TEST_BUILD=${TEST_BUILD:+$(realpath "$TEST_BUILD")}
    SECONDS=0
    [ -z "$gpu_dry" ] || return 0
    if [ -n "${gpu_arch:-}" ]; then # no device is needed to build for one
        gpu_device="$gpu_arch none" gpu_until=${GPU_SECONDS:-3600} gpu_patience=10 gpu_temporary=$(mktemp -d)
        gpu_folder=$gpu_temporary
        return
    elif ! gpu_device=$(timeout 60 python3 "$fuseln_root/tests/gpu/device.py"); then
        fuseln_say "no CUDA device here"
        exit 77
    fi
    case $gpu_device in *'Software device'*)
        fuseln_say "the software device: a rehearsal with small cases; its times mean nothing, and nothing is kept"
        gpu_small=(--small) folder=$(mktemp -d) gpu_until=${GPU_SECONDS:-3600} gpu_patience=10
        gpu_temporary=$folder
        export SOFTGPU_SMS=4 # so that few rows make a pair
        ;;
    esac
    folder=$folder/$(gpu_id)
    mkdir -p "$folder" || fuseln_die "cannot make $folder"
    gpu_folder=$(cd "$folder" && pwd)
    exec > >(exec tee -a "$gpu_folder/$gpu_name.txt") 2>&1
    gpu_tee=$!
    echo "$gpu_name on ${gpu_device#* } (compute capability ${gpu_device%% *}), $(date -u '+%Y-%m-%d %H:%M UTC')"
    gpu_header
}

# gpu_finish: prints the result of each step; exits 1 if one failed.
gpu_finish() {
    [ -z "$gpu_dry" ] || exit 0
    printf '\n%s%s: %d s in all\n' "$gpu_table" "$gpu_name" "$SECONDS"
    [ ${#gpu_failed[@]} -eq 0 ] || printf 'failed or not done: %s\n' "${gpu_failed[@]}"
    [ -z "${gpu_tee:-}" ] || { exec >&- 2>&- && wait "$gpu_tee"; }
    [ -z "$gpu_temporary" ] || rm -rf "$gpu_temporary"
    exit $((${#gpu_failed[@]} > 0))
}

# The name of a folder of results. Sources that are not those of a commit add their hash.
gpu_id() {
    local commit
    commit=$(git -C "$fuseln_root" describe --always --dirty --tags 2>/dev/null) || commit=unknown
    case $commit in *-dirty | unknown)
        commit+=-$(cd "$fuseln_root" && find CMakeLists.txt hooks kernels src tests/gpu/*.* -type f -print0 |
            LC_ALL=C sort -z | xargs -0 cat | sha256sum | cut -c1-8)
        ;;
    esac
    gpu_device=${gpu_device/NVIDIA /}
    printf '%s-%s' "${gpu_device#* }" "$commit" | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9.-' '-'
}

# One fact a line, or that it is unknown.
gpu_header() {
    gpu_fact commit git -C "$fuseln_root" describe --always --dirty --tags
    gpu_fact command echo "$gpu_command"
    gpu_fact GPU nvidia-smi -i 0 --format=csv,noheader \
        --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit
    gpu_find_python
    gpu_fact PyTorch "$gpu_python" -c 'import sys, torch
print(torch.__version__, torch.version.git_version[:12], "Python", sys.version.split()[0])'
}
gpu_fact() {
    local name=$1 value
    shift
    value=$(timeout 120 "$@" 2>&1) || value="unknown (${value##*$'\n'})"
    printf '%s: %s\n' "$name" "${value##*$'\n'}"
}

# The Python that has PyTorch: the tests', the machine's, or the one that tools/build.sh installed.
gpu_find_python() {
    for gpu_python in "${TEST_VENV:-/nonexistent}/bin/python" python3 "$fuseln_cache/torch-$fuseln_torch/bin/python"; do
        "$gpu_python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null && return
    done
    fuseln_die "no python3 here has PyTorch"
}

# gpu_step NAME SECONDS COMMAND...: a step that passed in this folder before is not run again.
gpu_step() {
    local name=$1 limit=$2 start=$SECONDS left=$((gpu_until - SECONDS)) status=0 result
    shift 2
    if [ -n "$gpu_dry" ]; then
        printf '%-24s at most %3d s\n' "$name" "$limit"
        return 0
    elif grep -qsxF "$name" "$gpu_folder/$gpu_name.passed"; then
        gpu_table+=$(printf '%-24s         passed before' "$name")$'\n'
        return 0
    fi
    printf '\n== %s (at %d s)\n' "$name" "$start"
    limit=$((gpu_patience * limit))
    [ "$left" -ge "$limit" ] || limit=$left
    if [ "$limit" -lt 3 ]; then
        result='NOT DONE, no time left'
    else
        if [ "$(type -t "$1")" = function ]; then "$@"; else timeout -k 5 "$limit" "$@"; fi || status=$?
        case $status in
        0) result=ok ;;
        75) result='NOT DONE, stopped in time' ;;
        77) result='not possible here' ;;
        124 | 137) result="FAILED, longer than $limit s" ;;
        *) result="FAILED, exit status $status" ;;
        esac
    fi
    case $result in
    ok) echo "$name" >>"$gpu_folder/$gpu_name.passed" ;;
    FAILED* | NOT*) gpu_failed+=("$name") status=1 ;;
    esac
    gpu_table+=$(printf '%-24s %4d s  %s' "$name" $((SECONDS - start)) "$result")$'\n'
    echo "$name: $result"
    return "$status"
}

# Like gpu_step, for what must be done again on each machine.
gpu_again() {
    [ -n "$gpu_dry" ] || sed -i "/^$1\$/d" "$gpu_folder/$gpu_name.passed" 2>/dev/null
    gpu_step "$@"
}

# Builds the library for this device alone, with the toolkit's nvcc, and the programs of this folder. With TEST_BUILD
# set, uses the library that was built there, by this function or by tools/build.sh, and builds what is missing beside
# it. Ends the script if there is no library to run.
gpu_build() {
    local tool nvcc
    gpu_built=
    if [ -z "$TEST_BUILD" ]; then
        TEST_BUILD=$fuseln_root/build-gpu gpu_built=1
        PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
        if [ -z "$gpu_dry" ]; then
            for tool in nvcc cmake cc; do
                command -v "$tool" >/dev/null ||
                    fuseln_die "no $tool here: install it, or build elsewhere and set TEST_BUILD"
            done
            nvcc=$(command -v nvcc)
            echo "nvcc: $("$nvcc" --version | tail -n1)"
        fi
        gpu_again configure 60 cmake -S "$fuseln_root" -B "$TEST_BUILD" -DFUSELN_TESTS=OFF \
            "-DFUSELN_ARCHS=${gpu_device%% *}" "-DFUSELN_NVCC=${nvcc-}" "-DCMAKE_C_FLAGS=" &&
            gpu_again build 300 cmake --build "$TEST_BUILD" -j "$(nproc)" --target fuseln fuseln_archive || gpu_finish
    fi
    gpu_again programs-build 60 "$fuseln_root/tests/gpu/sample.sh" build || gpu_finish
}

# gpu_build_rows: libraries that begin to pair at other numbers of rows, as gpu/libfuseln-ROWS.so. They differ in one
# number of the host code; the device images are not built again.
gpu_build_rows() {
    [ -z "$gpu_built" ] || gpu_again build-rows 120 gpu_rows
}
gpu_rows() {
    local rows
    for rows in 4 8 16 ''; do # '' last: build-gpu/libfuseln.so is as it was
        cmake "-DCMAKE_C_FLAGS=${rows:+-DFUSELN_DIRECT_ROWS=$rows}" "$TEST_BUILD" >/dev/null &&
            cmake --build "$TEST_BUILD" -j "$(nproc)" --target fuseln || return 1
        [ -z "$rows" ] || cp "$TEST_BUILD/libfuseln.so" "$TEST_BUILD/gpu/libfuseln-$rows.so"
    done
}
