#include "tests/support/pipeline_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "hadal/core/rng.h"
#include "hadal/model/precision.h"
#include "hadal/parallel/expert_dispatcher.h"
#include "hadal/parallel/traced_communicator.h"

namespace hadal::test {
namespace {

void keep_experts(Moe& moe, ExpertRange range) {
  for (GroupedLinear* each : {&moe.w_gate, &moe.w_up, &moe.w_down}) {
    std::vector<Param> kept(std::make_move_iterator(each->weights.begin() + range.first),
                            std::make_move_iterator(each->weights.begin() + range.last));
    each->weights = std::move(kept);
  }
  moe.range = range;
}

// What the rank's stages do not need has no data.
void forget_foreign(const PipelineCase& of, RankCoordinates at, DeepseekV3& model) {
  const ExpertRange range = experts_of_rank(model.config.router.n_routed_experts, of.expert,
                                            at.expert_index(of.layout()));
  std::vector<StageCut> cuts;
  for (const int32_t stage : of.schedule.held[static_cast<size_t>(at.place)]) {
    cuts.push_back(of.cuts[static_cast<size_t>(stage)]);
  }
  for (DecoderLayer& layer : model.layers) {
    if (layer.moe()) keep_experts(*layer.moe(), range);
  }
  for (MtpBlock& block : model.mtp) keep_experts(*block.layer.moe(), range);
  model.held.experts = range;
  const HeldPart part = part_of_stages(model.config, cuts, range);
  for (NamedParam& named : named_params(model)) {
    if (part.holds(named.place)) continue;
    named.param->master = {};
    named.param->grad = {};
    named.param->working = {};
  }
  model.held = part;
}

class SlowComputing final : public TokenDispatcher {
 public:
  SlowComputing(TokenDispatcher& inner, double seconds) : inner_(inner), seconds_(seconds) {}

  Dispatch plan(Context& ctx, View<const int32_t, 2> indices, const Tensor& gates,
                const HeldExperts& experts) override {
    sleep();  // attention
    return inner_.plan(ctx, indices, gates, experts);
  }
  void start_dispatch(Context& ctx, KeptRows tokens, Dispatch& dispatch) override {
    inner_.start_dispatch(ctx, std::move(tokens), dispatch);
  }
  KeptRows finish_dispatch(Context& ctx, Dispatch& dispatch) override {
    return inner_.finish_dispatch(ctx, dispatch);
  }
  void start_combine(Context& ctx, Tensor rows, Tensor numbers, Weights weights,
                     Dispatch& dispatch) override {
    sleep();  // experts, and experts backward
    inner_.start_combine(ctx, std::move(rows), std::move(numbers), weights, dispatch);
  }
  Tensor finish_combine(Context& ctx, View<float, 2> y, Dispatch& dispatch) override {
    Tensor numbers = inner_.finish_combine(ctx, y, dispatch);
    if (dispatch.weights == Weights::kNone) sleep();  // attention backward
    return numbers;
  }
  bool arrived(Context& ctx, Dispatch& dispatch) override { return inner_.arrived(ctx, dispatch); }
  bool between_places() const override { return inner_.between_places(); }

 private:
  void sleep() const { std::this_thread::sleep_for(std::chrono::duration<double>(seconds_)); }
  TokenDispatcher& inner_;
  double seconds_;
};

}  // namespace

PipelineCase::PipelineCase(const ModelConfig& model, ScheduleKind kind, int32_t n_stages,
                           int32_t n_micro_batches, int32_t stages_per_rank)
    : config(model),
      schedule(make_schedule(kind, n_stages, n_micro_batches, stages_per_rank)),
      cuts(even_cuts(model, n_stages)),
      what(concat(schedule.name, ", ", schedule.n_ranks, " ranks, ", n_stages, " stages, ",
                  n_micro_batches, " micro-batches")) {}

ParallelConfig PipelineCase::layout() const {
  ParallelConfig made;
  made.pipeline = schedule.n_ranks;
  made.data = replicas;
  made.expert = expert;
  return made;
}

std::unique_ptr<Trainee> PipelineCase::trainee() const {
  auto made = std::make_unique<Trainee>(config, seed, sequences * n_micro_batches(), length);
  set_precision(made->model, precision);
  remake_working_weights(made->ctx, made->model);
  return made;
}

std::vector<MicroBatch> PipelineCase::micro_batches(const Trainee& of, int32_t replica) const {
  std::vector<MicroBatch> all;
  for (int64_t m = 0; m < schedule.n_micro_batches; ++m) {
    all.push_back(of.micro_batch((replica * schedule.n_micro_batches + m) * sequences, sequences));
  }
  return all;
}

PipelineResult::PipelineResult(const PipelineCase& of, const PipelineRun& how,
                               const SlowLink& link) {
  const ParallelConfig layout = of.layout();
  const auto n_ranks = static_cast<int>(layout.n_ranks());
  totals.resize(static_cast<size_t>(n_ranks));
  traces.resize(static_cast<size_t>(n_ranks));
  for (int rank = 0; rank < n_ranks; ++rank) {
    ranks.push_back(of.trainee());
    forget_foreign(of, coordinates_of(layout, rank), ranks.back()->model);
    bytes_before.push_back(ranks.back()->arena.bytes_in_use());
  }
  const ThreadRanks threads{.n_ranks = n_ranks, .patience_seconds = 120, .link = link};
  run_thread_ranks(threads, [&](Communicator& world) {
    const auto rank = static_cast<size_t>(world.rank());
    Trainee& own = *ranks[rank];
    PipelineRun traced = how;
    traced.trace = &traces[rank];
    RankGroups groups(layout, world);
    TracedCommunicator pipeline(*groups.pipeline, traces[rank], "pipeline", groups.places);
    TracedCommunicator experts(*groups.expert, traces[rank], "experts", groups.experts);
    ExpertDispatcher over_ranks(experts);
    TokenDispatcher& dispatcher =
        of.expert > 1 ? static_cast<TokenDispatcher&>(over_ranks) : own.dispatcher;
    SlowComputing slow(dispatcher, of.phase_seconds);
    PipelineExecutor executor(of.schedule, of.cuts, pipeline,
                              of.phase_seconds > 0 ? slow : dispatcher);
    const StepLosses losses = executor.run(
        own.ctx, own.model, of.micro_batches(own, groups.at.replica), kTestWeights, traced);
    totals[rank] = gather_losses(layout, groups.at, world, losses, own.arena);
  });
}

void expect_equals_one_rank(const PipelineCase& of) {
  SCOPED_TRACE(of.what);
  const std::unique_ptr<Trainee> one = of.trainee();
  LossParts want;
  ExpertLoad want_load;
  for (int32_t replica = 0; replica < of.replicas; ++replica) {
    for (const MicroBatch& batch : of.micro_batches(*one, replica)) {
      const TrainingResult result = forward_backward(one->ctx, one->model, batch, kTestWeights);
      want.add(result.loss);
      add_load(want_load, result.load);
    }
  }
  const PipelineResult got(of);
  for (const StepTotals& each : got.totals) {
    EXPECT_EQ(each.loss.ce, want.ce);
    EXPECT_EQ(each.loss.mtp, want.mtp);
    EXPECT_EQ(each.loss.balance, want.balance);
    EXPECT_EQ(each.load, want_load);
  }
  const std::unique_ptr<Trainee> sum = of.trainee();
  std::map<std::string, Param*> sums;
  for (const NamedParam& named : named_params(sum->model)) sums[named.name] = named.param;
  for (const auto& rank : got.ranks) {
    for (const NamedParam& named : named_params(rank->model)) {
      if (named.kind == ParamKind::kRouteBias) continue;
      const auto to = sums.at(named.name)->grad.flat<float>();
      const auto add = std::as_const(named.param->grad).flat<float>();
      for (size_t i = 0; i < to.size(); ++i) to[i] += add[i];
    }
  }
  // The same terms in another order: a sum over all rows of the step, and over the tables' uses.
  sum->expect_gradient_of(*one, Tolerance::for_sum(of.n_micro_batches() * of.sequences * of.length *
                                                   (1 + of.config.n_mtp)));
}

namespace {

// 0 or more layers for every stage.
std::vector<StageCut> random_cuts(const ModelConfig& config, int64_t n_stages, Rng& rng) {
  std::vector<int64_t> ends{0, config.n_layers};
  for (int64_t i = 1; i < n_stages; ++i) {
    ends.push_back(
        static_cast<int64_t>(rng.uniform_below(static_cast<uint64_t>(config.n_layers + 1))));
  }
  std::ranges::sort(ends);
  std::vector<StageCut> cuts;
  for (size_t s = 0; s + 1 < ends.size(); ++s) {
    cuts.push_back({.embedding = s == 0,
                    .first_layer = ends[s],
                    .last_layer = ends[s + 1],
                    .heads = s + 2 == ends.size()});
  }
  return cuts;
}

}  // namespace

PipelineCase PipelineCase::random(uint64_t seed) {
  Rng rng(seed, 11);
  const auto below = [&](int64_t n) {
    return static_cast<int32_t>(rng.uniform_below(static_cast<uint64_t>(n)));
  };
  ModelConfig model = below(4) == 0 ? softmax_config() : odd_config();
  model.n_layers = 1 + below(6);
  model.first_k_dense_replace = below(model.n_layers + 1);
  model.n_mtp = below(3);
  model.mtp_hidden = below(2) ? MtpHidden::kPostNorm : MtpHidden::kPreNorm;
  model.tie_word_embeddings = below(3) == 0;

  constexpr ScheduleKind kKinds[] = {ScheduleKind::k1F1B,        ScheduleKind::kZb1p,
                                     ScheduleKind::kDualPipe,    ScheduleKind::kDualPipeV,
                                     ScheduleKind::kInterleaved, ScheduleKind::kZbv};
  const ScheduleKind kind = kKinds[below(6)];
  const int32_t n_ranks = 2 * (1 + below(2));
  const int32_t stages_per_rank = kind == ScheduleKind::kInterleaved ? 1 + below(3) : 2;
  const int32_t n_stages = n_ranks * stages_passed(kind, stages_per_rank);
  const auto least = static_cast<int32_t>(least_micro_batches(kind, n_stages));
  int32_t n_micro_batches = least + below(6);
  if (kind == ScheduleKind::kDualPipe) n_micro_batches += n_micro_batches % 2;

  PipelineCase made(model, kind, n_stages, n_micro_batches, stages_per_rank);
  made.cuts = random_cuts(model, n_stages, rng);
  made.seed = seed;
  made.sequences = 1 + below(2);
  made.length = 1 + below(9);
  constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kF32, Precision::kBf16,
                                       Precision::kFp8};
  made.precision = kPrecisions[below(4)];
  constexpr int32_t kReplicas[] = {1, 1, 2, 2, 4}, kExpert[] = {1, 1, 1, 2, 2};
  const auto layout = static_cast<size_t>(below(n_ranks == 2 ? 5 : 4));
  made.replicas = kReplicas[layout];
  made.expert = kExpert[layout];
  made.what = concat("seed ", seed, ": ", made.what, ", ", model.n_layers, " layers, ",
                     model.first_k_dense_replace, " dense, ", model.n_mtp, " MTP modules, ",
                     made.replicas, " replicas, experts over ", made.expert, ", ",
                     model.tie_word_embeddings ? "tied" : "untied");
  return made;
}

}  // namespace hadal::test
