#include "hadal/core/clock.h"

#include <chrono>
#include <ctime>

namespace hadal {

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string rfc3339_utc(double unix_time) {
  const std::time_t seconds = static_cast<std::time_t>(unix_time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string local_time(double unix_time) {
  const std::time_t seconds = static_cast<std::time_t>(unix_time);
  const std::time_t now = static_cast<std::time_t>(unix_seconds());
  std::tm parts{}, today{};
  localtime_r(&seconds, &parts);
  localtime_r(&now, &today);
  const bool is_today = parts.tm_yday == today.tm_yday && parts.tm_year == today.tm_year;
  char text[32];
  std::strftime(text, sizeof(text), is_today ? "%H:%M" : "%d %b %H:%M", &parts);
  return text;
}

}  // namespace hadal
