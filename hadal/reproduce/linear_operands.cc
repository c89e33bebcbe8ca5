#include "hadal/reproduce/linear_operands.h"

#include <algorithm>

#include "hadal/model/stage_backward.h"
#include "hadal/model/stage_forward.h"
#include "hadal/ops/gemm.h"

namespace hadal {
namespace {

class Collector {
 public:
  Collector(Context& ctx, std::vector<LinearOperands>& all) : ctx_(ctx), all_(all) {}
  void add(const std::string& name, const Linear& linear, const Linear::Saved& saved) {
    all_.push_back({name, saved.x.f32(ctx_), saved.dy.f32(ctx_), linear.weight.master.share()});
  }
  void add(const std::string& name, const Ffn& ffn, const Ffn::Saved& saved) {
    add(name + ".w_gate", ffn.w_gate, saved.w_gate);
    add(name + ".w_up", ffn.w_up, saved.w_up);
    add(name + ".w_down", ffn.w_down, saved.w_down);
  }
  void add(const std::string& name, const Mla& mla, const Mla::Saved& saved) {
    if (mla.w_dq) add(name + ".w_dq", *mla.w_dq, saved.w_dq);
    add(name + ".w_uq", mla.w_uq, saved.w_uq);
    add(name + ".w_dkv", mla.w_dkv, saved.w_dkv);
    add(name + ".w_ukv", mla.w_ukv, saved.w_ukv);
    add(name + ".w_o", mla.w_o, saved.w_o);
  }

 private:
  Context& ctx_;
  std::vector<LinearOperands>& all_;
};

}  // namespace

std::vector<LinearOperands> linear_operands(Context& ctx, const TrainConfig& run) {
  const FinishedRun trained(ctx, run);
  const Batch& rows = trained.held_out.front().batch;
  const int64_t n = std::min(rows.n_sequences, std::max<int64_t>(1, 2048 / rows.length));
  const auto tokens = static_cast<size_t>(n * rows.length);
  const std::span<const int32_t> targets = std::span(rows.targets).first(tokens);
  const int64_t counted =
      std::count_if(targets.begin(), targets.end(), [](int32_t id) { return id >= 0; });
  const MicroBatch batch{std::span(rows.tokens).first(tokens), targets, n, rows.length, counted, n};

  StageSaved saved;
  LocalDispatcher dispatcher;
  const StageCut whole = StageCut::whole(trained.model.config);
  const LossWeights weights{.mtp = 0.0F, .balance = 0.0F};
  const StageRows in = StageRows::of(batch, weights, trained.model.config.n_mtp);
  StageForward(ctx, dispatcher, trained.model, whole, {}, in, Keep::kForBackward, saved).run();
  StageBackward(ctx, dispatcher, trained.model, nullptr, whole, {}, saved).run();

  std::vector<LinearOperands> all;
  Collector collector(ctx, all);
  for (size_t l = 0; l < trained.model.layers.size(); ++l) {
    const DecoderLayer& layer = trained.model.layers[l];
    const std::string name = concat("layer ", l);
    collector.add(name, layer.attn, saved.layers[l].attn);
    if (const Moe* moe = layer.moe()) {
      if (moe->shared) {
        collector.add(name + ".shared", *moe->shared,
                      std::get<Moe::Saved>(saved.layers[l].ffn).shared);
      }
    } else {
      collector.add(name, std::get<Ffn>(layer.ffn), std::get<Ffn::Saved>(saved.layers[l].ffn));
    }
  }
  return all;
}

Tensor input_gradient(Context& ctx, const Tensor& dy, const Tensor& weight) {
  Tensor dx = ctx.empty({dy.dim(0), weight.dim(1)});
  gemm_nn(ctx, dx.mat(), dy.mat(), WeightView(weight));
  return dx;
}

Tensor weight_gradient(Context& ctx, const Tensor& dy, const Tensor& x) {
  Tensor dw = ctx.zeros({dy.dim(1), x.dim(1)});
  gemm_tn(ctx, dw.mat(), dy.mat(), x.mat());
  return dw;
}

}  // namespace hadal
