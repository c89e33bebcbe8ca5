#include "hadal/kernels/argmax.h"

#include <algorithm>

#include "hadal/kernels/cpu/grain.h"

namespace hadal::cpu {

void argmax_rows(ThreadPool& pool, std::span<int64_t> index, View<const float, 2> x) {
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const std::span<const float> row = x.row(t);
      index[static_cast<size_t>(t)] = std::ranges::max_element(row) - row.begin();
    }
  });
}

}  // namespace hadal::cpu
