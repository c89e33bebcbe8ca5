// Renders templates for tools/conformance/jinja.py: a line {"template": T, "variables": {...},
// "literals": {...}} of standard input becomes a line {"text": ...}, {"spans": ...} or {"error": ...}.
#include <iostream>
#include <string>

#include "hadal/core/error.h"
#include "hadal/jinja/template.h"

namespace hadal::jinja {
namespace {

// Stretches of the text by turns from the template and from data, beginning with the template.
Json spans_of(const Text& text) {
  Json::Array stretches;
  size_t begin = 0;
  for (const Text::Span& span : text.spans()) {
    if (stretches.empty() && span.origin == Origin::kData) stretches.emplace_back("");
    stretches.emplace_back(text.view().substr(begin, span.end - begin));
    begin = span.end;
  }
  return Json(stretches);
}

Json answer(const Json& request) {
  Variables variables;
  for (const auto& [name, value] : request.at("variables").as_object()) {
    variables.emplace_back(name, from_json(value, Origin::kData));
  }
  if (const Json* literals = request.find("literals")) {
    for (const auto& [name, value] : literals->as_object()) {
      variables.emplace_back(name, from_json(value, Origin::kTemplate));
    }
  }
  Json reply;
  try {
    const Template parsed(request.at("template").as_string(), "template");
    const Text text = parsed.render(variables, /*now=*/0);
    reply["text"] = text.view();
    reply["spans"] = spans_of(text);
  } catch (const Error& error) {
    reply["error"] = error.what();
  }
  return reply;
}

}  // namespace
}  // namespace hadal::jinja

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << hadal::jinja::answer(hadal::parse_json(line, "request")).dump() << "\n";
  }
  return 0;
}
