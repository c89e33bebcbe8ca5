#!/bin/sh
# bench/compare_training.sh HADAL "PEER COMMAND" [ROUNDS]: training speed and memory against a peer.
#
#   bench/compare_training.sh build/release/hadal/hadal bench/torch_peer.py 3
#
# The peer command takes --threads N, trains the shape of `hadal bench train` and prints one line of
# JSON with tok_s_best and peak_rss_mb. Each round runs hadal and the peer one after the other with
# one and with two threads, because on a shared machine only figures of the same minutes compare.
# Printed per round: hadal / peer of the same thread count, and hadal on two threads / the peer's
# best with any thread count. Ratios of memory are hadal / peer: smaller is better.
set -eu
hadal=${1:?usage: $0 HADAL "PEER COMMAND" [ROUNDS]}
peer=${2:?usage: $0 HADAL "PEER COMMAND" [ROUNDS]}
rounds=${3:-3}
steps=${STEPS:-6}

# field NAME < JSON: its number
field() { sed -n "s/.*\"$1\": *\([0-9.][0-9.]*\).*/\1/p" | head -n 1; }

printf '%5s %7s %12s %12s %7s %10s %10s %7s\n' \
  round threads hadal_tok_s peer_tok_s speed hadal_mb peer_mb memory
round=1
while [ "$round" -le "$rounds" ]; do
  best_peer=0
  for threads in 1 2; do
    ours=$("$hadal" bench train --threads "$threads" --steps "$steps" --json --quiet)
    # OpenBLAS starts its own threads beside the peer's unless it is told not to.
    theirs=$(OPENBLAS_NUM_THREADS=1 $peer --threads "$threads" --steps "$steps" | tail -n 1)
    a=$(echo "$ours" | field tok_s_best)
    b=$(echo "$theirs" | field tok_s_best)
    ma=$(echo "$ours" | field peak_rss_mb)
    mb=$(echo "$theirs" | field peak_rss_mb)
    best_peer=$(awk "BEGIN { print ($b > $best_peer) ? $b : $best_peer }")
    awk "BEGIN { printf \"%5d %7d %12.1f %12.1f %7.2f %10.0f %10.0f %7.2f\n\",
                 $round, $threads, $a, $b, $a / $b, $ma, $mb, $ma / $mb }"
  done
  awk "BEGIN { printf \"%5d two threads against the best of the peer: %.2f\n\", $round, $a / $best_peer }"
  round=$((round + 1))
done
