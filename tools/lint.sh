#!/bin/sh
# Format, room rule, paths and clang-tidy over the files given, or over all of hadal/.
#   tools/lint.sh [BUILD_FOLDER] [FILE...]     (has compile_commands.json of files by themselves: build/dev)
# shellcheck disable=SC2086  # lists are meant to split
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/dev}
[ $# -gt 0 ] && shift
sources=${*:-$(git ls-files 'hadal/*.cc' 'hadal/*.h' 'tests/*.cc' 'tests/*.h' 'bench/*.cc' 'fuzz/*.cc')}
clang-format --dry-run -Werror $sources
[ "$build" != build/dev ] || cmake --preset dev >/dev/null
python3 tools/check_rooms.py
python3 tools/check_paths.py
# Only what this build compiles: the others (MPI, CUDA) lack their headers here.
compiled=$(for file in $(printf '%s\n' $sources | grep '^hadal/.*\.cc$'); do
  if grep -qF "$PWD/$file\"" "$build/compile_commands.json"; then echo "$file"; fi
done)
# A build folder of g++ names warnings that clang does not know.
printf '%s\n' $compiled | xargs -n 1 -P "$(nproc)" \
  clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option
