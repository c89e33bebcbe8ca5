// core/first_of_several.h: of several findings the first in full and how many more there are, in one line.
#pragma once

#include <string>

#include "hadal/core/error.h"

namespace hadal {

class FirstOfSeveral {
 public:
  void note(const std::string& text) {
    if (++n_ == 1) first_ = text;
  }
  // "texts/b.txt is new, and 2 more"; "" for none.
  std::string text() const { return n_ <= 1 ? first_ : concat(first_, ", and ", n_ - 1, " more"); }

 private:
  std::string first_;
  int64_t n_ = 0;
};

}  // namespace hadal
