#include "hadal/corpus/source_remarks.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/log.h"
#include "hadal/core/utf8.h"
#include "hadal/corpus/converted_stream.h"

namespace hadal {
namespace {

constexpr size_t kNamed = 3;          // of each kind
constexpr size_t kLongestName = 200;  // bytes of a path

}  // namespace

void SourceRemarks::Group::add(const std::string& item) {
  ++count;
  if (first.size() < kNamed) first.push_back(item);
}

std::string SourceRemarks::Group::text() const {
  std::string list;
  for (const std::string& item : first) list += (list.empty() ? "" : ", ") + item;
  const int64_t rest = count - static_cast<int64_t>(first.size());
  return rest > 0 ? concat(list, " and ", rest, " more") : list;
}

void SourceRemarks::not_utf8(const std::string& name, std::string_view text) {
  const Utf8Flaws flaws = utf8_flaws(text);
  replaced_ += flaws.count;
  not_utf8_.add(concat(one_line(name, kLongestName), " line ", flaws.first_line));
}

void SourceRemarks::skipped(const std::string& path, const std::string& kind) {
  skipped_.add(concat(one_line(path, kLongestName), " (", kind, ")"));
}

void SourceRemarks::archive(const std::string& path, const std::string& what) {
  archives_.add(concat(one_line(path, kLongestName), " (", what, ")"));
}

std::vector<std::string> SourceRemarks::lines() const {
  std::vector<std::string> lines;
  if (not_utf8_.count > 0) {
    lines.push_back(concat("not UTF-8: ", not_utf8_.text(), "; ", replaced_,
                           replaced_ == 1 ? " place became U+FFFD" : " places became U+FFFD",
                           "; name the encoding to convert the text"));
  }
  if (skipped_.count > 0) {
    lines.push_back(concat("skipped ", skipped_.count, skipped_.count == 1 ? " file" : " files",
                           " without text: ", skipped_.text()));
  }
  if (archives_.count > 0) lines.push_back(concat("archives: ", archives_.text()));
  return lines;
}

void SourceRemarks::say(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) log_note(line);
}

std::string utf8_text(std::string bytes, const std::string& name, const std::string& encoding) {
  std::string text = converted_to_utf8(std::move(bytes), encoding);
  if (valid_utf8(text)) return text;
  SourceRemarks remarks;
  remarks.not_utf8(name, text);
  SourceRemarks::say(remarks.lines());
  return repair_utf8(std::move(text));
}

}  // namespace hadal
