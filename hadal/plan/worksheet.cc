// plan/worksheet.cc: definition and evaluation of cells. Formulas are parsed and computed by
// muParser (decision 006), one parser a cell, its variables bound to the cell's own arguments.
#include "hadal/plan/worksheet.h"

#include <muParser.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "hadal/core/error.h"
#include "hadal/core/formula_text.h"
#include "hadal/core/in_quotes.h"
#include "hadal/core/nearest.h"

namespace hadal {
namespace {

// A formula that muParser has compiled, and the values it reads.
class CompiledFormula {
 public:
  explicit CompiledFormula(const std::string& expression) {
    parser_.DefineFun("ceil", static_cast<double (*)(double)>(std::ceil));
    parser_.DefineFun("floor", static_cast<double (*)(double)>(std::floor));
    parser_.SetExpr(expression);
    inputs_ = names_in(expression);
    const mu::varmap_type& used = parser_.GetUsedVar();
    std::erase_if(inputs_, [&](const std::string& name) { return !used.contains(name); });
    arguments_.resize(inputs_.size());
    for (size_t i = 0; i < inputs_.size(); ++i) parser_.DefineVar(inputs_[i], &arguments_[i]);
  }
  const std::vector<std::string>& inputs() const { return inputs_; }  // in order of appearance
  void set_argument(size_t i, double value) { arguments_[i] = value; }
  double evaluate() const { return parser_.Eval(); }

 private:
  mu::Parser parser_;
  std::vector<std::string> inputs_;
  std::vector<double> arguments_;  // never resized after binding
};

bool is_name(const std::string& text) {
  const std::vector<std::string> names = names_in(text);
  return names.size() == 1 && names.front() == text;
}

}  // namespace

const char* origin_name(Origin origin) {
  static constexpr const char* kNames[] = {"published", "measured", "assumed",  "given",
                                           "model",     "derived",  "simulated"};
  return kNames[static_cast<size_t>(origin)];
}

struct Worksheet::Impl {
  struct Node {
    double input_value = 0;
    std::unique_ptr<CompiledFormula> formula;
    std::function<double(const Worksheet&)> procedure;
    Origin own_origin = Origin::kAssumed;  // before set()
    std::optional<double> given;
    mutable std::optional<double> memo;
    mutable bool in_progress = false;
  };
  std::vector<Section> sections;
  std::vector<Cell> cells;
  std::vector<Node> nodes;  // beside `cells`
  std::vector<Published> published;
  std::unordered_map<std::string, size_t> index_of;
  std::unordered_map<std::string, std::vector<size_t>> readers;  // cells that read a name

  size_t find(const std::string& name) const {
    if (const auto found = index_of.find(name); found != index_of.end()) return found->second;
    std::vector<std::string> names;
    for (const Cell& cell : cells) names.push_back(cell.name);
    throw ConfigError({.field = one_line(name, 100),
                       .problem = "no such number in this plan",
                       .advice = did_you_mean(name, names, "{cells} lists all")});
  }

  void add(Cell cell, Node node) {
    require(is_name(cell.name), {.field = cell.name, .problem = "not a name for a cell"});
    cell.section = sections.empty() ? "" : sections.back().key;
    node.own_origin = cell.origin;
    const auto [place, is_new] = index_of.emplace(cell.name, cells.size());
    require(is_new, {.field = cell.name, .problem = "defined twice in this plan"});
    for (const std::string& input : cell.inputs) readers[input].push_back(place->second);
    cells.push_back(std::move(cell));
    nodes.push_back(std::move(node));
  }

  // What was computed from `name` is no longer known. A cell without a value has no readers with
  // one, and a given value hides what is behind it, so the walk ends there.
  void forget_readers(const std::string& name) {
    const auto found = readers.find(name);
    if (found == readers.end()) return;
    for (const size_t reader : found->second) {
      if (!nodes[reader].memo || nodes[reader].given) continue;
      nodes[reader].memo.reset();
      forget_readers(cells[reader].name);
    }
  }

  double evaluate(size_t index, const Worksheet& sheet) const {
    const Node& node = nodes[index];
    if (node.given) return *node.given;
    if (node.memo) return *node.memo;
    require(!node.in_progress,
            {.field = cells[index].name,
             .problem = {"cells of the plan need each other (", circle(index), ")"}});
    node.in_progress = true;
    try {
      const double result = compute(index, sheet);
      require(std::isfinite(result), {.field = cells[index].name,
                                      .problem = "not a finite number",
                                      .found = {result, inputs_text(index, sheet)},
                                      .advice = "change one of the numbers behind it"});
      node.memo = result;
    } catch (...) {
      node.in_progress = false;
      throw;
    }
    node.in_progress = false;
    return *node.memo;
  }

  double compute(size_t index, const Worksheet& sheet) const {
    const Node& node = nodes[index];
    if (node.procedure) return node.procedure(sheet);
    if (!node.formula) return node.input_value;
    const std::vector<std::string>& inputs = node.formula->inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      node.formula->set_argument(i, evaluate(find(inputs[i]), sheet));
    }
    try {
      return node.formula->evaluate();
    } catch (const mu::Parser::exception_type& error) {
      throw ConfigError(
          {.field = cells[index].name, .problem = {"cannot be computed (", error.GetMsg(), ")"}});
    }
  }

  std::string inputs_text(size_t index, const Worksheet& sheet) const {
    std::string text;
    for (const std::string& input : cells[index].inputs) {
      text += concat(text.empty() ? " from " : ", ", input, " = ", sheet.value(input));
    }
    return text;
  }

  // The cells being computed that lead back to `index`: "a -> b -> a".
  std::string circle(size_t index) const {
    std::string text = cells[index].name;
    size_t here = index;
    do {
      for (const std::string& input : cells[here].inputs) {
        const auto found = index_of.find(input);
        if (found == index_of.end() || !nodes[found->second].in_progress) continue;
        here = found->second;
        break;
      }
      text += " -> " + cells[here].name;
    } while (here != index && text.size() < 1000);
    return text;
  }
};

Worksheet::Worksheet() : impl_(std::make_unique<Impl>()) {}
Worksheet::~Worksheet() = default;
Worksheet::Worksheet(Worksheet&&) noexcept = default;
Worksheet& Worksheet::operator=(Worksheet&&) noexcept = default;

void Worksheet::section(const std::string& key, const std::string& title) {
  impl_->sections.push_back({key, title});
}

void Worksheet::input(const std::string& name, double value, const std::string& unit, Origin origin,
                      const std::string& note) {
  require(std::isfinite(value), {.field = name, .problem = "not a finite number", .found = value});
  Impl::Node node;
  node.input_value = value;
  impl_->add({name, "", unit, "", note, origin, {}}, std::move(node));
}

void Worksheet::formula(const std::string& name, const std::string& expression,
                        const std::string& unit, const std::string& note) {
  Impl::Node node;
  try {
    node.formula = std::make_unique<CompiledFormula>(expression);
  } catch (const mu::Parser::exception_type& error) {
    throw ConfigError({.field = name,
                       .problem = "not a formula",
                       .found = {in_quotes(expression), ": ", one_line(error.GetMsg(), 200)}});
  }
  const std::vector<std::string> inputs = node.formula->inputs();
  impl_->add({name, "", unit, expression, note, Origin::kDerived, inputs}, std::move(node));
}

void Worksheet::computed(const std::string& name, const std::vector<std::string>& inputs,
                         std::function<double(const Worksheet&)> procedure, const std::string& unit,
                         const std::string& note) {
  Impl::Node node;
  node.procedure = std::move(procedure);
  impl_->add({name, "", unit, "", note, Origin::kSimulated, inputs}, std::move(node));
}

void Worksheet::published(const std::string& name, double value, const std::string& source,
                          bool calibrated) {
  impl_->find(name);
  impl_->published.push_back({name, source, value, calibrated});
}

bool Worksheet::has(const std::string& name) const { return impl_->index_of.contains(name); }

double Worksheet::value(const std::string& name) const {
  return impl_->evaluate(impl_->find(name), *this);
}

void Worksheet::set(const std::string& name, double value) {
  const size_t index = impl_->find(name);
  require(std::isfinite(value), {.field = name, .problem = "not a finite number", .found = value});
  impl_->nodes[index].given = value;
  impl_->nodes[index].memo.reset();
  impl_->cells[index].origin = Origin::kGiven;
  impl_->forget_readers(name);
}

void Worksheet::reset(const std::string& name) {
  const size_t index = impl_->find(name);
  impl_->nodes[index].given.reset();
  impl_->cells[index].origin = impl_->nodes[index].own_origin;
  impl_->forget_readers(name);
}

const std::vector<Worksheet::Section>& Worksheet::sections() const { return impl_->sections; }
const std::vector<Worksheet::Cell>& Worksheet::cells() const { return impl_->cells; }
const Worksheet::Cell& Worksheet::cell(const std::string& name) const {
  return impl_->cells[impl_->find(name)];
}
const std::vector<Worksheet::Published>& Worksheet::published_values() const {
  return impl_->published;
}

}  // namespace hadal
