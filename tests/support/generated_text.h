// support/generated_text.h: pages of words for tests that train: a small vocabulary with some order
// in it, different for every seed.
#pragma once

#include <cstdint>
#include <string>

namespace hadal::test {

std::string generated_text(uint64_t seed, int64_t n_words);

}  // namespace hadal::test
