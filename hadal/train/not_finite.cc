#include "hadal/train/not_finite.h"

#include <cmath>

#include "hadal/model/forward.h"
#include "hadal/ops/elementwise.h"

namespace hadal {
namespace {

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

const char* const kNothingUpdated =
    "; nothing was updated; resume from the last checkpoint with a lower optimizer.learning_rate "
    "or optimizer.clip_norm";

std::optional<NotFinite> find_not_finite_loss(Context& ctx, const DeepseekV3& model,
                                              const MicroBatch& batch, const LossParts& loss,
                                              const LossWeights& weights, int64_t step) {
  const double total = loss.total(weights);
  if (std::isfinite(total)) return std::nullopt;
  FirstNotFinite probe(ctx);
  Context listening = ctx;
  listening.probe = &probe;
  forward_logits(listening, model, batch.tokens, Sequences::equal(batch.n_sequences, batch.length),
                 !model.mtp.empty());
  const std::string where = probe.found().empty() ? "the loss itself" : probe.found();
  return NotFinite{true, total, where,
                   concat("the loss of step ", step, " is not finite (found ", total, ", main ",
                          loss.ce, ", balance ", loss.balance, "), first in ", where)};
}

std::optional<NotFinite> find_not_finite_gradient(Context& ctx, const GradientNorm& norm,
                                                  const std::vector<Trainable>& params,
                                                  int64_t step) {
  const int64_t first = first_not_finite(norm);
  if (first < 0 && std::isfinite(norm.norm)) return std::nullopt;
  if (first < 0) {
    return NotFinite{
        false, norm.norm, "the sum of all",
        concat("the gradient norm of step ", step, " is not finite (found ", norm.norm, ")")};
  }
  const Trainable& param = params[static_cast<size_t>(first)];
  const Tensor& grad = param.param->grad;
  const int64_t bad = count_not_finite(ctx, grad.flat<float>());
  return NotFinite{false, norm.norm, param.name,
                   concat("a gradient of step ", step, " is not finite (found ", bad, " of ",
                          grad.size(), " elements of ", param.name, ")")};
}

}  // namespace hadal
