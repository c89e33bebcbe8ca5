#!/bin/sh
# generate_test.sh HADAL TEXTS: generate, score and chat as two processes under mpirun, which share a small
# model's experts, against one: the same tokens and the same digits, also where one rank reads prompts for
# another. A killed rank ends the job at once, and
# ranks that do not divide the experts end it before anything is loaded.
# Exit 77: skipped, for there is no mpirun.
set -eu
hadal=$1 texts=$2
. "$(dirname "$0")/under_mpirun.sh"
model=$folder/model
"$hadal" train --set 'model.preset="tiny"' --set "data.paths=[\"$texts\"]" --set data.vocab_size=512 \
  --set train.seq_len=64 --set train.batch_sequences=4 --set train.steps=60 --set optimizer.learning_rate=0.003 \
  --set eval.every_steps=0 --out "$model" -q >"$folder/train.out" 2>&1 || { cat "$folder/train.out"; exit 1; }

fail() { echo "$*"; exit 1; }
# same NAME COMMAND...: as one process and as two.
same() {
  name=$1; shift
  env "$@" >"$folder/$name.one" 2>"$folder/$name.one.err" || { cat "$folder/$name.one.err"; fail "$name: one process"; }
  mpirun -n 2 "$@" >"$folder/$name.two" 2>"$folder/$name.two.err" || { cat "$folder/$name.two.err"; fail "$name: two processes"; }
  sed -i 's/"[a-z_]*tokens_per_s":[^,}]*,*//g' "$folder/$name.one" "$folder/$name.two"
  cmp "$folder/$name.one" "$folder/$name.two" || { cat "$folder/$name.one" "$folder/$name.two"; fail "$name: two processes differ from one"; }
}
common="-m $model --threads 2 -q"
same greedy "$hadal" generate $common -p "The ranks of a" -n 40 --temp 0
grep -q . "$folder/greedy.one" || fail "greedy: nothing was written"
same sampled "$hadal" generate $common -p "A token" -n 40 --temp 0.9 --seed 3 --speculate 2 --draft mtp --json --logprobs 1
same several "$hadal" generate $common -p "A layer" -p "The experts" -p "One" -n 20 --temp 0.9 --stop e --speculate 2 --json
split() { mpirun -n "$1" "$hadal" generate $common -p "A layer" -p "The experts" -p "One" -n 20 --temp 0.9 --stop e --speculate 2 --json --prefill-ranks "$2"; }
for ranks in "2 1" "3 2"; do
  split $ranks >"$folder/split" 2>"$folder/split.err" || { cat "$folder/split.err"; fail "split $ranks"; }
  sed -i 's/"[a-z_]*tokens_per_s":[^,}]*,*//g' "$folder/split"
  cmp "$folder/several.one" "$folder/split" || { cat "$folder/several.one" "$folder/split"; fail "split $ranks: differs from one process"; }
done
if split 2 2 >"$folder/split" 2>&1; then fail "two readers of two, and nobody wrote"; fi
grep -qF -- "--prefill-ranks: some ranks must be left to write (found 2 of 2" "$folder/split" || { cat "$folder/split"; fail "two readers: another message"; }
same odd_one "$hadal" generate $common -p "A layer" -p "The experts" -p "One" -n 20 --temp 0
same score "$hadal" score $common --text "The ranks share the experts of a layer." --json

printf 'The\n/quit\n' | "$hadal" chat $common -n 12 --temp 0 >"$folder/chat.one"
printf 'The\n/quit\n' | mpirun -n 2 "$hadal" chat $common -n 12 --temp 0 >"$folder/chat.two"
cmp "$folder/chat.one" "$folder/chat.two" || fail "chat: two processes differ from one"

# tiny has 16 experts.
if mpirun -n 3 "$hadal" generate $common -p a >"$folder/three.out" 2>&1; then fail "three ranks shared 16 experts"; fi
grep -qF "ranks: cannot share out the routed experts of a layer evenly (found 3 ranks for 16 experts" "$folder/three.out" ||
  { cat "$folder/three.out"; fail "three ranks: another message"; }
[ "$(grep -c 'hadal: error' "$folder/three.out")" = 1 ] || { cat "$folder/three.out"; fail "more than one line"; }

# Killed while it writes.
mpirun -n 2 "$hadal" generate $common -p "The" --ignore-eos -n -1 >"$folder/killed.out" 2>&1 &
job=$!
until [ -s "$folder/killed.out" ]; do sleep 0.1; done
for process in $(pgrep -P $job hadal); do
  tr '\0' '\n' <"/proc/$process/environ" | grep -qE '^(OMPI_COMM_WORLD_RANK|PMI_RANK)=1$' && kill -9 "$process"
done
start=$(date +%s)
if wait $job; then fail "the job of a killed rank ended well"; fi
[ $(($(date +%s) - start)) -lt 30 ] || fail "the job of a killed rank was still there"
grep -qiE 'rank 1|signal 9|killed' "$folder/killed.out" || { cat "$folder/killed.out"; fail "killed: no cause"; }
echo "two processes answer as one"
