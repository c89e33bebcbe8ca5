// tests/support/well_formed.h: a judge of pictures.
#pragma once

#include <cstddef>
#include <string>

namespace hadal::test {

// Every tag is closed in order, attributes are quoted, and no stray < or & remains.
bool is_well_formed(const std::string& svg);

// How often `part` stands in `text`.
size_t count(const std::string& text, const std::string& part);

}  // namespace hadal::test
