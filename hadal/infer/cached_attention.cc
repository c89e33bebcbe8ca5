#include "hadal/infer/cached_attention.h"

#include "hadal/infer/mixed_mla.h"

namespace hadal {

Tensor MixedAttention::forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                               Mla::Saved& /*saved*/) {
  return mixed_mla(ctx, mla, layer, x, rope_, absorbed_, prefill_);
}

Tensor PrefillAttention::forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                                 Mla::Saved& /*saved*/) {
  const BatchShare all{&sequence_, x.dim(0)};
  return mixed_mla(ctx, mla, layer, x, rope_, {}, {&all, 1});
}

}  // namespace hadal
