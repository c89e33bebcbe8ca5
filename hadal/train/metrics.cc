#include "hadal/train/metrics.h"

#include <utility>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/core/log.h"
#include "hadal/io/atomic_write.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

std::string metrics_path(const std::string& run_folder) { return run_folder + "/metrics.jsonl"; }

std::vector<std::string> complete_lines(const std::string& path) {
  std::vector<std::string> lines;
  if (!path_exists(path)) return lines;
  const std::string text = read_text_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // the writer was cut off here
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

bool is_until(const Json& line, int64_t last_step) {
  const Json* step = line.find("step");
  return step && step->as_integer() <= last_step;
}

// What a run that goes on keeps. A power cut may have left anything after the last checkpoint, which
// is written again now.
std::string lines_until(const std::string& path, int64_t last_step) {
  std::string kept, first_damage;
  int64_t n_damaged = 0;
  for (const std::string& line : complete_lines(path)) {
    try {
      if (is_until(parse_json(line, path), last_step)) kept += line + "\n";
    } catch (const FormatError& error) {
      if (n_damaged++ == 0) first_damage = error.what();
    }
  }
  if (n_damaged > 0) {
    log_warning(path, ": ", n_damaged, " damaged lines are left out (", first_damage, ")");
  }
  return kept;
}

}  // namespace

std::vector<Json> read_metrics(const std::string& run_folder, int64_t last_step) {
  std::vector<Json> lines;
  const std::string path = metrics_path(run_folder);
  for (const std::string& line : complete_lines(path)) {
    Json json = parse_json(line, path);
    if (is_until(json, last_step)) lines.push_back(std::move(json));
  }
  return lines;
}

Metrics::Metrics(const std::string& run_folder, const std::string& run_name, int64_t step,
                 bool tensorboard)
    : run_name_(run_name) {
  const std::string path = metrics_path(run_folder);
  write_file_atomically(path, step > 0 ? lines_until(path, step) : "");
  if (tensorboard) events_.emplace(run_folder + "/tensorboard", step > 0 ? step + 1 : 0);
  file_.emplace(path);
}

void Metrics::write(int64_t step, int64_t tokens, const std::string& split, const Json& values) {
  const double now = unix_seconds();
  Json line = Json::object();
  line["ts"] = rfc3339_utc(now);
  line["run"] = run_name_;
  line["step"] = step;
  line["tokens"] = tokens;
  line["split"] = split;
  std::vector<std::pair<std::string, double>> scalars;
  for (const auto& [name, value] : values.as_object()) {
    line[name] = value;
    if (value.is_number()) scalars.emplace_back(name, value.as_number());
  }
  file_->write(line.dump() + "\n");
  if (events_) events_->scalars(step, now, scalars);
}

void Metrics::sync() {
  file_->sync();
  if (events_) events_->sync();
}

}  // namespace hadal
