// schedule/schedule_deadlock.h: does every rank come to the end of its list? Part of
// schedule_check.
#pragma once

#include <optional>
#include <string>

#include "hadal/schedule/schedule_check.h"

namespace hadal {

// The ranks that wait for each other in a circle, in words. REQUIRES that all else of
// schedule_check holds.
std::optional<std::string> find_deadlock(const PipelineSchedule& schedule, Transfers transfers);

}  // namespace hadal
