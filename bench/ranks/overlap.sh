#!/bin/bash
# What an F&B hides, on a machine with nothing else to do:
#
#   overlap.sh HADAL TEXTS OUT [threads|processes|hosts]...
#
# Two ranks of one thread, DualPipeV: each has the model's two stages and half of every layer's experts. First they run
# with a network that takes no time: what a rank computes in a step, and the bytes it sends, give the rate at which
# communication takes as long as computing. Then messages have that rate, and a rank's waits are recorded in steps whose
# chunks take turns and in steps without overlap. `threads` and `processes`: messages are held back by hadal
# (parallel.link_mb_per_second); `hosts`: processes in network namespaces whose ways out have the rate (root).
# On four cores or more also DualPipe, two places and two replicas. Tables and pictures go to OUT.
set -euo pipefail
hadal=$(realpath "$1"); texts=$(realpath "$2"); mkdir -p "$3"; out=$(realpath "$3"); shift 3
[ $# -gt 0 ] || set -- threads processes hosts
here=$(dirname "$(realpath "$0")")
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
cat > "$out/run.toml" <<END
[model]
preset = "nano"
vocab_size = 512
num_hidden_layers = 4
first_k_dense_replace = 0
num_nextn_predict_layers = 0
[data]
paths = ["$texts"]
vocab_size = 512
cache_dir = "$out/cache"
[train]
seq_len = 256
batch_sequences = 128
micro_batch_sequences = 2
steps = 8
[optimizer]
warmup_steps = 2
[eval]
every_steps = 0
sequences = 2
[checkpoint]
every_steps = 100
[parallel]
data = 2
expert = 2
dispatch = "bf16"
combine = "bf16"
trace_first = 3
trace_steps = 6
END

# Records a run that `by` starts: record NAME SETTINGS...
record() {
  local name=$1 set=(); shift
  for each in "$@"; do set+=(--set "$each"); done
  rm -rf "$out/$name"
  "${by[@]}" "$hadal" train --config "$out/run.toml" --out "$out/$name" --threads "$n" -q \
    --set parallel.trace="$out/$name.json" "${set[@]}" >"$out/$name.log" 2>&1 || { cat "$out/$name.log" >&2; exit 1; }
  rm -rf "$out/$name"
}
summary() { "$hadal" pipeline --measured "$out/$1.json" --json | tr -d ' \n'; }
number() { grep -o "\"$1\":[^,}]*" | head -1 | cut -d: -f2; }
say() {
  echo "== $*"
  "$hadal" pipeline --measured "$out/$name.json" --svg "$out/$name.svg" --trace "$out/$name.perfetto.json" >"$out/$name.txt"
  grep -E '^(milli|experts|pipeline|gradients|step [0-9.]+ s)' "$out/$name.txt"
}
measure() {  # SCHEDULE SETTINGS...
  local schedule=$1 bytes seconds rate slow; shift
  set -- parallel.schedule="$schedule" "$@"
  name=$schedule-free by=(env)
  record "$name" "$@"
  bytes=$(summary "$name" | grep -o '"schedule":{[^}]*}' | number bytes)
  seconds=$(summary "$name" | number computed_seconds)
  rate=$(awk -v b="$bytes" -v s="$seconds" -v n="$n" 'BEGIN { printf "%.2f", b / n / s / 1e6 }')
  echo "== $schedule: at $rate MB/s communication is as long as computing"
  for kind in "${kinds[@]}"; do
    name=$schedule-$kind slow=(parallel.link_mb_per_second="$rate")
    case $kind in
      threads) by=(env) ;;
      processes) by=(mpirun -n "$n" --bind-to none) ;;
      hosts)
        by=(bash "$here/namespaces.sh" "$n" --rate "$(awk -v r="$rate" 'BEGIN { printf "%d", r * 8e6 }')bit" --)
        slow=() ;;
    esac
    record "$name" "$@" "${slow[@]}"
    say "$schedule, $kind"
  done
}
kinds=("$@")
n=2
measure dualpipev
if [ "$(nproc)" -ge 4 ]; then
  n=4
  measure dualpipe parallel.pipeline=2
fi
