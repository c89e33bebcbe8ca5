// A weight multiplied as it is stored gives bit for bit what the definition says (ops/gemm.h; other ops:
// what its values give): at every place where blocks, vectors and parts of a matrix can cut each other.
#include <gtest/gtest.h>

#include "hadal/kernels/reference/widen.h"
#include "hadal/ops/embedding.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/grouped_gemm.h"
#include "hadal/ops/latent_attention.h"
#include "tests/ops/op_test.h"
#include "tests/support/coded_products.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using reference::Widened;
using test::CodedWeight;
using test::expect_close;
using test::expected_nn;
using test::expected_nt;
using test::random_values;
using test::StoredWeight;
using test::Tolerance;

// A weight [N,K] that begins at (row0, col0) of its matrix.
struct StoredCase {
  int64_t N, K;
  Tiling tiling;
  int64_t row0 = 0, col0 = 0;
};

std::vector<StoredCase> cases_of(WeightForm form) {
  std::vector<StoredCase> cases{
      {129, 257, {1, 32}},       {40, 1100, {1, 32}, 3, 64},       {70, 100, {1, 32}, 3, 6},
      {33, 300, {1, 32}, 0, 30}, {1, 1, {1, 32}, 2, 62},           {64, 48, {128, 128}, 100, 90},
      {129, 257, {128, 128}},    {140, 520, {128, 128}, 127, 126}, {40, 90, {5, 96}, 4, 94}};
  if (form == WeightForm::kFp8) {
    cases.push_back({37, 140, {128, 128}, 1, 121});  // 4-bit codes begin at even columns only
    cases.push_back({37, 140, {1, 32}, 0, 1});
    cases.push_back({5, 65, {960, 960}, 959, 959});
  }
  return cases;
}

class StoredFormTest : public testing::TestWithParam<WeightForm> {
 protected:
  static CodedWeight weight(const StoredCase& c, uint64_t seed = 1) {
    return {GetParam(), c.N, c.K, seed, c.tiling, c.row0, c.col0};
  }
  static std::string text(const StoredCase& c) {
    return concat(c.N, "x", c.K, " from ", c.row0, ",", c.col0, " blocks ", c.tiling.rows, "x",
                  c.tiling.cols);
  }

  ThreadPool pool_{2};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
};

TEST_P(StoredFormTest, DenseProductsAreThoseOfTheValues) {
  for (const StoredCase& c : cases_of(GetParam())) {
    const CodedWeight w = weight(c);
    const bool int8 = GetParam() != WeightForm::kFp8;
    const bool in_blocks = c.tiling == kQuantBlocks && c.col0 % kQuantBlock == 0;
    for (const int64_t T : {1, 2, 7, 32, 33, 64, 65, 200}) {
      const std::vector<float> x = random_values(T * c.K, 2), dy = random_values(T * c.N, 3);
      const View<const float, 2> x_view(x.data(), {T, c.K}), dy_view(dy.data(), {T, c.N});
      const auto nt = [&](Context& ctx) {
        std::vector<float> y(static_cast<size_t>(T * c.N));
        gemm_nt(ctx, {y.data(), {T, c.N}}, x_view, w.view());
        return y;
      };
      const auto nn = [&](Context& ctx) {
        std::vector<float> dx(static_cast<size_t>(T * c.K));
        gemm_nn(ctx, {dx.data(), {T, c.K}}, dy_view, w.view());
        return dx;
      };
      const std::string where = concat(T, " rows, ", text(c));
      EXPECT_EQ(nn(cpu_), expected_nn(cpu_, dy_view, w.view())) << where;
      expect_close(nn(reference_), nn(cpu_), Tolerance::for_sum(c.N).in_rows_of(c.K), where);
      if (int8 && !in_blocks) {
        EXPECT_THROW(nt(cpu_), ShapeError) << where;
        continue;
      }
      EXPECT_EQ(nt(cpu_), expected_nt(cpu_, x_view, w.view())) << where;
      expect_close(nt(reference_), nt(cpu_), Tolerance::for_sum(c.K).in_rows_of(c.N), where);
    }
  }
}

// A product in a list has the bits that it has alone; experts without rows, empty ones among them.
TEST_P(StoredFormTest, GroupedProductsAreThoseOfEachGroup) {
  const StoredCase c{129, 257, {1, 32}, 120, 0};
  const std::vector<int64_t> offsets{0, 3, 3, 73};
  const int64_t R = offsets.back();
  std::vector<CodedWeight> weights;
  std::vector<WeightView> stored;
  for (uint64_t e = 0; e < 3; ++e) weights.push_back(weight(c, e + 1));
  for (const CodedWeight& w : weights) stored.push_back(w.view());
  const std::vector<float> x = random_values(R * c.K, 2), dy = random_values(R * c.N, 3);
  const View<const float, 2> x_view(x.data(), {R, c.K}), dy_view(dy.data(), {R, c.N});
  std::vector<float> y(static_cast<size_t>(R * c.N)), dx(static_cast<size_t>(R * c.K));
  grouped_gemm_nt(cpu_, {y.data(), {R, c.N}}, x_view, stored, offsets);
  grouped_gemm_nn(cpu_, {dx.data(), {R, c.K}}, dy_view, stored, offsets);
  for (size_t e = 0; e < 3; ++e) {
    const int64_t first = offsets[e], last = offsets[e + 1];
    const auto part = [&](const std::vector<float>& all, int64_t width) {
      return std::vector<float>(all.begin() + first * width, all.begin() + last * width);
    };
    EXPECT_EQ(part(y, c.N), expected_nt(cpu_, x_view.rows(first, last), stored[e]));
    EXPECT_EQ(part(dx, c.K), expected_nn(cpu_, dy_view.rows(first, last), stored[e]));
  }
}

// Heads of 10 + 7 rows begin and end inside blocks of rows.
TEST_P(StoredFormTest, LatentProductsAreThoseOfEachHead) {
  const int64_t H = 9, d_n = 10, d_v = 7, d_c = 150;
  const CodedWeight w = weight({H * (d_n + d_v), d_c, {1, 32}, 5, 0});
  for (const int64_t T : {1, 40, 70}) {
    const std::vector<float> q = random_values(T * H * d_n, 6), o = random_values(T * H * d_c, 7);
    std::vector<float> absorbed(static_cast<size_t>(T * H * d_c)),
        expanded(static_cast<size_t>(T * H * d_v));
    absorb_query(cpu_, {absorbed.data(), {T, H, d_c}}, View<const float, 3>(q.data(), {T, H, d_n}),
                 w.view());
    expand_value(cpu_, {expanded.data(), {T, H, d_v}}, View<const float, 3>(o.data(), {T, H, d_c}),
                 w.view());
    for (int64_t h = 0; h < H; ++h) {
      const auto of_head = [&](const std::vector<float>& all, int64_t width) {
        std::vector<float> result;
        for (int64_t t = 0; t < T; ++t) {
          const auto row = all.begin() + (t * H + h) * width;
          result.insert(result.end(), row, row + width);
        }
        return result;
      };
      const int64_t first = h * (d_n + d_v);
      const std::vector<float> q_h = of_head(q, d_n), o_h = of_head(o, d_c);
      EXPECT_EQ(of_head(absorbed, d_c),
                expected_nn(cpu_, {q_h.data(), {T, d_n}}, w.view().row_range(first, first + d_n)));
      EXPECT_EQ(of_head(expanded, d_v),
                expected_nt(cpu_, {o_h.data(), {T, d_c}},
                            w.view().row_range(first + d_n, first + d_n + d_v)));
    }
  }
}

TEST_P(StoredFormTest, EmbeddingRowsAreTheValues) {
  const StoredCase in_fours{11, 132, {1, 32}, 3, 64};  // no pack of four columns has two scales
  for (const StoredCase& c : {StoredCase{11, 130, {128, 128}, 124, 126}, in_fours}) {
    const CodedWeight w = weight(c);
    const Widened values(w.view());
    const std::vector<int32_t> ids{10, 0, 4, 4};
    const auto run = [&](Context& ctx, const WeightView& view) {
      std::vector<float> x(static_cast<size_t>(4 * c.K));
      embedding_forward(ctx, {x.data(), {4, c.K}}, view, ids);
      return x;
    };
    const std::vector<float> want = run(reference_, values.view());
    for (const Device device : test::all_devices()) {
      test::Machine machine(device);
      EXPECT_EQ(run(machine.ctx(), w.view()), want) << text(c);
    }
  }
}

TEST_P(StoredFormTest, RefusesBlocksNarrowerThanAVector) {
  const CodedWeight w = weight({8, 64, {1, 16}});
  std::vector<float> x(64), y(8);
  EXPECT_THROW(gemm_nt(cpu_, {y.data(), {1, 8}}, View<const float, 2>(x.data(), {1, 64}), w.view()),
               ShapeError);
}
INSTANTIATE_TEST_SUITE_P(Forms, StoredFormTest,
                         testing::Values(WeightForm::kFp8, WeightForm::kQ8, WeightForm::kQ4),
                         [](const auto& param) { return std::string(form_name(param.param)); });

// All finite codes, through every path that reads them: vectors, single elements, packing, both
// products. One code a column, and an input of one 1 a row, show each value by itself.
TEST(Fp8Codes, HaveTheirValues) {
  std::vector<uint8_t> codes;
  std::vector<float> want;
  for (int i = 0; i < 256; ++i) {
    if (i % 128 == 127) continue;  // NaN
    codes.push_back(static_cast<uint8_t>(i));
    want.push_back(to_float(f8e4m3{codes.back()}) * 0.3F);
  }
  codes.push_back(0x7E);  // 255: one more than vectors, a single element
  want.push_back(448.0F * 0.3F);
  const std::vector<float> scales(3, 0.3F);
  WeightView w;
  w.form = WeightForm::kFp8;
  w.data = codes.data();
  w.rows = 1;
  w.cols = w.row_stride = std::ssize(codes);
  w.scales = {scales.data(), 3, kWeightBlocks};
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  const auto exact = [&](const std::vector<float>& got, const std::string& where) {
    expect_close(got, want, Tolerance::exact(), where);
  };
  for (const int64_t T : {1, 40}) {
    const std::vector<float> dy(static_cast<size_t>(T), 1.0F);
    std::vector<float> dx(static_cast<size_t>(T * w.cols));
    gemm_nn(ctx, {dx.data(), {T, w.cols}}, View<const float, 2>(dy.data(), {T, 1}), w);
    for (int64_t t = 0; t < T; ++t) {
      exact({dx.begin() + t * w.cols, dx.begin() + (t + 1) * w.cols}, concat("row ", t));
    }
  }
  for (const int64_t T : {w.cols, int64_t{1}}) {  // many rows at once, and one after the other
    std::vector<float> ones(static_cast<size_t>(w.cols * w.cols), 0.0F), y;
    for (int64_t t = 0; t < w.cols; ++t) ones[static_cast<size_t>(t * w.cols + t)] = 1.0F;
    for (int64_t t = 0; t < w.cols; t += T) {
      std::vector<float> some(static_cast<size_t>(T));
      gemm_nt(ctx, {some.data(), {T, 1}},
              View<const float, 2>(ones.data() + t * w.cols, {T, w.cols}), w);
      y.insert(y.end(), some.begin(), some.end());
    }
    exact(y, concat(T, " rows"));
  }
}

}  // namespace
}  // namespace hadal
