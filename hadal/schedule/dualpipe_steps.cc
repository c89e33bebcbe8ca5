#include "hadal/schedule/dualpipe_steps.h"

namespace hadal {
namespace {

// The rank's place in both phases: each kind of work takes a phase's micro-batches in order.
class Steps {
 public:
  Steps(ScheduleWriter out, const DualPipeRank& rank)
      : out_(std::move(out)), r_(rank), at_turn_(rank.depth == rank.half - 1) {}
  std::vector<Action> write();

 private:
  struct Progress {
    int32_t inputs = 0, forwards = 0, outputs = 0;  // received, computed, sent
    int32_t backwards = 0, gradients = 0;           // computed, sent
  };
  Chunk nth(int phase, int32_t n) const {
    const Chunk& first = r_.first[static_cast<size_t>(phase)];
    return {first.stage, first.micro_batch + n};
  }
  Progress& progress(int phase) { return progress_[static_cast<size_t>(phase)]; }

  void receive_input(int phase) { out_.receive_input(nth(phase, progress(phase).inputs++)); }
  void forward(int phase) { out_.forward(nth(phase, progress(phase).forwards++)); }
  void send_output(int phase) { out_.send_output(nth(phase, progress(phase).outputs++)); }
  void receive_gradient(int phase) { out_.receive_gradient(nth(phase, progress(phase).backwards)); }
  void send_gradient(int phase) { out_.send_gradient(nth(phase, progress(phase).gradients++)); }

  // A computation with its receive before it and its send behind it.
  void whole_forward(int phase) {
    receive_input(phase);
    forward(phase);
    send_output(phase);
  }
  void whole_backward(int phase, bool keep_weight) {
    receive_gradient(phase);
    const Chunk chunk = nth(phase, progress(phase).backwards++);
    keep_weight ? out_.backward_input(chunk) : out_.backward(chunk);
    send_gradient(phase);
  }
  void pair(int forward_phase, bool input_posted = false) {
    const int backward_phase = 1 - forward_phase;
    if (!input_posted) receive_input(forward_phase);
    receive_gradient(backward_phase);
    out_.forward_backward(nth(forward_phase, progress(forward_phase).forwards++),
                          nth(backward_phase, progress(backward_phase).backwards++));
    send_output(forward_phase);
    send_gradient(backward_phase);
  }

  void fill_both_phases();
  void first_pair();
  void drain_both_phases();

  ScheduleWriter out_;
  DualPipeRank r_;
  bool at_turn_;  // a middle rank of DualPipe, the last rank of DualPipeV
  std::array<Progress, 2> progress_;
};

// Step 2. One input of phase 0 is always posted ahead: two neighbours that each wait for the
// other's first tensor would stand still otherwise. Before the turn the output of F(0) leaves after
// that of F(1); at the turn it leaves at once, and the last output of F(1) waits for step 4.
void Steps::fill_both_phases() {
  const int32_t n = r_.depth + 1;
  receive_input(0);
  for (int32_t i = 0; i < n; ++i) {
    forward(0);
    if (at_turn_) send_output(0);
    receive_input(0);
    receive_input(1);
    forward(1);
    if (!at_turn_ || i + 1 < n) send_output(1);
    if (!at_turn_) send_output(0);
  }
}

// Step 4's first pair; its input was posted in step 2. At the turn it is not overlapped, which
// shortens the bubble: the gradient does not wait for the forward of the pair.
void Steps::first_pair() {
  if (!at_turn_) return pair(0, true);
  forward(0);
  send_output(1);
  receive_gradient(1);
  out_.backward(nth(1, progress(1).backwards++));
  send_output(0);
  send_gradient(1);
}

// Step 6. Weight parts are kept back from the middle on, to fill the gaps of steps 7 and 8.
void Steps::drain_both_phases() {
  const int32_t n = r_.depth + 1;
  const int32_t middle = n / 2;
  const bool before = r_.depth % 2 == 1;  // the switch turns before B(1) or between B(1) and B(0)
  for (int32_t i = 0; i < n; ++i) {
    whole_backward(1, i > middle || (i == middle && before));
    whole_backward(0, i >= middle);
  }
}

std::vector<Action> Steps::write() {
  const int32_t to_turn = r_.half - r_.depth - 1;
  for (int32_t i = 0; i < 2 * to_turn; ++i) whole_forward(0);  // step 1
  fill_both_phases();                                          // step 2
  for (int32_t i = 0; i < to_turn; ++i) {                      // step 3
    whole_backward(1, true);
    receive_input(1);  // posted before W, so that the transfer runs beside it
    out_.weight();
    forward(1);
    send_output(1);
  }
  const int32_t n_pairs = r_.per_phase - 2 * r_.half + r_.depth + 1;
  for (int32_t i = 0; i < n_pairs; ++i) {  // step 4
    i == 0 ? first_pair() : pair(0);
    pair(1);
  }
  for (int32_t i = 0; i < to_turn; ++i) {  // step 5
    whole_backward(1, false);
    pair(1);
  }
  drain_both_phases();                     // step 6
  for (int32_t i = 0; i < to_turn; ++i) {  // step 7
    out_.weight();
    whole_backward(0, true);
  }
  while (out_.n_queued() > 0) out_.weight();  // step 8
  return out_.take();
}

}  // namespace

std::vector<Action> dualpipe_steps(ScheduleWriter out, const DualPipeRank& rank) {
  return Steps(std::move(out), rank).write();
}

}  // namespace hadal
