#include "hadal/train/report.h"

#include <filesystem>

#include "hadal/core/clock.h"
#include "hadal/io/atomic_write.h"
#include "hadal/train/metrics.h"
#include "hadal/train/report_data.h"

namespace hadal {
namespace {

Json settings_json(TrainConfig config) {
  Json settings = Json::object();
  for (const Setting& setting : settings_table(config)) {
    const size_t dot = setting.name.find('.');
    settings[setting.name.substr(0, dot)][setting.name.substr(dot + 1)] = setting_value(setting);
  }
  for (const auto& [key, value] : config.model.overrides.as_object()) {
    settings["model"][key] = value;
  }
  return settings;
}

Json model_json(const ModelConfig& shape) {
  const ParameterCount count = count_parameters(shape);
  Json json = Json::object();
  json["parameters"] = count.total;
  json["active"] = count.active;
  json["mtp"] = count.mtp;
  json["layers"] = shape.n_layers;
  json["d_model"] = shape.d_model;
  json["experts"] = shape.router.n_routed_experts;
  json["top_k"] = shape.router.top_k;
  json["vocabulary"] = shape.vocab_size;
  return json;
}

}  // namespace

void write_report(const std::string& run_folder, const TrainConfig& config,
                  const ModelConfig& shape, int64_t last_step) {
  Json data = report_data(read_metrics(run_folder, last_step));
  data["run"] = std::filesystem::path(run_folder).filename().string();
  data["written"] = rfc3339_utc(unix_seconds());
  data["model"] = model_json(shape);
  data["settings"] = settings_json(config);
  write_file_atomically(run_folder + "/report.html", render_report(data));
}

std::string render_report(const Json& data) {
  static constexpr std::string_view kPlace = "{\"place\": \"of the data\"}";
  std::string text = data.dump();
  // "</script" inside a string would end the script; "<\/" is the same string to JSON.
  for (size_t at = 0; (at = text.find("</", at)) != std::string::npos; at += 3) {
    text.replace(at, 2, "<\\/");
  }
  std::string page(report_page());
  page.replace(page.find(kPlace), kPlace.size(), text);
  return page;
}

}  // namespace hadal
