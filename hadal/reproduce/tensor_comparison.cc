#include "hadal/reproduce/tensor_comparison.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/number_text.h"

namespace hadal {
namespace {

constexpr double kTimesMedian = 4.0;

std::string largest_text(const TensorFigures& t) {
  return concat("largest ", printed("%.3g", t.largest_fp32));
}

std::string not_finite_verdict(const TensorFigures& t, const std::string& precision) {
  const std::string what =
      concat(t.name, ": ", t.not_finite, " of ", t.elements, " elements are not finite");
  if (t.kind == "weight") {
    return what + " before the step: an earlier one did that, or the update before it";
  }
  if (t.not_finite_fp32 > 0) {
    return concat(what, ", ", t.not_finite_fp32,
                  " in FP32, too: not the precision, but what went in");
  }
  return concat(what, " in ", precision, ", none in FP32 (", largest_text(t), ")");
}

// From where on a tensor of this kind has departed.
double limit_of(const std::string& kind, const std::vector<TensorFigures>& tensors,
                double departs_at) {
  std::vector<double> errors;
  for (const TensorFigures& t : tensors) {
    if (t.kind == kind) errors.push_back(t.error());
  }
  const auto middle = errors.begin() + std::ssize(errors) / 2;
  std::nth_element(errors.begin(), middle, errors.end());
  return errors.size() < 2 ? departs_at : std::max(departs_at, kTimesMedian * *middle);
}

}  // namespace

double TensorFigures::error() const {
  if (square_fp32 > 0.0) return std::sqrt(square_of_difference / square_fp32);
  return square_of_difference > 0.0 ? 1.0 : 0.0;
}

void TensorFigures::add(const Tensor& value, const Tensor& fp32) {
  const auto x = value.flat<float>(), y = fp32.flat<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const bool x_finite = std::isfinite(x[i]), y_finite = std::isfinite(y[i]);
    not_finite += x_finite ? 0 : 1;
    not_finite_fp32 += y_finite ? 0 : 1;
    if (x_finite) largest = std::max(largest, std::abs(double{x[i]}));
    if (y_finite) largest_fp32 = std::max(largest_fp32, std::abs(double{y[i]}));
    if (!x_finite || !y_finite) continue;
    const double difference = double{x[i]} - double{y[i]};
    square_of_difference += difference * difference;
    square_fp32 += double{y[i]} * double{y[i]};
  }
  elements += static_cast<int64_t>(x.size());
}

Json figures_json(const TensorFigures& t) {
  return Json(Json::Object{{"name", t.name},
                           {"kind", t.kind},
                           {"largest", t.largest},
                           {"largest_fp32", t.largest_fp32},
                           {"not_finite", t.not_finite},
                           {"not_finite_fp32", t.not_finite_fp32},
                           {"elements", t.elements},
                           {"error", t.error()}});
}

Finding judge(const std::vector<TensorFigures>& tensors, const std::string& precision,
              double departs_at) {
  const TensorFigures* worst = nullptr;
  for (const TensorFigures& t : tensors) {
    if (t.not_finite > 0) return {&t, not_finite_verdict(t, precision)};
    if (t.error() >= limit_of(t.kind, tensors, departs_at)) {
      return {&t, concat(t.name, " is the first to depart: ", percent(t.error()), " from FP32's (",
                         largest_text(t), "), in ", precision)};
    }
    if (!worst || t.error() > worst->error()) worst = &t;
  }
  if (!worst || worst->error() == 0.0) {
    return {nullptr, concat("every tensor is finite, and the same in ", precision, " as in FP32")};
  }
  return {nullptr, concat("every tensor is finite and near FP32's; the farthest is ", worst->name,
                          ", ", percent(worst->error()))};
}

}  // namespace hadal
