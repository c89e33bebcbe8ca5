// pipeline/inputs.h: the times of a pipeline as people give them, on a command line or in a
// file: F, the whole backward B of a chunk, and W, the weight part in it (the convention of the
// published formulas; B_in = B - W).
//
//   # times.toml, or the same keys as JSON: one number for all stages, or one per stage
//   forward = [1.2, 1, 1, 1.5]
//   backward = 2
//   weight = 1
//   overlapped = 2.6          # an F&B pair; F + B without this key
//   layers = [4, 4, 4, 3]     # the times above and below are those of one layer
//   all_to_all = 0.3          # dispatch and combine, added to F and to B_in; hidden in pairs
//   overlap_efficiency = 0.9  # how much of it, pipeline/chunk_times.h
//   latency = 0.01            # of every transfer
//   bytes = 58.7e6            # of every transfer
//   bandwidth = [1e9, 2e9, 1e9]   # bytes per unit of time; per pair of neighbouring ranks, or one
//   blocking = false
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/pipeline/simulator.h"

namespace hadal {

struct PipelineInputs {
  std::vector<double> forward = {1}, backward = {2}, weight = {1};  // all stages, or each stage
  std::vector<double> layers = {1};      // the times are those of one of so many layers
  std::vector<double> all_to_all = {0};  // one way, beside F's and B's computation
  double overlap_efficiency = 1;         // of pairs, pipeline/chunk_times.h
  std::optional<double> overlapped;      // of a pair; with unequal stages: of the mean pair
  double latency = 0, bytes = 0;
  std::vector<double> bandwidth = {0};  // 0: unlimited
  bool blocking = false;

  // The published convention's one-line summary: "F 1, B 2 (B_in 1 + W 1), F&B 3".
  std::string summary() const;

 private:
  std::string pair_text() const;
};

// "1.5" or "1.5,1,1,2". ConfigError "WHERE: ..." for anything but finite numbers, 0 or more.
std::vector<double> parse_times(std::string_view text, const std::string& where);
double parse_time(std::string_view text, const std::string& where);

// Reads the keys above over `inputs`; TOML where the name ends in .toml, else JSON. FormatError for
// unknown keys (with the nearest name), wrong types and values.
void read_pipeline_inputs(const std::string& path, PipelineInputs& inputs);

// ConfigError naming the option for lists of a wrong length, for W > B, and for a pair's time that
// is given beside an all-to-all, which determines it.
// `chunk`: the work of a chunk, in those that the inputs describe.
PipelineTimes pipeline_times(const PipelineInputs& inputs, int32_t n_stages, int32_t n_ranks,
                             double chunk = 1);

}  // namespace hadal
