// core/call_place.h: the line that calls a function, as a default argument of it. std::source_location
// with what is needed of it: clang 14, which builds the fuzz targets, has not got that.
#pragma once

namespace hadal {

struct CallPlace {
  const char* file = "";
  int line = 0;
  static constexpr CallPlace here(const char* file = __builtin_FILE(),
                                  int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace hadal
