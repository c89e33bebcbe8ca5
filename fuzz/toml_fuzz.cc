// core/toml, train/settings: a run configuration is refused or gives settings within their ranges,
// whose own text is read back.
#include "fuzz/expect.h"
#include "hadal/core/toml.h"
#include "hadal/train/config.h"

namespace {

hadal::TrainConfig read_settings(std::string_view text) {
  using namespace hadal;
  const TomlDocument document = parse_toml(text, "run.toml");
  TrainConfig config;
  config.model.overrides = apply_settings({{"run.toml", document.root, document.line_of}},
                                          settings_table(config), "model", config.origins);
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    const TrainConfig config = read_settings(fuzz::as_text(data, size));
    const std::string text = resolved_toml(config);
    fuzz::expect(resolved_toml(read_settings(text)) == text);
    config.validate();
  });
  return 0;
}
