#include "hadal/kernels/quantize_q8_q4.h"

#include "hadal/kernels/cpu/grain.h"

namespace hadal::cpu {

void quantize_q8(ThreadPool& pool, View<int8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w) {
  pool.parallel_for(w.dim(0), row_grain(w.dim(1)), [&](int64_t begin, int64_t end, int) {
    reference::quantize_q8(codes.rows(begin, end), scales.rows(begin, end), w.rows(begin, end));
  });
}

void quantize_q4(ThreadPool& pool, View<uint8_t, 2> codes, View<bf16, 2> scales,
                 View<const float, 2> w) {
  pool.parallel_for(w.dim(0), row_grain(w.dim(1)), [&](int64_t begin, int64_t end, int) {
    reference::quantize_q4(codes.rows(begin, end), scales.rows(begin, end), w.rows(begin, end));
  });
}

}  // namespace hadal::cpu
