// schedule/schedule_writer.h: writes down one rank's actions; what the schedules share.
//
// A schedule file says in which order the rank computes and where it posts its transfers; the
// writer knows who the other side of a transfer is, and leaves out the transfers that do not exist:
// those of the first and last stage, and between stages of the same rank.
#pragma once

#include <cstddef>
#include <vector>

#include "hadal/schedule/schedule.h"

namespace hadal {

class ScheduleWriter {
 public:
  // ConfigError for sizes that ranks_of refuses or a rank out of range.
  ScheduleWriter(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches, int32_t rank,
                 int32_t stages_per_rank = kInterleavedStages);

  void forward(Chunk chunk);                           // F
  void backward(Chunk chunk);                          // B
  void backward_input(Chunk chunk);                    // B_in; its weight part is queued
  void weight();                                       // W of the queue's front
  void forward_backward(Chunk chunk, Chunk backward);  // F&B

  void receive_input(Chunk chunk);     // the activation that F(chunk) needs
  void send_output(Chunk chunk);       // the activation that F(chunk) made
  void receive_gradient(Chunk chunk);  // the gradient that B(chunk) needs
  void send_gradient(Chunk chunk);     // the gradient that B(chunk) made

  size_t n_queued() const { return queue_.size() - n_taken_; }  // B_in without their W
  std::vector<Action> take() { return std::move(actions_); }

 private:
  // A transfer of the tensor that `producer` made, with the rank that computes `other`.
  void transfer(ActionKind kind, Payload payload, Chunk producer, Chunk other);

  ScheduleKind kind_;
  int32_t n_stages_, n_micro_batches_, rank_, stages_per_rank_;
  std::vector<Chunk> queue_;  // weight parts, oldest first
  size_t n_taken_ = 0;        // of them, consumed
  std::vector<Action> actions_;
};

}  // namespace hadal
