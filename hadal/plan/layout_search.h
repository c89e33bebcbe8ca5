// plan/layout_search.h: the fastest layout of a model on a cluster, among all legal values of PP,
// EP, micro-batch, recomputation and schedule, and why each other one is out.
//
// A layout is judged in the order of cost: divisibility and the schedule's own rules, then memory,
// then time. A pipeline is simulated only while its lower bound (every chunk computed, no bubble)
// can still reach the best `n_best`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hadal/plan/layout.h"
#include "hadal/plan/worksheet.h"

namespace hadal {

struct LayoutScore {
  Layout layout;
  double bound_seconds = 0;  // no step is shorter
  double step_seconds = 0;   // 0: not simulated, since the bound is beyond the best
  double bubble_share = 0, mfu = 0;
  double memory = 0;  // B per GPU
  double gpu_hours_per_trillion_tokens = 0;
};

// A whole family of layouts may fall for one reason: then `varies` names what did not matter.
struct RejectedLayout {
  Layout layout;
  std::string varies;  // "ep, micro-batch, recompute" or empty
  std::string kind;    // `why` without its numbers, to be counted by
  Refusal why;
  double memory_over = 0;  // B per GPU; 0: fails by something else
};

struct LayoutSearch {
  std::vector<LayoutScore> fitting;  // simulated ones first, fastest first; then by bound
  std::vector<RejectedLayout> rejected;
  size_t n_simulated = 0;
};

// `progress` is told how many pipelines have been simulated. Leaves the sheet's layout as it found
// it. ConfigError when cells that a layout has to fit are no counts.
LayoutSearch search_layouts(Worksheet& sheet, size_t n_best,
                            const std::function<void(size_t)>& progress);

// "memory: 94.1 GB of 80.0 GB, 14.1 GB over; activations take 70.2 GB"; empty if it fits.
Refusal memory_problem(const Worksheet& sheet);
// What to try when it does not fit; settings in braces, as in a Complaint.
std::string memory_advice(const Worksheet& sheet);

}  // namespace hadal
