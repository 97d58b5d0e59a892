#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/package.sh [source|debian]...: makes packages in build/packages/ from what is committed (none named: all):
#   source   fuseln-VERSION.tar.xz, which builds with a CUDA Toolkit and without a network
#   debian   fuseln_VERSION_ARCH.deb and fuseln-doc_VERSION_all.deb
# The same commit gives the same bytes: all dates are the commit's (SOURCE_DATE_EPOCH).
set -euo pipefail
. "$(dirname "$0")/setup.sh"
packages=$fuseln_root/build/packages
work=$fuseln_root/build/package
[ $# -gt 0 ] || set -- source debian
for kind in "$@"; do
    case $kind in source | debian) ;; *) fuseln_die "unknown package $kind (allowed: source debian)" ;; esac
done
[ -e "$fuseln_root/build/generated/images.S" ] || fuseln_die "no device images in build/: run tools/build.sh first"
version=$(sed -n 's/^project(fuseln VERSION \([0-9.]*\).*/\1/p' "$fuseln_root/CMakeLists.txt")
SOURCE_DATE_EPOCH=$(git -C "$fuseln_root" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
mkdir -p "$packages"

package_source() {
    git -C "$fuseln_root" archive --prefix="fuseln-$version/" HEAD | xz -T1 >"$packages/fuseln-$version.tar.xz"
}

package_debian() {
    fuseln_need_packages dpkg-dev file
    cmake -S "$fuseln_root" -B "$work" -G Ninja -DCMAKE_INSTALL_PREFIX=/usr -DFUSELN_IMAGES="$fuseln_root/build"
    cmake --build "$work"
    (cd "$work" && cpack -G DEB -B "$packages")
    rm -rf "$packages/_CPack_Packages"
}

for kind in "$@"; do
    fuseln_say "making the package: $kind"
    "package_$kind" >&2
done
ls -l "$packages"
