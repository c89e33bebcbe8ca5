// kernels/latent_rows.h: the backends of ops/latent_rows.h, for rows that lie one behind the other.
#pragma once

#include <vector>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/latent_layout.h"

namespace hadal::reference {

void store_latent_rows(const LatentRows& to, View<const float, 2> rows);
void load_latent_rows(View<float, 2> rows, const LatentRows& from);

// All pages as F32 [n_pages, 64, d_c + d_r], for kernels that read nothing else.
class WidenedPages {
 public:
  explicit WidenedPages(const LatentPagesView& pages)
      : values_(static_cast<size_t>(pages.n_pages * kPageRows * pages.layout.d_row())),
        view_(values_.data(), {pages.n_pages, kPageRows, pages.layout.d_row()}) {
    const int64_t n = pages.n_pages * kPageRows, d = pages.layout.d_row();
    load_latent_rows({values_.data(), {n, d}}, pages.rows(0, 0, n));
  }
  View<const float, 3> view() const { return view_; }

 private:
  std::vector<float> values_;
  View<const float, 3> view_;
};

}  // namespace hadal::reference

namespace hadal::cpu {

void store_latent_rows(ThreadPool& pool, const LatentRows& to, View<const float, 2> rows);
void load_latent_rows(ThreadPool& pool, View<float, 2> rows, const LatentRows& from);

}  // namespace hadal::cpu

namespace hadal::cuda {

void store_latent_rows(Stream& stream, const LatentRows& to, View<const float, 2> rows);
void load_latent_rows(Stream& stream, View<float, 2> rows, const LatentRows& from);

}  // namespace hadal::cuda
