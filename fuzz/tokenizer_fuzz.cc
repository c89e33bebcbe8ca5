// data/tokenizer: any tokenizer.json is refused or encodes any bytes into ids that decode.
#include "fuzz/expect.h"
#include "hadal/data/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  fuzz::expect_value_or_error([&] {
    const std::string_view json = fuzz::as_text(data, size);
    const Tokenizer tokenizer = Tokenizer::from_json(json, "", "tokenizer.json");
    const std::string_view text = json.substr(0, 200);
    for (const int32_t id : tokenizer.encode(text)) {
      fuzz::expect(id >= 0 && id < tokenizer.vocab_size());
    }
    tokenizer.decode(tokenizer.encode(text));
  });
  return 0;
}
