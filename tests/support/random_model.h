// tests/support/random_model.h: the small models of all tests: their shapes, random weights, and
// folders of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hadal/model/checkpoint.h"

namespace hadal::test {

// Odd widths everywhere, YaRN, a dense layer before two with experts, one MTP module.
ModelConfig odd_config();
ModelConfig two_mtp_config();
ModelConfig softmax_config();  // greedy softmax router, no MTP module
// Width 32, a dense layer and one with experts: what SmallRun trains, with a vocabulary of 80.
ModelConfig small_shape();
// The [model] section of a run file that makes the same of preset "tiny".
extern const char* const kSmallShapeToml;
// A context of 128 tokens, one MTP module: what text_model_folder holds.
ModelConfig text_shape(int64_t vocab_size);

// A model whose weights make the logits spread over about one unit.
struct RandomModel {
  explicit RandomModel(const ModelConfig& config, uint64_t seed = 1, int n_threads = 1);

  Tensor random_rows(int64_t n, int64_t d, uint64_t seed);
  std::vector<int32_t> random_tokens(int64_t n, uint64_t seed) const;

  ThreadPool pool;
  Arena arena;
  Context ctx{pool, arena};
  DeepseekV3 model;
};

// For tests that have only an arena: load_model and save_model with one thread.
DeepseekV3 load_folder(const std::string& folder, Arena& arena, const LoadOptions& options = {});
void save_folder(const std::string& folder, DeepseekV3& model, const SaveOptions& options = {});

}  // namespace hadal::test
