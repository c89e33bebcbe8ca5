// The named characters of HTML 4 that documentation uses.
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "hadal/core/utf8.h"
#include "hadal/corpus/html_text.h"

namespace hadal {
namespace {

// U+00A0 to U+00FF in order.
constexpr std::array<std::string_view, 96> kLatin1 = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml"};

constexpr std::pair<std::string_view, uint32_t> kOthers[] = {
    {"amp", '&'},      {"lt", '<'},        {"gt", '>'},        {"quot", '"'},
    {"apos", '\''},    {"ndash", 0x2013},  {"mdash", 0x2014},  {"lsquo", 0x2018},
    {"rsquo", 0x2019}, {"sbquo", 0x201A},  {"ldquo", 0x201C},  {"rdquo", 0x201D},
    {"bdquo", 0x201E}, {"dagger", 0x2020}, {"bull", 0x2022},   {"hellip", 0x2026},
    {"prime", 0x2032}, {"Prime", 0x2033},  {"lsaquo", 0x2039}, {"rsaquo", 0x203A},
    {"euro", 0x20AC},  {"trade", 0x2122},  {"larr", 0x2190},   {"uarr", 0x2191},
    {"rarr", 0x2192},  {"darr", 0x2193},   {"harr", 0x2194},   {"rArr", 0x21D2},
    {"hArr", 0x21D4},  {"forall", 0x2200}, {"part", 0x2202},   {"exist", 0x2203},
    {"empty", 0x2205}, {"isin", 0x2208},   {"sum", 0x2211},    {"minus", 0x2212},
    {"radic", 0x221A}, {"infin", 0x221E},  {"and", 0x2227},    {"or", 0x2228},
    {"cap", 0x2229},   {"cup", 0x222A},    {"int", 0x222B},    {"sim", 0x223C},
    {"asymp", 0x2248}, {"ne", 0x2260},     {"equiv", 0x2261},  {"le", 0x2264},
    {"ge", 0x2265},    {"sub", 0x2282},    {"sup", 0x2283},    {"alpha", 0x3B1},
    {"beta", 0x3B2},   {"gamma", 0x3B3},   {"delta", 0x3B4},   {"epsilon", 0x3B5},
    {"theta", 0x3B8},  {"lambda", 0x3BB},  {"mu", 0x3BC},      {"pi", 0x3C0},
    {"rho", 0x3C1},    {"sigma", 0x3C3},   {"tau", 0x3C4},     {"phi", 0x3C6},
    {"omega", 0x3C9},  {"Delta", 0x394},   {"Sigma", 0x3A3},   {"Omega", 0x3A9},
    {"ensp", ' '},     {"emsp", ' '},      {"thinsp", ' '},    {"zwnj", 0x200C},
    {"zwj", 0x200D},   {"loz", 0x25CA},    {"lang", 0x27E8},   {"rang", 0x27E9},
    {"OElig", 0x152},  {"oelig", 0x153},   {"Scaron", 0x160},  {"scaron", 0x161},
    {"fnof", 0x192},   {"circ", 0x2C6},    {"tilde", 0x2DC},   {"permil", 0x2030}};

// 0 if the name is unknown.
uint32_t named_character(std::string_view name) {
  if (const auto latin = std::find(kLatin1.begin(), kLatin1.end(), name); latin != kLatin1.end()) {
    return 0xA0 + static_cast<uint32_t>(latin - kLatin1.begin());
  }
  const auto other = std::find_if(std::begin(kOthers), std::end(kOthers),
                                  [&](const auto& entry) { return entry.first == name; });
  return other == std::end(kOthers) ? 0 : other->second;
}

// "#233" or "#xE9"; 0 if it is no number.
uint32_t numbered_character(std::string_view body) {
  const bool hexadecimal = body.size() > 1 && (body[1] == 'x' || body[1] == 'X');
  uint32_t value = 0;
  const std::string_view digits = body.substr(hexadecimal ? 2 : 1);
  if (digits.empty()) return 0;
  for (const char c : digits) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : 99;
    if (digit >= (hexadecimal ? 16 : 10)) return 0;
    value = std::min<uint32_t>(0x110000,
                               value * (hexadecimal ? 16 : 10) + static_cast<uint32_t>(digit));
  }
  return value;
}

}  // namespace

std::string decode_html_entities(std::string_view text) {
  constexpr size_t kLongestName = 12;
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t amp = text.find('&', at);
    out += text.substr(at, amp - at);
    if (amp == std::string_view::npos) break;
    const std::string_view rest = text.substr(amp + 1, kLongestName);
    const size_t end = rest.find(';');
    const std::string_view body = rest.substr(0, end);
    const uint32_t value = end == std::string_view::npos || body.empty() ? 0
                           : body[0] == '#'                              ? numbered_character(body)
                                                                         : named_character(body);
    if (value == 0) {
      out += '&';
      at = amp + 1;
    } else {
      append_utf8(out, value == 0xA0 ? ' ' : value);  // a no-break space is a space
      at = amp + 1 + end + 1;
    }
  }
  return out;
}

}  // namespace hadal
