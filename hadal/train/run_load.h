// train/run_load.h: what the experts of a run had to do, from its metrics.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

struct RunLoad {
  // Mean tokens per step of every expert, [layers, MTP last][N]; empty for a dense layer.
  std::vector<std::vector<double>> rows;
  int64_t n_records = 0, first_step = 0, last_step = 0;  // what the mean is over
};

// The last `n_records` records of moe/load (one every log.load_every_steps steps), or as many as
// there are, n_skipped left out at the end. FormatError names the file: no metrics, no record, a record of another shape.
RunLoad read_run_load(const std::string& run_folder, int64_t n_records, int64_t n_skipped = 0);

}  // namespace hadal
