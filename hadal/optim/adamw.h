// optim/adamw.h: AdamW with decoupled weight decay (arXiv:1711.05101) over a list of parameters, or over
// shards of them (ZeRO-1, arXiv:1910.02054): the same numbers, element by element.
//
//   p *= 1 - lr * weight_decay                           (only where Trainable::decay)
//   m = b1 m + (1-b1) g      v = b2 v + (1-b2) g^2       g = grad_scale * grad
//   p -= lr * m/(1-b1^n) / (sqrt(v/(1-b2^n)) + eps)      n = steps taken, this one included
//
// Parameters are the F32 master weights. Moments are F32, or BF16 rounded to nearest even, as in
// the report (section 3.3.3). A parameter that saw no gradient still decays.
#pragma once

#include <vector>

#include "hadal/optim/trainable.h"

namespace hadal {

struct AdamwConfig {  // defaults: DeepSeek-V3; eps is not stated in the report
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
  DType moment_dtype = DType::kF32;  // or kBF16
};

class AdamW {
 public:
  struct Moments {
    Tensor m, v;  // as the shard, of moment_dtype
  };

  AdamW(Arena& arena, std::vector<Trainable> params, const AdamwConfig& config);
  AdamW(Arena& arena, std::vector<Trainable> params, std::vector<Shard> shards,
        const AdamwConfig& config);

  // One step of every shard, then its gradient is zero: ready for the next batch.
  // grad_scale is the clip factor.
  void step(Context& ctx, double lr, float grad_scale);

  const std::vector<Trainable>& params() const { return params_; }
  std::vector<Shard>& shards() { return shards_; }  // without others: params(), each whole
  const AdamwConfig& config() const { return config_; }
  // For checkpoints: in the order of shards().
  std::vector<Moments>& moments() { return moments_; }
  const std::vector<Moments>& moments() const { return moments_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  std::vector<Trainable> params_;
  std::vector<Shard> shards_;
  AdamwConfig config_;
  std::vector<Moments> moments_;
  int64_t steps_ = 0;
};

}  // namespace hadal
