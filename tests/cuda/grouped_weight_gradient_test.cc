// Weight gradients by groups of tokens on the card against sums in double.
#include "hadal/core/error.h"
#include "hadal/kernels/cuda/hopper/grouped_gemm.h"
#include "tests/cuda/grouped_products.h"

namespace hadal::test {
namespace {

struct GradientCase {
  bool accumulate = true;
  int64_t n = 200, k = 204;
  std::vector<int> group_tokens = kGroupRows;
};

std::vector<int> offsets_of(const std::vector<int>& sizes) {
  std::vector<int> offsets{0};
  for (const int size : sizes) offsets.push_back(offsets.back() + size);
  return offsets;
}

template <class Element>
void expect_gradient(const GradientCase& c, const std::vector<float>& dw,
                     const std::vector<float>& before, const Element& element, const char* what) {
  const auto groups = static_cast<int64_t>(c.group_tokens.size());
  int failures = 0;
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t n = 0; n < c.n; ++n) {
      for (int64_t k = 0; k < c.k; ++k) {
        const auto at = static_cast<size_t>((g * c.n + n) * c.k + k);
        const double added = c.accumulate ? static_cast<double>(before[at]) : 0;
        expect_within(dw[at], element(g, n, k), added, what, g * c.n + n, k, failures);
      }
    }
  }
  EXPECT_EQ(failures, 0) << what;
  for (int64_t i = 0; i < kGuard; ++i) {
    EXPECT_TRUE(is_poison(dw[static_cast<size_t>(groups * c.n * c.k + i)])) << what << " guard";
  }
}

std::vector<float> gradient_before(const GradientCase& c, Random& random) {
  const int64_t size = static_cast<int64_t>(c.group_tokens.size()) * c.n * c.k;
  auto dw = poisoned<float>(size);
  if (c.accumulate) {
    const auto values = random.floats(size);
    std::copy(values.begin(), values.end(), dw.begin());
  }
  return dw;
}

// The product's dw, with the operands that it has and what both types share.
template <class Product>
std::vector<float> multiplied(Product product, const GradientCase& c,
                              const std::vector<int>& offsets, int64_t tokens,
                              const std::vector<float>& before) {
  const DeviceArray<float> dw(before);
  const DeviceArray<int> offsets_there(offsets);
  product.groups = static_cast<int>(c.group_tokens.size());
  product.offsets = offsets_there.data();
  product.tokens = tokens;
  product.n = c.n;
  product.k = c.k;
  product.dw = dw.data();
  product.accumulate = c.accumulate;
  EXPECT_TRUE(tokens == 0 || cuda::can_multiply(product));
  cuda::multiply(product, nullptr);
  return dw.host();
}

void check_fp8(const GradientCase& c) {
  if (!has_card()) GTEST_SKIP() << "no card here";
  const std::vector<int> offsets = offsets_of(c.group_tokens);
  const int64_t tokens = offsets.back() + 128;  // the last block belongs to nobody
  const int64_t stride = tokens + 16, n_scales = ceil_to(c.n, 4), k_scales = ceil_to(c.k, 4) + 4;
  Random random(3);
  auto dyt = random.codes(c.n * stride), xt = random.codes(c.k * stride);
  for (int64_t n = 0; n < c.n; ++n) {  // whoever reads beyond the last group shows it
    for (int64_t t = offsets.back(); t < stride; ++t)
      dyt[static_cast<size_t>(n * stride + t)] = {0x7F};
  }
  const auto sdy = random.scales(tokens / 128 * n_scales),
             sx = random.scales(tokens / 128 * k_scales);
  const auto before = gradient_before(c, random);
  const DeviceArray<f8e4m3> dyt_there(dyt), xt_there(xt);
  const DeviceArray<float> sdy_there(sdy), sx_there(sx);
  cuda::GroupedWeightGradientFp8 product;
  product.dyt = dyt_there.data();
  product.dyt_stride = stride;
  product.dyt_scales = sdy_there.data();
  product.dyt_scale_stride = n_scales;
  product.xt = xt_there.data();
  product.xt_stride = stride;
  product.xt_scales = sx_there.data();
  product.xt_scale_stride = k_scales;
  const auto dw = multiplied(product, c, offsets, tokens, before);
  const std::vector<double> decoded = decoded_e4m3();
  expect_gradient(
      c, dw, before,
      [&](int64_t g, int64_t n, int64_t k) {
        const f8e4m3* a = dyt.data() + n * stride;
        const f8e4m3* b = xt.data() + k * stride;
        return expected_fp8(
            offsets[static_cast<size_t>(g)], offsets[static_cast<size_t>(g + 1)],
            [&](int64_t t) { return decoded[a[t].bits]; },
            [&](int64_t t) { return decoded[b[t].bits]; },
            [&](int64_t block) {
              return static_cast<double>(sdy[static_cast<size_t>(block * n_scales + n)]) *
                     static_cast<double>(sx[static_cast<size_t>(block * k_scales + k)]);
            });
      },
      "fp8 weight gradient");
}

void check_bf16(const GradientCase& c) {
  if (!has_card()) GTEST_SKIP() << "no card here";
  const std::vector<int> offsets = offsets_of(c.group_tokens);
  const int64_t tokens = offsets.back() + 5;  // the last five belong to nobody
  const int64_t dy_stride = ceil_to(c.n, 8) + 8, x_stride = ceil_to(c.k, 8);
  Random random(5);
  auto dy = random.values(tokens * dy_stride), x = random.values(tokens * x_stride);
  for (int64_t t = offsets.back(); t < tokens;
       ++t) {  // whoever reads beyond the last group shows it
    for (int64_t n = 0; n < c.n; ++n) dy[static_cast<size_t>(t * dy_stride + n)] = {0x7FC0};
    for (int64_t k = 0; k < c.k; ++k) x[static_cast<size_t>(t * x_stride + k)] = {0x7FC0};
  }
  const auto before = gradient_before(c, random);
  const DeviceArray<bf16> dy_there(dy), x_there(x);
  cuda::GroupedWeightGradientBf16 product;
  product.dy = dy_there.data();
  product.dy_stride = dy_stride;
  product.x = x_there.data();
  product.x_stride = x_stride;
  const auto dw = multiplied(product, c, offsets, tokens, before);
  expect_gradient(
      c, dw, before,
      [&](int64_t g, int64_t n, int64_t k) {
        return expected_bf16(
            offsets[static_cast<size_t>(g)], offsets[static_cast<size_t>(g + 1)],
            [&](int64_t t) {
              return static_cast<double>(to_float(dy[static_cast<size_t>(t * dy_stride + n)]));
            },
            [&](int64_t t) {
              return static_cast<double>(to_float(x[static_cast<size_t>(t * x_stride + k)]));
            });
      },
      "bf16 weight gradient");
}

const std::vector<int> kBlocks = {0, 128, 384, 256, 0, 640};  // E4M3 groups come in whole blocks

TEST(GroupedWeightGradient, Fp8) { check_fp8({.n = 197, .group_tokens = kBlocks}); }
TEST(GroupedWeightGradient, Fp8Overwrites) {
  check_fp8({.accumulate = false, .n = 64, .k = 132, .group_tokens = kBlocks});
}
TEST(GroupedWeightGradient, Bf16) { check_bf16({.n = 197}); }
TEST(GroupedWeightGradient, Bf16Overwrites) {
  check_bf16({.accumulate = false, .n = 72, .k = 132});
}
TEST(GroupedWeightGradient, Bf16Wide) {
  check_bf16({.n = 328, .k = 520, .group_tokens = {77, 200}});
}

// Without a token nothing is added, and what is not added to is zeros.
TEST(GroupedWeightGradient, OfNoTokens) {
  if (!has_card()) GTEST_SKIP() << "no card here";
  for (const bool accumulate : {true, false}) {
    const GradientCase c{.accumulate = accumulate, .n = 8, .k = 12, .group_tokens = {0, 0}};
    Random random(9);
    const auto before = gradient_before(c, random);
    const std::vector<int> offsets = {0, 0, 0};
    for (const auto& dw : {multiplied(cuda::GroupedWeightGradientFp8{}, c, offsets, 0, before),
                           multiplied(cuda::GroupedWeightGradientBf16{}, c, offsets, 0, before)}) {
      expect_gradient(
          c, dw, before, [](int64_t, int64_t, int64_t) { return Expected{}; }, "no tokens");
    }
  }
}

}  // namespace
}  // namespace hadal::test
