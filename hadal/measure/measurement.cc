#include "hadal/measure/measurement.h"

#include <sys/resource.h>

#include <cstdio>

namespace hadal {

Json report_json(const MeasureReport& report) {
  Json results = Json::array();
  for (const Measurement& m : report.results) {
    Json row;
    row["name"] = m.name;
    row["value"] = m.value;
    row["unit"] = m.unit;
    row["roof"] = m.roof > 0 ? Json(m.roof) : Json(nullptr);
    row["fraction_of_roof"] = m.roof > 0 ? Json(m.fraction_of_roof()) : Json(nullptr);
    results.push_back(std::move(row));
  }
  Json document;
  document["results"] = std::move(results);
  for (const auto& [key, value] : report.details.as_object()) document[key] = value;
  return document;
}

std::string report_table(const MeasureReport& report) {
  std::string text;
  char line[200];
  std::snprintf(line, sizeof line, "%-28s %12s %-9s %12s %8s\n", "what", "value", "unit", "roof",
                "of roof");
  text += line;
  for (const Measurement& m : report.results) {
    std::snprintf(line, sizeof line, "%-28s %12.2f %-9s", m.name.c_str(), m.value, m.unit.c_str());
    text += line;
    if (m.roof > 0) {
      std::snprintf(line, sizeof line, " %12.2f %6.1f %%", m.roof, 100.0 * m.fraction_of_roof());
      text += line;
    }
    text += "\n";
  }
  for (const auto& [key, value] : report.details.as_object()) {
    std::snprintf(line, sizeof line, "%-28s ", key.c_str());
    text += line;
    if (value.is_number() && !value.is_integer()) {
      std::snprintf(line, sizeof line, "%.2f", value.as_number());
      text += line;
    } else {
      text += value.dump();
    }
    text += "\n";
  }
  return text;
}

void add_trace(Json& details, const PoolTrace& trace, double amount, const std::string& unit) {
  const double n_threads = static_cast<double>(trace.busy.size());
  details["regions_per_" + unit] = static_cast<double>(trace.regions) / amount;
  details["parts_per_" + unit] = static_cast<double>(trace.parts) / amount;
  details["in_regions"] = trace.region_seconds / trace.seconds;
  double busy = trace.seconds - trace.region_seconds;  // the caller, alone
  Json shares = Json::array();
  for (const double seconds : trace.busy) {
    busy += seconds;
    shares.push_back(seconds / trace.seconds);
  }
  details["idle"] = std::max(0.0, 1.0 - busy / (n_threads * trace.seconds));
  details["busy"] = std::move(shares);
}

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

}  // namespace hadal
