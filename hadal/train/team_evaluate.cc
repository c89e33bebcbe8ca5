// train/team_evaluate.cc: held-out batches through a pipeline of ranks, dealt out to the replicas.
#include <algorithm>

#include "hadal/comm/collectives.h"
#include "hadal/model/stage_forward.h"
#include "hadal/train/team_member.h"

namespace hadal {
namespace {

// What a batch adds, as numbers that ranks can add: those that are not scored here are 0.
class ScoreTable {
 public:
  ScoreTable(size_t n_batches, size_t n_mtp) : n_mtp_(n_mtp), values_(n_batches * width(), 0.0) {}

  void set(size_t i, const BatchScore& score) {
    double* const row = values_.data() + i * width();
    row[0] = score.nats;
    row[1] = static_cast<double>(score.tokens);
    row[2] = static_cast<double>(score.bytes);
    for (size_t k = 0; k < n_mtp_; ++k) {
      row[3 + 2 * k] = static_cast<double>(score.mtp[k].same);
      row[4 + 2 * k] = static_cast<double>(score.mtp[k].compared);
    }
  }
  BatchScore get(size_t i) const {
    const double* const row = values_.data() + i * width();
    BatchScore score{row[0], static_cast<int64_t>(row[1]), static_cast<int64_t>(row[2]), {}};
    for (size_t k = 0; k < n_mtp_; ++k) {
      score.mtp.push_back(
          {static_cast<int64_t>(row[3 + 2 * k]), static_cast<int64_t>(row[4 + 2 * k])});
    }
    return score;
  }
  std::span<double> values() { return values_; }

 private:
  size_t width() const { return 3 + 2 * n_mtp_; }
  size_t n_mtp_;
  std::vector<double> values_;
};

}  // namespace

Evaluation TeamMember::evaluate(const std::vector<HeldOutBatch>& held_out) {
  world_.at({phase_->count.steps, "evaluation"});
  const size_t n_replicas = static_cast<size_t>(phase_->layout.data);
  const auto replica = static_cast<size_t>(groups_->at.replica);
  ScoreTable table(held_out.size(), phase_->model.mtp.size());
  for (size_t first = 0; first < held_out.size(); first += n_replicas) {
    // Experts of all replicas are needed in every round: one too many reads the last batch again.
    const size_t i = std::min(first + replica, held_out.size() - 1);
    const std::optional<BatchScore> score = score_here(held_out[i]);
    if (score && first + replica < held_out.size()) table.set(i, *score);
  }
  all_reduce_sum(world_, table.values(), ctx_.arena);
  world_.at({});
  std::vector<BatchScore> scores;
  for (size_t i = 0; i < held_out.size(); ++i) scores.push_back(table.get(i));
  return evaluation_of(scores);
}

std::optional<BatchScore> TeamMember::score_here(const HeldOutBatch& held_out) {
  const Batch& batch = held_out.batch;
  const DeepseekV3& model = phase_->model;
  const StageRows in{.tokens = batch.tokens,
                     .sequences = Sequences::equal(batch.n_sequences, batch.length)};
  Tensor rows;
  for (int32_t stage = 0; stage < std::ssize(phase_->cuts); ++stage) {
    const StageCut& cut = phase_->cuts[static_cast<size_t>(stage)];
    const int here = groups_->at.place, from = place_of_stage(stage - 1),
              at = place_of_stage(stage);
    if (at != here) {
      if (from == here) groups_->pipeline->send(at, stage, std::move(rows));
      continue;
    }
    if (from != here && stage > 0) {
      rows = groups_->pipeline
                 ->receive(from, stage, {DType::kF32, {-1, model.config.d_model}}, ctx_.arena)
                 .wait();
    }
    StageSaved saved;
    StageForward forward(ctx_, *dispatcher_, model, cut, std::move(rows), in, Keep::kNothing,
                         saved);
    rows = forward.run().rows;
    if (cut.heads) return score(ctx_, head_outputs(ctx_, model, saved), held_out);
  }
  return {};
}

// Where a stage's evaluation runs: DualPipe holds each twice.
int TeamMember::place_of_stage(int32_t stage) const {
  if (stage < 0) return -1;
  const ParallelConfig& layout = phase_->layout;
  const auto n_stages = static_cast<int32_t>(std::ssize(phase_->cuts));
  const int64_t least = least_micro_batches(layout.schedule, n_stages);
  return home_rank(layout.schedule, n_stages, static_cast<int32_t>(least), {stage, 0},
                   layout.stages_per_rank);
}

}  // namespace hadal
