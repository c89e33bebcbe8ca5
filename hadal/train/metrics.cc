#include "hadal/train/metrics.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "hadal/core/clock.h"
#include "hadal/core/error.h"
#include "hadal/io/atomic_write.h"

namespace hadal {
namespace {

std::string metrics_path(const std::string& run_folder) { return run_folder + "/metrics.jsonl"; }

// Calls take(line, parsed) for every complete line with step <= last_step.
template <class Take>
void for_each_line(const std::string& path, int64_t last_step, const Take& take) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_text_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) return;  // the writer was cut off here
    const std::string line = text.substr(begin, end - begin);
    const Json json = parse_json(line, path);
    const Json* step = json.find("step");
    if (step && step->as_integer() <= last_step) take(line, json);
    begin = end + 1;
  }
}

}  // namespace

std::vector<Json> read_metrics(const std::string& run_folder, int64_t last_step) {
  std::vector<Json> lines;
  for_each_line(metrics_path(run_folder), last_step,
                [&](const std::string&, const Json& json) { lines.push_back(json); });
  return lines;
}

Metrics::Metrics(const std::string& run_folder, const std::string& run_name, int64_t step,
                 bool tensorboard)
    : path_(metrics_path(run_folder)), run_name_(run_name) {
  std::string kept;
  if (step > 0) {
    for_each_line(path_, step, [&](const std::string& line, const Json&) { kept += line + "\n"; });
  }
  write_file_atomically(path_, kept);
  if (tensorboard)
    events_ = std::make_unique<EventFile>(run_folder + "/tensorboard", step > 0 ? step + 1 : 0);
  file_ = std::fopen(path_.c_str(), "ab");
  if (!file_) throw IoError(concat(path_, ": cannot be opened (found ", std::strerror(errno), ")"));
}

Metrics::~Metrics() {
  if (file_) std::fclose(file_);
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
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    throw IoError(Complaint{.place = path_,
                            .problem = "cannot be written",
                            .found = std::strerror(errno),
                            .advice = "free space, then {resume}"});
  }
  if (events_) events_->scalars(step, now, scalars);
}

}  // namespace hadal
