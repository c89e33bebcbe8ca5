// parallel/schedule_deadlock.h: does every rank come to the end of its list? Part of
// schedule_check.
#pragma once

#include <optional>
#include <string>

#include "hadal/parallel/schedule.h"

namespace hadal {

// Asynchronous: sends leave at once, a computation waits for the tensors that it needs.
// Blocking: transfers that stand next to each other are one batch; the rank waits for all of it,
// and a transfer starts when both sides have posted it.
enum class Transfers : uint8_t { kAsynchronous, kBlocking };

// The ranks that wait for each other in a circle, in words. REQUIRES that all else of
// schedule_check holds.
std::optional<std::string> find_deadlock(const PipelineSchedule& schedule, Transfers transfers);

}  // namespace hadal
