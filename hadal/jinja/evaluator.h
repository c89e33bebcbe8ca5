// jinja/evaluator.h: walks a template's tree.
#pragma once

#include "hadal/jinja/runtime.h"
#include "hadal/jinja/syntax.h"

namespace hadal::jinja {

class Evaluator {
 public:
  using Names = std::vector<std::pair<std::string, Value>>;
  Evaluator(Runtime& runtime, const Names& variables) : runtime_(runtime), variables_(variables) {}

  Text run(const Block& body);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  // Names that were set in a block; a name that is not there is looked up in the one around it.
  struct Scope {
    Names names;
    const Scope* outer;
  };

  // statements: evaluator.cc
  Flow run_block(const Block& block);
  Flow run_statement(const Statement& s);
  Flow run_if(const Statement& s);
  Flow run_for(const Statement& s);
  std::vector<Value> looped_values(const Statement& s);
  void run_set_block(const Statement& s);
  void assign(const Target& target, Value value);
  void set_name(const std::string& name, Value value);
  Text captured(const Block& block);  // what it prints, in a scope of its own
  Value call_macro(const Statement& macro, const Arguments& arguments);
  void print(const Text& text);
  Value look_up(const std::string& name) const;

  // expressions: evaluate_expression.cc
  Value evaluate(const Expression& e);
  Value operand(const Expression& e, size_t child) { return evaluate(*e.children[child]); }
  Arguments arguments(const Expression& e, size_t first);
  Value attribute(const Expression& e);
  Value item(const Expression& e);
  Value slice(const Expression& e);
  Value call(const Expression& e);
  Value binary(const Expression& e);
  Value concatenated(const Expression& e);
  Value negative(const Value& value);
  bool compared(const Expression& e);
  Value dict(const Expression& e);
  Value loop_member(const Loop& loop, const std::string& name);

  Runtime& runtime_;
  const Names& variables_;
  Scope* scope_ = nullptr;
  Scope* outermost_ = nullptr;
  Text* out_ = nullptr;
};

}  // namespace hadal::jinja
