// kernels/adamw_step.h: the scalars of one AdamW step, shared by ops/adamw_update.h and its
// kernels.
#pragma once

namespace hadal {

struct AdamwStep {
  float lr = 0, beta1 = 0.9F, beta2 = 0.95F, eps = 1e-8F, weight_decay = 0.1F;
  float grad_scale = 1.0F;  // the clip factor
  double bias1 = 1, bias2 = 1;
};

}  // namespace hadal
