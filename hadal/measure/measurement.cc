#include "hadal/measure/measurement.h"

#include <cstdio>
#include <fstream>

#include "hadal/core/error.h"

namespace hadal {

namespace {

constexpr size_t kMostPlaces = 12;

std::string places_table(const Json::Array& places) {
  if (places.empty()) return "";
  std::string text;
  char line[200];
  std::snprintf(line, sizeof line, "%-28s %8s %8s %12s %12s %8s\n", "regions started at", "regions",
                "parts", "us inside", "us before", "busy");
  text += line;
  for (size_t i = 0; i < std::min(places.size(), kMostPlaces); ++i) {
    const Json& p = places[i];
    std::snprintf(line, sizeof line, "%-28s %8lld %8lld %12.1f %12.1f %6.1f %%\n",
                  p.at("where").as_string().c_str(),
                  static_cast<long long>(p.at("regions").as_integer()),
                  static_cast<long long>(p.at("parts").as_integer()), p.at("us").as_number(),
                  p.at("us_before").as_number(), 100.0 * p.at("busy").as_number());
    text += line;
  }
  return text;
}

}  // namespace

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
    if (key == "places") {
      text += places_table(value.as_array());
      continue;
    }
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
  Json places = Json::array();
  for (const PoolTrace::Place& place : trace.places) {
    const double regions = static_cast<double>(place.regions);
    const std::string file = place.where.file;
    Json row;
    row["where"] = concat(file.substr(file.rfind('/') + 1), ":", place.where.line);
    row["regions"] = place.regions;
    row["parts"] = place.parts;
    row["us"] = 1e6 * place.seconds / regions;
    row["us_before"] = 1e6 * place.seconds_before / regions;
    row["busy"] = place.busy / (n_threads * place.seconds);
    places.push_back(std::move(row));
  }
  details["places"] = std::move(places);
}

// getrusage would also count what the program that started this one had in use when it did.
double peak_rss_mib() {
  std::ifstream status("/proc/self/status");
  std::string key;
  double kilobytes = 0;
  while (status >> key) {
    if (key == "VmHWM:") status >> kilobytes;
  }
  return kilobytes / 1024.0;
}

}  // namespace hadal
