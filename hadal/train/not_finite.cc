#include "hadal/train/not_finite.h"

#include <cmath>

#include "hadal/model/forward.h"
#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

constexpr const char* kAdvice =
    "; nothing was updated; resume from the last checkpoint with a lower optimizer.learning_rate "
    "or optimizer.clip_norm";

// Remembers the first offered tensor that is not finite.
class FirstNotFinite : public Probe {
 public:
  explicit FirstNotFinite(Context& ctx) : ctx_(ctx) {}
  void offer(std::string_view name, int layer, const Tensor& value) override {
    if (!found_.empty() || value.dtype() != DType::kF32) return;
    const int64_t bad = count_not_finite(ctx_, value.flat<float>());
    if (bad == 0) return;
    found_ = concat(name, layer >= 0 ? concat(" of layer ", layer) : std::string(), " (", bad,
                    " of ", value.size(), " elements)");
  }
  const std::string& found() const { return found_; }

 private:
  Context& ctx_;
  std::string found_;
};

}  // namespace

void require_finite_loss(Context& ctx, const DeepseekV3& model, const MicroBatch& batch,
                         const LossParts& loss, const LossWeights& weights, int64_t step) {
  if (std::isfinite(loss.total(weights))) return;
  FirstNotFinite probe(ctx);
  Context listening = ctx;
  listening.probe = &probe;
  forward_logits(listening, model, batch.tokens, Sequences::equal(batch.n_sequences, batch.length),
                 !model.mtp.empty());
  throw Error(concat("train: the loss of step ", step, " is not finite (found ",
                     loss.total(weights), ", main ", loss.ce, ", balance ", loss.balance,
                     "), first in ", probe.found().empty() ? "the loss itself" : probe.found(),
                     kAdvice));
}

void require_finite_gradients(Context& ctx, const GradientNorm& norm,
                              const std::vector<Trainable>& params, int64_t step) {
  const int64_t first = first_not_finite(norm);
  if (first < 0 && std::isfinite(norm.norm)) return;
  if (first < 0) {
    throw Error(concat("train: the gradient norm of step ", step, " is not finite (found ",
                       norm.norm, ")", kAdvice));
  }
  const Trainable& param = params[static_cast<size_t>(first)];
  const Tensor& grad = param.param->grad;
  throw Error(concat("train: a gradient of step ", step, " is not finite (found ",
                     count_not_finite(ctx, grad.flat<float>()), " of ", grad.size(),
                     " elements of ", param.name, ")", kAdvice));
}

}  // namespace hadal
