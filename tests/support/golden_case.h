// support/golden_case.h: the folders of reference values (tests/golden/README.md) and their measure
// of error, the relative Frobenius norm ||got - want|| / ||want||, of a tensor and of each row.
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

  // What the case has is said by golden.json and the checkpoint's config.json; a tensor that these
  // ask for and that is not there is a FormatError, never a part left out.
  int64_t n_sequences() const { return std::ssize(scalars.at("prefill").as_array()); }
  bool has_training() const { return scalars.find("train") != nullptr; }
  bool has_greedy() const { return scalars.find("greedy") != nullptr; }
  bool is_fp8() const;
  bool has_pre_norm_mtp() const { return has_variant("mtp_pre_norm", "mtp_logits"); }
  // Of the variants of a pass: "mtp_pre_norm", "fp8_gemm_absorb".
  bool has_variant(const std::string& name, const std::string& of = "logits") const;
  int64_t n_training_steps() const {
    return std::ssize(scalars.at("train").at("steps").as_array());
  }
  // The tensors that such a case has beside those named after a parameter (grad., step, trace.).
  std::vector<std::string> required_tensors() const;

  bool has(const std::string& tensor) const { return tensors.find(tensor) != nullptr; }
  Tensor at(const std::string& tensor) const;
  std::vector<std::string> names_with(const std::string& prefix) const;
  // The stored sequences, by their index in the names.
  TokenLists sequences() const;
  // The rows of train.step{n}.input_ids.
  TokenLists training_lists(int step) const;
};

// The folder of a committed case, for tests that want that one.
inline std::string golden_folder(const std::string& name) {
  return std::string(HADAL_GOLDEN_DIR) + "/" + name;
}

// Every folder of a checkpoint or with a golden file under HADAL_GOLDEN_DIR, and under the folder
// that the environment variable HADAL_GOLDEN names. FormatError where one of the files is missing.
std::vector<GoldenCase> golden_cases();
std::vector<GoldenCase> golden_cases(bool (GoldenCase::*which)() const);  // never none

DeepseekV3 load_golden_model(const GoldenCase& golden, Arena& arena);

// Adds up over tensors, for bounds on all of them pooled.
struct SquaredError {
  double difference = 0.0, wanted = 0.0;
  void add(std::span<const float> got, std::span<const float> want);
  double relative() const;
};
// The tensor as a whole and every row (the last axis) within `relative` of its own norm. A row of a
// gradient dW = dy^T x may be far smaller than the others, but dy is known only to a fraction of
// each token's largest element: `inherited` of a usual row (the root mean square of their norms) is
// added to what a row may be off by.
struct GoldenBound {
  GoldenBound(double of_norm, double of_usual_row = 0.0)  // a number is a bound: NOLINT
      : relative(of_norm), inherited(of_usual_row) {}
  double relative, inherited;
};
// Each and all together 1e-4; the reference itself drifts by 1e-5 in F32.
inline const GoldenBound kGradientBound{1e-4, 1e-5};

int64_t row_length(const Tensor& x);
std::span<const float> row_of(const Tensor& x, int64_t row);

// Shape and dtype equal; floats within `bound`, integers equal. Failures name `what`. Returns the
// error of floats.
SquaredError expect_golden(const Tensor& got, const Tensor& want, const GoldenBound& bound,
                           const std::string& what);
// The fraction of rows whose largest entries stand at the same place.
double top1_agreement(const Tensor& got, const Tensor& want);

}  // namespace hadal::test
