// plan/worksheet_json.cc: the derivation of a cell as JSON.
#include <set>
#include <utility>

#include "hadal/plan/worksheet.h"

namespace hadal {
namespace {

Json cell_json(const Worksheet& sheet, const std::string& name, std::set<std::string>& shown) {
  const Worksheet::Cell& cell = sheet.cell(name);
  Json result;
  result["name"] = name;
  result["value"] = sheet.value(name);
  result["unit"] = cell.unit;
  result["origin"] = origin_name(cell.origin);
  if (!shown.insert(name).second) return result;  // its derivation stands where it came first
  result["note"] = cell.note;
  if (!cell.has_derivation()) return result;
  if (!cell.formula.empty()) result["formula"] = cell.formula;
  Json inputs = Json::array();
  for (const std::string& input : cell.inputs) inputs.push_back(cell_json(sheet, input, shown));
  result["inputs"] = std::move(inputs);
  return result;
}

}  // namespace

Json Worksheet::explain_json(const std::string& name) const {
  std::set<std::string> shown;
  return cell_json(*this, name, shown);
}

}  // namespace hadal
