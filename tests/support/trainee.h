// tests/support/trainee.h: a random model with gradients and a batch of its own.
#pragma once

#include <vector>

#include "hadal/model/stage_backward.h"
#include "hadal/model/stage_forward.h"
#include "hadal/model/training_pass.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal::test {

constexpr LossWeights kTestWeights{.mtp = 0.3F, .balance = 0.05F};

struct Trainee : RandomModel {
  Trainee(const ModelConfig& config, uint64_t seed, int64_t batch, int64_t row_length,
          int n_threads = 1)
      : RandomModel(config, seed, n_threads), n_sequences(batch), length(row_length) {
    allocate_gradients(model, arena);
    tokens = random_tokens(n_sequences * length, seed);
    targets = random_tokens(n_sequences * length, seed + 1);
  }
  MicroBatch micro_batch(int64_t first, int64_t count) const {
    const auto begin = static_cast<size_t>(first * length);
    const auto size = static_cast<size_t>(count * length);
    return {std::span(tokens).subspan(begin, size),
            std::span(targets).subspan(begin, size),
            count,
            length,
            n_sequences * length,
            n_sequences};
  }
  MicroBatch whole() const { return micro_batch(0, n_sequences); }

  TrainingResult at_once(const LossWeights& weights) {
    return forward_backward(ctx, model, whole(), weights);
  }
  StageRows rows(const LossWeights& weights) const {
    return StageRows::of(whole(), weights, model.config.n_mtp);
  }
  // F, B and W apart, the whole model as one stage.
  TrainingResult in_steps(const LossWeights& weights) {
    StageSaved saved;
    StageOutput output =
        StageForward(ctx, dispatcher, model, cut, {}, rows(weights), Keep::kForBackward, saved)
            .run();
    LossParts loss = StageBackward(ctx, dispatcher, model, nullptr, cut, {}, saved).run().loss;
    stage_backward_weight(ctx, model, cut, std::move(saved));
    for (const double each : output.balance) loss.balance += each;
    return {std::move(loss), std::move(output.load)};
  }
  // Every parameter's gradient, row by row.
  void expect_gradient_of(Trainee& want, Tolerance tolerance) {
    tolerance.inherited = 8 * std::numeric_limits<float>::epsilon();
    const std::vector<NamedParam> got = named_params(model), wanted = named_params(want.model);
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      if (got[i].kind == ParamKind::kRouteBias) continue;
      expect_close(got[i].param->grad, wanted[i].param->grad, tolerance, got[i].name);
    }
  }
  std::vector<float> gradient() {
    std::vector<float> all;
    for (const NamedParam& each : named_params(model)) {
      if (each.kind == ParamKind::kRouteBias) continue;
      const auto values = std::as_const(each.param->grad).flat<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  LocalDispatcher dispatcher;
  const StageCut cut = StageCut::whole(model.config);
  int64_t n_sequences, length;
  std::vector<int32_t> tokens, targets;
};

}  // namespace hadal::test
