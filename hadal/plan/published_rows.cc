#include "hadal/plan/published_rows.h"

#include <cmath>
#include <limits>

namespace hadal {
namespace {

constexpr double kTera = 1e12;
// Interleaved as others are; dispatch stood beside no computation then.
const char* const kNoOverlap = "recomputation; planned with overlap, which its recipe had not";
const char* const kNotSaid = "recomputation, what overlaps";

// FLOP/s of Llama 3.1 405B in MXFP8, Megatron-Bridge 26.06, 256 GPUs; 0: no such row.
double dense_mxfp8_flops(const std::string& gpu) {
  if (gpu == "gb300") return 2403 * kTera;
  if (gpu == "gb200") return 1976 * kTera;
  return 0;
}

}  // namespace

const std::vector<ThroughputRow>& throughput_rows() {
  static const std::vector<ThroughputRow> rows = {
      {"26.08", "gb300-256", "pp=16,ep=32,schedule=interleaved,stages-per-rank=8,recompute=none",
       4096, true, 6288, 1635 * kTera, ""},
      {"26.08", "gb200-256", "pp=16,ep=64,schedule=interleaved,stages-per-rank=4", 4096, true, 4912,
       1276 * kTera, ""},
      {"26.06", "gb300-256", "pp=16,ep=32,schedule=interleaved,stages-per-rank=8,recompute=none",
       15360, true, 6422, 1670 * kTera, ""},
      {"26.06", "b300-256", "pp=8,ep=8,micro-batch=2,schedule=1f1b", 4096, true, 3541, 920 * kTera,
       kNotSaid},
      {"26.04.01", "b200-256", "pp=16,ep=32,schedule=interleaved,stages-per-rank=2", 4096, true,
       3328, 864 * kTera, kNotSaid},
      {"25.11", "gb300-256", "pp=8,ep=32,schedule=interleaved,stages-per-rank=4", 4096, false, 4357,
       1088 * kTera, kNoOverlap},
      {"25.11", "gb200-256", "pp=32,ep=32,schedule=interleaved,stages-per-rank=4", 4096, false,
       4018, 1003 * kTera, kNoOverlap},
      {"25.11", "b200-256", "pp=16,ep=8,schedule=1f1b", 2048, true, 2139, 557 * kTera, kNoOverlap},
  };
  return rows;
}

double RowPrediction::deviation(DenseRows rows) const {
  return tokens_per_second_per_gpu[static_cast<size_t>(rows)] / row.tokens_per_second_per_gpu - 1;
}

Worksheet sheet_of_row(const ThroughputRow& row) {
  TrainingPlan plan;
  plan.config.n_mtp = row.has_mtp ? plan.config.n_mtp : 0;
  plan.cluster = find_cluster(row.cluster);
  plan.recipe = recipe_for(plan.config);
  plan.recipe.batch_sequences = row.batch_sequences;
  plan.recipe.layout = parse_layout(row.layout, plan.recipe.layout);
  plan.layout_origin = Origin::kPublished;
  plan.layout_source = concat("Megatron-Bridge ", row.release);
  return make_training_sheet(plan);
}

RowPrediction predict_row(const ThroughputRow& row) {
  Worksheet sheet = sheet_of_row(row);
  const auto speed = [&](double dense_share) {
    if (std::isnan(dense_share)) return dense_share;
    sheet.set("gpu_dense_share", dense_share);
    return sheet.value("tokens_per_second_per_gpu");
  };
  const auto published = [](double share) {
    return share > 0 ? share : std::numeric_limits<double>::quiet_NaN();
  };
  const double fp8 = sheet.value("gpu_dense_share");
  const double mxfp8 =
      dense_mxfp8_flops(find_cluster(row.cluster).gpu.name) / sheet.value("gpu_fp8_flops");
  RowPrediction prediction{.row = row, .tokens_per_second_per_gpu = {}};
  prediction.flops_per_token = sheet.value("flops_per_token") + sheet.value("flops_mtp_per_token");
  for (const double share : {sheet.value("h100_dense_share"), published(fp8), published(mxfp8)}) {
    prediction.tokens_per_second_per_gpu.push_back(speed(share));
  }
  return prediction;
}

}  // namespace hadal
