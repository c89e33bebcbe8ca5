// schedule/schedule_file: a schedule file is refused, or gives a schedule whose own text is read
// back as the same, and of which the checker says what it thinks.
#include "fuzz/expect.h"
#include "hadal/schedule/schedule_check.h"
#include "hadal/schedule/schedule_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    const PipelineSchedule schedule = parse_schedule(fuzz::as_text(data, size), "mine.json");
    const PipelineSchedule again = parse_schedule(schedule_text(schedule), "again.json");
    fuzz::expect(again.ranks == schedule.ranks && again.held == schedule.held);
    const ScheduleCheck check = check_schedule(schedule, 4);
    fuzz::expect(check.ok() == check.violations.empty());
    for (const std::string& violation : check.violations) {
      fuzz::expect(violation.find('\n') == std::string::npos);
    }
  });
  return 0;
}
