// ZB1P (zero-bubble H1): the order of 1F1B with B split into B_in, which the rank before waits for,
// and W, which nobody waits for. Rank r keeps r weight parts back, so that
//   - the gradient travels to rank 0 without waiting for any W,
//   - the parts kept back fill the cool-down: bubble (P - 1)(F + B - 2W),
//   - chunks in flight (P - r) and kept back (r) are at most P together, the memory of 1F1B.
#include "hadal/schedule/one_forward_one_backward.h"
#include "hadal/schedule/schedule.h"

namespace hadal {

std::vector<Action> schedule_zb1p(int32_t n_stages, int32_t n_micro_batches, int32_t rank) {
  ScheduleWriter out(ScheduleKind::kZb1p, n_stages, n_micro_batches, rank);
  one_forward_one_backward(out, n_stages, n_micro_batches, rank, [&](int32_t m) {
    out.receive_gradient({rank, m});
    out.backward_input({rank, m});
    out.send_gradient({rank, m});
    if (m >= rank) out.weight();
  });
  while (out.n_queued() > 0) out.weight();
  return out.take();
}

}  // namespace hadal
