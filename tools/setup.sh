# SPDX-License-Identifier: Apache-2.0
# Set-up shared by tools/build.sh, test.sh, demo.sh and check.sh; sourced, never run. Each function makes one thing
# exist and does nothing, quickly, when it is there. Downloads go below $fuseln_cache; a thing is built beside its
# place and renamed into it, so an interrupted one is made again. Packages come through plain apt-get and pip.

fuseln_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fuseln_cache=${XDG_CACHE_HOME:-$HOME/.cache}/fuseln
fuseln_torch=2.15.0

fuseln_say() { printf '%s\n' "fuseln: $*" >&2; }
fuseln_die() { fuseln_say "$*"; exit 1; }

# fuseln_need_packages PACKAGE...: Debian packages; apt-get runs only when one is missing.
fuseln_need_packages() {
    local missing=() package as_root=()
    command -v dpkg-query >/dev/null || { fuseln_say "not Debian: install these yourself if missing: $*"; return 0; }
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    fuseln_say "installing ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fuseln_die "as root, run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get -qq update || fuseln_say "apt-get update failed, going on with the lists at hand"
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" \
        >/dev/null || fuseln_die "could not install ${missing[*]}"
}

# fuseln_make DIRECTORY COMMAND...: runs COMMAND with a temporary directory as last argument and renames that to
# DIRECTORY when it succeeded. Two at once both succeed; the first wins.
fuseln_make() {
    local place=$1 work
    shift
    [ -e "$place" ] && return 0
    fuseln_say "making $place"
    mkdir -p "$(dirname "$place")"
    work=$(mktemp -d "$place.XXXXXX")
    if ! "$@" "$work"; then
        rm -rf "$work"
        fuseln_die "could not make $place"
    fi
    chmod 755 "$work"
    mv -T "$work" "$place" 2>/dev/null || rm -rf "$work"
    [ -e "$place" ]
}

# fuseln_unpack_wheels REQUIREMENT... DIRECTORY: wheels, without their dependences, unpacked into DIRECTORY.
fuseln_unpack_wheels() {
    local into=${!#} wheel python=python3
    if ! python3 -m pip --version >/dev/null 2>&1; then # Debian's python3 may lack pip, its venv has it
        python3 -m venv "$into/pip" && python=$into/pip/bin/python || return 1
    fi
    "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$into/wheels" \
        "${@:1:$#-1}" || return 1
    for wheel in "$into"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$into" || return 1
    done
    rm -rf "$into/wheels" "$into/pip"
}

# The two compilers of the device images: 12.0 for a driver floor of 525, 12.8 for sm_100 and sm_120. Each release of
# the compiler has its headers in the runtime wheel of the same release (equal numbers do not exist).
fuseln_need_nvrtc() {
    fuseln_make "$fuseln_cache/nvrtc-12.0" fuseln_unpack_wheels \
        nvidia-cuda-nvrtc-cu12==12.0.140 nvidia-cuda-runtime-cu12==12.0.146
    fuseln_make "$fuseln_cache/nvrtc-12.8" fuseln_unpack_wheels \
        nvidia-cuda-nvrtc-cu12==12.8.93 nvidia-cuda-runtime-cu12==12.8.90
}

# Disassembles machine code of sm_75 and later, from any CUDA release; sm_70 as sm_75 (tests/budgets/sass.py).
fuseln_need_nvdisasm() {
    fuseln_make "$fuseln_cache/nvdisasm-13.5.37" fuseln_unpack_nvdisasm nvidia-cuda-nvdisasm==13.5.37
}
fuseln_unpack_nvdisasm() { # wheels are unpacked without the permission to execute
    fuseln_unpack_wheels "$@" && chmod +x "${!#}"/nvidia/*/bin/nvdisasm
}

# fuseln_need_torch [VERSION]: a virtual environment with that wheel. It knows its own path, so it cannot be renamed: it
# is made in its place and carries a stamp when it is complete.
fuseln_need_torch() {
    local version=${1:-$fuseln_torch} place
    place=$fuseln_cache/torch-$version
    [ -e "$place/fuseln-complete" ] && return 0
    if [ -x "$place/bin/python" ] && "$place/bin/python" -c "import pytest, hypothesis, numpy, torch
assert torch.__version__.split('+')[0] == '$version'" 2>/dev/null; then
        touch "$place/fuseln-complete"
        return 0
    fi
    fuseln_say "installing PyTorch $version (some GB)"
    rm -rf "$place"
    mkdir -p "$fuseln_cache"
    python3 -m venv "$place" || fuseln_die "python3 -m venv failed"
    "$place/bin/python" -m pip install -q --disable-pip-version-check "torch==$version" numpy pytest hypothesis ||
        fuseln_die "could not install PyTorch $version"
    touch "$place/fuseln-complete"
}

# Models that others wrote, built from their configurations (nothing is downloaded for them later).
fuseln_need_models() {
    local place=$fuseln_cache/torch-$fuseln_torch
    fuseln_need_torch
    [ -e "$place/fuseln-models" ] && return 0
    fuseln_say "installing transformers, timm and torchvision"
    "$place/bin/python" -m pip install -q --disable-pip-version-check "torch==$fuseln_torch" transformers==5.23.0 \
        timm==1.0.31 torchvision==0.29.2 || fuseln_die "could not install the models"
    touch "$place/fuseln-models"
}

# fuseln_need_wheel NAME VERSION [EXTRA [REQUIREMENT...]]: a virtual environment with that wheel and what it depends on;
# where requirements are named, with those instead.
fuseln_need_wheel() {
    local place=$fuseln_cache/$1-$2 alone=() pip
    [ -e "$place/fuseln-complete" ] && return 0
    fuseln_say "installing $1 $2"
    rm -rf "$place"
    pip=("$place/bin/python" -m pip install -q --disable-pip-version-check)
    [ $# -le 3 ] || alone=(--no-deps)
    python3 -m venv "$place" && { [ $# -le 3 ] || "${pip[@]}" "${@:4}"; } &&
        "${pip[@]}" "${alone[@]}" "$1${3:+[$3]}==$2" || fuseln_die "could not install $1 $2"
    touch "$place/fuseln-complete"
}

# Libraries that others preload (tests/torch/test_neighbours.py); the wheel is unpacked, so that PyTorch's environment
# stays as it is.
fuseln_need_neighbours() {
    fuseln_need_packages libfaketime
    fuseln_make "$fuseln_cache/torch_memory_saver-0.0.10" fuseln_unpack_wheels torch_memory_saver==0.0.10
}

# Debian 11's loader and libc (glibc 2.31), unpacked, never installed: from the archive that apt is set up with.
fuseln_need_debian11() {
    fuseln_make "$fuseln_cache/debian-11" fuseln_unpack_debian11
}
fuseln_unpack_debian11() {
    local into=$1 archive apt
    archive=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && !/security/ { print $2; exit }')
    [ -n "$archive" ] || { fuseln_say "no Debian archive among apt's sources: Debian 11's libc6 is missing"; return 1; }
    mkdir -p "$into/apt/lists/partial" "$into/apt/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive bullseye main" >"$into/apt/sources"
    apt=(apt-get -qq -o Dir::Etc::sourcelist="$into/apt/sources" -o Dir::Etc::sourceparts=- -o Dir::State="$into/apt"
        -o Dir::State::status=/dev/null -o Dir::Cache="$into/apt" -o APT::Sandbox::User=root)
    "${apt[@]}" update && (cd "$into/apt" && "${apt[@]}" download libc6) || return 1
    dpkg-deb -x "$into"/apt/libc6_*.deb "$into" && rm -rf "$into/apt"
}

# fuseln_cmake BUILD-DIRECTORY [CMAKE-OPTION...]: configure (quiet unless it fails) and build everything, or the targets
# in $fuseln_targets.
fuseln_cmake() {
    local build=$1
    shift
    cmake -S "$fuseln_root" -B "$build" -G "${fuseln_generator:-Ninja}" -DFUSELN_CUDA=nvrtc \
        -DFUSELN_NVRTC_FLOOR="$fuseln_cache/nvrtc-12.0" -DFUSELN_NVRTC_NEW="$fuseln_cache/nvrtc-12.8" "$@" &&
        cmake --build "$build" ${fuseln_targets:+--target $fuseln_targets}
}
