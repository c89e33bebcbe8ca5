// jinja/filters.cc: value|NAME, where it makes one value of another. Those that go through a list
// value by value stand in list_filters.cc.
#include "hadal/jinja/filters.h"

#include <charconv>
#include <cmath>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal::jinja {
namespace {

Value tojson(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound =
      runtime.bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound[0] && bound[0]->truth();
  style.sort_keys = bound[3] && bound[3]->truth();
  if (bound[1] && !bound[1]->is_none()) {
    if (const Text* text = bound[1]->text()) {
      style.indent = text->bytes();
    } else {
      const int64_t blanks = runtime.whole_number(*bound[1], "an indent");
      if (blanks > 1000) runtime.fail("an indent is too large", concat(blanks), "at most 1000");
      style.indent = std::string(static_cast<size_t>(std::max<int64_t>(blanks, 0)), ' ');
    }
    style.item_separator = ",";  // as json.dumps does before a line break
    if (style.indent->size() > 1000) runtime.fail("an indent is too long");
  }
  if (bound[2] && !bound[2]->is_none()) {
    const List* two = bound[2]->list();
    if (!two || two->items.size() != 2) runtime.fail("separators are not two texts");
    style.item_separator = runtime.need_text(two->items[0], "a separator").bytes();
    style.key_separator = runtime.need_text(two->items[1], "a separator").bytes();
  }
  std::optional<Text> text = json_text(value, style, [&](size_t n) { runtime.charge(n); });
  if (!text) runtime.fail("a value that JSON has no form for", value.type_name());
  return runtime.text(std::move(*text));
}

// A filter that is a method of strings, on the value as text: 5|upper, none|trim.
Value by_method(Runtime& runtime, const char* method, const Value& value,
                const Arguments& arguments) {
  return call_method(runtime, runtime.text(runtime.printed(value)), method, arguments);
}

Value length(Runtime& runtime, const Value& value) {
  int64_t n = 0;
  if (const Text* text = value.text()) {
    runtime.charge(text->size());
    n = static_cast<int64_t>(character_count(text->view()));
  } else if (const List* list = value.list(); list && list->kind != List::Kind::kIterator) {
    n = std::ssize(list->items);
  } else if (const Dict* dict = value.dict()) {
    n = std::ssize(dict->members);
  } else if (!value.is_undefined()) {
    const bool iterator = value.list() != nullptr;
    runtime.fail("a value without a length", iterator ? "an iterator" : value.type_name(),
                 iterator ? "|list before it" : "a list, dict or string");
  }
  return Value(n);
}

Value with_default(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = runtime.bind("default", arguments, {"default_value", "boolean"});
  const bool boolean = bound[1] && bound[1]->truth();
  if (!value.is_undefined() && !(boolean && !value.truth())) return value;
  return bound[0] ? *bound[0] : runtime.text(Text());
}

Value whole(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (value.is_undefined()) runtime.member(value, Value());  // which fails
  const auto bound = runtime.bind("int", arguments, {"default", "base"});
  if (bound[1]) runtime.fail("int with a base is not supported");
  const Value otherwise = bound[0].value_or(Value(int64_t{0}));
  if (value.get<int64_t>() || value.get<bool>()) return Value(runtime.whole_number(value, ""));
  double number = 0;
  if (const double* d = value.get<double>()) {
    number = *d;
  } else if (const Text* text = value.text()) {
    const Text bare = strip(*text, Sides::kBoth, std::nullopt);
    const char *begin = bare.view().data(), *end = begin + bare.size();
    if (begin != end && *begin == '+') ++begin;
    int64_t exact = 0;
    if (const auto [stop, error] = std::from_chars(begin, end, exact);
        stop == end && begin != end && error == std::errc()) {
      return Value(exact);
    }
    const auto [stop, error] = std::from_chars(begin, end, number);
    if (begin == end || stop != end || error != std::errc()) return otherwise;
  } else {
    return otherwise;
  }
  if (!(std::fabs(number) < 0x1p63)) return otherwise;
  return Value(static_cast<int64_t>(number));
}

Value real(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (value.is_undefined()) runtime.member(value, Value());  // which fails
  const auto bound = runtime.bind("float", arguments, {"default"});
  const Value otherwise = bound[0].value_or(Value(0.0));
  if (value.get<double>()) return value;
  if (value.get<int64_t>() || value.get<bool>()) {
    return Value(static_cast<double>(runtime.whole_number(value, "")));
  }
  const Text* text = value.text();
  if (!text) return otherwise;
  const Text bare = strip(*text, Sides::kBoth, std::nullopt);
  const char *begin = bare.view().data(), *end = begin + bare.size();
  if (begin != end && *begin == '+') ++begin;
  double number = 0;
  const auto [stop, error] = std::from_chars(begin, end, number);
  return begin == end || stop != end || error != std::errc() ? otherwise : Value(number);
}

Value absolute(Runtime& runtime, const Value& value) {
  if (const double* d = value.get<double>()) return Value(std::fabs(*d));
  const int64_t number = runtime.whole_number(value, "a number");
  if (number == std::numeric_limits<int64_t>::min()) runtime.fail("number too large");
  return Value(number < 0 ? -number : number);
}

Value indented(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = runtime.bind("indent", arguments, {"width", "first", "blank"});
  const bool first = bound[1] && bound[1]->truth(), blank = bound[2] && bound[2]->truth();
  Text margin(std::string(4, ' '), Origin::kTemplate);
  if (bound[0] && bound[0]->text()) {
    margin = *bound[0]->text();
  } else if (bound[0]) {
    const int64_t width = runtime.whole_number(*bound[0], "an indent");
    if (width > 1000) runtime.fail("an indent is too large", concat(width), "at most 1000");
    margin =
        Text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '), Origin::kTemplate);
  }
  Text text = runtime.need_text(value, "what is indented");
  text.append("\n", Origin::kTemplate);
  const std::vector<Text> lines = split_lines(text, [&](size_t n) { runtime.charge(n); });
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    runtime.charge(lines[i].size() + margin.size());
    if (i > 0) out.append("\n", Origin::kTemplate);
    if (i == 0 ? first : blank || !lines[i].empty()) out.append(margin);
    out.append(lines[i]);
  }
  return runtime.text(std::move(out));
}

Value sorted_members(Runtime& runtime, const Value& value, const Arguments& arguments) {
  runtime.bind("dictsort", arguments, {});
  Arguments by_key;
  by_key.named.emplace_back("attribute", Value(int64_t{0}));
  const Value items = call_method(runtime, value, "items", {});
  return apply_list_filter(runtime, "sort", items, by_key).value();
}

Value members(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) return runtime.list({}, List::Kind::kIterator);
  const Dict* dict = value.dict();
  if (!dict) runtime.fail("items of what is no dict", value.type_name(), "a dict");
  const Value view = call_method(runtime, value, "items", {});
  return runtime.list(view.list()->items, List::Kind::kIterator);
}

}  // namespace

Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   const Arguments& arguments) {
  if (name == "tojson") return tojson(runtime, value, arguments);
  if (name == "default" || name == "d") return with_default(runtime, value, arguments);
  if (name == "trim") return by_method(runtime, "strip", value, arguments);
  if (name == "replace") return by_method(runtime, "replace", value, arguments);
  if (name == "int") return whole(runtime, value, arguments);
  if (name == "float") return real(runtime, value, arguments);
  if (name == "indent") return indented(runtime, value, arguments);
  if (name == "dictsort") return sorted_members(runtime, value, arguments);
  if (std::optional<Value> of_list = apply_list_filter(runtime, name, value, arguments)) {
    return *of_list;
  }
  runtime.bind(name, arguments, {});  // the others take none
  if (name == "length" || name == "count") return length(runtime, value);
  if (name == "string") return runtime.text(runtime.printed(value));
  if (name == "upper" || name == "lower" || name == "capitalize") {
    return by_method(runtime, name.c_str(), value, {});
  }
  if (name == "abs") return absolute(runtime, value);
  if (name == "items") return members(runtime, value);
  runtime.fail("this filter is not supported", in_quotes(name));
}

}  // namespace hadal::jinja
