#include "hadal/reproduce/metrics_difference.h"

#include <algorithm>

#include "hadal/core/error.h"

namespace hadal {
namespace {

bool is_measured(const std::string& field) {
  return field == "ts" || field == "run" || field.starts_with("perf/");
}

std::string value_of(const Json& line, const std::string& field) {
  const Json* value = line.find(field);
  return value ? value->dump() : "absent";
}

// "" where the lines agree.
std::string difference(const Json& recorded, const Json& found) {
  for (const Json* line : {&recorded, &found}) {
    for (const auto& [field, value] : line->as_object()) {
      if (is_measured(field)) continue;
      const std::string before = value_of(recorded, field), now = value_of(found, field);
      if (before != now) return concat(field, " ", now, ", recorded ", before);
    }
  }
  return "";
}

int64_t step_of(const Json& line) { return line.at("step").as_integer(); }

}  // namespace

MetricsDifference first_difference(const std::vector<Json>& recorded,
                                   const std::vector<Json>& found) {
  const size_t both = std::min(recorded.size(), found.size());
  for (size_t i = 0; i < both; ++i) {
    const std::string text = difference(recorded[i], found[i]);
    if (!text.empty()) return {std::min(step_of(recorded[i]), step_of(found[i])), text};
  }
  if (recorded.size() > both) return {step_of(recorded[both]), "no such line in metrics.jsonl"};
  if (found.size() > both) return {step_of(found[both]), "a line more in metrics.jsonl"};
  return {};
}

}  // namespace hadal
