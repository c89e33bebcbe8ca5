// A weight multiplied as it is stored gives bit for bit what its values, widened to F32 beforehand,
// give: in every op, at every place where blocks, vectors and parts of a matrix can cut each other.
#include <gtest/gtest.h>

#include "hadal/kernels/reference/widen.h"
#include "hadal/ops/embedding.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/grouped_gemm.h"
#include "hadal/ops/latent_attention.h"
#include "tests/support/compare.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using reference::Widened;
using test::CodedWeight;
using test::expect_close;
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
  std::vector<StoredCase> cases{{129, 257, {1, 32}},
                                {70, 100, {1, 32}, 3, 6},
                                {33, 300, {1, 32}, 0, 30},
                                {1, 1, {1, 32}, 2, 62},
                                {64, 48, {128, 128}, 100, 90},
                                {129, 257, {128, 128}},
                                {140, 520, {128, 128}, 127, 126},
                                {40, 90, {5, 96}, 4, 94}};
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
    const Widened values(w.view());
    for (const int64_t T : {1, 2, 7, 32, 33, 64, 65, 200}) {
      const std::vector<float> x = random_values(T * c.K, 2), dy = random_values(T * c.N, 3);
      const auto run = [&](Context& ctx, const WeightView& view) {
        std::vector<float> y(static_cast<size_t>(T * c.N)), dx(static_cast<size_t>(T * c.K));
        gemm_nt(ctx, {y.data(), {T, c.N}}, View<const float, 2>(x.data(), {T, c.K}), view);
        gemm_nn(ctx, {dx.data(), {T, c.K}}, View<const float, 2>(dy.data(), {T, c.N}), view);
        y.insert(y.end(), dx.begin(), dx.end());
        return y;
      };
      EXPECT_EQ(run(cpu_, w.view()), run(cpu_, values.view())) << T << " rows, " << text(c);
      EXPECT_EQ(run(reference_, w.view()), run(reference_, values.view())) << text(c);
    }
  }
}

TEST_P(StoredFormTest, GroupedProductsAreThoseOfTheValues) {
  const StoredCase c{129, 257, {128, 128}, 120, 100};
  const std::vector<int64_t> offsets{0, 3, 3, 73};
  const int64_t R = offsets.back();
  std::vector<CodedWeight> weights;
  std::vector<Widened> widened;
  std::vector<WeightView> stored, values;
  for (uint64_t e = 0; e < 3; ++e) weights.push_back(weight(c, e + 1));
  for (const CodedWeight& w : weights) {
    widened.emplace_back(w.view());
    stored.push_back(w.view());
    values.emplace_back(widened.back().view());
  }
  const std::vector<float> x = random_values(R * c.K, 2), dy = random_values(R * c.N, 3);
  const auto run = [&](std::span<const WeightView> w) {
    std::vector<float> y(static_cast<size_t>(R * c.N)), dx(static_cast<size_t>(R * c.K));
    grouped_gemm_nt(cpu_, {y.data(), {R, c.N}}, View<const float, 2>(x.data(), {R, c.K}), w,
                    offsets);
    grouped_gemm_nn(cpu_, {dx.data(), {R, c.K}}, View<const float, 2>(dy.data(), {R, c.N}), w,
                    offsets);
    y.insert(y.end(), dx.begin(), dx.end());
    return y;
  };
  EXPECT_EQ(run(stored), run(values));
}

// Heads of 10 + 7 rows begin and end inside blocks of rows.
TEST_P(StoredFormTest, LatentProductsAreThoseOfTheValues) {
  const int64_t H = 9, d_n = 10, d_v = 7, d_c = 150;
  const CodedWeight w = weight({H * (d_n + d_v), d_c, {128, 128}, 5, 2});
  const Widened values(w.view());
  for (const int64_t T : {1, 40, 70}) {
    const std::vector<float> q = random_values(T * H * d_n, 6), o = random_values(T * H * d_c, 7);
    const auto run = [&](const WeightView& view) {
      std::vector<float> absorbed(static_cast<size_t>(T * H * d_c)),
          expanded(static_cast<size_t>(T * H * d_v));
      absorb_query(cpu_, {absorbed.data(), {T, H, d_c}},
                   View<const float, 3>(q.data(), {T, H, d_n}), view);
      expand_value(cpu_, {expanded.data(), {T, H, d_v}},
                   View<const float, 3>(o.data(), {T, H, d_c}), view);
      absorbed.insert(absorbed.end(), expanded.begin(), expanded.end());
      return absorbed;
    };
    EXPECT_EQ(run(w.view()), run(values.view())) << T << " tokens";
  }
}

TEST_P(StoredFormTest, EmbeddingRowsAreTheValues) {
  const CodedWeight w = weight({11, 130, {128, 128}, 124, 126});
  const Widened values(w.view());
  const std::vector<int32_t> ids{10, 0, 4, 4};
  const auto run = [&](const WeightView& view) {
    std::vector<float> x(4 * 130);
    embedding_forward(cpu_, {x.data(), {4, 130}}, view, ids);
    return x;
  };
  EXPECT_EQ(run(w.view()), run(values.view()));
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

// All 256 codes, through every path that reads them: vectors, single elements, packing.
TEST(Fp8Codes, HaveTheirValuesNanIncluded) {
  std::vector<uint8_t> codes(257);  // one more than vectors: a single element
  std::vector<float> want;
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i);
    want.push_back(to_float(f8e4m3{codes[i]}) * 0.3F);
  }
  const std::vector<float> scales(3, 0.3F);
  WeightView w;
  w.form = WeightForm::kFp8;
  w.data = codes.data();
  w.rows = 1;
  w.cols = w.row_stride = 257;
  w.scales = {scales.data(), 3, kWeightBlocks};
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  for (const int64_t T : {1, 40}) {
    const std::vector<float> dy(static_cast<size_t>(T), 1.0F);
    std::vector<float> dx(static_cast<size_t>(T * 257));
    gemm_nn(ctx, {dx.data(), {T, 257}}, View<const float, 2>(dy.data(), {T, 1}), w);
    for (int64_t t = 0; t < T; ++t) {
      expect_close({dx.begin() + t * 257, dx.begin() + (t + 1) * 257}, want, Tolerance::exact(),
                   concat("row ", t, " of ", T));
    }
  }
}

}  // namespace
}  // namespace hadal
