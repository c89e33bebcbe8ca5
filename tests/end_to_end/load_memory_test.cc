// What a model takes in memory: no more than its file, its cache and 200 MB, mapped pages counted.
#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "hadal/model/hf_storage.h"
#include "tests/support/run_hadal.h"
#include "tests/support/sparse_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

struct StoredModel {
  WeightForm form;
  int64_t
      n_layers;  // as many as make some 300 MB: a copy of them would not fit into what is allowed
};

// Every expert is chosen by every token, so that every page of the weights is touched.
ModelConfig all_experts_config(int64_t n_layers) {
  ModelConfig c;
  c.d_model = 1024;
  c.n_layers = n_layers;
  c.vocab_size = 1024;
  c.max_position_embeddings = 1024;
  c.n_heads = 8;
  c.q_lora_rank = 0;
  c.yarn.reset();
  c.d_ff = 4096;
  c.d_expert = 1024;
  c.first_k_dense_replace = 1;
  c.n_mtp = 0;
  c.router = {.n_routed_experts = 8, .top_k = 8, .n_group = 1, .topk_group = 1};
  return c;
}

// Of `hadal bench load`, in MiB.
struct Peak {
  double found = 0, allowed = 0, weights = 0;
};
Peak peak_of(const std::string& folder, const std::string& prompt_tokens) {
  const testing::RunResult result =
      testing::run_hadal({"bench", "load", "--model", folder, "--prompt-tokens", prompt_tokens,
                          "--rounds", "1", "--threads", "2", "--json", "--quiet"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  const Json& row = json.at("results").as_array().back();
  EXPECT_EQ(row.at("name").as_string(), "peak memory");
  return {.found = row.at("value").as_number(),
          .allowed = row.at("roof").as_number(),
          .weights = json.at("bytes").as_number() / (1 << 20)};
}

class LoadMemoryTest : public ::testing::TestWithParam<StoredModel> {};

TEST_P(LoadMemoryTest, IsThatOfTheFileTheCacheAndLittleMore) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep books of memory in memory";
#endif
  const TemporaryFolder folder;
  write_sparse_checkpoint(folder / "model", all_experts_config(GetParam().n_layers),
                          GetParam().form, 1);
  const Peak peak = peak_of(folder / "model", "16");
  EXPECT_GT(peak.weights, 250);
  EXPECT_LT(peak.found, peak.allowed);
  EXPECT_GT(peak.found, peak.weights) << "the mapped pages are not counted";
}
INSTANTIATE_TEST_SUITE_P(
    Forms, LoadMemoryTest,
    ::testing::Values(StoredModel{WeightForm::kBF16, 6}, StoredModel{WeightForm::kFp8, 11},
                      StoredModel{WeightForm::kQ8, 10}, StoredModel{WeightForm::kQ4, 19}),
    [](const auto& stored) { return std::string(form_key(stored.param.form)); });

// The rows of a long prompt are in memory a chunk at a time, keys and values of the cached ones in
// parts of one size, however many have been read.
TEST(LoadMemory, HoldsForALongPrompt) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep books of memory in memory";
#endif
  const TemporaryFolder folder;
  ModelConfig config = all_experts_config(1);
  config.d_model = 64;
  config.d_ff = 64;
  config.max_position_embeddings = 8192;
  write_sparse_checkpoint(folder / "model", config, WeightForm::kBF16, 1);
  const Peak peak = peak_of(folder / "model", "7000");
  EXPECT_LT(peak.found, peak.allowed);
}

// What the program that starts hadal has in use is not hadal's.
TEST(LoadMemory, IsItsOwn) {
  const TemporaryFolder folder;
  write_sparse_checkpoint(folder / "model", all_experts_config(2), WeightForm::kQ4, 1);
  const double alone = peak_of(folder / "model", "1").found;
  const std::vector<char> in_use(size_t{400} << 20, 1);
  EXPECT_LT(peak_of(folder / "model", "1").found, alone + 100) << in_use.size();
}

}  // namespace
}  // namespace hadal::test
