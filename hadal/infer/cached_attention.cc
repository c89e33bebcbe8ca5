#include "hadal/infer/cached_attention.h"

#include "hadal/infer/absorbed_mla.h"
#include "hadal/infer/prefill_mla.h"

namespace hadal {

Tensor PrefillAttention::forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                                 Mla::Saved& /*saved*/) {
  return prefill_mla(ctx, mla, layer, x, rope_, sequence_);
}

Tensor AbsorbedAttention::forward(Context& ctx, const Mla& mla, int layer, const Tensor& x,
                                  Mla::Saved& /*saved*/) {
  return absorbed_mla(ctx, mla, layer, x, rope_, batch_);
}

}  // namespace hadal
