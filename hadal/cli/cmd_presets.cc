// cli/cmd_presets.cc: `hadal presets`
#include <cstdio>

#include "hadal/cli/commands.h"
#include "hadal/core/number_text.h"
#include "hadal/model/config.h"

namespace hadal::cli {
namespace {

struct PresetsOptions {};

void bind(Flags& flags, PresetsOptions&) {
  flags.example("hadal presets", "built-in model shapes; `hadal inspect NAME` shows one in full");
}

int run(const PresetsOptions&, const CommonOptions&, Output& out) {
  Json list = Json::array();
  std::string text = "name                   total   active  what it is\n";
  for (const Preset& preset : presets()) {
    const ParameterCount count = count_parameters(preset.config);
    Json entry;
    entry["name"] = preset.name;
    entry["parameters_total"] = count.total;
    entry["parameters_active"] = count.active;
    entry["parameters_mtp"] = count.mtp;
    entry["description"] = preset.description;
    list.push_back(std::move(entry));
    char line[200];
    std::snprintf(line, sizeof line, "%-20s %7s  %7s  %s\n", preset.name.c_str(),
                  human_count(static_cast<double>(count.total)).c_str(),
                  human_count(static_cast<double>(count.active)).c_str(),
                  preset.description.c_str());
    text += line;
  }
  if (out.json()) {
    Json document;
    document["presets"] = std::move(list);
    out.report(document);
  } else {
    out.text(text);
  }
  return 0;
}

}  // namespace

Command make_presets_command() {
  return define_command<PresetsOptions>("presets", "list the built-in model shapes", bind, run);
}

}  // namespace hadal::cli
