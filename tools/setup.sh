# SPDX-License-Identifier: Apache-2.0
# What the scripts in this folder share: source it, do not run it. Each fuseln_need_* function installs one thing, or
# returns at once if it is there. Downloads go to $fuseln_cache. A folder is filled under a temporary name and then
# renamed, so an interrupted download starts over. Packages come through plain apt-get and pip.

fuseln_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fuseln_cache=${XDG_CACHE_HOME:-${HOME:?or XDG_CACHE_HOME must name a folder for downloads}/.cache}/fuseln
fuseln_torch=2.15.0
fuseln_torch_cuda12=2.6.0 # the tests run a wheel of CUDA 12 too
export PIP_PROGRESS_BAR=off PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

fuseln_say() { printf '%s\n' "fuseln: $*" >&2; }
fuseln_die() { fuseln_say "$*"; exit 1; }

# fuseln_step WHAT COMMAND...: says in one line what is done now. COMMAND's output is shown if it fails; on a terminal
# one more line shows meanwhile how long it has taken, and what it printed last.
fuseln_step() {
    local output status=0
    fuseln_say "$1"
    output=$("${@:2}" 2>&1 | tee >(fuseln_watch); exit "${PIPESTATUS[0]}") || status=$?
    [ $status -eq 0 ] || printf '%s\n' "$output" >&2
    return $status
}
fuseln_watch() {
    local start=$SECONDS line='' more
    [ -t 2 ] || exec cat >/dev/null
    while IFS= read -r -t 1 more && line=${more//[^[:print:]]/} || [ $? -gt 128 ]; do # above 128: nothing new for 1 s
        printf '\r\033[K%5d s  %s' $((SECONDS - start)) "${line:0:66}"
    done >&2
    printf '\r\033[K' >&2
}

# fuseln_need_packages PACKAGE...: Debian packages; runs apt-get only if one is missing.
fuseln_need_packages() {
    local missing=() package as_root=()
    command -v dpkg-query >/dev/null || {
        fuseln_say "this is not Debian; if they are missing, install $*"
        return 0
    }
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null && sudo -v || fuseln_die "as root, run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    fuseln_step "reading the package lists" "${as_root[@]}" apt-get -q update ||
        fuseln_say "apt-get update failed; using the package lists already here"
    fuseln_step "installing ${missing[*]}" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "${missing[@]}" || fuseln_die "could not install ${missing[*]}"
}

# fuseln_make DIRECTORY COMMAND...: runs COMMAND with a temporary directory as its last argument and, if it succeeds,
# renames that to DIRECTORY. If two processes do this at once both succeed, and the first one's result stays.
fuseln_make() {
    local directory=$1 work
    shift
    [ -e "$directory" ] && return 0
    work=$(mkdir -p "${directory%/*}" 2>&1 && mktemp -d "$directory.XXXXXX" 2>&1) ||
        fuseln_die "could not make $directory: $work"
    if ! fuseln_step "making $directory" "$@" "$work"; then
        rm -rf "$work"
        fuseln_die "could not make $directory"
    fi
    chmod 755 "$work"
    mv -T "$work" "$directory" 2>/dev/null || rm -rf "$work"
    [ -e "$directory" ]
}

# fuseln_unpack_wheels REQUIREMENT... DIRECTORY: unpacks wheels, without their dependencies, into DIRECTORY.
fuseln_unpack_wheels() {
    local into=${!#} python=python3
    if ! python3 -m pip --version >/dev/null 2>&1; then # Debian's python3 may lack pip; its venv has it
        python3 -m venv "$into/pip" && python=$into/pip/bin/python || return 1
    fi
    "$python" -m pip install --no-deps --no-compile --only-binary=:all: --target "$into" "${@:1:$#-1}" &&
        rm -rf "$into/pip"
}

# The two compilers of the device images: 12.0 for a driver floor of 525, 12.8 for sm_100 and sm_120. A compiler's
# headers are in the runtime wheel of the same CUDA release, whose last version number differs from the compiler's.
fuseln_need_nvrtc() {
    fuseln_make "$fuseln_cache/nvrtc-12.0" fuseln_unpack_wheels \
        nvidia-cuda-nvrtc-cu12==12.0.140 nvidia-cuda-runtime-cu12==12.0.146
    fuseln_make "$fuseln_cache/nvrtc-12.8" fuseln_unpack_wheels \
        nvidia-cuda-nvrtc-cu12==12.8.93 nvidia-cuda-runtime-cu12==12.8.90
}

# An nvcc, as a CUDA Toolkit has it (tests/packages/test_source.py).
fuseln_need_nvcc() {
    fuseln_make "$fuseln_cache/toolkit-13.0.88" fuseln_unpack_wheels nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
        nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime==13.0.96
}

# A disassembler for the machine code of any CUDA release, sm_75 and later; sm_70 is read as sm_75
# (tests/budgets/sass.py).
fuseln_need_nvdisasm() {
    fuseln_make "$fuseln_cache/nvdisasm-13.5.37" fuseln_unpack_wheels nvidia-cuda-nvdisasm==13.5.37
}

# fuseln_venv NAME STAMP PIP-ARGUMENT...: installs into the virtual environment $fuseln_cache/NAME and leaves
# fuseln-STAMP there, so that it is done once. An environment holds its own path and cannot be renamed, so it is made at
# its final path, anew if an interrupted one has no stamp yet. Of two processes at once the second waits.
fuseln_venv() {
    local venv=$fuseln_cache/$1
    [ -e "$venv/fuseln-$2" ] && return 0
    mkdir -p "$fuseln_cache" || fuseln_die "could not make $fuseln_cache"
    (flock 9 && { [ -e "$venv/fuseln-$2" ] || {
        fuseln_step "installing ${*:3} into $venv" fuseln_pip "$venv" "${@:3}" && touch "$venv/fuseln-$2"
    }; }) 9>"$venv.lock" || fuseln_die "could not install ${*:3}"
}
fuseln_pip() {
    local stamps=("$1"/fuseln-*)
    [ -e "${stamps[0]}" ] || { rm -rf "$1" && python3 -m venv "$1"; } || return
    "$1/bin/python" -m pip install "${@:2}"
}

# fuseln_need_torch [VERSION | VERSION-aarch64]: some GB.
fuseln_need_torch() {
    local version=${1:-$fuseln_torch} numpy=numpy
    case $version in
    *-aarch64) fuseln_make "$fuseln_cache/torch-$version" fuseln_unpack_torch_arm64 "${version%-*}"; return ;;
    1.* | 2.[012].*) numpy='numpy<2' ;; # what these were built with
    esac
    fuseln_venv "torch-$version" complete "torch==$version" "$numpy" pytest hypothesis
}

# NVIDIA's runtimes of CUDA 11 and 12, for the headers by which the software device stands in for them (that of CUDA 13
# comes with PyTorch).
fuseln_need_runtimes() {
    fuseln_make "$fuseln_cache/cuda-runtime-11.7.99" fuseln_unpack_wheels nvidia-cuda-runtime-cu11==11.7.99
    fuseln_make "$fuseln_cache/cuda-runtime-12.4.127" fuseln_unpack_wheels nvidia-cuda-runtime-cu12==12.4.127
}

# Debian's Chromium, and what drives it (tests/cli/browser.py).
fuseln_need_browser() {
    fuseln_need_packages chromium
    fuseln_venv playwright-1.65.2 complete playwright==1.65.2 axe-playwright-python==0.1.8
}

# Other people's models, built from their configurations; no weights are downloaded.
fuseln_need_models() {
    fuseln_need_torch
    fuseln_venv "torch-$fuseln_torch" models "torch==$fuseln_torch" transformers==5.23.0 timm==1.0.31 \
        torchvision==0.29.2
}

# fuseln_need_wheel NAME VERSION [EXTRA [REQUIREMENT...]]: a virtual environment with that wheel and its dependencies,
# or with the given requirements in place of its dependencies.
fuseln_need_wheel() {
    local venv=$1-$2 alone=()
    [ -e "$fuseln_cache/$venv/fuseln-complete" ] && return 0
    [ $# -le 3 ] || { fuseln_venv "$venv" requirements "${@:4}" && alone=(--no-deps); }
    fuseln_venv "$venv" complete "${alone[@]}" "$1${3:+[$3]}==$2"
}

# fuseln_need_library NAME VERSION PATTERN: one library of a wheel; what else the wheel holds is given back.
fuseln_need_library() {
    fuseln_make "$fuseln_cache/$1-$2-library" fuseln_unpack_library "$3" "$1==$2"
}
fuseln_unpack_library() {
    fuseln_unpack_wheels "$2" "$3/wheel" && mv "$3"/wheel/$1 "$3" && rm -rf "$3/wheel"
}

# Other preload libraries (tests/torch/test_neighbours.py). The wheel is only unpacked, to leave PyTorch's environment
# as it is.
fuseln_need_neighbours() {
    fuseln_need_packages libfaketime
    fuseln_make "$fuseln_cache/torch_memory_saver-0.0.10" fuseln_unpack_wheels torch_memory_saver==0.0.10
}

# What else starts a training run on many GPUs (tests/torch/launchers.py), beside PyTorch's environment, not in it.
fuseln_launchers=$fuseln_cache/launchers-1
fuseln_need_launchers() {
    fuseln_need_models # which need much of the same
    fuseln_make "$fuseln_launchers" fuseln_install_launchers
}
fuseln_install_launchers() {
    "$fuseln_cache/torch-$fuseln_torch/bin/python" -m pip install --no-deps --no-build-isolation --target "$1" \
        accelerate==1.15.0 deepspeed==0.19.8 ray==2.60.0 attrs certifi charset-normalizer einops hjson jsonschema \
        jsonschema-specifications msgpack ninja protobuf psutil py-cpuinfo referencing requests rpds-py urllib3
}

# Debian 11's loader and libc (glibc 2.31), unpacked but not installed, from the archive that apt already uses.
fuseln_need_debian11() {
    fuseln_make "$fuseln_cache/debian-11" fuseln_unpack_debian11
}
fuseln_unpack_debian11() {
    local apt
    (cd "$1" && fuseln_private_apt deb bullseye && "${apt[@]}" download libc6) &&
        dpkg-deb -x "$1"/libc6_*.deb "$1" && rm -rf "$1"/{apt,libc6_*.deb}
}

# To build for aarch64 and run the result: a cross compiler, qemu, and the same Debian's arm64 packages, unpacked but not
# installed, in $fuseln_arm64. The compiler has its usual name there. Boost is this system's: its headers are for any
# machine.
fuseln_arm64=$fuseln_cache/aarch64-$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
fuseln_need_arm64() {
    fuseln_need_packages g++-aarch64-linux-gnu qemu-user-static libboost-context-dev
    fuseln_make "$fuseln_arm64" fuseln_unpack_arm64
}
fuseln_unpack_arm64() {
    local boost
    boost=$(readlink "/usr/lib/$(uname -m)-linux-gnu/libboost_context.so") || return 1 # libboost_context.so.1.74.0
    fuseln_unpack_arm64_packages "$1" libstdc++6 libcmocka-dev libjansson-dev libarchive-dev bash dash coreutils \
        libjemalloc2 libmimalloc-dev libasan8 "libboost-context${boost#*.so.}" || return 1
    ln -s aarch64-linux-gnu-gcc "$1/usr/bin/gcc"
    ln -s "$boost" "$1/usr/lib/aarch64-linux-gnu/libboost_context.so"
}

# fuseln_unpack_arm64_packages FOLDER PACKAGE...: these, and what they depend on.
fuseln_unpack_arm64_packages() {
    local apt package
    mkdir -p "$1"/usr/{bin,lib,sbin} && ln -s usr/{bin,lib,sbin} "$1" || return 1
    (cd "$1" && fuseln_private_apt deb "" arm64 &&
        "${apt[@]}" install -y --download-only --no-install-recommends "${@:2}") || return 1
    for package in "$1"/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$1" || return 1
    done
    rm -rf "$1/apt"
}

# fuseln_unpack_torch_arm64 VERSION FOLDER: the same Debian's Python and PyTorch's wheel for aarch64, with what it imports,
# as one environment: FOLDER/bin/python. Of the CUDA libraries it has the runtime alone (tests/softgpu/libraries.py).
fuseln_unpack_torch_arm64() {
    local python
    fuseln_unpack_arm64_packages "$2" python3 || return 1
    python=$(basename "$2"/usr/bin/python3.*[0-9]) && ln -s "$python" "$2/usr/bin/python" || return 1
    fuseln_unpack_wheels --python-version "${python#python}" --platform=manylinux{_2_28,_2_27,2014}_aarch64 \
        "torch==$1" nvidia-cuda-runtime==13.2.86 numpy hypothesis pytest sortedcontainers \
        iniconfig pluggy packaging pygments typing_extensions filelock sympy mpmath networkx jinja2 markupsafe fsspec \
        setuptools "$2/usr/lib/python3/dist-packages"
}

# fuseln_debian_archive: the archive that the system's apt uses, and the system's suite there.
fuseln_debian_archive() {
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        awk '$1 == "Debian" && !/security/ && !found++ { print $2, $3 } END { exit !found }' ||
        { fuseln_say "apt knows no Debian archive: its sources must name one, and apt-get update must have run"; return 1; }
}

# fuseln_private_apt deb|deb-src [SUITE [ARCH]]: makes ${apt[@]} an apt-get that knows nothing but this suite (the system's
# own) of the archive that the system's apt already uses, and keeps all that it has to keep in ./apt.
fuseln_private_apt() {
    local found archive suite arch=${3:-$(dpkg --print-architecture)}
    found=$(fuseln_debian_archive) || return 1
    read -r archive suite <<<"$found"
    mkdir -p apt/lists/partial apt/archives/partial
    echo "$1 [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive ${2:-$suite} main" >apt/sources
    apt=(apt-get -qq -o Dir::Etc::sourcelist="$PWD/apt/sources" -o Dir::Etc::sourceparts=- -o Dir::State="$PWD/apt"
        -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/apt" -o APT::Sandbox::User=root
        -o APT::Architecture="$arch" -o APT::Architectures="$arch")
    "${apt[@]}" update
}

# A C compiler that links for glibc 2.28, whatever this system has: $fuseln_zig/cc-x86_64 and cc-aarch64.
fuseln_zig=$fuseln_cache/zig-0.17.1
fuseln_need_zig() {
    fuseln_make "$fuseln_zig" fuseln_unpack_zig ziglang==0.17.1
}
fuseln_unpack_zig() {
    local arch
    fuseln_unpack_wheels "$@" || return 1
    for arch in x86_64 aarch64; do
        printf '#!/bin/sh\nexec "$(dirname "$0")/ziglang/zig" cc -target %s-linux-gnu.2.28 "$@"\n' $arch >"${!#}/cc-$arch"
        chmod +x "${!#}/cc-$arch" || return 1
    done
}

# fuseln_need_static ARCH: jansson, zlib and libarchive (zip alone) as static libraries for glibc 2.28, with their
# licences, from Debian's sources, in $fuseln_cache/static-ARCH.
fuseln_need_static() {
    fuseln_need_packages dpkg-dev
    fuseln_need_zig
    fuseln_make "$fuseln_cache/static-$1" fuseln_build_static "$1"
}
fuseln_build_static() {
    local cc=$fuseln_zig/cc-$1 into=$2 package options
    export ZIG_GLOBAL_CACHE_DIR=$into/cache
    (cd "$into" && fuseln_debian_source jansson zlib libarchive) || return 1
    (cd "$into/zlib" && CC=$cc ./configure --static --prefix="$into" && make libz.a && make install) >&2 || return 1
    for package in jansson libarchive; do
        options=(-DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF)
        [ $package = jansson ] || options=(-DENABLE_{TEST,TAR,CPIO,CAT,OPENSSL,NETTLE,LZMA,ZSTD,LZ4,BZip2,LIBXML2}=OFF
            -DENABLE_{EXPAT,LIBB2,ICONV,ACL,XATTR,PCREPOSIX}=OFF)
        cmake -S "$into/$package" -B "$into/build-$package" -G Ninja -DCMAKE_C_COMPILER="$cc" -DCMAKE_SYSTEM_NAME=Linux \
            -DCMAKE_SYSTEM_PROCESSOR="$1" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$into" \
            -DCMAKE_FIND_ROOT_PATH="$into" -DCMAKE_FIND_ROOT_PATH_MODE_{LIBRARY,INCLUDE,PACKAGE}=ONLY "${options[@]}" &&
            cmake --build "$into/build-$package" --target ${package/libarchive/archive_static} || return 1
    done >&2
    cp "$into"/build-jansson/include/*.h "$into"/libarchive/libarchive/archive{,_entry}.h "$into/include" &&
        find "$into"/build-* -name 'lib*.a' -exec cp {} "$into/lib" \; || return 1
    mkdir "$into/licenses"
    for package in jansson zlib libarchive; do
        cp "$into/$package/debian/copyright" "$into/licenses/$package" || return 1
    done
    rm -rf "$into"/build-* "$into"/{cache,apt,share,jansson,zlib,libarchive}
}

# fuseln_debian_source PACKAGE...: unpacks the sources, with Debian's patches, into folders of these names. They are
# Debian 12's on every system, so that a wheel holds the same wherever it is made.
fuseln_debian_source() {
    local apt package
    fuseln_private_apt deb-src bookworm && "${apt[@]}" source --download-only "$@" || return 1
    for package in "$@"; do
        dpkg-source -q -x "${package}"_*.dsc "$package" 2>/dev/null && rm -f "${package}"_* || return 1
    done
}

# fuseln_cmake BUILD-DIRECTORY [CMAKE-OPTION...]: configures and builds everything, or the targets in $fuseln_targets.
fuseln_cmake() {
    local build=$1
    shift
    cmake -S "$fuseln_root" -B "$build" -G "${fuseln_generator:-Ninja}" -DFUSELN_CUDA=nvrtc \
        -DFUSELN_NVRTC_FLOOR="$fuseln_cache/nvrtc-12.0" -DFUSELN_NVRTC_NEW="$fuseln_cache/nvrtc-12.8" "$@" &&
        cmake --build "$build" ${fuseln_targets:+--target $fuseln_targets}
}
