#!/bin/sh
# bench/compare_inference.sh HADAL MODELS [ROUNDS]: reading prompts and writing tokens beside others.
#
#   RUN="chrt -f 20" LLAMA_BENCH=llama.cpp/build/bin/llama-bench \
#     bench/compare_inference.sh build/release/hadal/hadal MODELS 3
#
# One model in every form that its programs want lies in the folder MODELS; a form that is not there
# and a program that no variable names are left out:
#   bf16/ fp8/ q8/ q4/                     for hadal: a checkpoint, and what `hadal convert` makes of it;
#                                          q4 by --dtype q4 --mix all=q4 --mix head=q8, the bits of the
#                                          others' 4-bit files (--dtype q4 alone has more)
#   f16 bf16 q8_0 q4_0 q4_k iq4_nl .gguf   for llama.cpp and ik_llama.cpp: their convert_hf_to_gguf.py
#                                          and llama-quantize
#   dseek-f16/ dseek-f8e5m2/               for deepseek.cpp: its convert.py
# Programs, none of which is part of hadal:
#   LLAMA_BENCH  llama-bench of llama.cpp, whose newest source also stands in the source package of
#                llama-cpp-python (PyPI): cmake -DGGML_NATIVE=ON, target llama-bench
#   IK_BENCH     the same program of ik_llama.cpp, with its fastest setting: weights repacked as they
#                are loaded, huge pages where it maps
#   DSEEK        build/main of deepseek.cpp, after `make`
#   KT_PYTHON    a Python with kt-kernel and numpy, for kt_experts_peer.py
# Further variables: THREADS="1 2", PROMPT=512, GENERATE=48, DEPTH=0 (tokens in the cache before the
# first that is written; above 0 only the writing is compared), RUN (what stands before every timed command but kt-kernel's, whose waiting
# threads spin), RESULTS (a file that keeps every figure).
#
# The models' files are dropped from the page cache first, so that every program brings in its own as it
# does: in which pages they then lie decides about speed (docs/log.md, 2026-11-27). Every round runs everything once, one after the other, because on a shared machine only figures of
# the same minutes compare. A program built for AVX2 is compared with HADAL_SIMD=avx2.
# Printed per kind of weights, and threads: the figure of every program and form, median [least,
# most] over the rounds, the fastest first, and hadal / it, the median of the rounds' ratios.
set -eu
hadal=${1:?usage: $0 HADAL MODELS [ROUNDS]}
models=${2:?usage: $0 HADAL MODELS [ROUNDS]}
rounds=${3:-3}
here=$(dirname "$0")
threads_list=${THREADS:-1 2} prompt=${PROMPT:-512} generate=${GENERATE:-48} depth=${DEPTH:-0}
run=${RUN:-}
results=${RESULTS:-$(mktemp)}
: > "$results"

# put FIGURE KIND PROGRAM VALUE: one result of this round and number of threads
put() {
  if [ -n "$4" ]; then printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$threads" "$3" "$round" "$4"; fi >> "$results"
}
# value_of ROW < the JSON of hadal bench
value_of() { sed -n "s/.*\"name\": *\"$1\", *\"value\": *\([0-9.e+-]*\).*/\1/p" | head -n 1; }

with_hadal() { # KIND FOLDER
  [ -f "$models/$2/config.json" ] || return 0
  # The first round brings the file's pages into the process, as the peers' warm-up does.
  json=$($run "$hadal" bench decode --model "$models/$2" --threads "$threads" --rounds 2 --quiet \
    --json --prompt-tokens $((depth + 1)) --decode-tokens "$generate")
  put decode "$1" hadal "$(echo "$json" | value_of decode)"
  put "GB/s" "$1" hadal "$(echo "$json" | value_of 'decode weights read')"
  [ "$depth" = 0 ] || return 0
  json=$($run "$hadal" bench prefill --model "$models/$2" --threads "$threads" --rounds 1 --quiet \
    --json --prompt-tokens "$prompt")
  put prefill "$1" hadal "$(echo "$json" | value_of prefill)"
  [ "$1" = bf16 ] || return 0
  json=$($run "$hadal" bench prefill --model "$models/$2" --threads "$threads" --rounds 1 --quiet \
    --json --prompt-tokens "$prompt" --activations bf16)
  put prefill "$1" "hadal --activations bf16" "$(echo "$json" | value_of prefill)"
}

with_llama_bench() { # KIND NAME COMMAND FORM: its JSON has a row per test, the prompt's first
  if [ -z "$3" ] || ! [ -f "$models/$4.gguf" ]; then return 0; fi
  if [ "$depth" -gt 0 ]; then tests="-p 0 -d $depth"; else tests="-p $prompt"; fi
  rates=$($run $3 -m "$models/$4.gguf" -t "$threads" $tests -n "$generate" -fa 1 -r 1 -o json \
    2> /dev/null | tr -d ' \n' | grep -o '"samples_ts":\[[0-9.]*' | sed 's/.*\[//')
  [ "$depth" -gt 0 ] || put prefill "$1" "$2 $4" "$(echo "$rates" | head -n 1)"
  put decode "$1" "$2 $4" "$(echo "$rates" | tail -n 1)"
}

with_dseek() { # KIND FOLDER
  if [ -z "${DSEEK:-}" ] || ! [ -d "$models/$2" ]; then return 0; fi
  put decode "$1" deepseek.cpp "$(OMP_NUM_THREADS=$threads $run "$DSEEK" "$models/$2" -i hello \
    -n "$generate" -t 1.0 2> /dev/null | sed -n 's/^ *throughput: \([0-9.]*\)tok.*/\1/p' | tail -n 1)"
}

with_kt_experts() {
  [ -n "${KT_PYTHON:-}" ] || return 0
  put "GB/s" fp8 "kt-kernel, experts only" "$("$KT_PYTHON" "$here/kt_experts_peer.py" --threads "$threads" \
    | sed -n 's/.*"gb_s": *\([0-9.]*\).*/\1/p')"
}

# Whatever was measured before something failed is printed, too.
table() {
  awk -F '\t' '
    function median(list,  n, i, j, v, t) {
      n = split(list, v, " ")
      for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j-1] + 0; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
      least = v[1]; most = v[n]
      return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    { key = $1 "\t" $2 "\t" $3; if (!(key in seen)) { seen[key] = 1; order[++n_keys] = key }
      id = key "\t" $4; if (!(id in values)) programs[key] = programs[key] $4 "\n"
      values[id] = values[id] " " $6; at[id, $5] = $6; if ($5 > rounds) rounds = $5 }
    END {
      printf "%-8s %-6s %7s  %-26s %9s  %-20s %s\n", "figure", "kind", "threads", "program", "median", "[least, most]", "hadal / it"
      for (k = 1; k <= n_keys; k++) {
        key = order[k]; split(key, part, "\t"); n = split(programs[key], name, "\n") - 1
        for (i = 1; i <= n; i++) middle[name[i]] = median(values[key "\t" name[i]])
        for (i = 2; i <= n; i++) for (j = i; j > 1 && middle[name[j]] > middle[name[j-1]]; j--) {
          t = name[j]; name[j] = name[j-1]; name[j-1] = t }
        for (i = 1; i <= n; i++) {
          ratios = ""
          for (r = 1; r <= rounds; r++) {
            a = at[key "\t" "hadal", r]; b = at[key "\t" name[i], r]
            if (a > 0 && b > 0) ratios = ratios " " a / b
          }
          ratio = name[i] == "hadal" || ratios == "" ? "" : sprintf("%.2f", median(ratios))
          m = median(values[key "\t" name[i]])
          printf "%-8s %-6s %7s  %-26s %9.2f  %-20s %s\n", part[1], part[2], part[3], name[i], m, sprintf("[%.2f, %.2f]", least, most), ratio
        }
      }
    }' "$results"
}
trap table EXIT

for file in "$models"/*/*.safetensors "$models"/*.gguf; do
  if [ -f "$file" ]; then dd if="$file" iflag=nocache count=0 status=none; fi
done

round=1
while [ "$round" -le "$rounds" ]; do
  for threads in $threads_list; do
    for kind in "bf16 f16 bf16" "q8 q8_0" "q4 q4_0 q4_k iq4_nl" "fp8"; do
      folder=${kind%% *}
      with_hadal "$folder" "$folder"
      for form in ${kind#"$folder"}; do
        with_llama_bench "$folder" llama.cpp "${LLAMA_BENCH:-}" "$form"
        with_llama_bench "$folder" ik_llama.cpp "${IK_BENCH:+$IK_BENCH -rtr 1 -thp 1}" "$form"
      done
    done
    with_dseek bf16 dseek-f16
    with_dseek fp8 dseek-f8e5m2
    with_kt_experts
  done
  round=$((round + 1))
done
