#include "hadal/plan_text/explain_text.h"

#include <map>
#include <set>

#include "hadal/core/error.h"
#include "hadal/core/formula_text.h"
#include "hadal/core/number_text.h"

namespace hadal::cli {
namespace {

constexpr size_t kOriginWidth = 11, kLineWidth = 98;

std::string quantity(double value, const std::string& unit) {
  const std::string human = human_quantity(value, unit);
  const std::string plain = plain_number(value) + (unit.empty() ? "" : " " + unit);
  return human == plain ? human : concat(human, "  (", plain_number(value), ")");
}

void explain_cell(const Worksheet& sheet, const std::string& name, int depth,
                  std::set<std::string>& shown, std::string& text) {
  const Worksheet::Cell& cell = sheet.cell(name);
  const std::string indent(static_cast<size_t>(2 * depth), ' ');
  text += concat(indent, name, " = ", quantity(sheet.value(name), cell.unit), "  [",
                 origin_name(cell.origin), "]");
  if (!shown.insert(name).second) {
    text += cell.has_derivation() ? "  (derived above)\n" : "\n";
    return;
  }
  const bool leaf = !cell.has_derivation();
  if (leaf && !cell.note.empty()) text += "  " + cell.note;
  text += "\n";
  if (leaf) return;
  if (!cell.note.empty()) text += concat(indent, "  ", cell.note, "\n");
  if (!cell.formula.empty()) {
    const std::string numbers = replace_names(cell.formula, [&](const std::string& word) {
      for (const std::string& input : cell.inputs) {
        if (input != word) continue;
        const std::string number = plain_number(sheet.value(word));
        return number.front() == '-' ? "(" + number + ")" : number;
      }
      return std::string();
    });
    text += concat(indent, "  = ", cell.formula, "\n", indent, "  = ", numbers, "\n");
  }
  for (const std::string& input : cell.inputs) explain_cell(sheet, input, depth + 1, shown, text);
}

// "rests on" and the inputs behind a cell, by where they come from: what to doubt first.
std::string foundations(const Worksheet& sheet, const std::set<std::string>& shown) {
  std::map<Origin, std::vector<std::string>> inputs;
  for (const Worksheet::Cell& cell : sheet.cells()) {
    if (shown.contains(cell.name) && !cell.has_derivation()) {
      inputs[cell.origin].push_back(cell.name);
    }
  }
  std::string text = "rests on\n";
  for (const auto& [origin, names] : inputs) {
    std::string line = origin_name(origin);
    line.resize(kOriginWidth, ' ');
    for (const std::string& name : names) {
      if (line.size() + name.size() + 3 > kLineWidth) {
        text += "  " + line + ",\n";
        line = std::string(kOriginWidth, ' ') + name;
      } else {
        line += (line.size() > kOriginWidth ? ", " : "") + name;
      }
    }
    text += "  " + line + "\n";
  }
  return text;
}

}  // namespace

std::string explain_text(const Worksheet& sheet, const std::string& name) {
  std::set<std::string> shown;
  std::string text;
  explain_cell(sheet, name, 0, shown, text);
  return shown.size() > 1 ? text + foundations(sheet, shown) : text;
}

}  // namespace hadal::cli
