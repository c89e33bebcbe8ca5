#include "hadal/ops/attention.h"

#include <gtest/gtest.h>

#include <limits>

#include "hadal/kernels/attention.h"
#include "tests/ops/op_test.h"
#include "tests/support/attention_terms.h"

namespace hadal {
namespace {

using test::AttentionTerms;
using test::elements;
using test::expect_close;
using test::random_values;
using test::Tolerance;

struct Case {
  std::vector<int64_t> offsets;
  AttentionDims dims;
  int64_t q_pad = 2, kv_pad = 1, rope_pad = 5;  // between rows
};
// Empty and one-token sequences, lengths around the blocks of 64 queries and 256 keys, widths that
// are not multiples of a vector, no rotary part, more value than key dims, the widths of DeepSeek-V3, more
// than a block of a card holds, more than a product sums at once.
const std::vector<Case> kCases{
    {{0, 1}, {1, 1, 1, 1}},
    {{0, 0, 5, 6, 6}, {2, 5, 2, 3}},
    {{0, 97, 130}, {3, 16, 8, 16}},
    {{0, 300}, {2, 32, 16, 33}},
    {{0, 40, 641}, {1, 7, 4, 9}},
    {{0, 33}, {2, 12, 0, 20}},
    {{0, 65, 200}, {2, 128, 64, 128}},
    {{0, 70}, {1, 200, 8, 140}},
    {{0, 70}, {1, 290, 8, 12}},
    {{0, 65, 130}, {2, 20, 12, 72}, 8, 4, 4},  // rows begin at 16 bytes
};

// Everything attention reads and writes for one case. q, kv and d_o lie in wider rows; k_rope is a
// slice.
template <class T>
struct Operands {
  int64_t tokens, q_pad, kv_pad, rope_pad;
  AttentionDims dims;
  T scale;
  std::vector<T> q, kv, k_rope, d_o, o, lse, dq, dkv, dk_rope;

  explicit Operands(const Case& c)
      : tokens(c.offsets.back()),
        q_pad(c.q_pad),
        kv_pad(c.kv_pad),
        rope_pad(c.rope_pad),
        dims(c.dims),
        scale(static_cast<T>(0.3)) {
    const int64_t H = dims.n_heads;
    q = random_values<T>(tokens * (H * dims.d_qk() + q_pad) + 1, 1);
    kv = random_values<T>(tokens * (H * (dims.d_nope + dims.d_v) + kv_pad) + 1, 2);
    k_rope = random_values<T>(tokens * (dims.d_rope + rope_pad) + 1, 3);
    d_o = random_values<T>(tokens * H * dims.d_v + 1, 4);
    // Results start as NaN: whatever is left unwritten shows.
    const T nan = std::numeric_limits<T>::quiet_NaN();
    o.assign(static_cast<size_t>(tokens * H * dims.d_v), nan);
    lse.assign(static_cast<size_t>(tokens * H), nan);
    dq.assign(static_cast<size_t>(tokens * H * dims.d_qk()), nan);
    dkv.assign(static_cast<size_t>(tokens * H * (dims.d_nope + dims.d_v)), nan);
    dk_rope.assign(static_cast<size_t>(tokens * dims.d_rope), nan);
  }
  View<const T, 3> q_view() const {
    const int64_t d = dims.d_qk(), H = dims.n_heads;
    return {q.data(), {tokens, H, d}, {H * d + q_pad, d, 1}};
  }
  View<const T, 3> kv_view() const {
    const int64_t d = dims.d_nope + dims.d_v, H = dims.n_heads;
    return {kv.data(), {tokens, H, d}, {H * d + kv_pad, d, 1}};
  }
  View<const T, 2> k_rope_view() const {
    return {k_rope.data(), {tokens, dims.d_rope}, {dims.d_rope + rope_pad, 1}};
  }
  View<T, 3> o_view() { return {o.data(), {tokens, dims.n_heads, dims.d_v}}; }
  View<const T, 3> d_o_view() const { return {d_o.data(), {tokens, dims.n_heads, dims.d_v}}; }
  View<T, 2> lse_view() { return {lse.data(), {tokens, dims.n_heads}}; }
  View<T, 3> dq_view() { return {dq.data(), q_view().shape()}; }
  View<T, 3> dkv_view() { return {dkv.data(), kv_view().shape()}; }
  View<T, 2> dk_rope_view() { return {dk_rope.data(), k_rope_view().shape()}; }
};

class AttentionTest : public testing::Test {
 protected:
  void forward(Context& ctx, Operands<float>& x, const Case& c) {
    attention_forward(ctx, x.o_view(), x.lse_view(), x.q_view(), x.kv_view(), x.k_rope_view(),
                      Sequences{c.offsets}, c.dims, x.scale);
  }
  void backward(Context& ctx, Operands<float>& x, const Case& c) {
    attention_backward(ctx, x.dq_view(), x.dkv_view(), x.dk_rope_view(), x.d_o_view(), x.q_view(),
                       x.kv_view(), x.k_rope_view(), x.o_view(), x.lse_view(), Sequences{c.offsets},
                       c.dims, x.scale);
  }
  ThreadPool pool_{2};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
};

// On every device but the reference.
class AttentionOn : public AttentionTest, public testing::WithParamInterface<Device> {
 protected:
  test::Machine machine_{GetParam(), 2};
  Context& ctx_ = machine_.ctx();
};
INSTANTIATE_TEST_SUITE_P(Backends, AttentionOn, testing::ValuesIn(test::computing_devices()));

// Terms of the longest chain of sums: a score (d_qk), the softmax and the weighted sum (length),
// and backward the same again; the exponential adds a few units of the last place.
Tolerance bound(const Case& c) {
  return Tolerance::for_sum(c.offsets.back() + 4 * c.dims.d_qk() + 16);
}

TEST_P(AttentionOn, AgreesWithReference) {
  for (const Case& c : kCases) {
    Operands<float> got(c), want(c);
    forward(ctx_, got, c);
    forward(reference_, want, c);
    const std::string label = concat(c.offsets.back(), " tokens, ", c.dims.n_heads, " heads ");
    const auto rows = [&](int64_t length) { return bound(c).in_rows_of(length); };
    expect_close(got.o, want.o, rows(c.dims.d_v), label + "o");
    expect_close(got.lse, want.lse, rows(c.dims.n_heads), label + "lse");
    got.o = want.o;
    got.lse = want.lse;
    backward(ctx_, got, c);
    backward(reference_, want, c);
    const AttentionTerms terms(want.q_view(), want.kv_view(), want.k_rope_view(), want.d_o_view(),
                               c.offsets, c.dims, want.scale);
    expect_close(got.dq, want.dq, rows(c.dims.d_qk()).with_scale(terms.dq), label + "dq");
    expect_close(got.dkv, want.dkv, rows(c.dims.d_nope + c.dims.d_v), label + "dkv");
    expect_close(got.dk_rope, want.dk_rope, rows(c.dims.d_rope).with_scale(terms.dk_rope),
                 label + "dk_rope");
  }
}

TEST_P(AttentionOn, LargeScoresNeitherOverflowNorVanish) {
  const Case c{{0, 300}, {1, 8, 4, 4}};
  Operands<float> got(c), want(c);
  got.scale = want.scale = 60.0F;  // scores of several hundred: exp alone would overflow
  forward(ctx_, got, c);
  forward(reference_, want, c);
  // A score of 500 in f32 is known to 500 * 2^-24 = 3e-5, and so is the logarithm of p.
  expect_close(got.o, want.o, {.element = 1e-3, .frobenius = 3e-4, .cosine = 3e-4, .row_length = 4},
               "o");
}

// The rows of a chunk behind a cache are the last rows of the whole sequence.
TEST_P(AttentionOn, ChunkEqualsLastRowsOfWholeSequence) {
  const Case c{{0, 300}, {2, 12, 4, 10}};
  for (const int64_t n : {1, 2, 17, 100, 300}) {
    for (Context* ctx : {&ctx_, &reference_}) {
      Operands<float> whole(c);
      forward(*ctx, whole, c);
      std::vector<float> o(static_cast<size_t>(n * 2 * 10));
      attention_forward_chunk(*ctx, {o.data(), {n, 2, 10}}, whole.q_view().rows(300 - n, 300),
                              whole.kv_view(), whole.k_rope_view(), c.dims, whole.scale);
      expect_close(o, elements(whole.o_view().rows(300 - n, 300)), bound(c).in_rows_of(10),
                   concat("last ", n));
    }
  }
}

// The keys of a long cache go by in parts: bit for bit what all at once give.
TEST_P(AttentionOn, KeysInPartsGiveTheSameBits) {
  const Case c{{0, 1100}, {2, 12, 4, 10}};
  Operands<float> x(c);
  for (const int64_t n : {1, 97, 1100}) {
    for (Context* ctx : {&ctx_, &reference_}) {
      const auto attend = [&](int64_t step) {
        std::vector<float> o(static_cast<size_t>(n * 2 * 10)),
            state(static_cast<size_t>(n * 2 * 2));
        for (int64_t begin = 0; begin < 1100; begin += step) {
          const int64_t end = std::min<int64_t>(1100, begin + step);
          attention_forward_part(*ctx, {o.data(), {n, 2, 10}}, {state.data(), {n, 2, 2}},
                                 x.q_view().rows(1100 - n, 1100), x.kv_view().rows(begin, end),
                                 x.k_rope_view().rows(begin, end), {begin, 1100}, c.dims, x.scale);
        }
        return o;
      };
      const std::vector<float> whole = attend(1100);
      for (const int64_t step : {kKeyGrain, 3 * kKeyGrain}) {
        if (ctx == &ctx_) {
          EXPECT_EQ(attend(step), whole) << n << " queries, parts of " << step;
        } else {
          expect_close(attend(step), whole, bound(c).in_rows_of(10), concat("parts of ", step));
        }
      }
    }
  }
}

// Where a prompt is cut into chunks changes no bit of a row.
TEST_P(AttentionOn, ChunksGiveTheSameBits) {
  // Several tiles either way: of 96 queries and 256 keys on a CPU, of 64 on a card.
  const int64_t T = GetParam() == Device::kCpu ? 700 : 200;
  const Case c{{0, T}, {2, 12, 4, 10}};
  Operands<float> x(c);
  const auto attend = [&](int64_t step) {
    std::vector<float> o(static_cast<size_t>(T * 2 * 10));
    for (int64_t begin = 0; begin < T; begin += step) {
      const int64_t end = std::min(T, begin + step);
      attention_forward_chunk(ctx_, {o.data() + begin * 20, {end - begin, 2, 10}},
                              x.q_view().rows(begin, end), x.kv_view().rows(0, end),
                              x.k_rope_view().rows(0, end), c.dims, x.scale);
    }
    return o;
  };
  const std::vector<float> whole = attend(T);
  for (const int64_t step : {1, 7, 64, 96, 200, 512}) EXPECT_EQ(attend(step), whole) << step;
}

TEST_F(AttentionTest, ResultDoesNotDependOnThreadsOrRepetition) {
  const Case c{{0, 130, 131, 400}, {3, 16, 8, 16}};
  std::vector<Operands<float>> results;
  for (const int threads : {1, 2, 4, 2}) {
    ThreadPool pool(threads);
    Context ctx{pool, arena_};
    results.emplace_back(c);
    forward(ctx, results.back(), c);
    backward(ctx, results.back(), c);
  }
  for (const Operands<float>& x : results) {
    EXPECT_EQ(x.o, results[0].o);
    EXPECT_EQ(x.lse, results[0].lse);
    EXPECT_EQ(x.dq, results[0].dq);
    EXPECT_EQ(x.dkv, results[0].dkv);
    EXPECT_EQ(x.dk_rope, results[0].dk_rope);
  }
}

// A token must not see a later one, nor another sequence: change both, look at what stays.
TEST_P(AttentionOn, LaterTokensAndOtherSequencesAreInvisible) {
  const Case c{{0, 150, 300}, {2, 8, 4, 8}};
  Operands<float> before(c), after(c);
  const int64_t row = after.kv_view().stride(0), seen = 250;
  for (int64_t t = 0; t < 300; ++t) {
    if (t >= 150 && t <= seen) continue;
    for (int64_t i = 0; i < row; ++i) after.kv[static_cast<size_t>(t * row + i)] += 1.0F;
  }
  forward(ctx_, before, c);
  forward(ctx_, after, c);
  EXPECT_EQ(elements(after.o_view().rows(150, seen + 1)),
            elements(before.o_view().rows(150, seen + 1)));
  EXPECT_NE(elements(after.o_view().rows(seen + 1, 300)),
            elements(before.o_view().rows(seen + 1, 300)));
}

// All three gradients of sum(d_o * o) against central differences in f64. With step h the
// difference is off by h^2 of the third derivative and 1e-16/h of the loss by rounding: for 1e-5
// both are below 1e-9, whatever the size of the gradient.
TEST(AttentionGradient, MatchesFiniteDifferences) {
  const Case c{{0, 4, 5, 9}, {2, 3, 2, 4}};
  Operands<double> x(c);
  const auto forward = [&] {
    reference::attention_forward<double>(x.o_view(), x.lse_view(), x.q_view(), x.kv_view(),
                                         x.k_rope_view(), c.offsets, x.scale);
  };
  const auto loss = [&] {
    forward();
    double sum = 0.0;
    for (size_t i = 0; i < x.o.size(); ++i) sum += x.o[i] * x.d_o[i];
    return sum;
  };
  forward();
  reference::attention_backward<double>(x.dq_view(), x.dkv_view(), x.dk_rope_view(), x.d_o_view(),
                                        x.q_view(), x.kv_view(), x.k_rope_view(), x.o_view(),
                                        x.lse_view(), c.offsets, x.scale);
  const auto differences = [&](std::vector<double>& storage, const auto& view) {
    std::vector<double> slope(storage.size());
    for (size_t i = 0; i < storage.size(); ++i) {
      const double kept = storage[i], step = 1e-5;
      storage[i] = kept + step;
      const double above = loss();
      storage[i] = kept - step;
      slope[i] = (above - loss()) / (2.0 * step);
      storage[i] = kept;
    }
    auto at = view;
    return elements(decltype(at)(slope.data(), view.shape(), view.strides()));
  };
  const Tolerance tolerance{.element = 1e-8, .frobenius = 1e-8, .cosine = 1e-8, .absolute = 1e-9};
  expect_close(x.dq, differences(x.q, x.q_view()), tolerance.in_rows_of(c.dims.d_qk()), "dq");
  expect_close(x.dkv, differences(x.kv, x.kv_view()), tolerance.in_rows_of(7), "dkv");
  expect_close(x.dk_rope, differences(x.k_rope, x.k_rope_view()), tolerance.in_rows_of(2),
               "dk_rope");
}

TEST_F(AttentionTest, RefusesOperandsThatDoNotFit) {
  const Case c{{0, 5}, {2, 4, 2, 3}};
  Operands<float> x(c);
  EXPECT_THROW(forward(cpu_, x, Case{{0, 4}, c.dims}), ShapeError);
  EXPECT_THROW(forward(cpu_, x, Case{c.offsets, {2, 4, 3, 3}}), ShapeError);
  EXPECT_THROW(backward(cpu_, x, Case{c.offsets, {2, 4, 2, 4}}), ShapeError);
  EXPECT_THROW(attention_forward_chunk(cpu_, x.o_view(), x.q_view(), x.kv_view().rows(0, 4),
                                       x.k_rope_view().rows(0, 4), c.dims, 1.0F),
               ShapeError);
}

}  // namespace
}  // namespace hadal
