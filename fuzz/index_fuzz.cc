// io/safetensors: model.safetensors.index.json never names a file outside of its folder.
#include "fuzz/expect.h"
#include "hadal/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    for (const auto& [name, file] : parse_index(fuzz::as_text(data, size), "index")) {
      fuzz::expect(!file.empty() && file.find('/') == std::string::npos && file != "..");
    }
  });
  return 0;
}
