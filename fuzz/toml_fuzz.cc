// core/toml, train/settings: a run configuration is refused or gives settings within their ranges,
// whose own text is read back.
#include "fuzz/expect.h"
#include "hadal/core/toml.h"
#include "hadal/train/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    const TomlDocument document = parse_toml(fuzz::as_text(data, size), "run.toml");
    TrainConfig config;
    std::map<std::string, std::string> origins;
    apply_settings({{"run.toml", document.root, document.line_of}}, settings_table(config), "model",
                   origins);
    config.validate();
  });
  return 0;
}
