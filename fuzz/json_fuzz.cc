// core/json: what is parsed is written as text that parses to the same value.
#include "fuzz/expect.h"
#include "hadal/core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    const Json json = parse_json(fuzz::as_text(data, size), "input");
    fuzz::expect(parse_json(json.dump(), "again") == json);
    fuzz::expect(parse_json(json.dump(2), "again") == json);
  });
  return 0;
}
