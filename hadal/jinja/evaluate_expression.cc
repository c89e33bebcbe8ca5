// jinja/evaluate_expression.cc: expressions of jinja/evaluator.h.
#include <algorithm>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/jinja/evaluator.h"

namespace hadal::jinja {
namespace {

using Kind = Expression::Kind;

// Python's rules: // and % round down, / is never whole.
double real_result(Runtime& runtime, const std::string& sign, double a, double b) {
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "**") {
    const double power = std::pow(a, b);
    if (std::isnan(power) || (std::isinf(power) && std::isfinite(a) && std::isfinite(b))) {
      runtime.fail("a power without a value");
    }
    return power;
  }
  if (b == 0) runtime.fail("division by 0");
  if (sign == "/") return a / b;
  const double rest = std::fmod(a, b);
  const double modulo = rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  return sign == "%" ? modulo : std::floor((a - modulo) / b + 0.5);
}

Value whole_result(Runtime& runtime, const std::string& sign, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (sign == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (sign == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (sign == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (sign == "**" && b >= 0) {
    result = 1;
    if (a == 0 || a == 1) {
      result = b == 0 ? 1 : a;
    } else if (a == -1) {
      result = b % 2 == 0 ? 1 : -1;
    } else {
      for (int64_t i = 0; i < b && !overflow; ++i) {
        overflow = __builtin_mul_overflow(result, a, &result);
      }
    }
  } else if (sign == "/" || sign == "**") {
    return Value(real_result(runtime, sign, static_cast<double>(a), static_cast<double>(b)));
  } else {
    if (b == 0) runtime.fail("division by 0");
    if (b == -1) {
      if (sign == "//") overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
    } else {
      const int64_t rest = a % b, modulo = rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
      result = sign == "%" ? modulo : (a - modulo) / b;
    }
  }
  if (overflow) runtime.fail("number too large");
  return Value(result);
}

std::optional<int64_t> as_whole(const Value& value) {
  if (const bool* b = value.get<bool>()) return *b ? 1 : 0;
  if (const int64_t* i = value.get<int64_t>()) return *i;
  return std::nullopt;
}
std::optional<double> as_real(const Value& value) {
  if (const double* d = value.get<double>()) return *d;
  if (const auto whole = as_whole(value)) return static_cast<double>(*whole);
  return std::nullopt;
}

// Bytes of memory that another copy of it takes.
size_t copy_bytes(const Value& value) {
  const Text* text = value.text();
  if (!text) return value.list()->items.size() * sizeof(Value);
  return text->spans().size() > 1 ? text->weight() : text->size();  // one span grows
}

Value repeated(Runtime& runtime, const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const size_t n = copy_bytes(value);
  if (n == 0) return value;
  if (times > runtime.limits().bytes / static_cast<int64_t>(n)) {
    runtime.fail("a repetition makes too much text");
  }
  runtime.step(static_cast<size_t>(times));
  if (const Text* text = value.text()) {
    Text out;
    for (int64_t i = 0; i < times; ++i) out.append(*text);
    return runtime.text(std::move(out));
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.list()->items.begin(), value.list()->items.end());
  }
  return runtime.list(std::move(items), value.list()->kind);
}

bool is_row(const Value& value) {
  return value.list() &&
         (value.list()->kind == List::Kind::kList || value.list()->kind == List::Kind::kTuple);
}

}  // namespace

Value Evaluator::evaluate(const Expression& e) {
  const Runtime::Deeper deeper(runtime_);
  runtime_.step();
  runtime_.at(e.line);
  switch (e.kind) {
    case Kind::kConstant:
      return e.constant;
    case Kind::kName:
      return look_up(e.name);
    case Kind::kList:
    case Kind::kTuple: {
      std::vector<Value> items;
      for (size_t i = 0; i < e.children.size(); ++i) items.push_back(operand(e, i));
      return runtime_.list(std::move(items),
                           e.kind == Kind::kList ? List::Kind::kList : List::Kind::kTuple);
    }
    case Kind::kDict:
      return dict(e);
    case Kind::kAttribute:
      return attribute(e);
    case Kind::kItem:
      return item(e);
    case Kind::kSlice:
      return slice(e);
    case Kind::kCall:
      return call(e);
    case Kind::kFilter: {
      // Without a value: the text of a set block, which stands under no name.
      const Value value = e.children[0] ? operand(e, 0) : look_up("");
      const Arguments given = arguments(e, 1);
      runtime_.at(e.line);
      return apply_filter(runtime_, e.name, value, given);
    }
    case Kind::kTest: {
      const Value value = operand(e, 0);
      const Arguments given = arguments(e, 1);
      runtime_.at(e.line);
      return Value(apply_test(runtime_, e.name, value, given));
    }
    case Kind::kNot:
      return Value(!operand(e, 0).truth());
    case Kind::kNegative:
      return negative(operand(e, 0));
    case Kind::kPositive: {
      Value value = operand(e, 0);
      if (!as_real(value)) runtime_.fail("a sign before what is no number", value.type_name());
      return value.get<bool>() ? Value(*as_whole(value)) : value;
    }
    case Kind::kBinary:
      return binary(e);
    case Kind::kConcat:
      return concatenated(e);
    case Kind::kCompare:
      return Value(compared(e));
    case Kind::kAnd:
    case Kind::kOr: {
      Value left = operand(e, 0);
      return left.truth() == (e.kind == Kind::kOr) ? left : operand(e, 1);
    }
    case Kind::kConditional:
      break;
  }
  if (operand(e, 1).truth()) return operand(e, 0);
  return e.children[2] ? operand(e, 2) : Value(Undefined{"the other case of an if"});
}

Arguments Evaluator::arguments(const Expression& e, size_t first) {
  Arguments result;
  for (size_t i = first; i < e.children.size(); ++i) result.values.push_back(operand(e, i));
  for (const auto& [name, value] : e.named) result.named.emplace_back(name, evaluate(*value));
  return result;
}

Value Evaluator::dict(const Expression& e) {
  std::vector<std::pair<Text, Value>> members;
  for (size_t i = 0; i < e.children.size(); i += 2) {
    const Value key = operand(e, i);
    if (!key.text()) runtime_.fail("a key that is no string", key.type_name(), "a string");
    Value value = operand(e, i + 1);
    runtime_.step(members.size() / 8);
    const auto known = std::find_if(members.begin(), members.end(), [&](const auto& member) {
      return member.first.view() == key.text()->view();
    });
    if (known != members.end()) {
      known->second = std::move(value);
    } else {
      members.emplace_back(*key.text(), std::move(value));
    }
  }
  return runtime_.dict(std::move(members));
}

Value Evaluator::attribute(const Expression& e) {
  const Value value = operand(e, 0);
  runtime_.at(e.line);
  if (const auto* loop = value.get<std::shared_ptr<const Loop>>())
    return loop_member(**loop, e.name);
  if (value.dict() && is_method_of_dict(e.name)) {
    runtime_.fail(concat("the method ", e.name, " is not called"), e.name,
                  concat(e.name, "() or ['", e.name, "']"));
  }
  return runtime_.member(value, Value(Text(e.name, Origin::kTemplate)));
}

Value Evaluator::item(const Expression& e) {
  const Value value = operand(e, 0), key = operand(e, 1);
  runtime_.at(e.line);
  if (const auto* loop = value.get<std::shared_ptr<const Loop>>()) {
    return loop_member(**loop, runtime_.need_text(key, "a member of loop").bytes());
  }
  return runtime_.member(value, key);
}

Value Evaluator::loop_member(const Loop& loop, const std::string& name) {
  const auto n = loop.items->items.size(), i = loop.index0;
  const auto number = [](size_t value) { return Value(static_cast<int64_t>(value)); };
  if (name == "index") return number(i + 1);
  if (name == "index0") return number(i);
  if (name == "revindex") return number(n - i);
  if (name == "revindex0") return number(n - i - 1);
  if (name == "first") return Value(i == 0);
  if (name == "last") return Value(i + 1 == n);
  if (name == "length") return number(n);
  if (name == "previtem") return i > 0 ? loop.items->items[i - 1] : Value(Undefined{name});
  if (name == "nextitem") return i + 1 < n ? loop.items->items[i + 1] : Value(Undefined{name});
  runtime_.fail("this member of loop is not supported", in_quotes(name));
}

Value Evaluator::slice(const Expression& e) {
  const Value value = operand(e, 0);
  std::optional<int64_t> parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!e.children[i + 1]) continue;
    const Value part = operand(e, i + 1);
    if (!part.is_none()) parts[i] = runtime_.whole_number(part, "an end of a slice");
  }
  runtime_.at(e.line);
  const int64_t step = parts[2].value_or(1);
  if (step == 0) runtime_.fail("slice with a step of 0");
  const Text* text = value.text();
  const List* list = value.list();
  if (value.is_undefined()) return runtime_.member(value, Value());  // which fails
  if (!text && !(list && list->has_places())) {
    runtime_.fail("not a list to cut", value.type_name(), "a list or string");
  }
  if (text) runtime_.charge(text->size());
  const int64_t n =
      text ? static_cast<int64_t>(character_count(text->view())) : std::ssize(list->items);
  const auto place = [&](std::optional<int64_t> part, int64_t otherwise) {
    if (!part) return otherwise;
    const int64_t at = *part < 0 ? *part + n : *part;
    return step > 0 ? std::clamp<int64_t>(at, 0, n) : std::clamp<int64_t>(at, -1, n - 1);
  };
  const int64_t begin = place(parts[0], step > 0 ? 0 : n - 1),
                end = place(parts[1], step > 0 ? n : -1);
  if (text && step == 1) {
    const size_t from = character_begin(text->view(), static_cast<size_t>(begin));
    const size_t to = character_begin(text->view(), static_cast<size_t>(std::max(begin, end)));
    return runtime_.text(text->slice(from, to));
  }
  std::vector<Value> kept;
  const std::shared_ptr<const List> all = runtime_.each(value);
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    kept.push_back(all->items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (!text) return runtime_.list(std::move(kept), list->kind);
  Text out;
  for (const Value& letter : kept) out.append(*letter.text());
  return runtime_.text(std::move(out));
}

Value Evaluator::call(const Expression& e) {
  const Expression& called = *e.children[0];
  const bool by_name = called.kind == Kind::kAttribute;
  if (by_name) {
    // value.method(): the value's own members come first where Python's do.
    const Value self = evaluate(*called.children[0]);
    const Arguments given = arguments(e, 1);
    runtime_.at(e.line);
    if (!self.name_space() && !self.get<std::shared_ptr<const Loop>>()) {
      return call_method(runtime_, self, called.name, given);
    }
    const Value member = self.name_space()
                             ? runtime_.member(self, Value(Text(called.name, Origin::kTemplate)))
                             : Value();
    if (const auto* macro = member.get<const Statement*>()) return call_macro(**macro, given);
    runtime_.fail("this call is not supported", in_quotes(called.name));
  }
  const Value function = evaluate(called);
  const Arguments given = arguments(e, 1);
  runtime_.at(e.line);
  if (const auto* builtin = function.get<Function>()) {
    return call_function(runtime_, *builtin, given);
  }
  if (const auto* macro = function.get<const Statement*>()) return call_macro(**macro, given);
  runtime_.fail("not a function",
                called.kind == Kind::kName ? in_quotes(called.name) : function.type_name(),
                "a macro, namespace, range, dict, raise_exception or strftime_now");
}

Value Evaluator::negative(const Value& value) {
  if (const double* d = value.get<double>()) return Value(-*d);
  const auto number = as_whole(value);
  if (!number) runtime_.fail("a sign before what is no number", value.type_name());
  return whole_result(runtime_, "-", 0, *number);
}

Value Evaluator::concatenated(const Expression& e) {
  Text out;
  for (size_t i = 0; i < e.children.size(); ++i) {
    const Value part = operand(e, i);
    runtime_.at(e.line);
    out.append(runtime_.printed(part));
  }
  return runtime_.text(std::move(out));
}

Value Evaluator::binary(const Expression& e) {
  const Value a = operand(e, 0), b = operand(e, 1);
  runtime_.at(e.line);
  if (as_whole(a) && as_whole(b)) return whole_result(runtime_, e.name, *as_whole(a), *as_whole(b));
  if (as_real(a) && as_real(b))
    return Value(real_result(runtime_, e.name, *as_real(a), *as_real(b)));
  if (e.name == "+" && a.text() && b.text()) {
    Text sum = *a.text();
    sum.append(*b.text());
    return runtime_.text(std::move(sum));
  }
  if (e.name == "+" && is_row(a) && is_row(b) && a.list()->kind == b.list()->kind) {
    std::vector<Value> items = a.list()->items;
    items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
    return runtime_.list(std::move(items), a.list()->kind);
  }
  if (e.name == "*" && (a.text() || is_row(a)) && as_whole(b)) {
    return repeated(runtime_, a, *as_whole(b));
  }
  if (e.name == "*" && as_whole(a) && (b.text() || is_row(b))) {
    return repeated(runtime_, b, *as_whole(a));
  }
  if (e.name == "%" && a.text()) runtime_.fail("% of a string is not supported", "%", "~ or +");
  const auto said = [](const Value& value) {
    const Undefined* nothing = value.get<Undefined>();
    return nothing && !nothing->name.empty() ? concat("undefined ", in_quotes(nothing->name))
                                             : std::string(value.type_name());
  };
  runtime_.fail(concat("values that ", e.name, " does not take"), concat(said(a), " and ", said(b)),
                "two numbers or two strings");
}

bool Evaluator::compared(const Expression& e) {
  Value left = operand(e, 0);
  for (size_t i = 0; i < e.operators.size(); ++i) {
    Value right = operand(e, i + 1);
    runtime_.at(e.line);
    const std::string& sign = e.operators[i];
    bool holds = false;
    if (sign == "in" || sign == "not in") {
      holds = contains(runtime_, right, left) == (sign == "in");
    } else if (sign == "==" || sign == "!=") {
      holds = runtime_.equal(left, right) == (sign == "==");
    } else {
      holds = apply_test(runtime_, sign, left, {.values = {right}, .named = {}});
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

}  // namespace hadal::jinja
