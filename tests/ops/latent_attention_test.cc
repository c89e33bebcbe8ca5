#include "hadal/ops/latent_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "hadal/kernels/attention.h"
#include "hadal/kernels/gemm.h"
#include "hadal/kernels/latent_attention.h"
#include "hadal/ops/attention.h"
#include "hadal/ops/gemm.h"
#include "hadal/ops/latent_rows.h"
#include "tests/ops/op_test.h"
#include "tests/support/weights.h"

namespace hadal {
namespace {

using test::elements;
using test::expect_close;
using test::random_values;
using test::StoredWeight;
using test::Tolerance;

class LatentAttentionTest : public testing::Test {
 protected:
  ThreadPool pool_{2};
  Arena arena_;
  Context cpu_{pool_, arena_, Device::kCpu};
  Context reference_{pool_, arena_, Device::kReference};
};

// On every device but the reference. Rows are stored on the CPU.
class LatentAttentionOn : public LatentAttentionTest, public testing::WithParamInterface<Device> {
 protected:
  test::Machine machine_{GetParam(), 2};
  Context& ctx_ = machine_.ctx();
};
INSTANTIATE_TEST_SUITE_P(Backends, LatentAttentionOn, testing::ValuesIn(test::computing_devices()));

// Cache lengths around the page of 64 keys, widths that are no multiple of a vector, one head.
struct LatentShape {
  int64_t n_queries, n_keys, H, d_c, d_rope;
};
const LatentShape kLatentShapes[] = {{1, 1, 1, 1, 1},     {1, 63, 3, 17, 5},  {4, 64, 2, 32, 8},
                                     {2, 65, 16, 40, 16}, {3, 700, 5, 24, 0}, {33, 130, 20, 12, 4},
                                     {2, 70, 33, 300, 64}};

// F32 rows as pages of a form: row j of `rows` in page j / 64.
struct StoredPages {
  StoredPages(Context& ctx, LatentForm form, int64_t d_c, int64_t d_rope,
              const std::vector<float>& rows) {
    const int64_t n = static_cast<int64_t>(rows.size()) / (d_c + d_rope);
    view = {{form, d_c, d_rope}, nullptr, pages_for(n)};
    bytes.resize(static_cast<size_t>(view.n_pages * view.layout.page_bytes()) + 4);
    view.data = reinterpret_cast<std::byte*>(bytes.data());
    std::vector<int32_t> ids(static_cast<size_t>(view.n_pages));
    std::iota(ids.begin(), ids.end(), 0);
    store_latent_rows(ctx, view, ids, 0, {rows.data(), {n, d_c + d_rope}});
  }
  std::vector<uint8_t> bytes;
  LatentPagesView view;
};

// Pages of consecutive rows, as one sequence alone has them.
std::vector<int32_t> first_pages(int64_t n_rows) {
  std::vector<int32_t> pages(static_cast<size_t>(pages_for(n_rows)));
  std::iota(pages.begin(), pages.end(), 0);
  return pages;
}

struct LatentOperands {
  LatentShape shape;
  LatentForm form;
  std::vector<float> q_latent, q_rope, cache;
  explicit LatentOperands(const LatentShape& s, LatentForm form_ = LatentForm::kF32)
      : shape(s),
        form(form_),
        q_latent(random_values(s.n_queries * s.H * s.d_c, 1)),
        q_rope(random_values(s.n_queries * s.H * s.d_rope + 1, 2)),
        cache(random_values(round_up(s.n_keys, kPageRows) * (s.d_c + s.d_rope), 3)) {}

  // The last `n` queries over the first n_keys rows of the cache.
  std::vector<float> attend(Context& ctx, int64_t begin, int64_t end) const {
    const auto& [n_queries, n_keys, H, d_c, d_rope] = shape;
    std::vector<float> o(static_cast<size_t>((end - begin) * H * d_c));
    const View<const float, 3> latent(q_latent.data(), {n_queries, H, d_c});
    const View<const float, 3> rope(q_rope.data(), {n_queries, H, d_rope});
    const std::vector<int32_t> ids = first_pages(n_keys);
    const SequenceRows sequence{0, end - begin, n_keys - n_queries + end, ids};
    ThreadPool pool(1);
    Arena arena;
    Context cpu{pool, arena};
    const StoredPages pages(cpu, form, d_c, d_rope, cache);
    latent_attention(ctx, {o.data(), {end - begin, H, d_c}}, latent.rows(begin, end),
                     rope.rows(begin, end), pages.view, {&sequence, 1}, 0.3F);
    return o;
  }
};

// Where BF16 pairs are multiplied, queries and probabilities are rounded to 8 bits too.
Tolerance tolerance_of(LatentForm form, int64_t n_terms) {
  return Tolerance::for_sum(n_terms, form == LatentForm::kF32
                                         ? double{std::numeric_limits<float>::epsilon()}
                                         : 0x1p-8 / 16);
}

TEST_P(LatentAttentionOn, AgreesWithReference) {
  for (const LatentForm form : kLatentForms) {
    for (const LatentShape& s : kLatentShapes) {
      const LatentOperands x(s, form);
      expect_close(x.attend(ctx_, 0, s.n_queries), x.attend(reference_, 0, s.n_queries),
                   tolerance_of(form, s.n_keys + s.d_c + s.d_rope + 16).in_rows_of(s.d_c),
                   concat(latent_form_name(form), ", ", s.n_keys, " keys"));
    }
  }
}

// Bitwise: one draft or several, one thread or more, decoding chooses the same tokens.
TEST_P(LatentAttentionOn, QueriesAndThreadsDoNotInfluenceEachOther) {
  for (const LatentForm form : kLatentForms) {
    for (const LatentShape& s : {LatentShape{4, 300, 3, 40, 8}, {4, 129, 9, 130, 6}}) {
      const LatentOperands x(s, form);
      const std::vector<float> together = x.attend(ctx_, 0, 4);
      std::vector<float> apart;
      for (int64_t i = 0; i < 4; ++i) {
        test::Machine other(GetParam(), static_cast<int>(i) % 3 + 1);
        const std::vector<float> one = x.attend(other.ctx(), i, i + 1);
        apart.insert(apart.end(), one.begin(), one.end());
      }
      EXPECT_EQ(together, apart) << latent_form_name(form);
    }
  }
}

// What a page holds beyond a sequence's rows, another request's NaN for instance, is never read.
TEST_P(LatentAttentionOn, RowsBehindTheLastAreNotRead) {
  for (const LatentForm form : kLatentForms) {
    LatentOperands x({1, 67, 3, 40, 8}, form);
    const std::vector<float> clean = x.attend(ctx_, 0, 1);
    std::fill(x.cache.begin() + 67 * 48, x.cache.end(), std::nanf(""));
    EXPECT_EQ(x.attend(ctx_, 0, 1), clean) << latent_form_name(form);
  }
}

// Deep caches are cut into longer ranges.
TEST_P(LatentAttentionOn, DeepCachesAgreeWithReference) {
  const LatentOperands x({2, 40000, 2, 8, 2});
  expect_close(x.attend(ctx_, 0, 2), x.attend(reference_, 0, 2),
               Tolerance::for_sum(40000).in_rows_of(8), "40000 keys");
}

// Several sequences in one call, their pages in any order: bitwise what each gives alone.
TEST_P(LatentAttentionOn, SequencesDoNotInfluenceEachOther) {
  const int64_t H = 3, d_c = 40, d_rope = 8, d = d_c + d_rope, n_pages = 9;
  const std::vector<float> q_latent = random_values(7 * H * d_c, 1);
  const std::vector<float> q_rope = random_values(7 * H * d_rope, 2);
  const std::vector<float> cache = random_values(n_pages * kPageRows * d, 3);
  const View<const float, 3> latent(q_latent.data(), {7, H, d_c}),
      rope(q_rope.data(), {7, H, d_rope});
  const std::vector<int32_t> a = {7, 2, 3}, b = {0}, c = {8, 1, 6, 4};
  // Queries 1 and 2 belong to nobody; sequence c stands before b.
  const std::vector<SequenceRows> sequences = {{0, 1, 130, a}, {6, 1, 1, b}, {3, 3, 255, c}};
  const auto check = [&](Context* ctx, LatentForm form) {
    const StoredPages pages(cpu_, form, d_c, d_rope, cache);
    std::vector<float> together(q_latent.size(), -1.0F);
    latent_attention(*ctx, {together.data(), latent.shape()}, latent, rope, pages.view, sequences,
                     0.3F);
    std::vector<float> apart(q_latent.size(), -1.0F);
    for (const auto& [first, n, n_rows, ids] : sequences) {
      std::vector<float> rows;  // the pages of this sequence alone, in order
      for (const int32_t page : ids) {
        rows.insert(rows.end(), cache.begin() + page * kPageRows * d,
                    cache.begin() + (page + 1) * kPageRows * d);
      }
      const std::vector<int32_t> in_order = first_pages(n_rows);
      const SequenceRows alone{0, n, n_rows, in_order};
      latent_attention(*ctx, {apart.data() + first * H * d_c, {n, H, d_c}},
                       latent.rows(first, first + n), rope.rows(first, first + n),
                       StoredPages(cpu_, form, d_c, d_rope, rows).view, {&alone, 1}, 0.3F);
    }
    EXPECT_EQ(together, apart) << latent_form_name(form);
  };
  for (const LatentForm form : kLatentForms) {
    check(&ctx_, form);
    check(&reference_, form);
  }
}

TEST_F(LatentAttentionTest, AbsorbAndExpandAgreeWithReference) {
  const int64_t H = 3, d_n = 10, d_v = 7, d_c = 37;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const StoredWeight w(dtype, H * (d_n + d_v), d_c, 5, 2);
    for (const int64_t T : {0, 1, 3, 32, 33, 64, 65}) {
      const std::vector<float> q = random_values(T * H * d_n, 6),
                               latent = random_values(T * H * d_c, 7);
      const auto run = [&](Context& ctx) {
        std::vector<float> absorbed(static_cast<size_t>(T * H * d_c)),
            expanded(static_cast<size_t>(T * H * d_v));
        absorb_query(ctx, {absorbed.data(), {T, H, d_c}},
                     View<const float, 3>(q.data(), {T, H, d_n}), w.view());
        expand_value(ctx, {expanded.data(), {T, H, d_v}},
                     View<const float, 3>(latent.data(), {T, H, d_c}), w.view());
        return std::pair(absorbed, expanded);
      };
      const auto [absorbed, expanded] = run(cpu_);
      const auto [absorbed_want, expanded_want] = run(reference_);
      expect_close(absorbed, absorbed_want, Tolerance::for_sum(d_n).in_rows_of(d_c),
                   concat("absorb_query ", T));
      expect_close(expanded, expanded_want, Tolerance::for_sum(d_c).in_rows_of(d_v),
                   concat("expand_value ", T));
    }
  }
}

// Absorbed and MHA form are the same function.
constexpr int64_t kTokens = 20, kQueries = 6, kHeads = 3, kNope = 8, kRope = 4, kValue = 6,
                  kLatent = 24;

const std::vector<int32_t> kOnePage = {0};
const SequenceRows kOneSequence{0, kQueries, kTokens, kOnePage};

// Both forms on `T` elements: the last kQueries tokens attend to all kTokens. MHA first.
template <class T, class Mha, class Absorbed>
std::pair<std::vector<T>, std::vector<T>> both_forms(const Mha& mha, const Absorbed& absorbed) {
  const std::vector<T> q = random_values<T>(kQueries * kHeads * (kNope + kRope), 1);
  const std::vector<T> cache = random_values<T>(kPageRows * (kLatent + kRope), 2);
  const std::vector<T> w = random_values<T>(kHeads * (kNope + kValue) * kLatent, 3, 0.3);
  const View<const T, 3> q_view(q.data(), {kQueries, kHeads, kNope + kRope});
  const View<const T, 3> page(cache.data(), {1, kPageRows, kLatent + kRope});
  const View<const T, 2> rows(cache.data(), {kTokens, kLatent + kRope});
  const View<const T, 2> w_view(w.data(), {kHeads * (kNope + kValue), kLatent});
  std::vector<T> o(kQueries * kHeads * kValue), o_absorbed(o.size());
  std::vector<T> kv(kTokens * kHeads * (kNope + kValue));
  std::vector<T> q_latent(kQueries * kHeads * kLatent), o_latent(q_latent.size());
  const typename View<T, 3>::Shape o_shape{kQueries, kHeads, kValue};
  mha(View<T, 3>(o.data(), o_shape), q_view, rows, w_view, kv);
  absorbed(View<T, 3>(o_absorbed.data(), o_shape), q_view, page, w_view,
           View<T, 3>(q_latent.data(), {kQueries, kHeads, kLatent}),
           View<T, 3>(o_latent.data(), {kQueries, kHeads, kLatent}));
  return {o, o_absorbed};
}

TEST(AbsorbedForm, EqualsMhaFormInF64) {
  using V2 = View<const double, 2>;
  using V3 = View<const double, 3>;
  const auto [mha, absorbed] = both_forms<double>(
      [](View<double, 3> o, V3 q, V2 rows, V2 w, std::vector<double>& kv) {
        const View<double, 2> kv_rows(kv.data(), {kTokens, kHeads * (kNope + kValue)});
        reference::gemm_nt<double>(kv_rows, rows.columns(0, kLatent), w, 0.0);
        reference::attention_forward_chunk<double>(o, q,
                                                   V3(kv.data(), {kTokens, kHeads, kNope + kValue}),
                                                   rows.columns(kLatent, kLatent + kRope), 0.3);
      },
      [](View<double, 3> o, V3 q, V3 page, V2 w, View<double, 3> q_latent,
         View<double, 3> o_latent) {
        reference::absorb_query<double>(q_latent, q.columns(0, kNope), w);
        reference::latent_attention<double>(o_latent, q_latent, q.columns(kNope, kNope + kRope),
                                            page, {&kOneSequence, 1}, 0.3);
        reference::expand_value<double>(o, o_latent, w);
      });
  expect_close(absorbed, mha,
               {.element = 1e-10, .frobenius = 1e-10, .cosine = 1e-10, .row_length = kValue},
               "f64");
}

TEST_F(LatentAttentionTest, AbsorbedFormEqualsMhaForm) {
  using V2 = View<const float, 2>;
  using V3 = View<const float, 3>;
  const auto [mha, absorbed] = both_forms<float>(
      [&](View<float, 3> o, V3 q, V2 rows, V2 w, std::vector<float>& kv) {
        const View<float, 2> kv_rows(kv.data(), {kTokens, kHeads * (kNope + kValue)});
        gemm_nt(cpu_, kv_rows, rows.columns(0, kLatent), w);
        attention_forward_chunk(cpu_, o, q, V3(kv.data(), {kTokens, kHeads, kNope + kValue}),
                                rows.columns(kLatent, kLatent + kRope),
                                {kHeads, kNope, kRope, kValue}, 0.3F);
      },
      [&](View<float, 3> o, V3 q, V3 page, V2 w, View<float, 3> q_latent, View<float, 3> o_latent) {
        const std::vector<float> values(page.data(), page.data() + page.size());
        const StoredPages pages(cpu_, LatentForm::kF32, kLatent, kRope, values);
        absorb_query(cpu_, q_latent, q.columns(0, kNope), w);
        latent_attention(cpu_, o_latent, q_latent, q.columns(kNope, kNope + kRope), pages.view,
                         {&kOneSequence, 1}, 0.3F);
        expand_value(cpu_, o, o_latent, w);
      });
  expect_close(absorbed, mha,
               Tolerance::for_sum(kLatent + kNope + kRope + kTokens).in_rows_of(kValue), "f32");
}

TEST_F(LatentAttentionTest, RefusesOperandsThatDoNotFit) {
  std::vector<float> storage(3000);
  const View<float, 3> latent(storage.data(), {2, 3, 8}), narrow(storage.data(), {2, 3, 7});
  const View<float, 3> rope(storage.data(), {2, 3, 4});
  const LatentPagesView pages{
      {LatentForm::kF32, 8, 4}, reinterpret_cast<std::byte*>(storage.data()), 3};
  const std::vector<int32_t> ids = {2, 0}, wrong = {2, 3};
  const auto attend = [&](View<float, 3> o, View<float, 3> q_rope, const LatentPagesView& where,
                          const SequenceRows& sequence) {
    latent_attention(cpu_, o, latent, q_rope, where, {&sequence, 1}, 1.0F);
  };
  EXPECT_NO_THROW(attend(latent, rope, pages, {0, 2, 100, ids}));
  EXPECT_THROW(attend(narrow, rope, pages, {0, 2, 100, ids}), ShapeError);
  EXPECT_THROW(attend(latent, latent, pages, {0, 2, 100, ids}), ShapeError);
  const LatentPagesView wide{{LatentForm::kF32, 9, 4}, pages.data, 3};
  EXPECT_THROW(attend(latent, rope, wide, {0, 2, 100, ids}), ShapeError);
  EXPECT_THROW(attend(latent, rope, pages, {0, 2, 1, ids}), ShapeError);
  EXPECT_THROW(attend(latent, rope, pages, {1, 2, 100, ids}), ShapeError);
  EXPECT_THROW(attend(latent, rope, pages, {0, 2, 129, ids}), ShapeError);
  EXPECT_THROW(attend(latent, rope, pages, {0, 2, 100, wrong}), ShapeError);
  const StoredWeight w(DType::kF32, 3 * 5, 8, 1);
  EXPECT_THROW(absorb_query(cpu_, narrow, rope, w.view()), ShapeError);
  EXPECT_THROW(absorb_query(cpu_, latent, narrow, w.view()), ShapeError);
  EXPECT_THROW(expand_value(cpu_, narrow, latent, w.view()), ShapeError);
}

}  // namespace
}  // namespace hadal
