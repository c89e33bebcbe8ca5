// Published throughput of DeepSeek-V3 against plans whose constants come from other rows.
#include "hadal/plan/published_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/plan/sheet_of.h"

namespace hadal {
namespace {

const ThroughputRow& row_of(const std::string& release, const std::string& cluster) {
  for (const ThroughputRow& row : throughput_rows()) {
    if (row.release == release && row.cluster == cluster) return row;
  }
  ADD_FAILURE() << "no row " << release << ", " << cluster;
  return throughput_rows().front();
}

TEST(PublishedRows, EveryLayoutIsLegalOnItsCluster) {
  for (const ThroughputRow& row : throughput_rows()) {
    const Worksheet sheet = sheet_of_row(row);
    EXPECT_EQ(layout_problem(layout_of(sheet), layout_facts(sheet)).line(), "") << row.layout;
    EXPECT_EQ(sheet.value("gpus"), 256) << row.cluster;
    EXPECT_EQ(sheet.value("batch_sequences"), static_cast<double>(row.batch_sequences));
    EXPECT_GT(sheet.value("memory_headroom"), 0) << row.cluster << " " << row.layout;
  }
}

// Their TFLOPS and tokens count the same work per token as a plan does, MTP included.
TEST(PublishedRows, WorkPerTokenIsTheirs) {
  for (const ThroughputRow& row : throughput_rows()) {
    const double theirs = row.flops_per_gpu / row.tokens_per_second_per_gpu;
    EXPECT_NEAR(predict_row(row).flops_per_token / theirs, 1, 0.004) << row.release << row.cluster;
  }
}

// What DeepSeek-V3's step on the H800 says holds on every cluster; of the GPU itself only the share
// of peak counts that a dense model reaches, beside the same model's on the H100.
TEST(PublishedRows, ConstantsAreThoseOfOtherRows) {
  const Worksheet h800 = sheet_of("deepseek-v3", "h800-2048");
  const std::pair<const char*, double> shares[] = {
      {"gb300", 2646.0 / 5000}, {"gb200", 2129.0 / 5000}, {"b300", 0}, {"b200", 0}};
  for (const ThroughputRow& row : throughput_rows()) {
    const Worksheet sheet = sheet_of_row(row);
    for (const char* cell : {"v3_kernel_efficiency", "forward_share", "weight_share",
                             "overlap_efficiency", "communication_sm_share", "stall_share"}) {
      EXPECT_EQ(sheet.value(cell), h800.value(cell)) << row.cluster << " " << cell;
    }
    for (const auto& [gpu, share] : shares) {
      if (row.cluster != std::string(gpu) + "-256") continue;
      const double factor = share > 0 ? share / (822.0 / 1979) : 1;
      EXPECT_NEAR(sheet.value("kernel_efficiency"), h800.value("kernel_efficiency") * factor, 1e-12)
          << gpu;
    }
  }
  EXPECT_EQ(h800.value("gpu_factor"), 1);
}

// Whatever the row says it reached, the prediction is the same, and the error tells the difference.
TEST(PublishedRows, APredictionDoesNotKnowItsRow) {
  ThroughputRow row = row_of("26.08", "gb300-256");
  const RowPrediction before = predict_row(row);
  row.tokens_per_second_per_gpu *= 2;
  row.flops_per_gpu *= 2;
  const RowPrediction after = predict_row(row);
  for (const DenseRows rows : {DenseRows::kNone, DenseRows::kFp8, DenseRows::kMxfp8}) {
    const auto i = static_cast<size_t>(rows);
    EXPECT_EQ(after.tokens_per_second_per_gpu[i], before.tokens_per_second_per_gpu[i]);
    EXPECT_NEAR(1 + after.deviation(rows), (1 + before.deviation(rows)) / 2, 1e-12);
  }
  EXPECT_EQ(before.tokens_per_second_per_gpu[1],
            sheet_of_row(row).value("tokens_per_second_per_gpu"));  // what `hadal plan` says
}

// docs/plan.md, "Against published rows": good and bad.
TEST(PublishedRows, DeviationsAreThoseOfThePage) {
  const double none = std::nan("");
  const struct {
    const char *release, *cluster;
    double step, dense_fp8, dense_mxfp8;
  } page[] = {{"26.08", "gb300-256", -0.300, -0.132, -0.202},
              {"26.08", "gb200-256", -0.102, -0.081, -0.143},
              {"26.06", "gb300-256", -0.288, -0.108, -0.184},
              {"26.06", "b300-256", 0.157, none, none},
              {"26.04.01", "b200-256", 0.002, none, none},
              {"25.11", "gb300-256", 0.047, 0.301, 0.194},
              {"25.11", "gb200-256", 0.135, 0.161, 0.084},
              {"25.11", "b200-256", 0.822, none, none}};
  EXPECT_EQ(std::size(page), throughput_rows().size());
  for (const auto& each : page) {
    const RowPrediction prediction = predict_row(row_of(each.release, each.cluster));
    const std::pair<DenseRows, double> expected[] = {{DenseRows::kNone, each.step},
                                                     {DenseRows::kFp8, each.dense_fp8},
                                                     {DenseRows::kMxfp8, each.dense_mxfp8}};
    for (const auto& [rows, deviation] : expected) {
      const std::string what = std::string(each.release) + " " + each.cluster;
      EXPECT_EQ(std::isnan(prediction.deviation(rows)), std::isnan(deviation)) << what;
      if (!std::isnan(deviation)) {
        EXPECT_NEAR(prediction.deviation(rows), deviation, 0.0006) << what;
      }
    }
  }
}

}  // namespace
}  // namespace hadal
