// plan/machine.h: training on one computer with hadal's own CPU trainer: how long, in how much
// memory. Nothing is measured here: the machine's figures come from a training benchmark
// (`hadal bench train --json`), of whatever shape, and are carried over by the work it does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/model/config.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

// What a benchmark said of a machine, and of which training it said so.
struct MachineFigures {
  std::string source;                          // the file, or how it was measured
  ModelConfig bench_config;                    // the shape that was trained
  double bench_sequence = 0, bench_batch = 0;  // tokens, sequences per step
  bool bench_recompute = false;                // train.recompute: selective, or nothing
  double bench_tokens_per_s = 0;
  double threads = 0;
  double peak_flops = 0;        // FLOP/s of F32 multiply-adds, all threads
  double memory_bandwidth = 0;  // B/s
  double memory = 0;            // B that a program may use
};

// Reads what `hadal bench train --json` printed; `shape_of` turns its preset's name ("": the shape
// that the benchmark trains by itself) into a shape. FormatError for a file that is something else.
MachineFigures read_machine_figures(const Json& bench, const std::string& source, double memory,
                                    const std::function<ModelConfig(const std::string&)>& shape_of);

struct MachineRun {
  double tokens = 0;
  int64_t sequence_length = 256, batch_sequences = 8;
  int64_t micro_batch_sequences = 0;  // 0: as the trainer chooses
};

// The sheet: run_seconds, run_memory, and what they are made of.
Worksheet make_machine_sheet(const ModelConfig& config, const MachineFigures& machine,
                             const MachineRun& run);

}  // namespace hadal
