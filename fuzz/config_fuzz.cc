// model/hf_config: a configuration that is accepted is valid and survives being written.
#include "fuzz/expect.h"
#include "hadal/model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    const Json json = parse_json(fuzz::as_text(data, size), "config.json");
    const ModelConfig config = config_from_hf(json, "config.json");
    const ParameterCount count = count_parameters(config);
    fuzz::expect(count.total >= count.active && count.active > 0);
    fuzz::expect(config_from_hf(config_to_hf(config), "again") == config);
  });
  return 0;
}
