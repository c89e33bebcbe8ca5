#include "hadal/data/tokenizer_unicode.h"

#include <algorithm>
#include <iterator>

namespace hadal {
namespace {

constexpr uint32_t kRuns[] = {
#include "hadal/data/tokenizer_unicode_tables.inc"
};

}  // namespace

std::vector<uint8_t> unicode_classes() {
  std::vector<uint8_t> classes(kCodePoints);
  for (size_t i = 0; i < std::size(kRuns); ++i) {
    const uint32_t begin = kRuns[i] >> 8;
    const uint32_t end = i + 1 < std::size(kRuns) ? kRuns[i + 1] >> 8 : kCodePoints;
    std::fill(classes.begin() + begin, classes.begin() + end, static_cast<uint8_t>(kRuns[i]));
  }
  return classes;
}

}  // namespace hadal
