// 1F1B: every rank holds one stage, warms up with one forward per rank behind it, then alternates
// one forward and one backward. Makespan (M + P - 1)(F + B), bubble
// (P - 1)(F + B), at most P - r chunks stored on rank r.
#include "hadal/schedule/one_forward_one_backward.h"
#include "hadal/schedule/schedule.h"

namespace hadal {

std::vector<Action> schedule_1f1b(int32_t n_stages, int32_t n_micro_batches, int32_t rank) {
  ScheduleWriter out(ScheduleKind::k1F1B, n_stages, n_micro_batches, rank);
  one_forward_one_backward(out, n_stages, n_micro_batches, rank, [&](int32_t m) {
    out.receive_gradient({rank, m});
    out.backward({rank, m});
    out.send_gradient({rank, m});
  });
  return out.take();
}

}  // namespace hadal
