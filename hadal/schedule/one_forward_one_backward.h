// schedule/one_forward_one_backward.h: the order that 1F1B and ZB1P share. A rank computes one
// forward for each rank behind it, then alternates one forward and one backward, then drains.
#pragma once

#include <algorithm>

#include "hadal/schedule/schedule_writer.h"

namespace hadal {

// `backward(m)` writes the backward of micro-batch m and what follows it.
template <class Backward>
void one_forward_one_backward(ScheduleWriter& out, int32_t n_stages, int32_t n_micro_batches,
                              int32_t rank, const Backward& backward) {
  const int32_t n_warm_up = std::min(n_micro_batches, n_stages - rank - 1);
  const auto forward = [&](int32_t m) {
    out.receive_input({rank, m});
    out.forward({rank, m});
    out.send_output({rank, m});
  };
  for (int32_t m = 0; m < n_warm_up; ++m) forward(m);
  for (int32_t m = 0; m < n_micro_batches; ++m) {
    if (n_warm_up + m < n_micro_batches) forward(n_warm_up + m);
    backward(m);
  }
}

}  // namespace hadal
