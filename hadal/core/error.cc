#include "hadal/core/error.h"

#include <cctype>

#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

constexpr size_t kLongestFound = 400;  // bytes of a value echoed

bool is_in_names(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}

// A place is a setting only as a whole: a path may have braces.
std::string place_name(const std::string& place, const NameOf& name_of) {
  const bool is_setting = place.starts_with('{') && place.find('}') == place.size() - 1;
  return is_setting ? with_names(place, name_of) : place;
}

}  // namespace

std::string plain_name(const std::string& field) { return field; }
std::string in_braces(const std::string& field) { return "{" + field + "}"; }

std::string with_names(std::string_view text, const NameOf& name_of) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    while (text[i] == '{' && end < text.size() && is_in_names(text[end])) ++end;
    if (end > i + 1 && end < text.size() && text[end] == '}') {
      result += name_of(std::string(text.substr(i + 1, end - i - 1)));
      i = end + 1;
    } else {
      result += text[i++];
    }
  }
  return result;
}

std::string Words::text() const {
  std::ostringstream out;
  one_.write(out, one_.value);
  for (const Piece& piece : several_) piece.write(out, piece.value);
  return out.str();
}

Refusal::Refusal(const Complaint& complaint)
    : place(harmless_line(complaint.place.text())),
      field(harmless_line(complaint.field.text())),
      problem(harmless_line(complaint.problem.text())),
      found(one_line(complaint.found.text(), kLongestFound)),
      expected(harmless_line(complaint.expected.text())),
      advice(harmless_line(complaint.advice.text())) {}

Refusal Refusal::in(const std::string& outer) const {
  Refusal moved = *this;
  moved.place = place.empty() ? outer : outer + ": " + place;
  return moved;
}

std::string Refusal::line(const NameOf& name_of) const {
  std::string text;
  if (!place.empty()) text += place_name(place, name_of) + ": ";
  if (!field.empty()) text += (place.empty() ? name_of(field) : field) + ": ";
  text += with_names(problem, name_of);
  if (!found.empty() || !expected.empty()) {
    text += " (";
    if (!found.empty()) text += "found " + found;
    if (!found.empty() && !expected.empty()) text += ", ";
    if (!expected.empty()) text += "expected " + with_names(expected, name_of);
    text += ")";
  }
  if (!advice.empty()) text += "; " + with_names(advice, name_of);
  return harmless_line(std::move(text));
}

Error::Error(const std::string& text) : std::runtime_error(harmless_line(text)) {}

}  // namespace hadal
