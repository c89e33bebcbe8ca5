#include "hadal/plan_text/rows_text.h"

#include <cmath>

#include "hadal/core/number_text.h"
#include "hadal/plan_text/text_table.h"

namespace hadal::cli {
namespace {

// Cells that every prediction shares, and where they come from.
constexpr const char* kConstants[][2] = {
    {"v3_kernel_efficiency", "of peak while kernels run: DeepSeek-V3's step on the H800"},
    {"forward_share", "of a chunk's computation: the same step"},
    {"weight_share", "of a chunk's computation: the same step"},
    {"overlap_efficiency", "of all-to-all hidden in pairs: the same step"},
    {"communication_sm_share", "of the SMs while pairs overlap: the report, 20 of 132"},
    {"stall_share", "of the busy time: the same step"},
    {"h100_dense_share", "of peak, a dense model on the H100: Llama 3.1 405B, FP8"}};

constexpr const char* kBases[] = {"step", "dense_fp8", "dense_mxfp8"};

std::string speed_text(double value) { return std::isnan(value) ? "-" : printed("%.0f", value); }

std::string deviation_text(double value) {
  return std::isnan(value) ? "-" : printed("%+.1f %%", 100 * value);
}

}  // namespace

std::string rows_text(const std::vector<RowPrediction>& predictions) {
  std::string text =
      "DeepSeek-V3 in tokens/s per GPU: published by Megatron-Bridge, and predicted from "
      "constants\n"
      "of other rows: of DeepSeek-V3's own step (H800) alone, or with each GPU's share of peak\n"
      "corrected by training of a dense model in FP8 (what plans do), or in MXFP8\n\n";
  TextTable table({"release", "cluster", "published", "from the step", "", "dense FP8", "",
                   "dense MXFP8", "", "layout"});
  for (const RowPrediction& each : predictions) {
    std::vector<std::string> line = {each.row.release, each.row.cluster,
                                     speed_text(each.row.tokens_per_second_per_gpu)};
    for (const DenseRows rows : {DenseRows::kNone, DenseRows::kFp8, DenseRows::kMxfp8}) {
      line.push_back(speed_text(each.tokens_per_second_per_gpu[static_cast<size_t>(rows)]));
      line.push_back(deviation_text(each.deviation(rows)));
    }
    line.push_back(
        each.row.layout + (each.row.has_mtp ? "" : ", no MTP") +
        (each.row.unverified.empty() ? "" : " [unverified: " + each.row.unverified + "]"));
    table.add(std::move(line));
  }
  text += table.text({true, true, false, false, false, false, false, false, false, true});
  if (predictions.empty()) return text;
  text += "\nConstants\n";
  const Worksheet sheet = sheet_of_row(predictions.front().row);
  TextTable constants({"name", "value", "fitted on"});
  for (const auto& [name, source] : kConstants) {
    constants.add({name, printed("%.4f", sheet.value(name)), source});
  }
  return text + constants.text({true, false, true});
}

Json rows_json(const std::vector<RowPrediction>& predictions) {
  Json json;
  json["constants"] = Json::object();
  json["rows"] = Json::array();
  for (const RowPrediction& each : predictions) {
    Json row;
    row["release"] = each.row.release;
    row["cluster"] = each.row.cluster;
    row["layout"] = each.row.layout;
    row["batch_sequences"] = each.row.batch_sequences;
    row["mtp"] = each.row.has_mtp;
    row["unverified"] = each.row.unverified;
    row["published"] = each.row.tokens_per_second_per_gpu;
    row["flops_per_token"] = each.flops_per_token;
    for (size_t i = 0; i < std::size(kBases); ++i) {
      if (std::isnan(each.tokens_per_second_per_gpu[i])) continue;
      Json prediction;
      prediction["tokens_per_s_per_gpu"] = each.tokens_per_second_per_gpu[i];
      prediction["deviation"] = each.deviation(static_cast<DenseRows>(i));
      row["predicted"][kBases[i]] = std::move(prediction);
    }
    json["rows"].push_back(std::move(row));
  }
  if (predictions.empty()) return json;
  const Worksheet sheet = sheet_of_row(predictions.front().row);
  for (const auto& [name, source] : kConstants) {
    json["constants"][name]["value"] = sheet.value(name);
    json["constants"][name]["fitted_on"] = source;
  }
  return json;
}

}  // namespace hadal::cli
