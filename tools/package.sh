#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/package.sh [source|debian|wheel|wheel-aarch64]...: makes packages in build/packages/ (none named: the first
# three):
#   source   fuseln-VERSION.tar.xz, which builds with a CUDA Toolkit and without a network
#   debian   fuseln_VERSION_ARCH.deb and fuseln-doc_VERSION_all.deb
#   wheel    fuseln-VERSION-py3-none-manylinux_2_28_ARCH.whl: the library and the command, for any Python; the command
#            holds jansson, libarchive and zlib, so nothing else is needed. wheel-aarch64 cross-builds that of aarch64
# The same commit gives the same bytes: all dates are the commit's (SOURCE_DATE_EPOCH).
set -euo pipefail
. "$(dirname "$0")/setup.sh"
packages=$fuseln_root/build/packages
work=$fuseln_root/build/package
kinds=(source debian wheel wheel-aarch64) # each a function package_KIND
[ $# -gt 0 ] || set -- source debian wheel
for kind in "$@"; do
    [[ " ${kinds[*]} " == *" $kind "* ]] || fuseln_die "unknown package $kind (allowed: ${kinds[*]})"
done
[ -e "$fuseln_root/build/generated/images.S" ] || fuseln_die "no device images in build/: run tools/build.sh first"
version=$(sed -n 's/^project(fuseln VERSION \([0-9.]*\).*/\1/p' "$fuseln_root/CMakeLists.txt")
SOURCE_DATE_EPOCH=$(git -C "$fuseln_root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
mkdir -p "$packages"

package_source() {
    rm -f "$packages"/fuseln-*.tar.xz
    git -C "$fuseln_root" archive --prefix="fuseln-$version/" HEAD | xz -T1 >"$work.tar.xz"
    mv "$work.tar.xz" "$packages/fuseln-$version.tar.xz"
}

build() { # build FOLDER CMAKE-OPTION... -- TARGET...
    local options=()
    while [ "$2" != -- ]; do options+=("$2"); set -- "$1" "${@:3}"; done
    cmake -S "$fuseln_root" -B "$1" -G Ninja -DFUSELN_IMAGES="$fuseln_root/build" "${options[@]}"
    cmake --build "$1" --target "${@:3}"
}

package_debian() {
    fuseln_need_packages dpkg-dev file
    build "$work" -DCMAKE_INSTALL_PREFIX=/usr -- all
    rm -f "$packages"/fuseln*.deb
    (cd "$work" && cpack -G DEB -B "$packages")
    rm -rf "$packages/_CPack_Packages"
}

package_wheel() { make_wheel x86_64 "$work" strip; }
package_wheel-aarch64() {
    fuseln_need_packages gcc-aarch64-linux-gnu
    build "$work-aarch64-library" -DCMAKE_TOOLCHAIN_FILE="$fuseln_root/tools/aarch64.cmake" -- fuseln
    make_wheel aarch64 "$work-aarch64-library" aarch64-linux-gnu-strip
}

# make_wheel ARCH FOLDER STRIP: with that folder's library. Whether a build is old, ninja knows; what a wheel holds is laid
# out anew.
make_wheel() {
    local arch=$1 library=$2 strip=$3 static tree data info page
    fuseln_need_static "$arch"
    fuseln_make "$fuseln_cache/wheel-0.45.1" fuseln_unpack_wheels wheel==0.45.1
    static=$fuseln_cache/static-$arch
    export ZIG_GLOBAL_CACHE_DIR=$work-zig-cache
    build "$work" -DCMAKE_INSTALL_PREFIX=/usr -- all
    build "$work-$arch" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$arch" \
        -DCMAKE_C_COMPILER="$fuseln_zig/cc-$arch" -DFUSELN_JANSSON="$static/lib/libjansson.a" \
        -DFUSELN_JANSSON_INCLUDE="$static/include" -DFUSELN_ARCHIVE="$static/lib/libarchive.a;$static/lib/libz.a" \
        -DFUSELN_ARCHIVE_INCLUDE="$static/include" -- fuseln_command
    tree=$work/wheel-$arch data=$tree/fuseln-$version.data info=$tree/fuseln-$version.dist-info
    rm -rf "$tree"
    mkdir -p "$tree/fuseln" "$info/licenses" "$data/scripts" "$data/data/lib"
    "$strip" -o "$data/scripts/fuseln" "$work-$arch/fuseln"
    "$strip" -o "$data/data/lib/libfuseln.so" "$library/libfuseln.so"
    for page in fuseln.1:man/man1/fuseln.1 libfuseln.7:man/man7/libfuseln.7 \
        bash:bash-completion/completions/fuseln zsh:zsh/site-functions/_fuseln; do
        install -D -m 644 "$work/generated/${page%%:*}" "$data/data/share/${page#*:}"
    done
    cp "$fuseln_root"/tools/wheel/*.py "$tree/fuseln"
    cp "$fuseln_root/LICENSE" "$static"/licenses/* "$info/licenses"
    cat >"$info/METADATA" <<END
Metadata-Version: 2.1
Name: fuseln
Version: $version
Summary: fused layer-norm kernels for unmodified CUDA programs
License: Apache-2.0
Requires-Python: >=3.8
Description-Content-Type: text/markdown

$(cat "$fuseln_root/README.md")
END
    cat >"$info/WHEEL" <<END
Wheel-Version: 1.0
Generator: fuseln ($version)
Root-Is-Purelib: false
Tag: py3-none-manylinux_2_28_$arch
END
    rm -f "$packages"/*_"$arch".whl
    PYTHONPATH=$fuseln_cache/wheel-0.45.1 python3 -m wheel pack -d "$packages" "$tree"
}

for kind in "$@"; do
    fuseln_say "making the package: $kind"
    "package_$kind" >&2
done
ls -l "$packages"
