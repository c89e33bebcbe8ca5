// corpus/white_space.h: what separates words, whatever the locale: blank, \t, \n, \v, \f and \r.
#pragma once

namespace hadal {

inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace hadal
