// plan/published_rows.h: training throughput of DeepSeek-V3 that others publish, and what a plan says
// to it (docs/plan.md, "Against published rows"). No constant of a plan comes from these rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/plan/training_plan.h"

namespace hadal {

// Of Megatron-Bridge's performance page; 4096 tokens a sequence, MXFP8, experts balanced by force.
struct ThroughputRow {
  std::string release;  // of its container: "26.08"
  std::string cluster;  // as find_cluster reads it
  std::string layout;   // as parse_layout reads it; its pp is their PP x VP
  int64_t batch_sequences = 0;
  bool has_mtp = true;
  double tokens_per_second_per_gpu = 0;
  double flops_per_gpu = 0;  // theirs, FLOP/s; MTP included
  std::string unverified;    // of the layout: what the page does not say
};
const std::vector<ThroughputRow>& throughput_rows();

// What a GPU's share of peak in training a dense model is taken from.
enum class DenseRows {
  kNone,   // DeepSeek-V3's step alone: the share of peak that kernels had on the H800
  kFp8,    // corrected by the rows in FP8 of this GPU and of the H100; what plans do
  kMxfp8,  // by the row in MXFP8 of this GPU and the H100's in FP8, which is all it has
};

struct RowPrediction {
  ThroughputRow row;
  double flops_per_token = 0;                     // of the plan, with MTP as in the row
  std::vector<double> tokens_per_second_per_gpu;  // by DenseRows; NaN: no such row of this GPU
  double deviation(DenseRows rows) const;         // relative to what is published
};
RowPrediction predict_row(const ThroughputRow& row);

// The sheet of a row's plan, to see or change what it rests on.
Worksheet sheet_of_row(const ThroughputRow& row);

}  // namespace hadal
