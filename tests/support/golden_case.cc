#include "tests/support/golden_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "tests/support/random_model.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;

void find_cases(const fs::path& root, std::vector<GoldenCase>& cases) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (fs::exists(entry.path() / "golden.safetensors")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    GoldenCase golden{folder,
                      {},
                      TensorSource::open(folder / "golden.safetensors"),
                      parse_json_file(folder / "golden.json")};
    for (const Json& each : golden.scalars.at("checkpoint_folders").as_array()) {
      golden.checkpoints.push_back((folder / each.as_string()).lexically_normal());
    }
    cases.push_back(std::move(golden));
  }
}

std::vector<int32_t> ids_of(std::span<const int32_t> ids) { return {ids.begin(), ids.end()}; }
std::vector<int32_t> ids_of(const Tensor& ids) { return ids_of(ids.flat<int32_t>()); }

}  // namespace

Tensor GoldenCase::at(const std::string& tensor) const {
  const TensorSource::Entry* entry = tensors.find(tensor);
  if (entry == nullptr) throw FormatError(concat(folder, ": no tensor ", tensor));
  return tensors.tensor(*entry);
}

std::vector<std::string> GoldenCase::names_with(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : tensors.entries()) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

TokenLists GoldenCase::sequences() const {
  TokenLists lists;
  while (has(concat("seq", lists.size(), ".input_ids"))) {
    lists.push_back(ids_of(at(concat("seq", lists.size(), ".input_ids"))));
  }
  return lists;
}

TokenLists GoldenCase::training_lists(int step) const {
  const std::string name = concat("train.step", step, ".input_ids");
  TokenLists lists;
  if (!has(name)) return lists;
  const Tensor ids = at(name);
  const auto rows = ids.view<int32_t, 2>();
  for (int64_t s = 0; s < rows.dim(0); ++s) lists.push_back(ids_of(rows.row(s)));
  return lists;
}

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  find_cases(HADAL_GOLDEN_DIR, cases);
  if (const char* more = std::getenv("HADAL_GOLDEN")) find_cases(more, cases);
  return cases;
}

DeepseekV3 load_golden_model(const GoldenCase& golden, Arena& arena) {
  return load_folder(golden.checkpoints.front(), arena);
}

void SquaredError::add(std::span<const float> got, std::span<const float> want) {
  for (size_t i = 0; i < want.size(); ++i) {
    const double d = double{got[i]} - double{want[i]};
    difference += d * d;
    wanted += double{want[i]} * double{want[i]};
  }
}

double SquaredError::relative() const {
  if (wanted == 0.0) return difference == 0.0 ? 0.0 : HUGE_VAL;
  return std::sqrt(difference / wanted);
}

SquaredError expect_golden(const Tensor& got, const Tensor& want, double bound,
                           const std::string& what) {
  SquaredError error;
  if (got.shape() != want.shape() || got.dtype() != want.dtype()) {
    ADD_FAILURE() << what << ": got " << dtype_name(got.dtype()) << shape_text(got.shape())
                  << ", want " << dtype_name(want.dtype()) << shape_text(want.shape());
    return error;
  }
  if (want.dtype() != DType::kF32) {
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(want.bytes())), 0)
        << what << ": values differ";
    return error;
  }
  error.add(got.flat<float>(), want.flat<float>());
  EXPECT_LE(error.relative(), bound) << what;  // false for NaN
  return error;
}

double top1_agreement(const Tensor& got, const Tensor& want) {
  const auto largest = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  int64_t same = 0;
  for (int64_t t = 0; t < want.dim(0); ++t) {
    same += largest(got.mat().row(t)) == largest(want.mat().row(t)) ? 1 : 0;
  }
  return static_cast<double>(same) / static_cast<double>(want.dim(0));
}

}  // namespace hadal::test
