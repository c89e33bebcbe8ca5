// 1F1B: every rank holds one stage, warms up with one forward per rank behind it, then alternates
// one forward and one backward. spec 04, section 5: makespan (M + P - 1)(F + B), bubble
// (P - 1)(F + B), at most P - r chunks stored on rank r.
#include <algorithm>

#include "hadal/parallel/schedule.h"
#include "hadal/parallel/schedule_writer.h"

namespace hadal {

std::vector<Action> schedule_1f1b(int32_t n_stages, int32_t n_micro_batches, int32_t rank) {
  ScheduleWriter out(ScheduleKind::k1F1B, n_stages, n_micro_batches, rank);
  const int32_t n_warm_up = std::min(n_micro_batches, n_stages - rank - 1);
  const auto forward = [&](int32_t m) {
    out.receive_input({rank, m});
    out.forward({rank, m});
    out.send_output({rank, m});
  };
  for (int32_t m = 0; m < n_warm_up; ++m) forward(m);
  for (int32_t m = 0; m < n_micro_batches; ++m) {
    if (n_warm_up + m < n_micro_batches) forward(n_warm_up + m);
    out.receive_gradient({rank, m});
    out.backward({rank, m});
    out.send_gradient({rank, m});
  }
  return out.take();
}

}  // namespace hadal
