// support/golden_case.h: the folders of reference values (tests/golden/README.md) and their measure
// of error, the relative Frobenius norm ||got - want|| / ||want||.
#pragma once

#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/io/safetensors.h"
#include "hadal/model/deepseek_v3.h"
#include "hadal/model/token_lists.h"

namespace hadal::test {

struct GoldenCase {
  std::string folder;
  std::vector<std::string> checkpoints;  // folders holding the same weights
  TensorSource tensors;                  // golden.safetensors
  Json scalars;                          // golden.json

  bool has(const std::string& tensor) const { return tensors.find(tensor) != nullptr; }
  Tensor at(const std::string& tensor) const;
  std::vector<std::string> names_with(const std::string& prefix) const;
  bool is_fp8() const { return has("seq1.fp8_gemm.logits"); }
  // The stored sequences, by their index in the names.
  TokenLists sequences() const;
  // The rows of train.step{n}.input_ids, or none: the FP8 cases have no training part.
  TokenLists training_lists(int step) const;
};

// Every folder with a golden.safetensors under HADAL_GOLDEN_DIR, and under the folder that the
// environment variable HADAL_GOLDEN names.
std::vector<GoldenCase> golden_cases();

DeepseekV3 load_golden_model(const GoldenCase& golden, Arena& arena);

// Adds up over tensors, for bounds on all of them pooled.
struct SquaredError {
  double difference = 0.0, wanted = 0.0;
  void add(std::span<const float> got, std::span<const float> want);
  double relative() const;
};
// Shape and dtype equal; floats within `bound`, integers equal. Failures name `what`. Returns the
// error of floats.
SquaredError expect_golden(const Tensor& got, const Tensor& want, double bound,
                           const std::string& what);
// The fraction of rows whose largest entries stand at the same place.
double top1_agreement(const Tensor& got, const Tensor& want);

}  // namespace hadal::test
