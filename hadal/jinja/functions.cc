// jinja/functions.cc: namespace(), range(), dict(), raise_exception() and strftime_now().
#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/jinja/runtime.h"

namespace hadal::jinja {
namespace {

Value make_namespace(Runtime& runtime, const Arguments& arguments) {
  if (arguments.values.size() > 1) runtime.fail("too many arguments of namespace");
  Namespace* space = runtime.new_namespace();
  if (!arguments.values.empty()) {
    const Dict* from = arguments.values[0].dict();
    if (!from)
      runtime.fail("wrong argument of namespace", arguments.values[0].type_name(), "a dict");
    for (const auto& [key, value] : from->members) {
      runtime.charge(key.weight() + sizeof(Value));
      space->members.emplace_back(key.bytes(), value);
    }
  }
  for (const auto& given : arguments.named) {
    runtime.charge(given.first.size() + sizeof(Value));
    runtime.step(space->members.size() / 8);
    std::erase_if(space->members, [&](const auto& member) { return member.first == given.first; });
    space->members.push_back(given);
  }
  return Value(space);
}

Value make_dict(Runtime& runtime, const Arguments& arguments) {
  if (!arguments.values.empty()) runtime.fail("dict() of a value is not supported");
  std::vector<std::pair<Text, Value>> members;
  for (const auto& [name, value] : arguments.named) {
    members.emplace_back(Text(name, Origin::kTemplate), value);
  }
  return runtime.dict(std::move(members));
}

Value make_range(Runtime& runtime, const Arguments& arguments) {
  const std::vector<Value>& given = arguments.values;
  if (given.empty() || given.size() > 3 || !arguments.named.empty()) {
    runtime.fail("wrong number of arguments of range", concat(given.size()), "1 to 3");
  }
  const auto number = [&](size_t i) { return runtime.whole_number(given[i], "an end of range"); };
  const int64_t begin = given.size() > 1 ? number(0) : 0, end = number(given.size() > 1 ? 1 : 0);
  const int64_t step = given.size() > 2 ? number(2) : 1;
  if (step == 0) runtime.fail("range with a step of 0");
  std::vector<Value> numbers;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (std::ssize(numbers) >= runtime.limits().range) {
      runtime.fail("range of too many numbers", "", concat("at most ", runtime.limits().range));
    }
    numbers.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return runtime.list(std::move(numbers), List::Kind::kRange);
}

Value time_text(Runtime& runtime, const Arguments& arguments) {
  const auto bound = runtime.bind("strftime_now", arguments, {"format"});
  if (!bound[0]) runtime.fail("strftime_now without a format");
  const Text& format = runtime.need_text(*bound[0], "a time's format");
  if (format.empty()) return runtime.text(Text());
  if (format.size() > 200) runtime.fail("a time's format is too long");
  const std::time_t now = runtime.now();
  std::tm fields = {};
  localtime_r(&now, &fields);
  char text[4096];
  const size_t n = std::strftime(text, sizeof text, format.bytes().c_str(), &fields);
  return runtime.text(Text(std::string(text, n), Origin::kData));
}

}  // namespace

Value call_function(Runtime& runtime, Function function, const Arguments& arguments) {
  switch (function) {
    case Function::kNamespace:
      return make_namespace(runtime, arguments);
    case Function::kRange:
      return make_range(runtime, arguments);
    case Function::kDict:
      return make_dict(runtime, arguments);
    case Function::kStrftimeNow:
      return time_text(runtime, arguments);
    case Function::kRaiseException:
      break;
  }
  const auto bound = runtime.bind("raise_exception", arguments, {"message"});
  if (!bound[0]) runtime.fail("raise_exception without a message");
  runtime.fail("the template refuses this conversation",
               in_quotes(runtime.printed(*bound[0]).view()));
}

}  // namespace hadal::jinja
