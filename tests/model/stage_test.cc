// A model cut into stages, each run on its own with rows and their gradients handed over by hand,
// gives what the whole gives: every number of its F, every bit of its gradients.
#include "hadal/model/stage.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/compare.h"
#include "tests/support/trainee.h"

namespace hadal::test {
namespace {

// One micro-batch in a pipeline whose stages all lie in this process.
class Pipeline {
 public:
  Pipeline(Trainee& trainee, int64_t n_stages, const MicroBatch& batch)
      : trainee_(trainee),
        cuts_(even_cuts(trainee.model.config, n_stages)),
        in_(StageRows::of(batch, kTestWeights, trainee.model.config.n_mtp)),
        saved_(cuts_.size()) {}

  void forward() {
    Tensor rows;
    for (size_t stage = 0; stage < cuts_.size(); ++stage) {
      StageForward f(trainee_.ctx, trainee_.dispatcher, trainee_.model, cuts_[stage],
                     std::move(rows), in_, Keep::kForBackward, saved_[stage]);
      StageOutput out = f.run();
      EXPECT_EQ(out.rows.has_data(), !cuts_[stage].heads);
      rows = std::move(out.rows);
      for (const double each : out.balance) balance += each;
      std::ranges::move(out.load, std::back_inserter(load));
    }
  }
  // W with it, or apart.
  void backward(bool at_once) {
    Tensor drows;
    for (size_t stage = cuts_.size(); stage-- > 0;) {
      StageBackward b(trainee_.ctx, trainee_.dispatcher, trainee_.model,
                      at_once ? &trainee_.model : nullptr, cuts_[stage], std::move(drows),
                      saved_[stage]);
      StageGradient gradient = b.run();
      EXPECT_EQ(gradient.rows.has_data(), !cuts_[stage].embedding);
      drows = std::move(gradient.rows);
      loss.add(gradient.loss);
    }
    loss.balance += balance;
  }
  void backward_weight() {
    for (size_t stage = cuts_.size(); stage-- > 0;) {
      stage_backward_weight(trainee_.ctx, trainee_.model, cuts_[stage], std::move(saved_[stage]));
    }
  }

  LossParts loss;
  ExpertLoad load;
  double balance = 0.0;

 private:
  Trainee& trainee_;
  const std::vector<StageCut> cuts_;
  const StageRows in_;
  std::vector<StageSaved> saved_;
};

void expect_same(const LossParts& got, const LossParts& want) {
  EXPECT_EQ(got.ce, want.ce);
  EXPECT_EQ(got.mtp, want.mtp);
  EXPECT_EQ(got.balance, want.balance);
}

std::vector<ModelConfig> configs() {
  ModelConfig pre_norm = two_mtp_config();
  pre_norm.mtp_hidden = MtpHidden::kPreNorm;
  ModelConfig tied = two_mtp_config();
  tied.tie_word_embeddings = true;
  return {two_mtp_config(), pre_norm, tied, softmax_config()};
}

TEST(Stage, EvenCutsShareOutTheLayers) {
  ModelConfig config = odd_config();
  config.n_layers = 8;
  for (int64_t n = 1; n <= 8; ++n) {
    const std::vector<StageCut> cuts = even_cuts(config, n);
    ASSERT_EQ(cuts.size(), static_cast<size_t>(n));
    int64_t next = 0;
    for (const StageCut& cut : cuts) {
      EXPECT_EQ(cut.first_layer, next);
      EXPECT_EQ(cut.embedding, next == 0);
      const int64_t length = cut.last_layer - cut.first_layer;
      EXPECT_GE(length, 8 / n);
      EXPECT_LE(length, (8 + n - 1) / n);
      next = cut.last_layer;
      EXPECT_EQ(cut.heads, next == 8);
    }
    EXPECT_EQ(next, 8);
    EXPECT_GE(cuts.front().last_layer, 8 - cuts.back().first_layer);  // the longer ones first
  }
}

TEST(Stage, TwoAndThreeStagesGiveTheBitsOfOne) {
  int which = 0;
  for (const ModelConfig& config : configs()) {
    Trainee whole(config, 7, 3, 9);
    const TrainingResult want = whole.in_steps(kTestWeights);
    for (const int64_t n_stages : {2, 3}) {
      SCOPED_TRACE(concat("model ", which, " in ", n_stages, " stages"));
      for (const bool at_once : {false, true}) {
        Trainee cut(config, 7, 3, 9);
        Pipeline pipeline(cut, n_stages, cut.whole());
        pipeline.forward();
        pipeline.backward(at_once);
        if (!at_once) pipeline.backward_weight();
        expect_same(pipeline.loss, want.loss);
        EXPECT_EQ(pipeline.load, want.load);
        expect_close(cut.gradient(), whole.gradient(), Tolerance::exact(), "gradient");
      }
    }
    ++which;
  }
}

// A pipeline starts the next micro-batch before the gradients of the first come back.
TEST(Stage, TheNextForwardBeforeBackwardChangesNothing) {
  for (const ModelConfig& config : configs()) {
    Trainee apart(config, 8, 2, 7), together(config, 8, 2, 7);
    Pipeline want_first(apart, 2, apart.micro_batch(0, 1));
    Pipeline want_second(apart, 2, apart.micro_batch(1, 1));
    for (Pipeline* each : {&want_first, &want_second}) {
      each->forward();
      each->backward(false);
      each->backward_weight();
    }
    Pipeline first(together, 2, together.micro_batch(0, 1));
    Pipeline second(together, 2, together.micro_batch(1, 1));
    first.forward();
    second.forward();
    first.backward(false);
    second.backward(false);
    first.backward_weight();
    second.backward_weight();
    expect_same(first.loss, want_first.loss);
    expect_same(second.loss, want_second.loss);
    EXPECT_EQ(first.load, want_first.load);
    EXPECT_EQ(second.load, want_second.load);
    expect_close(together.gradient(), apart.gradient(), Tolerance::exact(), "gradient");
  }
}

}  // namespace
}  // namespace hadal::test
