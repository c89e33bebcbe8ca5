#include "hadal/train/team_trace.h"

#include <algorithm>

#include "hadal/core/clock.h"
#include "hadal/core/log.h"
#include "hadal/io/atomic_write.h"
#include "hadal/parallel/overlap_report.h"
#include "hadal/parallel/trace_gather.h"

namespace hadal {

bool TeamTrace::begin(const TrainConfig::Parallel& settings, int64_t step) {
  const int64_t nth = step - settings.trace_first;
  trace_.on = !settings.trace.empty() && nth >= 0 && nth < settings.trace_steps;
  overlap_ = settings.overlap && !(trace_.on && nth % 2 == 1);
  trace_.clear();
  if (!trace_.on) return overlap_;
  settings_ = settings;
  step_ = step;
  trace_.start = monotonic_seconds();
  return overlap_;
}

void TeamTrace::end(Communicator& world, const PipelineSchedule& schedule, int32_t data,
                    Arena& arena) {
  trace_.end = monotonic_seconds();
  trace_.on = false;
  GatheredTraces all = gather_traces(world, trace_, arena);
  trace_.clear();
  if (world.rank() != 0) return;
  record_.schedule = schedule;
  record_.data = data;
  record_.clock_error = std::max(record_.clock_error, all.clock_error);
  record_.steps.push_back({step_, overlap_, std::move(all.ranks)});
  write_file_atomically(settings_.trace, record_json(record_).dump() + "\n");
  if (step_ + 1 < settings_.trace_first + settings_.trace_steps) return;
  log_note("trace of ", record_.steps.size(), " steps: ", settings_.trace);
  if (has_both(record_)) {
    for (const std::string& line : overlap_lines(overlap_report(record_))) log_note(line);
  }
  record_ = {};
}

}  // namespace hadal
