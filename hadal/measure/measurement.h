// measure/measurement.h: one measured figure, and the limit of the machine that it is held against.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "hadal/core/clock.h"
#include "hadal/core/json.h"
#include "hadal/core/thread_pool.h"

namespace hadal {

struct Measurement {
  std::string name;
  double value = 0;
  std::string unit;
  double roof = 0;  // same unit; 0: nothing to hold it against
  double fraction_of_roof() const { return roof > 0 ? value / roof : 0; }
};

struct MeasureReport {
  std::vector<Measurement> results;
  Json details = Json::object();  // further figures, joined to the JSON document
};

// Seconds of each of `rounds` runs of body, after one run that warms caches and arenas up.
template <class Body>
std::vector<double> time_rounds(int64_t rounds, const Body& body) {
  body();
  std::vector<double> seconds;
  for (int64_t round = 0; round < rounds; ++round) {
    const double begin = monotonic_seconds();
    body();
    seconds.push_back(monotonic_seconds() - begin);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

// {"results": [{"name", "value", "unit", "roof", "fraction_of_roof"}], details...}; a missing roof
// prints as null.
Json report_json(const MeasureReport& report);
// The same as a table for people.
std::string report_table(const MeasureReport& report);

// How threads shared the work of `amount` of `unit` (tokens, steps), into details:
//   regions_per_UNIT  parts_per_UNIT  starts and joins of workers, and parts they were handed
//   in_regions        share of the time in regions; outside, the caller works alone
//   idle              share of the threads' time without work, outside regions included
//   busy              [n_threads] share of the time each thread was in a part
//   places            the lines that started regions, the longest first: {"where", "regions", "parts",
//                     "us" inside each region, "us_before" it, "busy": share of the threads' time}
void add_trace(Json& details, const PoolTrace& trace, double amount, const std::string& unit);

// Largest resident set of this process so far, in MiB.
double peak_rss_mib();

}  // namespace hadal
