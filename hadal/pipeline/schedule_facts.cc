#include "hadal/pipeline/schedule_facts.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/number_text.h"

namespace hadal {
namespace {

// Times such as 0.1 + 0.2 and 0.3 are meant to be equal.
bool same(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(a, b); }
bool at_most(double a, double b) { return a < b || same(a, b); }

bool equal_stages(const PipelineTimes& times) {
  const StageTimes& first = times.stages.front();
  return std::all_of(times.stages.begin(), times.stages.end(), [&](const StageTimes& stage) {
    return stage.forward == first.forward && stage.backward_input == first.backward_input &&
           stage.weight == first.weight;
  });
}

StageTimes mean_stage(const PipelineTimes& times) {
  StageTimes mean{0, 0, 0};
  const auto n = static_cast<double>(times.stages.size());
  for (const StageTimes& stage : times.stages) {
    mean.forward += stage.forward / n;
    mean.backward_input += stage.backward_input / n;
    mean.weight += stage.weight / n;
  }
  return equal_stages(times) ? times.stages.front() : mean;
}

bool free_transfers(const PipelineTimes& times) {
  const bool has_link = std::any_of(times.bandwidth.begin(), times.bandwidth.end(),
                                    [](double bandwidth) { return bandwidth > 0; });
  return times.latency == 0 && !(times.bytes > 0 && has_link) && !times.blocking;
}

}  // namespace

std::string schedule_title(const std::string& name) {
  static constexpr const char* kTitles[][2] = {{"1f1b", "1F1B"},
                                               {"zb1p", "ZB1P"},
                                               {"dualpipe", "DualPipe"},
                                               {"dualpipev", "DualPipeV"},
                                               {"interleaved", "Interleaved"},
                                               {"zbv", "ZBV"}};
  for (const auto& [key, title] : kTitles) {
    if (name == key) return title;
  }
  return one_line(name, 60);
}

Placement placement_of(const PipelineSchedule& schedule) {
  bool one = true, two = true;
  for (size_t rank = 0; rank < schedule.held.size(); ++rank) {
    const auto& held = schedule.held[rank];
    const auto r = static_cast<int32_t>(rank);
    one = one && held.size() == 1;
    two = two && held.size() == 2 && held[0] == r && held[1] == schedule.n_stages - 1 - r;
  }
  if (one) return Placement::kOneStage;
  if (two && schedule.n_stages == schedule.n_ranks) return Placement::kTwoDirections;
  if (two && schedule.n_stages == 2 * schedule.n_ranks) return Placement::kThereAndBack;
  return Placement::kOther;
}

BubbleFormula bubble_formula(ScheduleKind kind, int32_t n_stages, int32_t n_micro_batches,
                             const PipelineTimes& times, int32_t stages_per_rank) {
  const auto [f, b_in, w] = mean_stage(times);
  const double b = b_in + w, n = n_stages;
  const double pair = times.pair.value_or(times.pair_share * (f + b));
  const double n_ranks = ranks_of(kind, n_stages, n_micro_batches, stages_per_rank);
  double enough = n;  // micro-batches
  BubbleFormula result;
  switch (kind) {
    case ScheduleKind::k1F1B:
      result = {"(PP - 1)(F + B)", (n - 1) * (f + b), ""};
      break;
    case ScheduleKind::kZb1p:
      result = {"(PP - 1)(F + B - 2W)", (n - 1) * (f + b - 2 * w), ""};
      if (!at_most(w, f) || !at_most(w, b_in)) result.departs = "W is longer than F or B_in";
      break;
    case ScheduleKind::kDualPipe:
    case ScheduleKind::kDualPipeV:
      result = {"(PP/2 - 1)(F&B + B - 3W)", (n / 2 - 1) * (pair + b - 3 * w), ""};
      if (!same(pair, f + b)) result.departs = "F&B differs from F + B";
      if (!at_most(w, f)) result.departs = "W is longer than F";
      if (!same(f, b_in)) result.departs = "F differs from B_in";
      break;
    case ScheduleKind::kInterleaved:
      enough = n_ranks;
      result = {"(PP/V - 1)(F + B - W) + W", n_ranks > 1 ? (n_ranks - 1) * (f + b_in) + w : 0, ""};
      if (!same(pair, f + b)) result.departs = "F&B differs from F + B";
      if (!at_most(w, f) || !at_most(w, b_in)) result.departs = "W is longer than F or B_in";
      if (n_micro_batches % static_cast<int32_t>(n_ranks) != 0) {
        result.departs = "the micro-batches are no multiple of the ranks";
      }
      break;
    case ScheduleKind::kZbv:
      enough = n - 1;
      result = {"(PP/2 - 1)F", (n_ranks - 1) * f, ""};
      if (!at_most(f, 2 * w)) result.departs = "W is shorter than half of F";
      if (!at_most(w, f)) result.departs = "W is longer than F";
      if (!same(f, b_in)) result.departs = "F differs from B_in";
      break;
  }
  if (kind != ScheduleKind::k1F1B && n_micro_batches < enough) {
    result.departs =
        concat("there are fewer micro-batches than ", enough < n ? plain_number(enough) : "stages");
  }
  if (!free_transfers(times)) result.departs = "transfers take time";
  if (!equal_stages(times)) result.departs = "the stages differ";
  return result;
}

}  // namespace hadal
