// plan/worksheet_explain.cc: the derivation of a cell, for people and as JSON.
//
//   cost = 3000 USD  [derived]
//     = hours * price
//     = 1500 * 2
//     hours = 1.500K GPU-hours  (1500)  [published]  a report
//     price = 2 USD/GPU-hour  [assumed]  a guess
//   rests on
//     published  hours
//     assumed    price
#include <map>
#include <set>

#include "hadal/core/error.h"
#include "hadal/plan/formula_text.h"
#include "hadal/plan/worksheet.h"

namespace hadal {
namespace {

constexpr size_t kOriginWidth = 11, kLineWidth = 98;

std::string quantity(double value, const std::string& unit) {
  const std::string human = human_quantity(value, unit);
  const std::string plain = plain_number(value) + (unit.empty() ? "" : " " + unit);
  return human == plain ? human : concat(human, "  (", plain_number(value), ")");
}

// A value given in place of a formula has nothing behind it.
bool has_derivation(const Worksheet::Cell& cell) {
  return cell.origin != Origin::kGiven && !cell.inputs.empty();
}

void explain_cell(const Worksheet& sheet, const std::string& name, int depth,
                  std::set<std::string>& shown, std::string& text) {
  const Worksheet::Cell& cell = sheet.cell(name);
  const std::string indent(static_cast<size_t>(2 * depth), ' ');
  text += concat(indent, name, " = ", quantity(sheet.value(name), cell.unit), "  [",
                 origin_name(cell.origin), "]");
  if (!shown.insert(name).second) {
    text += has_derivation(cell) ? "  (derived above)\n" : "\n";
    return;
  }
  const bool leaf = !has_derivation(cell);
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
    if (shown.contains(cell.name) && !has_derivation(cell)) {
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

Json cell_json(const Worksheet& sheet, const std::string& name, std::set<std::string>& shown) {
  const Worksheet::Cell& cell = sheet.cell(name);
  Json result;
  result["name"] = name;
  result["value"] = sheet.value(name);
  result["unit"] = cell.unit;
  result["origin"] = origin_name(cell.origin);
  if (!shown.insert(name).second) return result;  // its derivation stands where it came first
  result["note"] = cell.note;
  if (!has_derivation(cell)) return result;
  if (!cell.formula.empty()) result["formula"] = cell.formula;
  Json inputs = Json::array();
  for (const std::string& input : cell.inputs) inputs.push_back(cell_json(sheet, input, shown));
  result["inputs"] = std::move(inputs);
  return result;
}

}  // namespace

std::string Worksheet::explain(const std::string& name) const {
  std::set<std::string> shown;
  std::string text;
  explain_cell(*this, name, 0, shown, text);
  return shown.size() > 1 ? text + foundations(*this, shown) : text;
}

Json Worksheet::explain_json(const std::string& name) const {
  std::set<std::string> shown;
  return cell_json(*this, name, shown);
}

}  // namespace hadal
