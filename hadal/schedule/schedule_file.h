// schedule/schedule_file.h: a schedule as a JSON file that a person can write (docs/schedules.md).
//
//   {"name": "two ranks", "n_stages": 2, "n_micro_batches": 1,
//    "held": [[0], [1]],
//    "ranks": [["F 0 0", "B 0 0"],
//              ["F 1 0", "B 1 0"]]}
//
// The actions are those of action_text.h. `name` and `held` may be left out (a rank then holds the
// stages that it computes). If no rank lists a send or receive, insert_transfers adds them.
#pragma once

#include <string>
#include <string_view>

#include "hadal/schedule/schedule.h"

namespace hadal {

// FormatError "FILE: ranks[2][5]: ..." for what is not of this form: unknown keys, wrong types,
// numbers out of range, fewer actions than chunks. Whether the schedule is right is the question of
// check_schedule.
PipelineSchedule read_schedule_file(const std::string& path);
PipelineSchedule parse_schedule(std::string_view text, std::string_view source);

// The same as JSON text with every action, lines of at most 100 characters.
std::string schedule_text(const PipelineSchedule& schedule);

}  // namespace hadal
