#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/systems.sh [bookworm|trixie] [-- COMMAND...]: runs tools/demo.sh and tools/test.sh, or COMMAND in the checkout, on a
# fresh Debian 12 or 13 (neither named: on both) that has nothing but Python and git. The system is a folder in the
# cache; what this one needs to reach a network is copied into it. Needs root, debootstrap, 20 GB of disk for each, which
# are given back, and an hour. Exits 1 if a command fails.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
suites=(bookworm trixie)
[[ " ${suites[*]} " != *" ${1-} "* ]] || { suites=("$1") && shift; }
[ $# -eq 0 ] || [ "$1" = -- ] || fuseln_die "usage: tools/systems.sh [bookworm|trixie] [-- COMMAND...]"
shift $(($# > 0))
[ $# -gt 0 ] || set -- sh -c 'tools/demo.sh && tools/test.sh'
[ "$(id -u)" -eq 0 ] || fuseln_die "only root can change into another system's folder"
fuseln_need_packages debootstrap
archive=$(fuseln_debian_archive)

make_system() { # make_system SUITE FOLDER
    local file
    debootstrap --variant=minbase --include=ca-certificates,git,python3,python3-venv "$1" "$2" "${archive% *}" >&2
    apt-config dump Acquire >"$2/etc/apt/apt.conf.d/99network"
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs; do
        [ ! -e $file ] || cp -rL --remove-destination $file "$2${file%/*}"
    done
    git clone -q "$fuseln_root" "$2/root/fuseln"
}

# First ends what still runs inside, where a signal ended this script.
give_back() {
    [ -z "$inside" ] || kill -KILL "$inside" 2>/dev/null || true
    wait 2>/dev/null
    inside=
    rm -rf --one-file-system "$system"
}

for suite in "${suites[@]}"; do
    mkdir -p "$fuseln_cache"
    system=$(mktemp -d "$fuseln_cache/system-$suite.XXXXXX")
    inside=
    trap give_back EXIT
    make_system "$suite" "$system"
    fuseln_say "on Debian $(cat "$system/etc/debian_version"): $*"
    unshare --mount --pid --fork --kill-child sh -ec 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev"
        exec chroot "$0" env -u PIP_FIND_LINKS HOME=/root LC_ALL=C.UTF-8 sh -c '\''cd /root/fuseln && exec "$@"'\'' sh "$@"' \
        "$system" "$@" &
    inside=$!
    wait "$inside" || fuseln_die "failed on $suite: $*"
    give_back
done
