#include "hadal/parallel/pipeline_executor.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <thread>

#include "hadal/core/clock.h"
#include "hadal/model/stage_backward.h"
#include "hadal/model/stage_forward.h"
#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_check.h"

namespace hadal {
namespace {

constexpr int64_t kPartsOfWeights = 2;  // of a layer: experts, attention
constexpr size_t kMostLateWeights = 4;  // parts that wait: what they hold stays in memory

// Of a rank with nothing to do. Whoever sleeps comes back at once, also where others want its core; whoever
// yields does not.
constexpr std::chrono::microseconds kBetweenLooks(20);

}  // namespace

// One run of one rank's list.
class PipelinePass {
 public:
  PipelinePass(PipelineExecutor& executor, Context& ctx, DeepseekV3& model,
               std::span<const MicroBatch> micro_batches, const LossWeights& weights,
               const PipelineRun& how);
  StepLosses run();

 private:
  // One chunk's F or B; what it made leaves with the last step.
  class Walk {
   public:
    virtual ~Walk() = default;
    virtual bool done() const = 0;
    virtual bool ready() = 0;  // whether the next step need not wait
    virtual void step() = 0;
  };
  class Forward;
  class Backward;

  void compute(const Action& action);
  void pair(const Action& action);
  void walk(Walk& walk);
  Walk& next_of(Walk& first, Walk& second);
  bool do_late_weights();  // a part of them; false: there are none
  void count_weights(int64_t layer, int64_t n_parts);
  void count_weights_of(Chunk chunk);  // all of them
  void weight(Chunk chunk);
  void at(std::string_view phase, Chunk chunk);
  template <class Compute>
  void timed_step(std::string_view phase, Chunk chunk, Compute compute);
  // Of the tensor that a chunk made: its message's tag, and its name here.
  int64_t tag(Payload payload, Chunk chunk) const {
    return (int64_t{payload == Payload::kGradient} * schedule_.n_stages + chunk.stage) *
               schedule_.n_micro_batches +
           chunk.micro_batch;
  }
  const StageCut& cut(Chunk chunk) const { return cuts_[static_cast<size_t>(chunk.stage)]; }
  bool is_there(Payload payload, Chunk maker);
  Tensor take(Payload payload, Chunk maker);
  void hand_over(Payload payload, Chunk maker, Tensor made);

  const PipelineSchedule& schedule_;
  const std::vector<StageCut>& cuts_;
  Communicator& comm_;
  TokenDispatcher& dispatcher_;
  Context& ctx_;
  DeepseekV3& model_;
  const std::span<const MicroBatch> micro_batches_;
  const LossWeights& weights_;
  const PipelineRun how_;
  const std::vector<Action>& actions_;

  std::map<int64_t, int> receivers_;     // by tag: of what this rank sends
  std::map<int64_t, Receipt> receipts_;  // by tag: of what it receives
  std::map<int64_t, Tensor> here_;       // by tag: from one stage of this rank to the next
  std::map<int64_t, StageSaved> saved_;  // by the activation's tag: from F to B
  std::deque<std::pair<Chunk, StageSaved>> waiting_;  // from B_in to W
  struct LateWeights {
    Chunk chunk;
    int64_t layer;
    WeightWork work;
  };
  std::deque<LateWeights> late_weights_;     // of B, for when there would be a wait
  std::map<int64_t, int64_t> open_weights_;  // by layer: parts of W that are still to be done
  std::optional<double> began_;  // the action under way: behind the wait for its first input
  StepLosses losses_;
};

template <class Compute>
void PipelinePass::timed_step(std::string_view phase, Chunk chunk, Compute compute) {
  at(phase, chunk);
  const double start = monotonic_seconds();
  if (!began_) began_ = start;
  compute();
  if (!how_.trace) return;
  how_.trace->steps.push_back(
      {{how_.step, phase, chunk.stage, chunk.micro_batch}, start, monotonic_seconds()});
}

class PipelinePass::Forward final : public Walk {
 public:
  Forward(PipelinePass& pass, Chunk chunk) : pass_(pass), chunk_(chunk) {}
  bool done() const override { return cursor_ && cursor_->done(); }
  bool ready() override {
    if (cursor_) return cursor_->ready();
    return pass_.cut(chunk_).embedding || pass_.is_there(Payload::kActivation, maker());
  }
  void step() override {
    if (!cursor_) begin();
    pass_.timed_step(cursor_->phase(), chunk_, [this] { cursor_->step(); });
    if (done()) finish();
  }

 private:
  Tensor input() {
    pass_.at("forward", chunk_);
    if (pass_.cut(chunk_).embedding) return {};
    return pass_.take(Payload::kActivation, maker());
  }
  Chunk maker() const { return {chunk_.stage - 1, chunk_.micro_batch}; }
  void begin() {
    const MicroBatch& batch = pass_.micro_batches_[static_cast<size_t>(chunk_.micro_batch)];
    const int64_t n_mtp = pass_.model_.config.n_mtp;
    cursor_.emplace(pass_.ctx_, pass_.dispatcher_, pass_.model_, pass_.cut(chunk_), input(),
                    StageRows::of(batch, pass_.weights_, n_mtp, pass_.how_.recompute),
                    Keep::kForBackward, pass_.saved_[pass_.tag(Payload::kActivation, chunk_)]);
  }
  void finish() {
    StageOutput output = cursor_->output();
    const StageCut& cut = pass_.cut(chunk_);
    MicroBatchLosses& losses = pass_.losses_.micro_batches[static_cast<size_t>(chunk_.micro_batch)];
    for (size_t i = 0; i < output.balance.size(); ++i) {
      // MTP modules come behind all layers, and their stage's layers are the last.
      const size_t layer = static_cast<size_t>(cut.first_layer) + i;
      losses.balance[layer] = output.balance[i];
      std::vector<int64_t>& load = pass_.losses_.load[layer];
      for (size_t e = 0; e < load.size(); ++e) load[e] += output.load[i][e];
    }
    if (!cut.heads) pass_.hand_over(Payload::kActivation, chunk_, std::move(output.rows));
  }

  PipelinePass& pass_;
  const Chunk chunk_;
  std::optional<StageForward> cursor_;
};

class PipelinePass::Backward final : public Walk {
 public:
  Backward(PipelinePass& pass, Chunk chunk, bool with_weights)
      : pass_(pass),
        chunk_(chunk),
        saved_(pass.saved_.at(pass.tag(Payload::kActivation, chunk))),
        with_weights_(with_weights) {}
  bool done() const override { return cursor_ && cursor_->done(); }
  bool ready() override {
    if (cursor_) return cursor_->ready();
    return pass_.cut(chunk_).heads || pass_.is_there(Payload::kGradient, maker());
  }
  void step() override {
    if (!cursor_) begin();
    pass_.timed_step(cursor_->phase(), chunk_, [this] { cursor_->step(); });
    while (pass_.late_weights_.size() > kMostLateWeights) pass_.do_late_weights();
    if (done()) finish();
  }

 private:
  Tensor input() {
    pass_.at("backward", chunk_);
    if (pass_.cut(chunk_).heads) return {};
    return pass_.take(Payload::kGradient, maker());
  }
  Chunk maker() const { return {chunk_.stage + 1, chunk_.micro_batch}; }
  void begin() {
    TakeWeightWork later;
    late_ = with_weights_ && pass_.how_.overlap && pass_.dispatcher_.between_places();
    if (late_) {
      later = [this](int64_t layer, WeightWork work) {
        pass_.late_weights_.push_back({chunk_, layer, std::move(work)});
      };
    }
    cursor_.emplace(pass_.ctx_, pass_.dispatcher_, pass_.model_,
                    with_weights_ ? &pass_.model_ : nullptr, pass_.cut(chunk_), input(), saved_,
                    std::move(later));
  }
  void finish() {
    StageGradient gradient = cursor_->output();
    const StageCut& cut = pass_.cut(chunk_);
    if (cut.heads) {
      MicroBatchLosses& losses =
          pass_.losses_.micro_batches[static_cast<size_t>(chunk_.micro_batch)];
      losses.ce = gradient.loss.ce;
      losses.mtp = std::move(gradient.loss.mtp);
    }
    if (!cut.embedding) pass_.hand_over(Payload::kGradient, chunk_, std::move(gradient.rows));
    if (!with_weights_) pass_.waiting_.emplace_back(chunk_, std::move(saved_));
    if (with_weights_ && !late_) pass_.count_weights_of(chunk_);
    pass_.saved_.erase(pass_.tag(Payload::kActivation, chunk_));
  }

  PipelinePass& pass_;
  const Chunk chunk_;
  StageSaved& saved_;
  const bool with_weights_;
  bool late_ = false;
  std::optional<StageBackward> cursor_;
};

PipelinePass::PipelinePass(PipelineExecutor& executor, Context& ctx, DeepseekV3& model,
                           std::span<const MicroBatch> micro_batches, const LossWeights& weights,
                           const PipelineRun& how)
    : schedule_(executor.schedule_),
      cuts_(executor.cuts_),
      comm_(executor.pipeline_),
      dispatcher_(executor.dispatcher_),
      ctx_(ctx),
      model_(model),
      micro_batches_(micro_batches),
      weights_(weights),
      how_(how),
      actions_(schedule_.ranks[static_cast<size_t>(comm_.rank())]),
      losses_(StepLosses::none(model.config, micro_batches.size())) {
  for (const Action& action : actions_) {
    if (action.kind == ActionKind::kSend)
      receivers_[tag(action.payload, action.chunk)] = action.peer;
    if (!action.goes_backward()) continue;
    const StageCut& of = cut(action.backward_chunk());
    for (int64_t layer = of.first_layer; layer < of.last_layer; ++layer) {
      open_weights_[layer] += kPartsOfWeights;
    }
  }
}

StepLosses PipelinePass::run() {
  for (const Action& action : actions_) {
    if (action.kind == ActionKind::kReceive) {
      receipts_[tag(action.payload, action.chunk)] =
          comm_.receive(action.peer, tag(action.payload, action.chunk),
                        {DType::kF32, {-1, model_.config.d_model}}, ctx_.arena);
    } else if (action.kind != ActionKind::kSend) {
      began_.reset();
      compute(action);
      if (how_.trace) {
        how_.trace->actions.push_back({comm_.rank(), action, *began_, monotonic_seconds()});
      }
    }
  }
  while (do_late_weights()) {
  }
  if (!waiting_.empty()) throw Error(concat("pipeline: ", waiting_.size(), " chunks had no W"));
  return std::move(losses_);
}

void PipelinePass::compute(const Action& action) {
  if (action.is_pair()) return pair(action);
  if (action.kind == ActionKind::kWeight) return weight(action.chunk);
  if (action.kind == ActionKind::kForward) {
    Forward forward(*this, action.chunk);
    return walk(forward);
  }
  Backward backward(*this, action.chunk, action.kind == ActionKind::kBackward);
  walk(backward);
}

void PipelinePass::walk(Walk& walk) {
  while (!walk.done()) {
    while (!walk.ready() && do_late_weights()) {
    }
    walk.step();
  }
}

void PipelinePass::pair(const Action& action) {
  Forward forward(*this, action.chunk);
  Backward backward(*this, action.backward, /*with_weights=*/true);
  if (!how_.overlap) {
    walk(forward);
    return walk(backward);
  }
  Walk *turn = &backward, *other = &forward;
  while (!turn->done() && !other->done()) {
    if (Walk& next = next_of(*turn, *other); &next == turn) std::swap(turn, other);
    other->step();
  }
  walk(turn->done() ? *other : *turn);
}

// The one to go on: whose turn it is, where it can; else the other; else who can first. Meanwhile parts of
// W fill the wait.
PipelinePass::Walk& PipelinePass::next_of(Walk& turn, Walk& other) {
  std::optional<double> idle_since;
  for (;;) {
    for (Walk* each : {&turn, &other}) {
      if (!each->ready()) continue;
      if (how_.trace) how_.trace->idle_since = idle_since;
      return *each;
    }
    if (!idle_since && do_late_weights()) continue;
    if (!idle_since) idle_since = monotonic_seconds();
    // What silence means is for a wait to say.
    if (monotonic_seconds() > *idle_since + comm_.patience_seconds()) return turn;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

bool PipelinePass::do_late_weights() {
  if (late_weights_.empty()) return false;
  const LateWeights late = std::move(late_weights_.front());
  late_weights_.pop_front();
  timed_step("weight", late.chunk, late.work);
  count_weights(late.layer, 1);
  return true;
}

void PipelinePass::count_weights(int64_t layer, int64_t n_parts) {
  if (layer >= model_.config.n_layers) return;  // an MTP module's
  int64_t& open = open_weights_[layer];
  open -= n_parts;
  if (open == 0 && how_.layer_done) how_.layer_done(layer);
}

void PipelinePass::count_weights_of(Chunk chunk) {
  for (int64_t layer = cut(chunk).last_layer; layer-- > cut(chunk).first_layer;) {
    count_weights(layer, kPartsOfWeights);
  }
}

void PipelinePass::weight(Chunk chunk) {
  while (do_late_weights()) {  // gradients are added in the order of the list
  }
  if (waiting_.empty() || waiting_.front().first != chunk) {
    throw Error(concat("pipeline: ", to_text({.kind = ActionKind::kWeight, .chunk = chunk}),
                       " is not the next of the queue"));
  }
  timed_step("weight", chunk, [&] {
    stage_backward_weight(ctx_, model_, cut(chunk), std::move(waiting_.front().second));
  });
  waiting_.pop_front();
  count_weights_of(chunk);
}

void PipelinePass::at(std::string_view phase, Chunk chunk) {
  comm_.at({how_.step, phase, chunk.stage, chunk.micro_batch});
}

bool PipelinePass::is_there(Payload payload, Chunk maker) {
  if (here_.contains(tag(payload, maker))) return true;
  return receipts_.at(tag(payload, maker)).arrived();
}

Tensor PipelinePass::take(Payload payload, Chunk maker) {
  if (const auto own = here_.find(tag(payload, maker)); own != here_.end()) {
    return std::move(here_.extract(own).mapped());
  }
  return receipts_.extract(tag(payload, maker)).mapped().wait();
}

void PipelinePass::hand_over(Payload payload, Chunk maker, Tensor made) {
  const auto receiver = receivers_.find(tag(payload, maker));
  if (receiver == receivers_.end()) {
    here_[tag(payload, maker)] = std::move(made);
  } else {
    comm_.send(receiver->second, receiver->first, std::move(made));
  }
}

static void check_cuts(const std::vector<StageCut>& cuts, int64_t n_stages) {
  const auto n = static_cast<int64_t>(cuts.size());
  require(n == n_stages, {.field = "cuts",
                          .problem = "not one for every stage of the schedule",
                          .found = n,
                          .expected = n_stages});
  int64_t next = 0;
  for (int64_t stage = 0; stage < n; ++stage) {
    const StageCut& cut = cuts[static_cast<size_t>(stage)];
    require(cut.embedding == (stage == 0) && cut.heads == (stage == n - 1) &&
                cut.first_layer == next && cut.last_layer >= next,
            {.field = "cuts",
             .problem = "stages do not follow one another",
             .found = {"stage ", stage, " with layers ", cut.first_layer, " to ", cut.last_layer},
             .expected = {"layers from ", next, ", embedding first, heads last"}});
    next = cut.last_layer;
  }
}

PipelineExecutor::PipelineExecutor(PipelineSchedule schedule, std::vector<StageCut> cuts,
                                   Communicator& pipeline, TokenDispatcher& dispatcher)
    : schedule_(std::move(schedule)),
      cuts_(std::move(cuts)),
      pipeline_(pipeline),
      dispatcher_(dispatcher) {
  const ScheduleCheck check = check_schedule(schedule_);
  require(check.ok(), {.field = "schedule",
                       .problem = {schedule_.name,
                                   " is not right: ", check.ok() ? "" : check.violations.front()}});
  check_cuts(cuts_, schedule_.n_stages);
  require(schedule_.n_ranks == pipeline.n_ranks(),
          {.field = "schedule",
           .problem = {schedule_.name, " is for another number of ranks"},
           .found = schedule_.n_ranks,
           .expected = pipeline.n_ranks()});
}

StepLosses PipelineExecutor::run(Context& ctx, DeepseekV3& model,
                                 std::span<const MicroBatch> micro_batches,
                                 const LossWeights& weights, const PipelineRun& how) {
  require(cuts_.back().last_layer == model.config.n_layers,
          {.field = "cuts",
           .problem = "not the layers of the model",
           .found = cuts_.back().last_layer,
           .expected = model.config.n_layers});
  require(static_cast<int64_t>(micro_batches.size()) == schedule_.n_micro_batches,
          {.field = "micro_batches",
           .problem = "not those of the schedule",
           .found = micro_batches.size(),
           .expected = schedule_.n_micro_batches});
  return PipelinePass(*this, ctx, model, micro_batches, weights, how).run();
}

}  // namespace hadal
