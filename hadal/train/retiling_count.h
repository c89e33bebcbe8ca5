// train/retiling_count.h: how many values of FP8 weight gradients' operands change when their 1x128
// tiles are cut to 128x1 (docs/precision.md): what becomes subnormal beside a larger token.
#pragma once

#include <functional>
#include <numeric>

#include "hadal/core/json.h"
#include "hadal/tensor/probe.h"

namespace hadal {

class RetilingCount final : public Probe {
 public:
  void offer(std::string_view name, int /*layer*/, const Tensor& value) override {
    if (name == "retile.before") before_ = value.to_host();
    if (name != "retile.after") return;
    const Tensor before = std::move(before_), after = value.to_host();
    const auto a = before.flat<float>(), b = after.flat<float>();
    values += value.size();
    changed += std::transform_reduce(a.begin(), a.end(), b.begin(), int64_t{0}, std::plus<>(),
                                     std::not_equal_to<>());
  }
  // As metrics.jsonl names them.
  Json metrics() const {
    return Json::Object{{"fp8/retiled_values", values}, {"fp8/retiled_values_changed", changed}};
  }
  int64_t values = 0, changed = 0;

 private:
  Tensor before_;
};

}  // namespace hadal
