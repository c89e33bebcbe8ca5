#!/bin/sh
# bench/many_cores.sh HADAL [OUT_FOLDER]: everything that shows how hadal uses many cores, in one go.
#
#   bench/many_cores.sh build/release/hadal/hadal /tmp/many-cores
#
# For as many threads as the process has cores, for 1, 2, 4 ... and for twice as many as cores:
#   training of the comparison shape (11.8M) and of `small`, micro-batches of 1 to 16 sequences,
#   prefill and decode of `small`, products dense and grouped, and for each how often workers are
#   called (regions), how long threads idle, and the share of the roof measured in the same run.
# PEER=bench/torch_peer.py adds a training peer (a command that takes --threads N and prints one line
# of JSON with tok_s_best). About ten minutes on 16 cores; MINUTES=3 takes fewer steps.
# The table goes to the terminal, every JSON document to OUT_FOLDER; "places" in those says which line of
# the program started the regions, how long they took and how busy they kept the threads.
set -eu
hadal=${1:?usage: $0 HADAL [OUT_FOLDER]}
out=${2:-many-cores}
minutes=${MINUTES:-10}
mkdir -p "$out"
cores=$(nproc)
steps=6 decode=48
[ "$minutes" -lt 6 ] && steps=3 decode=24

# value NAME FILE: the number behind "NAME"; result NAME FIELD FILE: a field of that result
value() { sed -n "s/.*\"$1\": *\([-0-9.e+]*\).*/\1/p" "$2" | head -n 1; }
result() { tr -d '\n' <"$3" | sed -n "s/.*\"name\": *\"$1\"[^}]*\"$2\": *\([-0-9.e+]*\).*/\1/p"; }
percent() { awk "BEGIN { printf \"%.0f %%\", 100 * ${1:-0} }"; }
number() { awk "BEGIN { printf \"%.4g\", ${1:-0} }"; }
row() { printf '%-32s %8s %9s %9s %9s %6s\n' "$@"; }

# The two ends first: they are what a run cut short should have seen.
counts=$cores n=1
while [ "$n" -lt "$cores" ]; do counts="$counts $n" n=$((n * 2)); done
counts="$counts $((cores * 2))"

{ date -u; uname -srm; sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1; echo "$cores cores"
  "$hadal" --version; } | tee "$out/machine.txt"
row what threads value of_roof regions idle
for threads in $counts; do
  train() {  # NAME OPTIONS...: one row of training
    name=$1; shift
    file="$out/train-$name-$threads.json"
    "$hadal" bench train --threads "$threads" --steps "$steps" --json --quiet "$@" >"$file"
    row "train $name, tok/s" "$threads" "$(number "$(value tok_s_best "$file")")" \
      "$(percent "$(result 'train best' fraction_of_roof "$file")")" \
      "$(number "$(value regions_per_step "$file")")" "$(percent "$(value idle "$file")")"
  }
  train 11.8M
  train small --preset small --batch 4 --seq 256
  if [ "$threads" = "$cores" ]; then
    for micro in 1 2 4 8 16; do train "micro-batch $micro" --batch 16 --micro-batch "$micro"; done
  fi
  file="$out/decode-$threads.json"
  "$hadal" bench decode --preset small --threads "$threads" --decode-tokens "$decode" --json --quiet >"$file"
  row "decode small, tok/s" "$threads" "$(number "$(result decode value "$file")")" \
    "$(percent "$(result 'decode weights read' fraction_of_roof "$file")")" \
    "$(number "$(value regions_per_token "$file")")" "$(percent "$(value idle "$file")")"
  file="$out/prefill-$threads.json"
  "$hadal" bench prefill --preset small --threads "$threads" --json --quiet >"$file"
  row "prefill small, tok/s" "$threads" "$(number "$(result prefill value "$file")")" \
    "$(percent "$(result prefill fraction_of_roof "$file")")" - -
  for shape in 1024x1024x512 512x512x128 64x512x512 1x2048x512 64x16x512x512 64x16x1024x1024 64x1x512x512; do
    file="$out/gemm-$shape-$threads.json"
    "$hadal" bench gemm --shape "$shape" --threads "$threads" --json --quiet >"$file"
    row "gemm $shape, GFLOP/s" "$threads" "$(number "$(value value "$file")")" \
      "$(percent "$(value fraction_of_roof "$file")")" - -
  done
  if [ -n "${PEER:-}" ]; then
    $PEER --threads "$threads" --steps "$steps" >"$out/peer-$threads.json"
    row "peer 11.8M, tok/s" "$threads" "$(number "$(value tok_s_best "$out/peer-$threads.json")")" - - -
  fi
done
