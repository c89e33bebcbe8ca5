// plan_text/pipeline_report.h: a simulated schedule as JSON fields and as tables; used by cmd_pipeline.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/pipeline/schedule_facts.h"
#include "hadal/pipeline/simulator.h"
#include "hadal/schedule/schedule_check.h"

namespace hadal::cli {

struct PipelineResult {
  PipelineSchedule schedule;
  Simulation simulation;
  ScheduleCheck check;
  std::optional<BubbleFormula> formula;  // of hadal's own schedules
  // Work of a chunk where the schedules compared cut one model into different numbers of stages: 1/2
  // if a rank passes two. `stored` is then counted in whole ones.
  double chunk = 1;
};

// What --json prints (docs/pipeline.md, "The columns"); `bubble` is the largest of the ranks.
Json pipeline_json(const PipelineResult& result);

// Figures of the whole, then one line per rank (the first kMaxRankLines).
std::string pipeline_table(const PipelineResult& result, const std::string& times);
constexpr size_t kMaxRankLines = 64;

// One line per schedule; `refused` holds "zb1p" and why it does not exist at this size.
struct RefusedSchedule {
  std::string name;
  Refusal why;
};
std::string comparison_table(const std::vector<PipelineResult>& results,
                             const std::vector<RefusedSchedule>& refused, const NameOf& option_of);

}  // namespace hadal::cli
