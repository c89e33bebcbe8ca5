// tests/plan/laptop.h: what `hadal bench` might have measured on a machine of two cores.
#pragma once

#include "hadal/measure/measure_train.h"
#include "hadal/plan/machine.h"

namespace hadal {

inline MachineFigures laptop() {
  return {.source = "laptop.json",
          .bench_config = training_peer_shape(),
          .bench_sequence = 256,
          .bench_batch = 8,
          .bench_tokens_per_s = 2500,
          .threads = 2,
          .peak_flops = 235e9,
          .memory_bandwidth = 20e9,
          .memory = 8e9};
}

}  // namespace hadal
