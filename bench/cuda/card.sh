#!/bin/bash
# Checks hadal's CUDA kernels on the card of this machine, then times them: under ten minutes.
#   bench/cuda/card.sh [--check] [FOLDER]     FOLDER: a build with CUDA (default build/cuda), or one in which
#                                             its programs lie side by side
# Each program runs by itself: what stops one does not stop the others. Logs: $OUT, or card-logs.
set -u
check_only=no
[ "${1:-}" = --check ] && { check_only=yes; shift; }
build=${1:-build/cuda}
logs=${OUT:-card-logs}
mkdir -p "$logs"
program() { for at in "$build/tests/$1" "$build/bench/$1" "$build/$1"; do [ -x "$at" ] && echo "$at" && return; done; }

# NAME SECONDS PROGRAM ARGUMENTS...: one line of result, and the first lines that say what failed.
run() {
  local name=$1 limit=$2 at start code
  at=$(program "$3"); shift 3
  [ -n "$at" ] || { echo "$name: not built"; return; }
  start=$(date +%s%N)
  timeout -k 2 "$limit" "$at" "$@" >"$logs/$name.log" 2>&1
  code=$?
  printf '%-28s %s  %5.1f s\n' "$name" "$([ $code = 0 ] && echo ok || echo "FAILED ($code)")" \
    "$(( ($(date +%s%N) - start) / 100000000 ))e-1"
  [ $code = 0 ] || grep -E 'Failure|FAILED|rror|differ|worst|want' "$logs/$name.log" | head -8
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader || exit 1
for test in Fp8RowsOfAnyGroups Fp8Masked Fp8Plain Bf16RowsOfAnyGroups Bf16Masked Bf16WeightsAcross; do
  run "gemm_$test" 25 test_cuda --gtest_filter="GroupedGemm.$test"
done
run gemm_gradients 30 test_cuda --gtest_filter='GroupedWeightGradient.*'
run gemm_all 40 test_cuda --gtest_filter='GroupedGemm.*'
run tensor_core_sums 40 test_cuda --gtest_filter='*TensorCoreSum*'
run attention_forward 25 test_cuda --gtest_filter='*FlashAttention.Forward*'
run attention_backward 30 test_cuda --gtest_filter='*FlashAttention.Backward*'
run attention_bits 40 test_cuda --gtest_filter='*FlashAttention.Company*:*FlashAttention.Long*'
run decode_one_page 15 test_cuda --gtest_filter='*LatentDecode.OnePage*'
run decode_pages 15 test_cuda --gtest_filter='*LatentDecode.PagesOfOnePiece*'
run decode_all 40 test_cuda --gtest_filter='*LatentDecode*'
export CUDA_LAUNCH_BLOCKING=1  # tests read what kernels wrote into their own vectors
run ops 90 test_ops --gtest_brief=1
unset CUDA_LAUNCH_BLOCKING
run golden_models 60 test_model --gtest_brief=1 --gtest_filter='*Golden*/cuda'
run golden_generation 60 test_infer --gtest_brief=1 --gtest_filter='*Golden*/cuda'
run golden_steps 60 test_train --gtest_brief=1 --gtest_filter='*Golden*/cuda:RunOnCard*'
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    timeout 60 compute-sanitizer --tool $tool "$(program test_cuda)" \
      --gtest_filter='GroupedGemm.Fp8Masked:*FlashAttention.*/H1_64:*LatentDecode.OnePage*' >"$logs/$tool.log" 2>&1
    echo "$tool: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$logs/$tool.log" || echo 'did not finish')"
  done
fi
[ $check_only = no ] || exit 0
for bench in grouped_gemm flash_attention latent_decode quantize row_kernels portable_kernels; do
  run "bench_$bench" 40 ${bench}_bench && cat "$logs/bench_$bench.log"
done
