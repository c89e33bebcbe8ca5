// nn/recompute.h: what F does not keep for B and W, because B forms it again from something smaller
// (report section 3.2.3). Every layer obeys the one policy of its Pass; gradients are the same bit
// for bit whatever it says, but for swiglu_outputs in FP8 training, where gate and up wait rounded.
#pragma once

namespace hadal {

struct RecomputePolicy {
  // What an RMSNorm gave to the next projections: [T, d_model] twice a layer, [T, q_lora_rank] and
  // [T, kv_lora_rank] inside attention. Formed again from the norm's input and r. B then hands a
  // layer its input again, which is empty where the policy keeps it.
  bool norm_outputs = true;
  // MLA's up-projections, q [T, H d_qk] and kv [T, H (d_nope + d_v)], from the latents.
  bool up_projections = true;
  // silu(gate) * up [T, F], from gate and up.
  bool swiglu_outputs = true;
};

}  // namespace hadal
