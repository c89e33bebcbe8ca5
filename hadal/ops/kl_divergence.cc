#include "hadal/ops/kl_divergence.h"

#include "hadal/kernels/kl_divergence.h"

namespace hadal {

void kl_divergence(Context& ctx, View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q) {
  expect_shape(kl, {logits_p.dim(0)}, "kl_divergence kl");
  expect_shape(logits_q, logits_p.shape(), "kl_divergence logits_q");
  switch (ctx.device) {
    case Device::kReference:
      return reference::kl_divergence(kl, logits_p, logits_q);
    case Device::kCpu:
      return cpu::kl_divergence(ctx.pool, kl, logits_p, logits_q);
    case Device::kCuda:
      return cuda::kl_divergence(*ctx.stream, kl, logits_p, logits_q);
  }
}

}  // namespace hadal
