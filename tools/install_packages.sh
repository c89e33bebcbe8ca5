#!/bin/sh
# Installs the Debian packages that hadal builds with, runs with and is tested with. Asks nothing
# when all of them are there already, so it also works without a network then.
set -eu
packages="g++ cmake ninja-build pkg-config git ca-certificates python3 xz-utils \
libhwy-dev nlohmann-json3-dev libsimdjson-dev libtomlplusplus-dev libcli11-dev \
libpcre2-dev libzstd-dev zlib1g-dev libxxhash-dev libmuparser-dev libedit-dev libgtest-dev libgmock-dev \
libbenchmark-dev libboost-context-dev libopenmpi-dev openmpi-bin"

missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install_packages: needs root or sudo for:$missing" >&2; exit 1; }
  as_root=sudo
fi
echo "installing Debian packages:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086  # the list is meant to split
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
