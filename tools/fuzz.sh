#!/usr/bin/env bash
# Builds the libFuzzer targets with clang 14 under ASan and UBSan and runs each for N seconds (60).
#   tools/fuzz.sh [SECONDS] [TARGET...]     targets: those named below
# Ends with 1 and the input's path if a target finds something. Corpora stay in build/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json toml config index safetensors tokenizer schedule jinja)

cmake --preset fuzz > /dev/null
cmake --build --preset fuzz --target fuzz_seeds "${targets[@]/#/fuzz_}"
out=build/fuzz
"$out/fuzz/fuzz_seeds" "$out/seeds"
failed=0
for target in "${targets[@]}"; do
  mkdir -p "$out/corpus/$target" "$out/finds"
  echo "== $target: $seconds s"
  dict=()
  [ ! -f "fuzz/$target.dict" ] || dict=("-dict=fuzz/$target.dict")
  # -timeout and -rss_limit_mb: an input that takes longer or more than that is a find as well.
  "$out/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -max_len=65536 -print_final_stats=1 -verbosity=0 -artifact_prefix="$out/finds/$target-" "${dict[@]}" \
    "$out/corpus/$target" "$out/seeds/$target" || failed=1
done
exit $failed
