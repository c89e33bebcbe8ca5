// Attention on the card against the formulas of ops/attention.h in double, from the same BF16 inputs.
#include "hadal/kernels/cuda/hopper/flash_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hadal/kernels/attention.h"
#include "tests/cuda/device_array.h"

namespace hadal::test {
namespace {

using cuda::check;

float value(float x) { return x; }
float value(bf16 x) { return to_float(x); }

struct Problem {
  cuda::FlashDims dims;
  std::vector<int64_t> offsets;
  std::vector<bf16> q, kv, k_rope, d_o;
  float scale = 0.0F;

  int64_t rows() const { return offsets.back(); }
  int64_t qk() const { return dims.d_nope + dims.d_rope; }
  int64_t kv_width() const { return dims.d_nope + dims.d_v; }
  int64_t size(int64_t width) const { return rows() * width; }
  int64_t longest() const {
    int64_t length = 0;
    for (size_t s = 1; s < offsets.size(); ++s)
      length = std::max(length, offsets[s] - offsets[s - 1]);
    return length;
  }
  // One of its sequences alone.
  Problem sequence(size_t s) const {
    Problem one{dims, {0, offsets[s + 1] - offsets[s]}, {}, {}, {}, {}, scale};
    const auto rows_of = [&](const std::vector<bf16>& from, int64_t width) {
      return std::vector<bf16>(from.begin() + offsets[s] * width,
                               from.begin() + offsets[s + 1] * width);
    };
    one.q = rows_of(q, dims.n_heads * qk());
    one.kv = rows_of(kv, dims.n_heads * kv_width());
    one.k_rope = rows_of(k_rope, dims.d_rope);
    one.d_o = rows_of(d_o, dims.n_heads * dims.d_v);
    return one;
  }
};

Problem problem(const cuda::FlashDims& dims, const std::vector<int64_t>& lengths, unsigned seed) {
  Problem p{dims, {0}, {}, {}, {}, {}, 0.0F};
  for (const int64_t length : lengths) p.offsets.push_back(p.offsets.back() + length);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  const auto draw = [&](int64_t width) {
    std::vector<bf16> values(static_cast<size_t>(p.size(width)));
    for (bf16& x : values) x = to_bf16(normal(generator));
    return values;
  };
  p.q = draw(dims.n_heads * p.qk());
  p.kv = draw(dims.n_heads * p.kv_width());
  p.k_rope = draw(dims.d_rope);
  p.d_o = draw(dims.n_heads * dims.d_v);
  // Sharper than 1 / sqrt(d), so that the largest score of a row moves from block to block.
  p.scale = 2.0F / std::sqrt(static_cast<float>(p.qk()));
  return p;
}

template <class Real>
struct Results {
  std::vector<Real> o, dq, dkv;
  std::vector<float> lse, dk_rope;
};

template <class Real>
Results<Real> run(const Problem& p, bool backward) {
  const int64_t H = p.dims.n_heads;
  DeviceArray<bf16> q(p.q), kv(p.kv), k_rope(p.k_rope), d_o(p.d_o);
  DeviceArray<int64_t> offsets(p.offsets);
  const cuda::FlashSequences sequences{offsets.data(), static_cast<int64_t>(p.offsets.size()) - 1,
                                       p.rows(), p.longest()};
  DeviceArray<float> lse(p.size(H));
  DeviceArray<Real> o(p.size(H * p.dims.d_v));
  DeviceArray<uint8_t> workspace(static_cast<int64_t>(cuda::flash_attention_forward_workspace()));
  cuda::flash_attention_forward(nullptr, o.data(), lse.data(), q.data(), kv.data(), k_rope.data(),
                                sequences, p.dims, p.scale, workspace.data());
  check(cudaDeviceSynchronize(), "forward");
  Results<Real> results{o.host(), {}, {}, lse.host(), {}};
  if (!backward) return results;
  std::vector<bf16> rounded;
  for (const Real x : results.o) rounded.push_back(to_bf16(value(x)));
  DeviceArray<bf16> kept(rounded);
  DeviceArray<Real> dq(p.size(H * p.qk())), dkv(p.size(H * p.kv_width()));
  DeviceArray<float> dk_rope(p.size(p.dims.d_rope));
  DeviceArray<uint8_t> more(
      static_cast<int64_t>(cuda::flash_attention_backward_workspace(sequences, p.dims)));
  cuda::flash_attention_backward(nullptr, dq.data(), dkv.data(), dk_rope.data(), d_o.data(),
                                 q.data(), kv.data(), k_rope.data(), kept.data(), lse.data(),
                                 sequences, p.dims, p.scale, more.data());
  check(cudaDeviceSynchronize(), "backward");
  results.dq = dq.host();
  results.dkv = dkv.host();
  results.dk_rope = dk_rope.host();
  return results;
}

struct Reference {
  std::vector<double> o, lse, dq, dkv, dk_rope;
};

std::vector<double> doubles(const std::vector<bf16>& values) {
  std::vector<double> result;
  for (const bf16 x : values) result.push_back(double{to_float(x)});
  return result;
}

// Head by head, each in a thread of its own: of the rows of all heads a head's are a view.
Reference reference_of(const Problem& p) {
  const int64_t T = p.rows(), H = p.dims.n_heads, d_r = p.dims.d_rope, d_v = p.dims.d_v;
  const auto zeros = [&](int64_t width) {
    return std::vector<double>(static_cast<size_t>(p.size(width)));
  };
  Reference r{zeros(H * d_v), zeros(H), zeros(H * p.qk()), zeros(H * p.kv_width()), zeros(d_r)};
  const auto q = doubles(p.q), kv = doubles(p.kv), k_rope = doubles(p.k_rope), d_o = doubles(p.d_o);
  std::vector<std::vector<double>> head_dk_rope(static_cast<size_t>(H), zeros(d_r));
  const auto of_head = [&](int64_t h) {
    const auto part = [&](auto& values, int64_t width) {
      using T_ = std::remove_pointer_t<decltype(values.data())>;
      return View<T_, 3>(values.data() + h * width, {T, 1, width}, {H * width, width, 1});
    };
    const View<double, 3> o = part(r.o, d_v);
    const View<double, 2> lse(r.lse.data() + h, {T, 1}, {H, 1});
    const View<const double, 2> rope(k_rope.data(), {T, d_r});
    const double scale = double{p.scale};
    reference::attention_forward<double>(o, lse, part(q, p.qk()), part(kv, p.kv_width()), rope,
                                         p.offsets, scale);
    reference::attention_backward<double>(part(r.dq, p.qk()), part(r.dkv, p.kv_width()),
                                          {head_dk_rope[static_cast<size_t>(h)].data(), {T, d_r}},
                                          part(d_o, d_v), part(q, p.qk()), part(kv, p.kv_width()),
                                          rope, o, lse, p.offsets, scale);
  };
  std::vector<std::thread> heads;
  for (int64_t h = 0; h < H; ++h) heads.emplace_back(of_head, h);
  for (std::thread& head : heads) head.join();
  for (const auto& part : head_dk_rope)
    for (size_t i = 0; i < part.size(); ++i) r.dk_rope[i] += part[i];
  return r;
}

// ||got - want|| / ||want|| of each sequence; a value that was not written is NaN and fails. Says where
// the largest difference is: [row of the sequence, column of all heads].
template <class Real>
void expect_near(const Problem& p, const std::vector<Real>& got, const std::vector<double>& want,
                 double bound, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  const int64_t width = static_cast<int64_t>(want.size()) / p.rows();
  for (size_t s = 0; s + 1 < p.offsets.size(); ++s) {
    double error = 0.0, norm = 0.0, worst = -1.0;
    int64_t worst_at = 0, wrong = 0;
    for (int64_t i = p.offsets[s] * width; i < p.offsets[s + 1] * width; ++i) {
      const double w = want[static_cast<size_t>(i)];
      const double difference = std::abs(double{value(got[static_cast<size_t>(i)])} - w);
      error += difference * difference;
      norm += w * w;
      if (!(difference < 0.1)) ++wrong;
      if (!(difference <= worst)) worst = difference, worst_at = i - p.offsets[s] * width;
    }
    // A single key has no gradient of its score: what is left is rounding.
    EXPECT_LT(std::sqrt(error), bound * std::max(std::sqrt(norm), 0.5 * std::sqrt(width)))
        << what << " of length " << p.offsets[s + 1] - p.offsets[s] << ": relative error "
        << std::sqrt(error / norm) << ", " << wrong << " values off by more than 0.1, worst "
        << worst << " at [" << worst_at / width << ", " << worst_at % width << "] of width "
        << width;
  }
}

template <class T>
void expect_same_bits(const std::vector<T>& a, const std::vector<T>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(T)), 0) << what;
}

template <class T>
std::vector<T> rows_of(const Problem& p, const std::vector<T>& all, size_t s) {
  const int64_t width = static_cast<int64_t>(all.size()) / p.rows();
  return {all.begin() + p.offsets[s] * width, all.begin() + p.offsets[s + 1] * width};
}

class FlashAttention : public testing::TestWithParam<cuda::FlashDims> {
 protected:
  void SetUp() override {
    if (!has_card()) GTEST_SKIP() << "no card here";
  }
  const std::vector<int64_t> lengths{1, 2, 63, 64, 65, 127, 129, 300};
};

// P and dS are rounded to BF16 (half a unit of 2^-8 each) before they are multiplied, and so is a BF16
// result: about 2^-9 / sqrt(3) each as a relative error of a sum of many.
constexpr double kForwardBound = 4e-3, kBackwardBound = 8e-3;

TEST_P(FlashAttention, ForwardIsTheFormula) {
  const Problem p = problem(GetParam(), lengths, 1);
  const Reference want = reference_of(p);
  const auto f32 = run<float>(p, false);
  expect_near(p, f32.o, want.o, kForwardBound, "o in F32");
  expect_near(p, f32.lse, want.lse, 1e-5, "lse");
  expect_near(p, run<bf16>(p, false).o, want.o, kForwardBound, "o in BF16");
}

TEST_P(FlashAttention, BackwardIsTheFormula) {
  const Problem p = problem(GetParam(), lengths, 2);
  const Reference want = reference_of(p);
  const auto f32 = run<float>(p, true);
  expect_near(p, f32.dkv, want.dkv, kBackwardBound, "dkv in F32");
  expect_near(p, f32.dk_rope, want.dk_rope, kBackwardBound, "dk_rope");
  expect_near(p, f32.dq, want.dq, kBackwardBound, "dq in F32");
  const auto rounded = run<bf16>(p, true);
  expect_near(p, rounded.dkv, want.dkv, kBackwardBound, "dkv in BF16");
  expect_near(p, rounded.dq, want.dq, kBackwardBound, "dq in BF16");
}

TEST_P(FlashAttention, CompanyAndRunsChangeNoBit) {
  const Problem p = problem(GetParam(), lengths, 3);
  const auto first = run<float>(p, true), second = run<float>(p, true);
  expect_same_bits(first.o, second.o, "o of two runs");
  expect_same_bits(first.dq, second.dq, "dq of two runs");
  expect_same_bits(first.dkv, second.dkv, "dkv of two runs");
  expect_same_bits(first.dk_rope, second.dk_rope, "dk_rope of two runs");
  for (size_t s = 0; s < lengths.size(); ++s) {
    const auto alone = run<float>(p.sequence(s), true);
    expect_same_bits(alone.o, rows_of(p, first.o, s), "o alone");
    expect_same_bits(alone.lse, rows_of(p, first.lse, s), "lse alone");
    expect_same_bits(alone.dq, rows_of(p, first.dq, s), "dq alone");
    expect_same_bits(alone.dkv, rows_of(p, first.dkv, s), "dkv alone");
    expect_same_bits(alone.dk_rope, rows_of(p, first.dk_rope, s), "dk_rope alone");
  }
}

// What stands in a neighbour's rows reaches no result, where the tile of a sequence's end takes them in.
TEST_P(FlashAttention, ANeighbourMayBeNaN) {
  const Problem p = problem(GetParam(), lengths, 5);
  const auto clean = run<float>(p, true);
  for (const bf16 value : {bf16{0x7FC0}, bf16{0x7F80}, bf16{0xFF80}}) {  // NaN, infinities
    for (size_t first = 0; first < 2; ++first) {
      Problem spoiled = p;  // every other sequence
      for (size_t s = first; s < lengths.size(); s += 2) {
        const auto spoil = [&](std::vector<bf16>& values) {
          const int64_t width = static_cast<int64_t>(values.size()) / p.rows();
          std::fill(values.begin() + p.offsets[s] * width,
                    values.begin() + p.offsets[s + 1] * width, value);
        };
        spoil(spoiled.q), spoil(spoiled.kv), spoil(spoiled.k_rope), spoil(spoiled.d_o);
      }
      const auto got = run<float>(spoiled, true);
      for (size_t s = 1 - first; s < lengths.size(); s += 2) {
        const auto same = [&](const auto& a, const auto& b, const char* what) {
          expect_same_bits(rows_of(p, a, s), rows_of(p, b, s), what);
        };
        same(got.o, clean.o, "o beside NaN");
        same(got.lse, clean.lse, "lse beside NaN");
        same(got.dq, clean.dq, "dq beside NaN");
        same(got.dkv, clean.dkv, "dkv beside NaN");
        same(got.dk_rope, clean.dk_rope, "dk_rope beside NaN");
      }
    }
  }
}

// Several laps of every ring of buffers, more tiles than processors.
TEST_P(FlashAttention, LongSequences) {
  cuda::FlashDims dims = GetParam();
  if (dims.n_heads > 1) GTEST_SKIP() << "once for each head's widths";
  dims.n_heads = 16;
  const Problem p = problem(dims, {700, 0, 333}, 4);
  const Reference want = reference_of(p);
  const auto got = run<bf16>(p, true);
  expect_near(p, got.o, want.o, kForwardBound, "o");
  expect_near(p, got.dkv, want.dkv, kBackwardBound, "dkv");
  expect_near(p, got.dk_rope, want.dk_rope, kBackwardBound, "dk_rope");
  expect_near(p, got.dq, want.dq, kBackwardBound, "dq");
  for (int i = 0; i < 10; ++i) {
    const auto again = run<bf16>(p, true);
    expect_same_bits(got.dq, again.dq, "dq of two runs");
    expect_same_bits(got.dkv, again.dkv, "dkv of two runs");
    expect_same_bits(got.dk_rope, again.dk_rope, "dk_rope of two runs");
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, FlashAttention,
                         testing::Values(cuda::FlashDims{1, 128, 64, 128},
                                         cuda::FlashDims{3, 128, 64, 128},
                                         cuda::FlashDims{1, 64, 32, 64},
                                         cuda::FlashDims{3, 64, 32, 64}),
                         [](const auto& instance) {
                           return "H" + std::to_string(instance.param.n_heads) + "_" +
                                  std::to_string(instance.param.d_nope);
                         });

TEST(FlashAttentionWidths, OnlyThoseWithAKernel) {
  EXPECT_TRUE(cuda::flash_attention_supported({1, 128, 64, 128}));
  EXPECT_FALSE(cuda::flash_attention_supported({1, 32, 16, 32}));
  EXPECT_THROW(cuda::flash_attention_forward(nullptr, static_cast<bf16*>(nullptr), nullptr, nullptr,
                                             nullptr, nullptr, {}, {1, 32, 16, 32}, 1.0F, nullptr),
               ShapeError);
}

}  // namespace
}  // namespace hadal::test
