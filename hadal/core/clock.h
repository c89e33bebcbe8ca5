// core/clock.h: time, for progress and metrics only; no result may depend on it.
#pragma once

#include <string>

namespace hadal {

double monotonic_seconds();
double unix_seconds();
std::string rfc3339_utc(double unix_time);  // "2026-01-31T12:00:00Z"
std::string local_time(double unix_time);   // "14:32", or "31 Jan 14:32" on another day than today

}  // namespace hadal
