#include "hadal/kernels/latent_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace hadal::reference {
namespace {

template <class Real>
void attend(View<Real, 3> o_latent, View<const Real, 3> q_latent, View<const Real, 3> q_rope,
            View<const Real, 3> pages, const SequenceRows& sequence, Real scale) {
  const int64_t d_c = q_latent.dim(2), d_rope = q_rope.dim(2);
  const auto cache = [&](int64_t j, int64_t c) {
    return double{pages(sequence.pages[static_cast<size_t>(j / kPageRows)], j % kPageRows, c)};
  };
  for (int64_t query = 0; query < sequence.n_queries; ++query) {
    const int64_t i = sequence.first_query + query;
    const int64_t n_visible = sequence.n_rows - sequence.n_queries + query + 1;
    for (int64_t h = 0; h < q_latent.dim(1); ++h) {
      std::vector<double> p(static_cast<size_t>(n_visible));
      double largest = -std::numeric_limits<double>::infinity();
      for (int64_t j = 0; j < n_visible; ++j) {
        double sum = 0.0;
        for (int64_t c = 0; c < d_c; ++c) sum += double{q_latent(i, h, c)} * cache(j, c);
        for (int64_t r = 0; r < d_rope; ++r) sum += double{q_rope(i, h, r)} * cache(j, d_c + r);
        p[static_cast<size_t>(j)] = double{scale} * sum;
        largest = std::max(largest, p[static_cast<size_t>(j)]);
      }
      double total = 0.0;
      for (double& value : p) total += value = std::exp(value - largest);
      for (int64_t c = 0; c < d_c; ++c) {
        double sum = 0.0;
        for (int64_t j = 0; j < n_visible; ++j) sum += p[static_cast<size_t>(j)] * cache(j, c);
        o_latent(i, h, c) = static_cast<Real>(sum / total);
      }
    }
  }
}

}  // namespace

template <class Real>
void latent_attention(View<Real, 3> o_latent, View<const Real, 3> q_latent,
                      View<const Real, 3> q_rope, View<const Real, 3> pages,
                      std::span<const SequenceRows> sequences, Real scale) {
  for (const SequenceRows& sequence : sequences) {
    attend(o_latent, q_latent, q_rope, pages, sequence, scale);
  }
}

template <class Real>
void absorb_query(View<Real, 3> q_latent, View<const Real, 3> q_nope,
                  View<const Real, 2> w_ukv) noexcept {
  const int64_t n_heads = q_nope.dim(1), d_nope = q_nope.dim(2);
  const int64_t rows_per_head = n_heads > 0 ? w_ukv.dim(0) / n_heads : 0;
  for (int64_t t = 0; t < q_nope.dim(0); ++t) {
    for (int64_t h = 0; h < n_heads; ++h) {
      for (int64_t c = 0; c < w_ukv.dim(1); ++c) {
        double sum = 0.0;
        for (int64_t n = 0; n < d_nope; ++n) {
          sum += double{q_nope(t, h, n)} * double{w_ukv(h * rows_per_head + n, c)};
        }
        q_latent(t, h, c) = static_cast<Real>(sum);
      }
    }
  }
}

template <class Real>
void expand_value(View<Real, 3> o, View<const Real, 3> o_latent,
                  View<const Real, 2> w_ukv) noexcept {
  const int64_t n_heads = o.dim(1), d_v = o.dim(2);
  const int64_t rows_per_head = n_heads > 0 ? w_ukv.dim(0) / n_heads : 0;
  for (int64_t t = 0; t < o.dim(0); ++t) {
    for (int64_t h = 0; h < n_heads; ++h) {
      for (int64_t v = 0; v < d_v; ++v) {
        double sum = 0.0;
        for (int64_t c = 0; c < w_ukv.dim(1); ++c) {
          sum += double{o_latent(t, h, c)} *
                 double{w_ukv(h * rows_per_head + rows_per_head - d_v + v, c)};
        }
        o(t, h, v) = static_cast<Real>(sum);
      }
    }
  }
}

#define HADAL_INSTANTIATE(Real)                                                                 \
  template void latent_attention(View<Real, 3>, View<const Real, 3>, View<const Real, 3>,       \
                                 View<const Real, 3>, std::span<const SequenceRows>, Real);     \
  template void absorb_query(View<Real, 3>, View<const Real, 3>, View<const Real, 2>) noexcept; \
  template void expand_value(View<Real, 3>, View<const Real, 3>, View<const Real, 2>) noexcept;
HADAL_INSTANTIATE(float)
HADAL_INSTANTIATE(double)
#undef HADAL_INSTANTIATE

}  // namespace hadal::reference
