#include "hadal/schedule/schedule_writer.h"

#include "hadal/core/error.h"

namespace hadal {

ScheduleWriter::ScheduleWriter(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                               int32_t rank, int32_t stages_per_rank)
    : kind_(kind),
      n_stages_(n_stages),
      n_micro_batches_(n_micro_batches),
      rank_(rank),
      stages_per_rank_(stages_per_rank) {
  const int32_t n_ranks = ranks_of(kind, n_stages, n_micro_batches, stages_per_rank);
  require(rank >= 0 && rank < n_ranks,
          {.field = "rank",
           .problem = "no such rank",
           .found = rank,
           .expected = {"0 to ", n_ranks - 1},
           .advice = {n_stages, " stages occupy ", n_ranks, " ranks"}});
  // Per chunk at most F, B_in, W and four transfers.
  const auto n_chunks = static_cast<size_t>(n_micro_batches) * static_cast<size_t>(n_stages) /
                        static_cast<size_t>(n_ranks);
  actions_.reserve(7 * n_chunks);
}

void ScheduleWriter::forward(Chunk chunk) {
  actions_.push_back({.kind = ActionKind::kForward, .chunk = chunk});
}

void ScheduleWriter::backward(Chunk chunk) {
  actions_.push_back({.kind = ActionKind::kBackward, .chunk = chunk});
}

void ScheduleWriter::backward_input(Chunk chunk) {
  actions_.push_back({.kind = ActionKind::kBackwardInput, .chunk = chunk});
  queue_.push_back(chunk);
}

void ScheduleWriter::weight() {
  actions_.push_back({.kind = ActionKind::kWeight, .chunk = queue_[n_taken_++]});
}

void ScheduleWriter::forward_backward(Chunk chunk, Chunk backward) {
  actions_.push_back({.kind = ActionKind::kForwardBackward, .chunk = chunk, .backward = backward});
}

void ScheduleWriter::receive_input(Chunk chunk) {
  const Chunk producer = {chunk.stage - 1, chunk.micro_batch};
  transfer(ActionKind::kReceive, Payload::kActivation, producer, producer);
}

void ScheduleWriter::send_output(Chunk chunk) {
  transfer(ActionKind::kSend, Payload::kActivation, chunk, {chunk.stage + 1, chunk.micro_batch});
}

void ScheduleWriter::receive_gradient(Chunk chunk) {
  const Chunk producer = {chunk.stage + 1, chunk.micro_batch};
  transfer(ActionKind::kReceive, Payload::kGradient, producer, producer);
}

void ScheduleWriter::send_gradient(Chunk chunk) {
  transfer(ActionKind::kSend, Payload::kGradient, chunk, {chunk.stage - 1, chunk.micro_batch});
}

void ScheduleWriter::transfer(ActionKind kind, Payload payload, Chunk producer, Chunk other) {
  if (other.stage < 0 || other.stage >= n_stages_) return;
  const int32_t peer = home_rank(kind_, n_stages_, n_micro_batches_, other, stages_per_rank_);
  if (peer == rank_) return;
  actions_.push_back(
      {.kind = kind, .payload = payload, .peer = static_cast<int16_t>(peer), .chunk = producer});
}

}  // namespace hadal
