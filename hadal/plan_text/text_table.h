// plan_text/text_table.h: lines of text in aligned columns.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace hadal::cli {

// Text to the left, numbers to the right. Every line has as many cells as the header.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { lines_.push_back(std::move(header)); }
  void add(std::vector<std::string> line) { lines_.push_back(std::move(line)); }
  std::string text(const std::vector<bool>& to_the_left) const;

 private:
  std::vector<std::vector<std::string>> lines_;
};

}  // namespace hadal::cli
