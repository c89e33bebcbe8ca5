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
    for (const char* file : {"config.json", "golden.json", "golden.safetensors"}) {
      if (fs::exists(entry.path() / file)) {
        folders.push_back(entry.path());
        break;
      }
    }
  }
  if (folders.empty()) throw FormatError(concat(root.string(), ": no golden case"));
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

bool GoldenCase::is_fp8() const { return load_config(checkpoints.front()).fp8; }

bool GoldenCase::has_variant(const std::string& name, const std::string& of) const {
  return scalars.at("prefill_rel_fro_drift_of_low_precision_reference")
             .find(concat(name, ".float32.", of)) != nullptr;
}

std::vector<std::string> GoldenCase::required_tensors() const {
  const ModelConfig config = load_config(checkpoints.front());
  std::vector<std::string> names;
  const auto add = [&](const auto&... parts) { names.push_back(concat(parts...)); };
  const Json::Array& prefill = scalars.at("prefill").as_array();
  for (int64_t s = 0; s < n_sequences(); ++s) {
    const int64_t n_tokens = std::ssize(prefill[static_cast<size_t>(s)].at("ids").as_array());
    const std::string seq = concat("seq", s, ".");
    const bool in_full = s < 2 || s == n_sequences() - 1, with_states = in_full && s > 0;
    add(seq, "input_ids");
    add(seq, "logits");
    for (int64_t layer = 0; in_full && layer < config.n_layers; ++layer) {
      add(seq, "hidden.", layer);
    }
    if (in_full) add(seq, "final_norm");
    for (int64_t layer = 0; layer < config.n_layers + config.n_mtp; ++layer) {
      const int64_t depth = layer - config.n_layers + 1;
      if (!config.is_moe(layer) || n_tokens <= depth) continue;
      add(seq, "router.", layer, ".indices");
      add(seq, "router.", layer, ".gates");
    }
    for (int64_t k = 1; k <= config.n_mtp && n_tokens > k; ++k) {
      add(seq, "mtp.", k, ".logits");
      if (with_states) add(seq, "mtp.", k, ".hidden");
      if (with_states && has_variant("mtp_pre_norm", "mtp_logits")) {
        add(seq, "mtp_pre_norm.", k, ".logits");
      }
      for (const char* variant : {"fp8_gemm", "fp8_gemm_absorb"}) {
        if (s == 1 && has_variant(variant, "mtp_logits")) add(seq, variant, ".mtp.", k, ".logits");
      }
    }
    for (const char* variant : {"fp8_gemm", "fp8_gemm_absorb"}) {
      if (has_variant(variant)) add(seq, variant, ".logits");
    }
  }
  if (has_greedy()) {
    for (const char* part : {"prompt", "tokens", "logits"}) add("greedy.", part);
  }
  if (is_fp8()) {
    for (const std::string& x : names_with("trace.")) {
      const std::string linear = x.substr(0, x.rfind('.'));
      if (!x.ends_with(".x")) continue;
      for (const char* part : {".codes", ".scale", ".y"}) add(linear, part);
    }
  }
  for (int64_t step = 1; has_training() && step <= n_training_steps(); ++step) {
    add("train.step", step, ".input_ids");
  }
  return names;
}

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
  while (std::ssize(lists) < n_sequences()) {
    lists.push_back(ids_of(at(concat("seq", lists.size(), ".input_ids"))));
  }
  return lists;
}

TokenLists GoldenCase::training_lists(int step) const {
  const std::string name = concat("train.step", step, ".input_ids");
  TokenLists lists;
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

std::vector<GoldenCase> golden_cases(bool (GoldenCase::*which)() const) {
  std::vector<GoldenCase> cases = golden_cases();
  std::erase_if(cases, [&](const GoldenCase& each) { return !(each.*which)(); });
  if (cases.empty()) throw FormatError("no golden case has this part");
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

int64_t row_length(const Tensor& x) { return x.rank() == 0 ? 1 : x.dim(x.rank() - 1); }

std::span<const float> row_of(const Tensor& x, int64_t row) {
  const auto length = static_cast<size_t>(row_length(x));
  return x.flat<float>().subspan(static_cast<size_t>(row) * length, length);
}

SquaredError expect_golden(const Tensor& got, const Tensor& want, const GoldenBound& bound,
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
  const int64_t length = row_length(want), n_rows = want.size() / std::max<int64_t>(length, 1);
  const double usual = std::sqrt(error.wanted / static_cast<double>(std::max<int64_t>(n_rows, 1)));
  double worst = 0.0;  // in units of what is allowed there
  int64_t worst_row = -1, n_bad = 0;
  for (int64_t r = 0; r < n_rows; ++r) {
    SquaredError row;
    row.add(row_of(got, r), row_of(want, r));
    const double off = std::sqrt(row.difference);
    const double allowed = bound.relative * std::sqrt(row.wanted) + bound.inherited * usual;
    if (off <= allowed) continue;  // false for NaN
    ++n_bad;
    if (!(off <= worst * allowed)) worst = off / allowed, worst_row = r;
  }
  EXPECT_EQ(n_bad, 0) << what << ": rows beyond the bound, of " << n_rows << "; the worst is row "
                      << worst_row << ", " << worst << " times what it may be off by";
  EXPECT_LE(error.relative(), bound.relative) << what;  // false for NaN
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
