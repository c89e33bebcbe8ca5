// core/number_text.h: numbers as text for people. Every report, picture and message writes its
// numbers with these.
#pragma once

#include <string>

namespace hadal {

// As std::snprintf does: printed("%.3f", 0.5) == "0.500".
std::string printed(const char* pattern, double value);

// Six digits at most, whole numbers in full up to 15 digits: "62914560", "0.3891", "2.5e+11".
std::string plain_number(double value);

std::string percent(double share);  // 0.0909 -> "9.1 %"

// In the unit's own habits: 2.664e6 "GPU-hours" -> "2664K GPU-hours", 6.4e9 "B" -> "6.40 GB",
// 0.389 "fraction" -> "38.9 %", 0.0123 "s" -> "12.3 ms".
std::string human_quantity(double value, const std::string& unit);

std::string human_bytes(double bytes);      // "1.5 GB"
std::string human_count(double count);      // "11.8M"
std::string human_seconds(double seconds);  // "2 h 03 min", "4 min 05 s", "12 s"

}  // namespace hadal
