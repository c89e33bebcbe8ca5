#include "hadal/jinja/evaluator.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/jinja/parser.h"
#include "hadal/jinja/template.h"

namespace hadal::jinja {

Template::Template(std::string_view text, std::string source)
    : source_(std::move(source)),
      body_(parse_template(Text(std::string(text), Origin::kTemplate).view(), source_)) {}

Text Template::render(const Variables& variables, std::time_t now, const Limits& limits) const {
  Runtime runtime(source_, limits, now);
  return Evaluator(runtime, variables).run(body_);
}

Text Evaluator::run(const Block& body) {
  Text out;
  Scope outermost{{}, nullptr};
  scope_ = outermost_ = &outermost;
  out_ = &out;
  run_block(body);
  return out;
}

void Evaluator::print(const Text& text) {
  runtime_.charge(text.weight() + 16);
  out_->append(text);
}

Value Evaluator::look_up(const std::string& name) const {
  const auto find = [&](const Names& names) {
    runtime_.step(names.size() / 8);
    return std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == name; });
  };
  for (const Scope* scope = scope_; scope; scope = scope->outer) {
    if (const auto found = find(scope->names); found != scope->names.end()) return found->second;
  }
  if (const auto found = find(variables_); found != variables_.end()) return found->second;
  if (name == "namespace") return Value(Function::kNamespace);
  if (name == "range") return Value(Function::kRange);
  if (name == "dict") return Value(Function::kDict);
  if (name == "raise_exception") return Value(Function::kRaiseException);
  if (name == "strftime_now") return Value(Function::kStrftimeNow);
  return Value(Undefined{name});
}

void Evaluator::set_name(const std::string& name, Value value) {
  runtime_.step(scope_->names.size() / 8);
  for (auto& [known, old] : scope_->names) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  scope_->names.emplace_back(name, std::move(value));
}

void Evaluator::assign(const Target& target, Value value) {
  if (!target.member.empty()) {
    Namespace* space = look_up(target.names[0]).name_space();
    if (!space) {
      runtime_.fail("a member can be set of a namespace alone",
                    look_up(target.names[0]).type_name(), "namespace()");
    }
    runtime_.step(space->members.size() / 8);
    for (auto& [name, old] : space->members) {
      if (name != target.member) continue;
      old = std::move(value);
      return;
    }
    runtime_.charge(sizeof(Value) + target.member.size());
    space->members.emplace_back(target.member, std::move(value));
    return;
  }
  if (!target.apart) return set_name(target.names[0], std::move(value));
  const std::shared_ptr<const List> parts = runtime_.each(value);
  if (parts->items.size() != target.names.size()) {
    runtime_.fail("wrong number of values to take apart", concat(parts->items.size()),
                  concat(target.names.size()));
  }
  for (size_t i = 0; i < target.names.size(); ++i) set_name(target.names[i], parts->items[i]);
}

Evaluator::Flow Evaluator::run_block(const Block& block) {
  for (const auto& statement : block) {
    const Flow flow = run_statement(*statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::run_statement(const Statement& s) {
  const Runtime::Deeper deeper(runtime_);
  runtime_.at(s.line);
  runtime_.step();
  switch (s.kind) {
    case Statement::Kind::kText:
      print(s.text);
      return Flow::kNext;
    case Statement::Kind::kPrint: {
      const Value value = evaluate(*s.expressions[0]);
      runtime_.at(s.line);
      if (const Text* text = value.text()) {
        print(*text);
      } else {
        print(runtime_.printed(value));
      }
      return Flow::kNext;
    }
    case Statement::Kind::kIf:
      return run_if(s);
    case Statement::Kind::kFor:
      return run_for(s);
    case Statement::Kind::kSet:
      assign(s.target, evaluate(*s.expressions[0]));
      return Flow::kNext;
    case Statement::Kind::kSetBlock:
      run_set_block(s);
      return Flow::kNext;
    case Statement::Kind::kMacro:
      set_name(s.target.names[0], Value(&s));
      return Flow::kNext;
    case Statement::Kind::kGeneration:
      print(captured(s.blocks[0]));
      return Flow::kNext;
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      break;
  }
  return Flow::kContinue;
}

Evaluator::Flow Evaluator::run_if(const Statement& s) {
  for (size_t i = 0; i < s.expressions.size(); ++i) {
    if (evaluate(*s.expressions[i]).truth()) return run_block(s.blocks[i]);
  }
  return s.blocks.size() > s.expressions.size() ? run_block(s.blocks.back()) : Flow::kNext;
}

// Those for which the loop's own "if" holds.
std::vector<Value> Evaluator::looped_values(const Statement& s) {
  const std::shared_ptr<const List> all = runtime_.each(evaluate(*s.expressions[0]));
  if (!s.expressions[1]) return all->items;
  std::vector<Value> kept;
  for (const Value& value : all->items) {
    Scope scope{{}, scope_};
    scope_ = &scope;
    assign(s.target, value);
    const bool holds = evaluate(*s.expressions[1]).truth();
    scope_ = const_cast<Scope*>(scope.outer);
    if (holds) kept.push_back(value);
  }
  return kept;
}

Evaluator::Flow Evaluator::run_for(const Statement& s) {
  const Value values = runtime_.list(looped_values(s));
  auto loop = std::make_shared<Loop>();
  loop->items = *values.get<std::shared_ptr<const List>>();
  for (const Value& value : loop->items->items) {
    runtime_.step(4);  // what a pass costs without its body
    runtime_.at(s.line);
    Scope scope{{}, scope_};
    Scope* const around = scope_;
    scope_ = &scope;
    // A copy for each pass: one that a template keeps stays as it was.
    set_name("loop", Value(std::shared_ptr<const Loop>(std::make_shared<Loop>(*loop))));
    assign(s.target, value);
    const Flow flow = run_block(s.blocks[0]);
    scope_ = around;
    ++loop->index0;
    if (flow == Flow::kBreak) break;
  }
  if (!loop->items->items.empty() || s.blocks.size() == 1) return Flow::kNext;
  Scope scope{{}, scope_};
  Scope* const around = scope_;
  scope_ = &scope;
  const Flow flow = run_block(s.blocks[1]);
  scope_ = around;
  return flow;
}

Text Evaluator::captured(const Block& block) {
  Text text;
  Text* const out = out_;
  Scope scope{{}, scope_};
  Scope* const around = scope_;
  out_ = &text;
  scope_ = &scope;
  run_block(block);
  scope_ = around;
  out_ = out;
  return text;
}

void Evaluator::run_set_block(const Statement& s) {
  Value value = runtime_.text(captured(s.blocks[0]));
  if (s.expressions[0]) {
    // The chain of filters ends where a value is missing: there the text belongs.
    Scope scope{{}, scope_};
    Scope* const around = scope_;
    scope_ = &scope;
    set_name("", std::move(value));
    value = evaluate(*s.expressions[0]);
    scope_ = around;
  }
  assign(s.target, std::move(value));
}

Value Evaluator::call_macro(const Statement& macro, const Arguments& given) {
  const std::string& name = macro.target.names[0];
  if (given.values.size() > macro.parameters.size()) {
    runtime_.fail(concat("too many arguments of ", name), concat(given.values.size()),
                  concat("at most ", macro.parameters.size()));
  }
  runtime_.step(macro.parameters.size() * (1 + macro.parameters.size() / 8));
  Scope scope{{}, outermost_};
  for (size_t i = 0; i < given.values.size(); ++i) {
    scope.names.emplace_back(macro.parameters[i], given.values[i]);
  }
  for (const auto& argument : given.named) {
    const auto place = std::find(macro.parameters.begin(), macro.parameters.end(), argument.first);
    if (place == macro.parameters.end() ||
        place - macro.parameters.begin() < std::ssize(given.values)) {
      runtime_.fail(concat("unknown argument of ", name, ", or one given twice"), argument.first);
    }
    scope.names.push_back(argument);
  }
  Scope* const around = scope_;
  scope_ = &scope;
  const size_t required = macro.parameters.size() - macro.expressions.size();
  for (size_t i = given.values.size(); i < macro.parameters.size(); ++i) {
    const std::string& parameter = macro.parameters[i];
    const auto is_it = [&](const auto& n) { return n.first == parameter; };
    if (std::any_of(scope.names.begin(), scope.names.end(), is_it)) continue;
    set_name(parameter, i >= required ? evaluate(*macro.expressions[i - required])
                                      : Value(Undefined{parameter}));
  }
  Text text;
  Text* const out = out_;
  out_ = &text;
  run_block(macro.blocks[0]);
  out_ = out;
  scope_ = around;
  return runtime_.text(std::move(text));
}

}  // namespace hadal::jinja
