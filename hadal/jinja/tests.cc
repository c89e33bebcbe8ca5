// jinja/tests.cc: value is NAME.
#include <functional>
#include <map>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/jinja/runtime.h"

namespace hadal::jinja {
namespace {

using Test = bool (*)(Runtime&, const Value&, const Value* argument);

const Value& needed(const Runtime& runtime, const Value* argument) {
  if (!argument) runtime.fail("a test without its argument");
  return *argument;
}

int64_t remainder_of(const Runtime& runtime, const Value& value, int64_t divisor) {
  if (value.get<double>()) runtime.fail("this test of a float is not supported");
  const int64_t number = runtime.whole_number(value, "what is divided");
  if (divisor == 0) runtime.fail("division by 0");
  return divisor == -1 ? 0 : number % divisor;
}

bool ordered(Runtime& runtime, const Value& a, const Value* b, bool (*holds)(int)) {
  const int sign = runtime.order(a, needed(runtime, b));
  if (sign == 2) {
    runtime.fail("values without an order", concat(a.type_name(), " and ", b->type_name()),
                 "two numbers or two strings");
  }
  return holds(sign);
}

bool is_number(const Value& v) { return v.get<bool>() || v.get<int64_t>() || v.get<double>(); }
bool is_sequence(const Value& v) {
  return v.is_undefined() || v.text() || v.dict() || (v.list() && v.list()->has_places());
}
bool is_same(Runtime& runtime, const Value& a, const Value& b) {
  if (a.text() || a.list() || a.dict() || a.get<double>()) {
    runtime.fail("sameas is supported for none, booleans and integers alone", a.type_name());
  }
  return std::string_view(a.type_name()) == b.type_name() && runtime.equal(a, b);
}

const std::map<std::string, Test, std::less<>>& all_tests() {
  using R = Runtime;
  using V = Value;
  static const Test same = [](R& r, const V& v, const V* a) { return a && r.equal(v, *a); };
  static const Test differ = [](R& r, const V& v, const V* a) { return !a || !r.equal(v, *a); };
  static const Test less = [](R& r, const V& v, const V* a) {
    return ordered(r, v, a, [](int o) { return o < 0; });
  };
  static const Test at_most = [](R& r, const V& v, const V* a) {
    return ordered(r, v, a, [](int o) { return o <= 0; });
  };
  static const Test greater = [](R& r, const V& v, const V* a) {
    return ordered(r, v, a, [](int o) { return o > 0; });
  };
  static const Test at_least = [](R& r, const V& v, const V* a) {
    return ordered(r, v, a, [](int o) { return o >= 0; });
  };
  static const std::map<std::string, Test, std::less<>> tests = {
      {"defined", [](R&, const V& v, const V*) { return !v.is_undefined(); }},
      {"undefined", [](R&, const V& v, const V*) { return v.is_undefined(); }},
      {"none", [](R&, const V& v, const V*) { return v.is_none(); }},
      {"string", [](R&, const V& v, const V*) { return v.text() != nullptr; }},
      {"mapping", [](R&, const V& v, const V*) { return v.dict() != nullptr; }},
      {"sequence", [](R&, const V& v, const V*) { return is_sequence(v); }},
      {"iterable", [](R&, const V& v,
                      const V*) { return v.is_undefined() || v.text() || v.list() || v.dict(); }},
      {"number", [](R&, const V& v, const V*) { return is_number(v); }},
      {"integer", [](R&, const V& v, const V*) { return v.get<int64_t>() != nullptr; }},
      {"float", [](R&, const V& v, const V*) { return v.get<double>() != nullptr; }},
      {"boolean", [](R&, const V& v, const V*) { return v.get<bool>() != nullptr; }},
      {"true", [](R&, const V& v, const V*) { return v.get<bool>() && v.truth(); }},
      {"false", [](R&, const V& v, const V*) { return v.get<bool>() && !v.truth(); }},
      {"callable",
       [](R&, const V& v, const V*) {
         return v.is_undefined() || v.get<Function>() || v.get<const Statement*>();
       }},
      {"odd", [](R& r, const V& v, const V*) { return remainder_of(r, v, 2) != 0; }},
      {"even", [](R& r, const V& v, const V*) { return remainder_of(r, v, 2) == 0; }},
      {"divisibleby",
       [](R& r, const V& v, const V* a) {
         return remainder_of(r, v, r.whole_number(needed(r, a), "a divisor")) == 0;
       }},
      {"in", [](R& r, const V& v, const V* a) { return contains(r, needed(r, a), v); }},
      {"sameas", [](R& r, const V& v, const V* a) { return is_same(r, v, needed(r, a)); }},
      {"eq", same},
      {"==", same},
      {"equalto", same},
      {"ne", differ},
      {"!=", differ},
      {"lt", less},
      {"<", less},
      {"lessthan", less},
      {"le", at_most},
      {"<=", at_most},
      {"gt", greater},
      {">", greater},
      {"greaterthan", greater},
      {"ge", at_least},
      {">=", at_least},
  };
  return tests;
}

}  // namespace

bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments) {
  const auto found = all_tests().find(name);
  if (found == all_tests().end()) runtime.fail("this test is not supported", in_quotes(name));
  if (arguments.values.size() > 1 || !arguments.named.empty()) {
    runtime.fail(concat("too many arguments of the test ", name));
  }
  const Value* argument = arguments.values.empty() ? nullptr : arguments.values.data();
  return found->second(runtime, value, argument);
}

}  // namespace hadal::jinja
