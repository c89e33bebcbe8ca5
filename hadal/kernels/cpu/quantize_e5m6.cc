#include "hadal/kernels/quantize_e5m6.h"

#include "hadal/kernels/cpu/grain.h"

namespace hadal::cpu {

// The reference's body on every thread's share of the rows: what attention gave is one of the
// narrowest tensors of a layer, and is read twice.
void quantize_e5m6(ThreadPool& pool, View<uint8_t, 2> codes, View<float, 2> scales,
                   View<const float, 2> x) {
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    reference::quantize_e5m6(codes.rows(begin, end), scales.rows(begin, end), x.rows(begin, end));
  });
}

void dequantize_e5m6(ThreadPool& pool, View<float, 2> x, View<const uint8_t, 2> codes,
                     View<const float, 2> scales) {
  pool.parallel_for(x.dim(0), row_grain(x.dim(1)), [&](int64_t begin, int64_t end, int) {
    reference::dequantize_e5m6(x.rows(begin, end), codes.rows(begin, end), scales.rows(begin, end));
  });
}

}  // namespace hadal::cpu
