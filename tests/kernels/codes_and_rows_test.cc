// As instruction_sets_test.cc, for what is computed value by value: codes bit for bit, rows up to rounding.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "hadal/kernels/cpu/simd_targets.h"
#include "hadal/ops/quantize.h"
#include "hadal/ops/rmsnorm.h"
#include "hadal/ops/swiglu.h"
#include "hwy/targets.h"
#include "tests/support/compare.h"

namespace hadal {
namespace {

using test::expect_close;
using test::random_values;
using test::Tolerance;

class ValueByValue : public testing::Test {
 protected:
  template <class Body>
  void for_each_instruction_set(const Body& body) {
    const int64_t all = hwy::SupportedTargets() & HWY_TARGETS;
    for (int64_t left = all; left != 0; left &= left - 1) {
      hwy::SetSupportedTargetsForTest(left & -left);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      body(std::string(hwy::TargetName(left & -left)));
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ThreadPool pool_{1};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
};

// Every E4M3 value, subnormals too, the middles between them, and what lies beside those.
TEST_F(ValueByValue, CodesAreThoseOfTheReference) {
  std::vector<float> x = {448.0F};  // the scale is 1
  for (int code = 0; code < 0x7E; ++code) {
    const float low = to_float(f8e4m3{static_cast<uint8_t>(code)});
    const float high = to_float(f8e4m3{static_cast<uint8_t>(code + 1)});
    const float middle = (low + high) / 2;
    for (const float value :
         {low, middle, std::nextafter(middle, 0.0F), std::nextafter(middle, high)}) {
      x.push_back(value);
      x.push_back(-value);
    }
  }
  const int64_t T = static_cast<int64_t>((x.size() + kFp8Tile - 1) / kFp8Tile);
  x.resize(static_cast<size_t>(T * kFp8Tile));
  for (int64_t t = 0; t < T; ++t) x[static_cast<size_t>(t * kFp8Tile)] = 448.0F;
  const auto run = [&](Context& ctx) {
    std::vector<f8e4m3> codes(x.size());
    std::vector<float> scales(static_cast<size_t>(T));
    quantize_tiles(ctx, {codes.data(), {T, kFp8Tile}}, {scales.data(), {T, 1}},
                   View<const float, 2>(x.data(), {T, kFp8Tile}), {});
    std::vector<int> bits(scales.begin(), scales.end());
    for (const f8e4m3 code : codes) bits.push_back(code.bits);
    return bits;
  };
  const std::vector<int> want = run(reference_);
  for_each_instruction_set([&](const std::string& name) { EXPECT_EQ(run(cpu_), want) << name; });
}

TEST_F(ValueByValue, RowsAgreeWithTheReference) {
  const int64_t T = 5, D = 77;
  const std::vector<float> x = random_values(T * D, 1), w = random_values(D, 2);
  const std::vector<float> gate = random_values(T * D, 3, 4.0), up = random_values(T * D, 4);
  const auto run = [&](Context& ctx) {
    std::vector<float> y(x.size()), r(static_cast<size_t>(T)), h(x.size());
    const auto matrix = [&](const std::vector<float>& values) {
      return View<const float, 2>(values.data(), {T, D});
    };
    rmsnorm_forward(ctx, {y.data(), {T, D}}, {r.data(), {T}}, matrix(x), {w.data(), {D}}, 1e-6F);
    swiglu_forward(ctx, {h.data(), {T, D}}, matrix(gate), matrix(up));
    return std::array{y, h};
  };
  const auto want = run(reference_);
  for_each_instruction_set([&](const std::string& name) {
    const auto got = run(cpu_);
    expect_close(got[0], want[0], Tolerance::for_sum(D), name + " norm");
    expect_close(got[1], want[1], Tolerance::for_sum(16), name + " SwiGLU");
  });
}

}  // namespace
}  // namespace hadal
