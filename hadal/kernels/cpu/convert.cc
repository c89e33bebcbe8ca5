#include "hadal/kernels/convert.h"

#include "hadal/kernels/cpu/grain.h"

namespace hadal::cpu {

// The reference's body on every thread's share: files are converted once, at the speed of reading
// them.
void convert(ThreadPool& pool, Tensor& to, const Tensor& from) {
  pool.parallel_for(from.size(), kGrainElements, [&](int64_t begin, int64_t end, int) {
    reference::convert_range(to, from, begin, end);
  });
}

}  // namespace hadal::cpu
