#!/bin/sh
# Format, room rule and clang-tidy over the files given, or over all of hadal/.
#   tools/lint.sh [BUILD_FOLDER] [FILE...]     (BUILD_FOLDER has compile_commands.json)
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
[ $# -gt 0 ] && shift
sources=${*:-$(git ls-files 'hadal/*.cc' 'hadal/*.h' 'tests/*.cc' 'tests/*.h' 'bench/*.cc' 'fuzz/*.cc')}
# shellcheck disable=SC2086  # lists are meant to split
clang-format --dry-run -Werror $sources
python3 tools/check_rooms.py
# shellcheck disable=SC2086
clang-tidy -p "$build" --quiet $(printf '%s\n' $sources | grep '^hadal/.*\.cc$')
