#!/bin/sh
# Puts Debian's arm64 libraries that hadal links into build/arm64-root, for `cmake --preset arm64`. Several
# of them cannot be installed beside those of this machine.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build
libraries=$(sed -n '/^packages=/,/"$/p' tools/install_packages.sh | grep -o '[a-z0-9+-]*-dev' | paste -sd,)
mmdebstrap --quiet --variant=extract --architectures=arm64 --include="libstdc++-12-dev,$libraries" \
  bookworm build/arm64-root
