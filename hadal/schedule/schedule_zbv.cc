// ZBV (zero-bubble V): rank r of P holds stage r of the way there and stage 2P-1-r of the way back,
// and every backward is split. The loss is made on rank 0, which therefore needs no warm-up for the
// way back; at most 2P chunks of half a rank's work are stored, the memory of 1F1B.
//
//   step  repeat               order, (0) on the way there, (1) on the way back
//   1     2(P-r)-1             F(0)
//   2     r                    F(1), F(0)
//   3     P-r                  F(1), B_in(1), W
//   4     until no F is left   F(0), B_in(0), W, F(1), B_in(1), W; without F(0) once all have run
//   5     r                    B_in(0), B_in(1)
//   6     P-r                  B_in(0), W
//   7     the rest             W
//
// Fewer than 2P-1 micro-batches run in the order of 2P-1, without those that do not exist.
#include <algorithm>
#include <array>

#include "hadal/schedule/schedule_writer.h"

namespace hadal {
namespace {

class Order {
 public:
  Order(int32_t n_stages, int32_t n_micro_batches, int32_t rank)
      : out_(ScheduleKind::kZbv, n_stages, n_micro_batches, rank),
        stage_{rank, n_stages - 1 - rank},
        n_(n_micro_batches),
        r_(rank),
        to_turn_(n_stages / 2 - rank) {}

  std::vector<Action> write() {
    for (int32_t i = 0; i < 2 * to_turn_ - 1; ++i) forward(0);  // step 1
    for (int32_t i = 0; i < r_; ++i) {                          // step 2
      forward(1);
      forward(0);
    }
    for (int32_t i = 0; i < to_turn_; ++i) forward_and_backward(1);  // step 3
    while (n_forward_[1] < n_) {                                     // step 4
      if (n_forward_[0] < n_) forward(0);
      backward_input(0);
      out_.weight();
      forward_and_backward(1);
    }
    for (int32_t i = 0; i < r_; ++i) {  // step 5
      backward_input(0);
      backward_input(1);
    }
    for (int32_t i = 0; i < to_turn_; ++i) {  // step 6
      backward_input(0);
      out_.weight();
    }
    while (out_.n_queued() > 0) out_.weight();  // step 7
    return out_.take();
  }

 private:
  void forward(size_t way) { out_.forward({stage_[way], n_forward_[way]++}); }
  void backward_input(size_t way) { out_.backward_input({stage_[way], n_backward_[way]++}); }
  void forward_and_backward(size_t way) {
    forward(way);
    backward_input(way);
    out_.weight();
  }

  ScheduleWriter out_;
  std::array<int32_t, 2> stage_, n_forward_ = {}, n_backward_ = {};  // by way
  int32_t n_, r_;
  int32_t to_turn_;  // ranks from this one to the turn, itself included
};

}  // namespace

std::vector<Action> zbv_order(int32_t n_stages, int32_t n_micro_batches, int32_t rank) {
  const int64_t n = ordered_micro_batches(ScheduleKind::kZbv, n_stages / 2, n_micro_batches);
  std::vector<Action> actions = Order(n_stages, static_cast<int32_t>(n), rank).write();
  std::erase_if(actions,
                [&](const Action& action) { return action.chunk.micro_batch >= n_micro_batches; });
  return actions;
}

}  // namespace hadal
