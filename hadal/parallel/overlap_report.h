// parallel/overlap_report.h: what the record of a run says of communication: how much of it was waited for.
#pragma once

#include <string>
#include <vector>

#include "hadal/parallel/run_record.h"

namespace hadal {

// What ranks waited for one network in one phase. A wait has two parts: its sender was late, then the
// message was on its way, which is what communication costs.
struct PhaseWaits {
  std::string network, phase;
  int64_t n_messages = 0, bytes = 0;
  double on_the_way = 0, late = 0;  // seconds, summed over the ranks
};
// Of one step's ranks. Messages to oneself do not count. In order of network and phase.
std::vector<PhaseWaits> phase_waits(std::span<const RunTrace> world);

// Means over the record's steps with overlap beside those without.
struct OverlapRow {
  std::string network, phase;  // phase "": all of the network
  double messages = 0, bytes = 0;
  double alone = 0, exposed = 0;            // seconds on the way, without overlap and with it
  double late_alone = 0, late_exposed = 0;  // seconds a sender was late, likewise
  double hidden() const { return alone > 0 ? hidden_fraction(exposed, alone) : 0.0; }
};
struct OverlapReport {
  std::vector<OverlapRow> rows;
  OverlapRow schedule;              // experts and pipeline together
  double step_alone = 0, step = 0;  // seconds, medians
  double computed = 0;              // of them, a rank's mean in the steps with overlap
};
// Whether there are steps of both kinds.
bool has_both(const RunRecord& record);
// REQUIRES has_both.
OverlapReport overlap_report(const RunRecord& record);
std::vector<std::string> overlap_lines(const OverlapReport& report);
Json overlap_json(const OverlapReport& report);

}  // namespace hadal
