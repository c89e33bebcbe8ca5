#include "hadal/kernels/kl_divergence.h"

#include "hadal/kernels/cpu/grain.h"

namespace hadal::cpu {

void kl_divergence(ThreadPool& pool, View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q) {
  pool.parallel_for(logits_p.dim(0), row_grain(logits_p.dim(1)),
                    [&](int64_t begin, int64_t end, int) {
                      for (int64_t t = begin; t < end; ++t) {
                        reference::kl_divergence(kl.rows(t, t + 1), logits_p.rows(t, t + 1),
                                                 logits_q.rows(t, t + 1));
                      }
                    });
}

}  // namespace hadal::cpu
