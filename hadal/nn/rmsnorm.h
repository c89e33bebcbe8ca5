// nn/rmsnorm.h: RMSNorm as a layer; ops/rmsnorm.h has the formula.
#pragma once

#include "hadal/nn/linear_input.h"
#include "hadal/tensor/param.h"

namespace hadal {

struct RmsNorm {
  struct Saved {
    KeptRows x;  // [T, D]
    KeptRows y;  // [T, D]  in the place of x, where outputs wait (nn/precision.h)
    Tensor r;    // [T]
    Tensor dy;   // [T, D]  written by backward_input
  };
  Param weight;  // [D]
  float eps = 1e-6F;
  // Of the linears behind it. In BF16 and FP8 training the norm reads its input as it is kept: BF16.
  LinearPrecision precision;
  Tensor forward(Context& ctx, const Tensor& x) const;
  Tensor forward(Context& ctx, const Tensor& x, Saved& saved) const;
  // The same output again, bit for bit: the report recomputes norms in backward instead of keeping
  // what they gave to the next projection (nn/recompute.h). Where outputs wait: their rounded values.
  Tensor recompute(Context& ctx, const Saved& saved) const;
  Tensor backward_input(Context& ctx, Tensor dy, Saved& saved) const;
  // dx += the same: the gradient of a residual branch joins the stream's.
  void backward_input_add(Context& ctx, Tensor& dx, Tensor dy, Saved& saved) const;
  void backward_weight(Context& ctx, Saved&& saved);

 private:
  Tensor input(Context& ctx, const Saved& saved) const;  // x, of y where that waits
  Tensor normed(Context& ctx, const Tensor& x, Tensor& r) const;
};

}  // namespace hadal
