// The kernels of kernels/cuda/quantize_fp8.h against the reference, bit for bit.
#include <array>
#include <bit>
#include <limits>
#include <optional>

#include "hadal/core/checked_math.h"
#include "hadal/core/rng.h"
#include "hadal/kernels/cuda/quantize_fp8.h"
#include "hadal/kernels/quantize.h"
#include "hadal/kernels/rmsnorm.h"
#include "hadal/kernels/swiglu.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

using cuda::ScaleRule;

constexpr int64_t kTile = 128;
constexpr uint8_t kUnwritten = 0xAA;

struct TileShape {
  int64_t rows, cols, pad;
};
// With and without 16-byte accesses, ragged in both directions, more than one block.
const std::vector<TileShape> kTileShapes = {
    {1, 1, 0},    {1, 128, 0},   {3, 128, 5},    {5, 200, 0},   {130, 72, 8},  {128, 128, 0},
    {16, 520, 8}, {257, 384, 0}, {300, 264, 24}, {33, 1040, 0}, {129, 131, 1}, {2, 2056, 0}};

std::string name(const TileShape& s, ScaleRule rule) {
  return concat("[", s.rows, ",", s.cols, "] pad ", s.pad, rule.power_of_two ? " power of two" : "",
                rule.amax_floor ? " floor" : "");
}

const std::array<ScaleRule, 3> kRules = {ScaleRule{true, false}, ScaleRule{false, false},
                                         ScaleRule{false, true}};

// Magnitudes that differ from tile to tile down to subnormals and up to overflow, zeros of both signs, what
// is not finite, and halves between codes.
std::vector<float> spiteful(int64_t rows, int64_t cols, uint64_t seed) {
  std::vector<float> x = random_values(rows * cols, seed);
  Rng rng(seed, 1);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      float& value = x[static_cast<size_t>(i * cols + j)];
      const int64_t tile = i / 40 * 7 + j / kTile * 3;
      const int exponents[] = {0, -60, -140, 100, -20, 118, -128};
      value = std::ldexp(value, exponents[tile % 7]);
      switch (rng.uniform_below(40)) {
        case 0:
          value = 0.0F;
          break;
        case 1:
          value = -0.0F;
          break;
        case 2:
          value = std::ldexp(value, -30);
          break;
        case 3: {  // a half between two codes, where the scale is a power of two
          const auto code = static_cast<uint8_t>(rng.uniform_below(0x7E));
          value = (to_float(f8e4m3{code}) + to_float(f8e4m3{static_cast<uint8_t>(code + 1)})) / 2;
          value = std::ldexp(value, exponents[tile % 7] - 7);
          break;
        }
        default:
          break;
      }
    }
  }
  if (rows > 2 && cols > 3) {
    for (int64_t j = 0; j < cols; ++j) x[static_cast<size_t>(cols + j)] = j % 2 ? 0.0F : -0.0F;
    x[static_cast<size_t>(2 * cols)] = std::numeric_limits<float>::infinity();
    x[static_cast<size_t>(2 * cols + 1)] = -std::numeric_limits<float>::infinity();
    x[static_cast<size_t>(3)] = std::numeric_limits<float>::quiet_NaN();
  }
  return x;
}

// Values in rows with gaps, as T and as the float that it stands for.
template <class T>
struct Values {
  Values(const TileShape& s, const std::vector<float>& x) : shape(s) {
    stored.resize(static_cast<size_t>(s.rows * (s.cols + s.pad)));
    for (int64_t i = 0; i < s.rows * s.cols; ++i) {
      const float value = x[static_cast<size_t>(i)];
      T& to = stored[static_cast<size_t>(i / s.cols * (s.cols + s.pad) + i % s.cols)];
      if constexpr (std::is_same_v<T, bf16>) {
        to = to_bf16(value);
        as_float.push_back(to_float(to));
      } else {
        to = value;
        as_float.push_back(value);
      }
    }
  }
  View<const T, 2> view() const {
    return {stored.data(), {shape.rows, shape.cols}, {shape.cols + shape.pad, 1}};
  }
  View<const float, 2> floats() const { return {as_float.data(), {shape.rows, shape.cols}}; }

  TileShape shape;
  std::vector<T> stored;
  std::vector<float> as_float;
};

// Codes and scales as a kernel writes them; scales stand turned where `turned`, so that strides count.
struct Coded {
  Coded(int64_t rows_, int64_t stride_, int64_t scale_rows, int64_t scale_cols, bool turned = false)
      : rows(rows_),
        stride(stride_),
        codes(static_cast<size_t>(rows * stride), {kUnwritten}),
        scales(static_cast<size_t>(scale_rows * scale_cols), -1.0F) {
    out = {codes.data(), stride, scales.data(), turned ? 1 : scale_cols, turned ? scale_rows : 1};
  }
  int64_t rows, stride;
  std::vector<f8e4m3> codes;
  std::vector<float> scales;
  cuda::TileCodes out;
};

// What the reference makes of x, in tiles.
struct Expected {
  Expected(View<const float, 2> x, int64_t tile_rows, int64_t tile_cols, ScaleRule rule)
      : codes(static_cast<size_t>(x.size())),
        scale_rows(ceil_div(x.dim(0), tile_rows)),
        scale_cols(ceil_div(x.dim(1), tile_cols)),
        scales(static_cast<size_t>(scale_rows * scale_cols)),
        rows(x.dim(0)),
        cols(x.dim(1)) {
    reference::quantize({codes.data(), {rows, cols}}, {scales.data(), {scale_rows, scale_cols}}, x,
                        tile_rows, tile_cols, rule.power_of_two, rule.amax_floor);
  }
  std::vector<f8e4m3> codes;
  int64_t scale_rows, scale_cols;
  std::vector<float> scales;
  int64_t rows, cols;
};

void expect_scales(const Coded& got, const Expected& want, const std::string& what) {
  for (int64_t i = 0; i < want.scale_rows; ++i) {
    for (int64_t j = 0; j < want.scale_cols; ++j) {
      const float* const scale =
          got.scales.data() + i * got.out.scale_row_stride + j * got.out.scale_col_stride;
      ASSERT_EQ(std::bit_cast<uint32_t>(*scale),
                std::bit_cast<uint32_t>(want.scales[static_cast<size_t>(i * want.scale_cols + j)]))
          << what << ", scale " << i << ", " << j << ": got " << *scale;
    }
  }
}

// Codes in rows; nothing is written between them.
void expect_rows(const Coded& got, const Expected& want, const std::string& what) {
  expect_scales(got, want, what);
  for (int64_t i = 0; i < want.rows; ++i) {
    for (int64_t j = 0; j < got.stride; ++j) {
      const int code = got.codes[static_cast<size_t>(i * got.stride + j)].bits;
      const int expected =
          j < want.cols ? want.codes[static_cast<size_t>(i * want.cols + j)].bits : kUnwritten;
      ASSERT_EQ(code, expected) << what << ", code " << i << ", " << j;
    }
  }
}

// Codes in columns: zeros up to a multiple of 16, nothing beyond.
void expect_turned(const Coded& got, const Expected& want, const std::string& what,
                   bool scales_too = true) {
  if (scales_too) expect_scales(got, want, what);
  for (int64_t j = 0; j < want.cols; ++j) {
    for (int64_t i = 0; i < got.stride; ++i) {
      const int code = got.codes[static_cast<size_t>(j * got.stride + i)].bits;
      const int beyond = i < round_up(want.rows, 16) ? 0 : kUnwritten;
      const int expected =
          i < want.rows ? want.codes[static_cast<size_t>(i * want.cols + j)].bits : beyond;
      ASSERT_EQ(code, expected) << what << ", turned code " << i << ", " << j;
    }
  }
}

class QuantizeOnCard : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_card()) GTEST_SKIP() << "no card here";
    card_.emplace(Device::kCuda);
  }
  cuda::Stream& stream() { return *card_->ctx().stream; }
  void wait() { stream().synchronize(); }

  template <class T, class Body>
  void for_each_case(const Body& body) {
    for (const TileShape& s : kTileShapes) {
      const Values<T> x(s, spiteful(s.rows, s.cols, static_cast<uint64_t>(s.cols)));
      for (const ScaleRule rule : kRules) body(s, x, rule);
    }
  }

  template <class T>
  void row_tiles() {
    for_each_case<T>([&](const TileShape& s, const Values<T>& x, ScaleRule rule) {
      const Expected want(x.floats(), 1, kTile, rule);
      Coded got(s.rows, s.cols + s.pad, s.rows, want.scale_cols, s.pad > 4);
      cuda::quantize_row_tiles(stream(), got.out, x.view(), rule);
      wait();
      expect_rows(got, want, name(s, rule));
    });
  }

  template <class T>
  void column_tiles() {
    for_each_case<T>([&](const TileShape& s, const Values<T>& x, ScaleRule rule) {
      const Expected want(x.floats(), kTile, 1, rule);
      Coded got(s.cols, round_up(s.rows, 16) + 16, want.scale_rows, s.cols, s.pad > 4);
      cuda::quantize_column_tiles(stream(), got.out, x.view(), rule);
      wait();
      expect_turned(got, want, name(s, rule));

      const Expected want_rows(x.floats(), 1, kTile, rule);
      Coded rows(s.rows, s.cols + s.pad, s.rows, want_rows.scale_cols);
      Coded columns(s.cols, round_up(s.rows, 16), want.scale_rows, s.cols);
      cuda::quantize_row_and_column_tiles(stream(), rows.out, columns.out, x.view(), rule);
      wait();
      expect_rows(rows, want_rows, name(s, rule) + ", both");
      expect_turned(columns, want, name(s, rule) + ", both");
    });
  }

  template <class T>
  void blocks() {
    for_each_case<T>([&](const TileShape& s, const Values<T>& x, ScaleRule rule) {
      if (rule.amax_floor) return;
      const Expected want(x.floats(), kTile, kTile, rule);
      Coded got(s.rows, s.cols + s.pad, want.scale_rows, want.scale_cols, true);
      Coded turned(s.cols, round_up(s.rows, 16), 1, 1);
      cuda::quantize_blocks(stream(), got.out, nullptr, 0, x.view(), rule.power_of_two);
      wait();
      expect_rows(got, want, name(s, rule));
      cuda::quantize_blocks(stream(), got.out, turned.codes.data(), turned.stride, x.view(),
                            rule.power_of_two);
      wait();
      expect_rows(got, want, name(s, rule) + ", and turned");
      expect_turned(turned, want, name(s, rule), /*scales_too=*/false);
    });
  }

  // Of the bits of h and y nothing is promised but that they are the reference's up to rounding: a scale may
  // be a unit off and a value between two codes on either side.
  static void expect_near(const Coded& got, View<const float, 2> want, const std::string& what) {
    for (int64_t i = 0; i < want.dim(0); ++i) {
      for (int64_t j = 0; j < want.dim(1); ++j) {
        const float scale =
            got.scales[static_cast<size_t>(i * ceil_div(want.dim(1), kTile) + j / kTile)];
        const float value = to_float(got.codes[static_cast<size_t>(i * got.stride + j)]) * scale;
        const float x = want(i, j);
        ASSERT_LE(std::abs(value - x), std::abs(x) * (1.0F / 16 + 1e-5F) + scale * 0x1.01p-10F)
            << what << ", " << i << ", " << j << ": got " << value << ", want " << x;
      }
    }
  }

  template <class T>
  void swiglu() {
    for (const TileShape& s : kTileShapes) {
      const int64_t n = s.rows * s.cols;
      const Values<T> gate(s, random_values(n, 1, 3.0)), up(s, random_values(n, 2));
      std::vector<float> h(static_cast<size_t>(n));
      reference::swiglu_forward<float>({h.data(), {s.rows, s.cols}}, gate.floats(), up.floats(),
                                       std::numeric_limits<float>::infinity());
      for (const ScaleRule rule : kRules) {
        Coded got(s.rows, s.cols + s.pad, s.rows, ceil_div(s.cols, kTile));
        cuda::swiglu_row_tiles(stream(), got.out, gate.view(), up.view(), rule);
        wait();
        const View<const float, 2> want(h.data(), {s.rows, s.cols});
        expect_near(got, want, name(s, rule));
        // amax / 448 up to rounding, or the next power of two.
        const Expected coded(want, 1, kTile, rule);
        for (size_t i = 0; i < coded.scales.size(); ++i) {
          if (!rule.power_of_two) {
            EXPECT_NEAR(got.scales[i], coded.scales[i], coded.scales[i] * 1e-6F) << name(s, rule);
          }
        }
      }
    }
  }

  template <class T>
  void rmsnorm() {
    std::vector<TileShape> shapes = kTileShapes;
    shapes.push_back({3, 18432, 0});  // more than the threads of a block hold
    shapes.push_back({2, 20001, 0});
    for (const TileShape& s : shapes) {
      const Values<T> x(s, random_values(s.rows * s.cols, 1, 2.0));
      const std::vector<float> w = random_values(s.cols, 2);
      std::vector<float> y(x.as_float.size()), r(static_cast<size_t>(s.rows));
      const double eps = 1e-6F;
      reference::rmsnorm_forward<float>({y.data(), {s.rows, s.cols}}, {r.data(), {s.rows}},
                                        x.floats(), {w.data(), {s.cols}}, eps);
      for (const ScaleRule rule : kRules) {
        const Expected want({y.data(), {s.rows, s.cols}}, 1, kTile, rule);
        Coded got(s.rows, s.cols + s.pad, s.rows, want.scale_cols);
        std::vector<float> got_r(r.size(), -1.0F);
        cuda::rmsnorm_row_tiles(stream(), got.out, {got_r.data(), {s.rows}}, x.view(),
                                View<const float, 1>(w.data(), {s.cols}), 1e-6F, rule);
        wait();
        // Both sum in F64 and round once.
        EXPECT_EQ(got_r, r) << name(s, rule);
        expect_rows(got, want, name(s, rule));
      }
    }
  }

  std::optional<Machine> card_;
};

TEST_F(QuantizeOnCard, RowTilesAreTheReferences) {
  row_tiles<float>();
  row_tiles<bf16>();
}

TEST_F(QuantizeOnCard, ColumnTilesAreTheReferencesTurned) {
  column_tiles<float>();
  column_tiles<bf16>();
}

TEST_F(QuantizeOnCard, BlocksAreTheReferences) {
  blocks<float>();
  blocks<bf16>();
}

TEST_F(QuantizeOnCard, SwiGluIsRoundedOnce) {
  swiglu<float>();
  swiglu<bf16>();
}

TEST_F(QuantizeOnCard, RmsNormIsTheReferences) {
  rmsnorm<float>();
  rmsnorm<bf16>();
}

TEST_F(QuantizeOnCard, RetiledCodesAreThoseOfTheirValues) {
  for_each_case<float>([&](const TileShape& s, const Values<float>& x, ScaleRule rule) {
    const Expected kept(x.floats(), 1, kTile, rule);
    std::vector<float> values;
    Coded rows(s.rows, s.cols + s.pad, s.rows, kept.scale_cols);
    for (int64_t i = 0; i < s.rows; ++i) {
      for (int64_t j = 0; j < s.cols; ++j) {
        const f8e4m3 code = kept.codes[static_cast<size_t>(i * s.cols + j)];
        rows.codes[static_cast<size_t>(i * rows.stride + j)] = code;
        const float scale = kept.scales[static_cast<size_t>(i * kept.scale_cols + j / kTile)];
        values.push_back(to_float(code) * scale);
      }
    }
    rows.scales = kept.scales;
    rows.out.scales = rows.scales.data();
    const Expected want({values.data(), {s.rows, s.cols}}, kTile, 1, rule);
    Coded got(s.cols, round_up(s.rows, 16), want.scale_rows, s.cols);
    cuda::retile_rows_to_columns(stream(), got.out, rows.out, s.rows, s.cols, rule);
    wait();
    expect_turned(got, want, name(s, rule));
  });
}

// Quotients beside every middle between two codes, for scales of all mantissas: where a quotient that is
// nearly right would give the other code.
TEST_F(QuantizeOnCard, QuotientsAreRoundedAsDivisionRounds) {
  Rng rng(5);
  const int64_t rows = 512;
  const TileShape s{rows, 2 * kTile, 0};
  std::vector<float> x;
  for (int64_t row = 0; row < rows; ++row) {
    for (int tile = 0; tile < 2; ++tile) {
      const float amax = std::ldexp(1.0F + static_cast<float>(rng.uniform()),
                                    static_cast<int>(rng.uniform_below(200)) - 100);
      const float scale = reference::fp8_scale(amax, false, false);
      x.push_back(amax);
      for (uint8_t code = 0; code < 0x7E; ++code) {
        const float middle =
            (to_float(f8e4m3{code}) + to_float(f8e4m3{static_cast<uint8_t>(code + 1)})) / 2;
        float value = middle * scale;
        for (uint64_t steps = rng.uniform_below(3); steps > 0; --steps) {
          value = std::nextafter(value, code % 2 == 0 ? 0.0F : amax);
        }
        x.push_back(rng.next_u32() % 2 == 0 ? value : -value);
      }
      x.push_back(0.0F);
    }
  }
  const Values<float> values(s, x);
  for (const ScaleRule rule : kRules) {
    const Expected want(values.floats(), 1, kTile, rule);
    Coded got(rows, s.cols, rows, 2);
    cuda::quantize_row_tiles(stream(), got.out, values.view(), rule);
    wait();
    expect_rows(got, want, name(s, rule));
  }
}

}  // namespace
}  // namespace hadal::test
