#!/bin/bash
# The measured bubble of a pipeline beside the simulated one, on a machine with nothing else to do:
#
#   bubble.sh HADAL TEXTS OUT [RANKS]
#
# Ranks are threads of one process, each with a core. A step is recorded with what every computation took; the simulator
# gets the means of each stage's F, B_in and W, and the same list. The shortest recorded step counts, for what disturbs
# a machine makes steps longer.
set -euo pipefail
hadal=$(realpath "$1"); texts=$(realpath "$2"); mkdir -p "$3"; out=$(realpath "$3"); ranks=${4:-2}
cat > "$out/bubble.toml" <<END
[model]
preset = "nano"
vocab_size = 512
num_hidden_layers = 8
first_k_dense_replace = 0
num_nextn_predict_layers = 0
[data]
paths = ["$texts"]
vocab_size = 512
cache_dir = "$out/cache"
[train]
seq_len = 256
batch_sequences = 32
micro_batch_sequences = 4
steps = 14
[optimizer]
warmup_steps = 2
[eval]
every_steps = 0
sequences = 2
[checkpoint]
every_steps = 100
[parallel]
pipeline = $ranks
data = 1
trace_first = 3
trace_steps = 12
END
for schedule in 1f1b zb1p dualpipe dualpipev interleaved zbv; do
  rm -rf "$out/bubble"
  "$hadal" train --config "$out/bubble.toml" --out "$out/bubble" --threads "$ranks" -q \
    --set parallel.schedule=$schedule --set parallel.trace="$out/bubble-$schedule.json" >"$out/bubble.log" 2>&1
  "$hadal" pipeline --measured "$out/bubble-$schedule.json" --svg "$out/bubble-$schedule.svg" >"$out/bubble-$schedule.txt"
  echo "$schedule: $(grep -E '^step [0-9]+, replica' "$out/bubble-$schedule.txt" | sort -t: -k2,2 | head -1)"
done
rm -rf "$out/bubble"
