#include "hadal/plan_text/text_table.h"

#include <algorithm>

namespace hadal::cli {

std::string TextTable::text(const std::vector<bool>& to_the_left) const {
  std::string result;
  for (const auto& line : lines_) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      size_t width = 0;
      for (const auto& other : lines_) width = std::max(width, other[i].size());
      const std::string pad(width - line[i].size(), ' ');
      row += (i == 0 ? "" : "  ") + (to_the_left[i] ? line[i] + pad : pad + line[i]);
    }
    result += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  }
  return result;
}

}  // namespace hadal::cli
