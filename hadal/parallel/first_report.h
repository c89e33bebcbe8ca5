// parallel/first_report.h: what went wrong somewhere, agreed upon by all ranks, so that all stop at the
// same place with the same words.
#pragma once

#include <optional>
#include <string>

#include "hadal/comm/communicator.h"

namespace hadal {

// Called by all ranks together, each with what it has to report, if anything. Returns the same on every
// rank: the text of the lowest rank among the reports of the lowest order, and that rank.
struct RankReport {
  int order = 0;  // reports of a cause come before those of its consequences
  std::string text;
};
struct AgreedReport {
  int rank = 0;
  std::string text;
};
std::optional<AgreedReport> first_report(Communicator& world, const std::optional<RankReport>& mine,
                                         Arena& arena);

}  // namespace hadal
