// reproduce/accumulation.cc: what the short sums of Hopper's tensor cores cost over K products, and what
// promoting them every 128 gives back (arXiv:2412.19437 section 3.3.2).
#include <algorithm>
#include <cmath>

#include "hadal/core/rng.h"
#include "hadal/kernels/reference/tensor_core_sum.h"
#include "hadal/reproduce/makers.h"

namespace hadal {
namespace {

constexpr const char* kPromoted = "promoted every 128";
constexpr const char* kNotPromoted = "not promoted";

enum class Signs { kBoth, kOne };

// Codes as tiles have them: values up to 448, normal or uniform.
std::vector<f8e4m3> random_codes(Rng& rng, int64_t n, Signs signs) {
  std::vector<f8e4m3> codes;
  for (int64_t i = 0; i < n; ++i) {
    const double value = signs == Signs::kBoth ? 100.0 * rng.normal() : 448.0 * rng.uniform();
    codes.push_back(to_f8e4m3(static_cast<float>(value)));
  }
  return codes;
}

double exact_dot(std::span<const f8e4m3> a, std::span<const f8e4m3> b) {
  double sum = 0.0;  // products of codes are multiples of 2^-18 below 2^18: exact
  for (size_t k = 0; k < a.size(); ++k) sum += double{to_float(a[k])} * double{to_float(b[k])};
  return sum;
}

struct SumErrors {
  double of_size = 0;      // largest error over the root mean square of the exact sums
  double of_each_sum = 0;  // largest error over the exact sum itself
};

SumErrors sum_errors(const Trial& trial, int64_t k, Signs signs) {
  Rng rng(static_cast<uint64_t>(trial.seed), static_cast<uint64_t>(k) * 2 + (signs == Signs::kOne));
  const int64_t n_sums = trial.quick ? 8 : 2048;
  const std::vector<float> ones(static_cast<size_t>((k + 127) / 128), 1.0F);
  SumErrors result;
  double squares = 0.0, largest = 0.0;
  for (int64_t i = 0; i < n_sums; ++i) {
    const std::vector<f8e4m3> a = random_codes(rng, k, signs), b = random_codes(rng, k, signs);
    const double exact = exact_dot(a, b);
    const float sum = trial.variant == kPromoted ? reference::promoted_dot(a, b, ones)
                                                 : reference::tensor_core_dot(a, b, 0.0F);
    const double error = std::abs(double{sum} - exact);
    largest = std::max(largest, error);
    squares += exact * exact;
    if (signs == Signs::kOne) result.of_each_sum = std::max(result.of_each_sum, error / exact);
  }
  result.of_size = largest / std::sqrt(squares / static_cast<double>(n_sums));
  return result;
}

void measure_accumulation(Context&, const Trial& trial, Outcome& outcome) {
  Curve& both = outcome.curves["both_signs"];
  Curve& one = outcome.curves["one_sign"];
  for (int64_t k = 128; k <= (trial.quick ? 4096 : 8192); k *= 2) {
    both.x.push_back(static_cast<double>(k));
    both.y.push_back(100.0 * sum_errors(trial, k, Signs::kBoth).of_size);
    one.x.push_back(static_cast<double>(k));
    one.y.push_back(100.0 * sum_errors(trial, k, Signs::kOne).of_each_sum);
    if (k != 4096) continue;
    outcome.figures["both_signs"] = both.y.back();
    outcome.figures["one_sign"] = one.y.back();
  }
}

}  // namespace

Experiment make_accumulation() {
  Experiment e;
  e.name = "accumulation";
  e.claim =
      "Sums of FP8 products in Hopper's tensor cores keep about 14 bits, so that long ones are "
      "wrong by per cents; adding partial sums up in F32 every 128 products makes the error small.";
  e.reported = "a largest relative error of almost 2 % at K = 4096 without promotion";
  e.varied =
      "the same 2048 pairs of rows of E4M3 codes summed by the rule of the tensor core "
      "(hadal/kernels/reference/tensor_core_sum.h), with and without promotion, against exact sums";
  e.limits =
      "The rule is emulated. The report does not say what it multiplied: operands of both signs "
      "give less than its 2 %, operands of one sign more";
  e.variants = {kPromoted, kNotPromoted};
  e.figures = {
      {"both_signs", "K = 4096, normal operands: largest error, % of the sums' root mean square"},
      {"one_sign", "K = 4096, operands uniform from 0: largest error, % of the sum"}};
  e.claims = {{.text = "promotion makes the error of sums of both signs ten times smaller, or more",
               .reported = "almost 2 % without",
               .figure = "both_signs",
               .variant = kPromoted,
               .baseline = kNotPromoted,
               .factor = 10.0},
              {.text = "and of sums of one sign",
               .reported = "almost 2 % without",
               .figure = "one_sign",
               .variant = kPromoted,
               .baseline = kNotPromoted,
               .factor = 10.0}};
  e.panels = {{"both_signs", "normal operands, % of root mean square", true},
              {"one_sign", "operands of one sign, %", true}};
  e.x_label = "K, products in a sum";
  e.x_logarithmic = true;
  e.measure = measure_accumulation;
  return e;
}

}  // namespace hadal
