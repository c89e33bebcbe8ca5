#!/bin/sh
# train_test.sh HADAL TEXTS: `hadal train` as two processes under mpirun against one: the first loss is the
# same to the last digit, a killed rank ends the job at once, and the run goes on bit for bit.
# Exit 77: skipped, for there is no mpirun.
set -eu
hadal=$1 texts=$2
. "$(dirname "$0")/under_mpirun.sh"
cat > "$folder/run.toml" <<END
[model]
preset = "tiny"
[data]
paths = ["$texts"]
vocab_size = 512
cache_dir = "$folder/cache"
[train]
seq_len = 32
batch_sequences = 8
micro_batch_sequences = 2
steps = 12
[optimizer]
warmup_steps = 2
[eval]
every_steps = 0
sequences = 2
[checkpoint]
every_steps = 3
keep = 9
END
run() { name=$1; shift; "$@" "$hadal" train --config "$folder/run.toml" --out "$folder/$name" --threads 2 -q $more >"$folder/$name.out" 2>&1; }
first_loss() { sed -n 's/.*"train\/loss":\([^,}]*\).*/\1/p' "$folder/$1/metrics.jsonl" | head -1; }
same() { [ "$(first_loss "$1")" = "$(first_loss alone)" ] || { echo "$1: first loss $(first_loss "$1"), alone $(first_loss alone)"; exit 1; }; }

more=""; run alone env
more="--set parallel.expert=2"; run experts mpirun -n 2; same experts
more="--set parallel.pipeline=2 --set parallel.schedule=dualpipe"; run pipeline mpirun -n 2; same pipeline

# Two processes, packed, are repeated as two threads: `data` was what the launcher's ranks left.
"$hadal" package "$folder/experts" "$folder/packed" -q >/dev/null
"$hadal" repeat "$folder/packed" --out "$folder/repeated" --threads 2 -q

# Killed while it trains, at a moment of its own.
more="--set parallel.pipeline=2 --set parallel.schedule=dualpipe"
mpirun -n 2 "$hadal" train --config "$folder/run.toml" --out "$folder/killed" --threads 2 -q $more >"$folder/killed.out" 2>&1 &
job=$!
until [ -e "$folder/killed/checkpoints/step-00000003" ]; do sleep 0.1; done
for process in $(pgrep -P $job hadal); do
  tr '\0' '\n' <"/proc/$process/environ" | grep -qE '^(OMPI_COMM_WORLD_RANK|PMI_RANK)=1$' && kill -9 "$process"
done
start=$(date +%s)
if wait $job; then echo "the job of a killed rank ended well"; exit 1; fi
[ $(($(date +%s) - start)) -lt 30 ] || { echo "the job of a killed rank was still there"; exit 1; }
grep -qiE 'rank 1|signal 9|killed' "$folder/killed.out" || { cat "$folder/killed.out"; exit 1; }
mpirun -n 2 "$hadal" train --resume --out "$folder/killed" --threads 2 -q >"$folder/resumed.out" 2>&1
for file in "$folder"/pipeline/checkpoints/step-00000012/*; do
  cmp "$file" "$folder/killed/checkpoints/step-00000012/$(basename "$file")"
done
echo "two processes train as one"
