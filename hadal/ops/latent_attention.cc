#include "hadal/ops/latent_attention.h"

#include "hadal/kernels/latent_attention.h"
#include "hadal/kernels/latent_rows.h"
#include "hadal/kernels/reference/widen.h"
#include "hadal/ops/check_weight.h"
#include "hadal/ops/gemm.h"

namespace hadal {
namespace {

// The [T, d] matrix of one head of a [T, H, d] tensor.
template <class T>
View<T, 2> of_head(View<T, 3> x, int64_t h) {
  return {x.data() + h * x.stride(1), {x.dim(0), x.dim(2)}, {x.stride(0), 1}};
}

// w_ukv holds, per head, d_nope + d_v rows of width d_c; only one of the two heights is known here.
void check_w_ukv(const WeightView& w_ukv, int64_t n_heads, int64_t least_rows_per_head, int64_t d_c,
                 const char* what) {
  check_weight(w_ukv, what);
  if (n_heads < 1 || w_ukv.rows % n_heads != 0 || w_ukv.rows / n_heads < least_rows_per_head ||
      w_ukv.cols != d_c) {
    throw ShapeError(concat(what, ": w_ukv is [", w_ukv.rows, ",", w_ukv.cols, "] for ", n_heads,
                            " heads of at least ", least_rows_per_head, " rows and d_c = ", d_c));
  }
}

void check_sequence(const SequenceRows& sequence, int64_t n_queries, int64_t n_pages) {
  const auto [first, n, n_rows, pages] = sequence;
  const int64_t n_used = pages_for(n_rows);
  if (first < 0 || n < 0 || first + n > n_queries || n_rows < n ||
      static_cast<int64_t>(pages.size()) < n_used) {
    throw ShapeError(concat("latent_attention: queries ", first, " to ", first + n, " of ",
                            n_queries, " over ", n_rows, " cache rows in ", pages.size(),
                            " pages"));
  }
  for (const int32_t page : pages.first(static_cast<size_t>(n_used))) {
    if (page < 0 || page >= n_pages) {
      throw ShapeError(concat("latent_attention: page ", page, " of ", n_pages));
    }
  }
}

}  // namespace

void latent_attention(Context& ctx, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, const LatentPagesView& pages,
                      std::span<const SequenceRows> sequences, float scale) {
  expect_shape(o_latent, q_latent.shape(), "latent_attention o_latent");
  expect_shape(q_rope, {q_latent.dim(0), q_latent.dim(1), q_rope.dim(2)},
               "latent_attention q_rope");
  if (pages.layout.d_c != q_latent.dim(2) || pages.layout.d_rope != q_rope.dim(2)) {
    throw ShapeError(concat("latent_attention pages: got rows of ", pages.layout.d_c, " + ",
                            pages.layout.d_rope, ", want ", q_latent.dim(2), " + ", q_rope.dim(2)));
  }
  for (const SequenceRows& sequence : sequences) {
    check_sequence(sequence, q_latent.dim(0), pages.n_pages);
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::latent_attention<float>(
          o_latent, q_latent, q_rope, reference::WidenedPages(pages).view(), sequences, scale);
    case Device::kCpu:
      return cpu::latent_attention(ctx.pool, o_latent, q_latent, q_rope, pages, sequences, scale);
    case Device::kCuda:
      return cuda::latent_attention(*ctx.stream, o_latent, q_latent, q_rope, pages, sequences,
                                    scale);
  }
}

void absorb_query(Context& ctx, View<float, 3> q_latent, View<const float, 3> q_nope,
                  const WeightView& w_ukv) {
  expect_shape(q_latent, {q_nope.dim(0), q_nope.dim(1), q_latent.dim(2)}, "absorb_query q_latent");
  check_w_ukv(w_ukv, q_nope.dim(1), q_nope.dim(2), q_latent.dim(2), "absorb_query");
  if (ctx.device == Device::kReference) {
    return reference::absorb_query<float>(q_latent, q_nope, reference::Widened(w_ukv).view());
  }
  const int64_t rows_per_head = w_ukv.rows / q_nope.dim(1);
  std::vector<Product> heads;
  for (int64_t h = 0; h < q_nope.dim(1); ++h) {
    const int64_t first = h * rows_per_head;
    heads.push_back(
        {of_head(q_latent, h), of_head(q_nope, h), w_ukv.row_range(first, first + q_nope.dim(2))});
  }
  gemm_nn(ctx, heads);
}

void expand_value(Context& ctx, View<float, 3> o, View<const float, 3> o_latent,
                  const WeightView& w_ukv) {
  expect_shape(o, {o_latent.dim(0), o_latent.dim(1), o.dim(2)}, "expand_value o");
  check_w_ukv(w_ukv, o.dim(1), o.dim(2), o_latent.dim(2), "expand_value");
  if (ctx.device == Device::kReference) {
    return reference::expand_value<float>(o, o_latent, reference::Widened(w_ukv).view());
  }
  const int64_t rows_per_head = w_ukv.rows / o.dim(1);
  std::vector<Product> heads;
  for (int64_t h = 0; h < o.dim(1); ++h) {
    const int64_t end = (h + 1) * rows_per_head;
    heads.push_back({of_head(o, h), of_head(o_latent, h), w_ukv.row_range(end - o.dim(2), end)});
  }
  gemm_nt(ctx, heads);
}

}  // namespace hadal
