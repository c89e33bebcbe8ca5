// corpus/source_remarks.h: what a source met that is not plain UTF-8 text. All of it is counted, the
// first few are named, so that a folder of a million such files makes three lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

class SourceRemarks {
 public:
  // `text`, from `name`, is not UTF-8: each ill-formed sequence will be one U+FFFD.
  void not_utf8(const std::string& name, std::string_view text);
  void skipped(const std::string& path, const std::string& kind);  // kind: "Parquet"
  void archive(const std::string& path, const std::string& what);  // what: "empty"

  std::vector<std::string> lines() const;
  static void say(const std::vector<std::string>& lines);  // a note each

 private:
  struct Group {
    int64_t count = 0;
    std::vector<std::string> first;
    void add(const std::string& item);
    std::string text() const;  // "a, b, c and 5 more"
  };
  Group not_utf8_, skipped_, archives_;
  int64_t replaced_ = 0;
};

// The bytes as UTF-8: converted from `encoding` if it is named, what is no UTF-8 replaced and said.
// `name` is where they come from.
std::string utf8_text(std::string bytes, const std::string& name, const std::string& encoding);

}  // namespace hadal
