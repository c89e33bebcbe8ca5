// tests/support/layer_differences.h: the backward of a whole layer against central differences
// along a random direction. Every op has its own differences in f64 (tests/ops) and every parameter
// a reference gradient (tests/model/golden_test.cc); this holds the wiring between the ops, input
// gradients included, on shapes that no reference has.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/support/random_model.h"

namespace hadal::test {

struct LayerUnderTest {
  std::vector<Tensor> inputs;
  std::vector<Param*> params;
  // y of the inputs; keeps what backward needs.
  std::function<Tensor(const std::vector<Tensor>&)> forward;
  // B and W of the latest forward: gradients of the inputs; those of params are added to grad.
  std::function<std::vector<Tensor>(Tensor dy)> backward;
  // The chosen experts of the latest forward: a choice that flips within the step has no
  // derivative.
  std::function<std::vector<int64_t>()> choice = [] { return std::vector<int64_t>{}; };
};

// Compares <gradient, u> with the derivative along u, for inputs and params together. Also holds
// that everything between F and W was given back to the arena.
void expect_backward_matches_differences(Context& ctx, LayerUnderTest& layer, uint64_t seed,
                                         const std::string& what);

// The parameters of `model` under names that start with `prefix`.
std::vector<Param*> params_under(DeepseekV3& model, const std::string& prefix);

}  // namespace hadal::test
