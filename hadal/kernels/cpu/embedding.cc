#include "hadal/kernels/embedding.h"

#include "hadal/kernels/cpu/grain.h"

namespace hadal::cpu {

// A copy of rows has nothing to gain from vectors beyond memcpy: each thread runs the plain loops
// on its own rows or columns.
void embedding_forward(ThreadPool& pool, View<float, 2> x, const WeightView& w,
                       std::span<const int32_t> ids) {
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    reference::embedding_forward(
        x.rows(begin, end), w,
        ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  });
}

// Ranges of columns: no two threads meet in an element, and t ascends within each.
void embedding_backward_weight(ThreadPool& pool, View<float, 2> dw, View<const float, 2> dx,
                               std::span<const int32_t> ids) {
  pool.parallel_for(dx.dim(1), kColumnGrain, [&](int64_t begin, int64_t end, int) {
    reference::embedding_backward_weight<float>(dw.columns(begin, end), dx.columns(begin, end),
                                                ids);
  });
}

}  // namespace hadal::cpu
