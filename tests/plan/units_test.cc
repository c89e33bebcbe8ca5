// Units, and figures of a plan that nothing published holds.
#include <gtest/gtest.h>

#include "hadal/plan/cluster.h"
#include "hadal/plan/scaling.h"
#include "hadal/plan/serving.h"
#include "tests/plan/laptop.h"

namespace hadal {
namespace {

TEST(ClusterUnits, AFilesFiguresAreDecimal) {
  const Cluster cluster = read_cluster(
      "name = \"mine\"\nnodes = 3\ngpus_per_node = 4\nbf16_tflops = 2\nfp8_tflops = 3\n"
      "memory_gb = 80\nmemory_gb_per_s = 5\nnvlink_gb_per_s = 6\nnic_gb_per_s = 7\n"
      "price_usd_per_gpu_hour = 8\n",
      "mine.toml");
  EXPECT_EQ(cluster.gpus(), 12);
  EXPECT_EQ(cluster.gpu.bf16_flops, 2e12);
  EXPECT_EQ(cluster.gpu.fp8_flops, 3e12);
  EXPECT_EQ(cluster.gpu.memory, 80e9);
  EXPECT_EQ(cluster.gpu.memory_bandwidth, 5e9);
  EXPECT_EQ(cluster.gpu.nvlink_bandwidth, 6e9);
  EXPECT_EQ(cluster.gpu.nic_bandwidth, 7e9);
  EXPECT_EQ(cluster.gpu.price, 8);
}

TEST(ServingUnits, PricesAreOfAMillionTokensAndCachesOfOneGpu) {
  for (const ServingDeployment& deployment : serving_deployments()) {
    Worksheet sheet;
    add_serving(sheet, ModelConfig{}, deployment);
    const auto value = [&](const std::string& name) { return sheet.value(name); };
    for (const std::string pool : {"prefill", "decode"}) {
      EXPECT_DOUBLE_EQ(value(pool + "_usd_per_million"),
                       value("gpu_price") / 3600 / value(pool + "_tokens_per_s_per_gpu") * 1e6);
    }
    // Every GPU of an attention group holds the latents of all its sequences.
    EXPECT_DOUBLE_EQ(value("decode_cache_bytes"),
                     value("decode_batch") * value("decode_context") * value("kv_bytes_per_token"));
  }
}

TEST(MachineUnits, TheAverageOfTheWeightsTakesItsTime) {
  Worksheet sheet = make_machine_sheet(find_preset("nano").config, laptop(), {.tokens = 1e6});
  const double parameters = sheet.value("parameters_trained");
  // AdamW: value, gradient, m and v read and written, and gradients read once more for their norm.
  EXPECT_DOUBLE_EQ(sheet.value("optimizer_seconds"), parameters * 36 / 20e9);
  sheet.set("keeps_average", 1);  // read, written, and the weights read
  EXPECT_DOUBLE_EQ(sheet.value("optimizer_seconds"), parameters * (36 + 12) / 20e9);
  sheet.set("moment_bytes", 2);
  EXPECT_DOUBLE_EQ(sheet.value("optimizer_seconds"), parameters * (36 + 12 - 8) / 20e9);
}

TEST(WeakScaling, TheBatchGrowsWithTheGpus) {
  ScalingRequest request;
  request.base.config = ModelConfig{};
  request.base.cluster = find_cluster("h800-2048");
  request.base.layout = "pp=16,ep=64";
  request.gpus = {1024, 2048, 4096};
  request.weak = true;
  const ScalingStudy study = study_scaling(request, [](int64_t) {});
  ASSERT_EQ(study.table.columns[1].name, "batch_sequences");
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(study.table.rows[i][1], 15360.0 * static_cast<double>(request.gpus[i]) / 2048);
  }
}

}  // namespace
}  // namespace hadal
