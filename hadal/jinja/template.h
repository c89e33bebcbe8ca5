// jinja/template.h: a chat template: parsed once, rendered often.
//
// The language is the part of Jinja that chat templates use, with the settings and additions of Hugging
// Face (docs/chat.md lists them). What stands outside of that part, what a template does wrong, and what
// costs too much is a FormatError that names the template's line.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "hadal/jinja/runtime.h"
#include "hadal/jinja/syntax.h"

namespace hadal::jinja {

// Variables that the template finds by name.
using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
 public:
  // `source` names the template in errors.
  Template(std::string_view text, std::string source);

  // `now` is what strftime_now tells. May be called from many threads.
  Text render(const Variables& variables, std::time_t now = std::time(nullptr),
              const Limits& limits = {}) const;

 private:
  std::string source_;
  Block body_;
};

}  // namespace hadal::jinja
