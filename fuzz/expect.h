// fuzz/expect.h: what every fuzz target demands. A parser either succeeds or throws one of our
// errors, whose text is one line; anything else (another exception, a signal, a sanitizer's report)
// is a find.
#pragma once

#include <cstdint>
#include <string_view>

#include "hadal/core/error.h"

namespace hadal::fuzz {

inline void expect(bool holds) {
  if (!holds) __builtin_trap();
}

template <class Parse>
void expect_value_or_error(const Parse& parse) {
  try {
    parse();
  } catch (const Error& error) {
    const std::string_view text = error.what();
    expect(!text.empty() && text.find('\n') == std::string_view::npos && text.size() < 4000);
  }
}

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace hadal::fuzz
