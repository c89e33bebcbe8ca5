// jinja/template: whatever the template, rendering ends with a text or one of our errors, within its
// limits; the text is UTF-8 and its spans tile it.
#include "fuzz/expect.h"
#include "hadal/core/utf8.h"
#include "hadal/jinja/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hadal;
  static const Json messages = parse_json(
      R"([{"role":"system","content":"s"},{"role":"user","content":" a<b>\n"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"type":"function","id":"1",)"
      R"("function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"é🙂"}])",
      "messages");
  fuzz::expect_value_or_error([&] {
    const jinja::Template parsed(fuzz::as_text(data, size), "input");
    const jinja::Variables variables = {
        {"messages", jinja::from_json(messages, jinja::Origin::kData)},
        {"bos_token", jinja::Value(jinja::Text("<b>", jinja::Origin::kTemplate))},
        {"add_generation_prompt", jinja::Value(true)}};
    // Tight, so that an input cannot take long.
    const jinja::Text text =
        parsed.render(variables, 0, {.steps = 20'000, .bytes = int64_t{1} << 22});
    fuzz::expect(valid_utf8(text.view()));
    size_t end = 0;
    for (const jinja::Text::Span& span : text.spans()) {
      fuzz::expect(span.end > end);
      end = span.end;
    }
    fuzz::expect(end == text.size());
  });
  return 0;
}
