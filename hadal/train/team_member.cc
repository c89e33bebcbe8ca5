#include "hadal/train/team_member.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/host_name.h"
#include "hadal/model/precision.h"
#include "hadal/parallel/holders.h"
#include "hadal/parallel/node_map.h"
#include "hadal/train/first_state.h"
#include "hadal/train/parallel_settings.h"

namespace hadal {
namespace {

std::unique_ptr<TokenDispatcher> dispatcher_for(Communicator& group, const TrainConfig& config,
                                                Arena& arena) {
  if (group.n_ranks() == 1) return std::make_unique<LocalDispatcher>();
  return std::make_unique<ExpertDispatcher>(
      group, expert_exchange(config, nodes_by_name(group, host_name(), arena)));
}

// Of the stages alone: how many micro-batches there are does not change who holds what.
PipelineSchedule schedule_of(const ParallelConfig& layout, int64_t n_micro_batches) {
  const int64_t n_stages = stages_of(layout);
  const int64_t n = std::max(n_micro_batches, least_micro_batches(layout.schedule, n_stages));
  return make_schedule(layout.schedule, static_cast<int32_t>(n_stages), static_cast<int32_t>(n),
                       layout.stages_per_rank);
}

}  // namespace

const StepCount& TeamMember::begin(const TrainConfig& config, const ModelConfig& shape,
                                   bool from_checkpoint) {
  const ParallelConfig layout = parallel_layout(config, shape, world_.n_ranks());
  if (!groups_) {
    groups_.emplace(layout, world_);
    RunTrace& trace = trace_.of_rank();
    pipeline_.emplace(*groups_->pipeline, trace, "pipeline", groups_->places);
    experts_.emplace(*groups_->expert, trace, "experts", groups_->experts);
    dispatcher_ = dispatcher_for(*experts_, config, ctx_.arena);
  }
  phase_ = nullptr;  // its memory goes before the next one's comes
  phase_ = std::make_unique<Phase>();
  Phase& p = *phase_;
  p.config = config;
  p.shape = shape;
  p.layout = layout;
  p.cuts = stage_cuts(layout, shape);
  const PipelineSchedule schedule = schedule_of(layout, 0);
  const CutModel cut{p.shape, schedule, p.cuts};
  p.holders = holders_of(layout, cut);
  p.model =
      first_weights(ctx_, shape, config, from_checkpoint, part_of_rank(layout, cut, world_.rank()));
  p.model.ensure_rope(ctx_.arena, config.train.seq_len);
  allocate_gradients(p.model, ctx_.arena);
  set_precision(p.model, model_precision(config.precision));
  p.model.config.fp8_power_of_two_scales = config.precision.scales == "power-of-two";
  p.params = named_params(p.model);
  p.optimizer.emplace(ctx_, synced_, p.holders, p.model, adamw_config(config.optimizer),
                      config.optimizer.ema_decay > 0);
  return p.count;
}

PipelineExecutor& TeamMember::executor(int64_t n_micro_batches) {
  std::unique_ptr<PipelineExecutor>& found = phase_->executors[n_micro_batches];
  if (!found) {
    found = std::make_unique<PipelineExecutor>(schedule_of(phase_->layout, n_micro_batches),
                                               phase_->cuts, *pipeline_, *dispatcher_);
  }
  return *found;
}

std::vector<MicroBatch> TeamMember::own_micro_batches(const Batch& batch,
                                                      const StepPlan& plan) const {
  const int64_t n = replica_micro_batches(phase_->config, phase_->layout, batch.n_sequences);
  const int64_t first = groups_->at.replica * n;
  const std::vector<MicroBatch> all = micro_batches(batch, plan.micro_batch_sequences);
  return {all.begin() + first, all.begin() + first + n};
}

StepReport TeamMember::compute_gradients(const Batch& batch, const StepPlan& plan) {
  Phase& p = *phase_;
  const int64_t step = p.count.steps + 1;
  const std::vector<MicroBatch> own = own_micro_batches(batch, plan);
  PipelineRun how{.step = step, .overlap = trace_.begin(p.config.parallel, step)};
  if (trace_.on()) how.trace = &trace_.of_rank();
  if (how.overlap) {
    how.layer_done = [&](int64_t layer) {
      synced_.at({step, "sum"});
      p.optimizer->layer_done(ctx_, layer);
    };
  }
  how.recompute = recompute_policy(p.config.train.recompute, model_precision(p.config.precision));
  PipelineExecutor& pipeline = executor(std::ssize(own));
  p.schedule = &pipeline.schedule();
  const StepLosses losses = pipeline.run(ctx_, p.model, own, plan.loss, how);
  synced_.at({step, "sum"});
  StepTotals totals = gather_losses(p.layout, groups_->at, world_, losses, ctx_.arena);
  StepReport report;
  report.loss = std::move(totals.loss);
  report.load = std::move(totals.load);
  report.total_loss = report.loss.total(plan.loss);
  if (!std::isfinite(report.total_loss)) {
    p.optimizer->finish_sums(ctx_);
    report.not_finite = NotFinite{
        true, report.total_loss, "",
        concat("the loss of step ", step, " is not finite (found ", report.total_loss, ")")};
    p.report = report;
    return report;
  }
  const GradientNorm norm = p.optimizer->sum_gradients(ctx_);
  report.grad_norm = norm.norm;
  report.clip = clip_factor(norm.norm, plan.clip_norm);
  if (const auto where = p.optimizer->find_not_finite(ctx_, norm, step)) {
    report.not_finite = NotFinite{false, norm.norm, "", *where};
  }
  p.report = report;
  return report;
}

void TeamMember::count_in(const Batch& batch) {
  ++phase_->count.steps;
  phase_->count.tokens += batch.n_sequences * batch.length;
}

void TeamMember::update(const Batch& batch, const StepPlan& plan) {
  Phase& p = *phase_;
  synced_.at({p.count.steps + 1, "update"});
  p.optimizer->step(ctx_, plan.learning_rate, static_cast<float>(p.report.clip));
  update_route_biases(p.model, p.report.load, plan.bias_gamma);
  if (p.config.optimizer.ema_decay > 0) {
    p.optimizer->begin_average(ctx_, static_cast<float>(plan.ema_decay));
  }
  if (trace_.on()) trace_.end(world_, *p.schedule, p.layout.data, ctx_.arena);
  count_in(batch);
  world_.at({});
}

void TeamMember::skip(const Batch& batch) {
  drop_gradients();
  count_in(batch);
}

void TeamMember::drop_gradients() { phase_->optimizer->drop_gradients(ctx_); }

void TeamMember::show_average() {
  phase_->optimizer->show_average(ctx_);
  average_shown_ = true;
}

void TeamMember::show_weights() {
  phase_->optimizer->show_weights(ctx_);
  average_shown_ = false;
}

}  // namespace hadal
