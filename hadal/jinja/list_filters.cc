// jinja/list_filters.cc: filters that go through a list. Like Jinja's they give an iterator where
// Python would: for one pass, without a length, and true even when nothing is in it.
#include <algorithm>
#include <charconv>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/jinja/filters.h"

namespace hadal::jinja {
namespace {

using Items = std::vector<Value>;

Items items_of(Runtime& runtime, const Value& value) {
  const std::shared_ptr<const List> list = runtime.each(value);
  runtime.step(list->items.size());
  runtime.charge(sizeof(Value) * list->items.size());
  return list->items;
}

// item.a.0.b for attribute "a.0.b"; a number is a place.
Value attribute_of(Runtime& runtime, const Value& item, const Value& attribute) {
  if (attribute.get<int64_t>()) return runtime.member(item, attribute);
  const Text& path = runtime.need_text(attribute, "an attribute");
  if (path.view().find(',') != std::string_view::npos) {
    runtime.fail("several attributes are not supported", in_quotes(path.view()), "one");
  }
  Value value = item;
  runtime.charge(path.size());
  for (Text& name : split(path, ".", -1, [&](size_t n) { runtime.charge(n); })) {
    int64_t place = 0;
    const char* end = name.view().data() + name.size();
    const bool digits = std::from_chars(name.view().data(), end, place).ptr == end && !name.empty();
    value = runtime.member(value, digits ? Value(place) : Value(std::move(name)));
  }
  return value;
}

// What decides over order and equality: strings without regard to case unless asked.
Value key_of(Runtime& runtime, const Value& item, const std::optional<Value>& attribute,
             bool case_sensitive) {
  Value key = attribute && !attribute->is_none() ? attribute_of(runtime, item, *attribute) : item;
  if (case_sensitive || !key.text()) return key;
  return call_method(runtime, key, "lower", {});
}

bool flag(const std::optional<Value>& value) { return value && value->truth(); }

int order_or_fail(Runtime& runtime, const Value& a, const Value& b) {
  const int sign = runtime.order(a, b);
  if (sign == 2) {
    runtime.fail("values without an order", concat(a.type_name(), " and ", b.type_name()),
                 "numbers or strings");
  }
  return sign;
}

Value join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = runtime.bind("join", arguments, {"d", "attribute"});
  const Text between = bound[0] ? runtime.printed(*bound[0]) : Text();
  Text out;
  bool first = true;
  for (const Value& item : items_of(runtime, value)) {
    runtime.charge(between.size());
    if (!first) out.append(between);
    first = false;
    const bool part = bound[1] && !bound[1]->is_none();
    out.append(runtime.printed(part ? attribute_of(runtime, item, *bound[1]) : item));
  }
  return runtime.text(std::move(out));
}

Value first(Runtime& runtime, const Value& value, const Arguments& arguments) {
  runtime.bind("first", arguments, {});
  const List* iterator = value.list();
  if (iterator && iterator->kind == List::Kind::kIterator) {  // takes one away
    if (iterator->passed < iterator->items.size()) return iterator->items[iterator->passed++];
    return Value(Undefined{"first"});
  }
  const std::shared_ptr<const List> list = runtime.each(value);
  return list->items.empty() ? Value(Undefined{"first"}) : list->items.front();
}

Value last(Runtime& runtime, const Value& value, const Arguments& arguments) {
  runtime.bind("last", arguments, {});
  const List* iterator = value.list();
  if (iterator && iterator->kind == List::Kind::kIterator) {
    runtime.fail("last of an iterator", "an iterator", "|list before it");
  }
  const std::shared_ptr<const List> list = runtime.each(value);
  return list->items.empty() ? Value(Undefined{"last"}) : list->items.back();
}

Value sorted(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = runtime.bind("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items_of(runtime, value)) {
    Value key = key_of(runtime, item, bound[2], flag(bound[1]));
    keyed.emplace_back(std::move(key), std::move(item));
  }
  // Checked before, so that the comparison below is a strict order.
  for (size_t i = 1; i < keyed.size(); ++i) order_or_fail(runtime, keyed[0].first, keyed[i].first);
  runtime.step(16 * keyed.size());
  const bool reverse = flag(bound[0]);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    const int sign = runtime.order(a.first, b.first);
    return reverse ? sign == 1 : sign == -1;
  });
  Items items;
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return runtime.list(std::move(items));
}

Value unique(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = runtime.bind("unique", arguments, {"case_sensitive", "attribute"});
  Items seen, kept;
  for (Value& item : items_of(runtime, value)) {
    Value key = key_of(runtime, item, bound[1], flag(bound[0]));
    runtime.step(seen.size());
    if (std::any_of(seen.begin(), seen.end(),
                    [&](const Value& s) { return runtime.equal(s, key); }))
      continue;
    seen.push_back(std::move(key));
    kept.push_back(std::move(item));
  }
  return runtime.list(std::move(kept), List::Kind::kIterator);
}

Value reversed(Runtime& runtime, const Value& value, const Arguments& arguments) {
  runtime.bind("reverse", arguments, {});
  if (value.list() && value.list()->kind == List::Kind::kIterator) {
    runtime.fail("reverse of an iterator", "an iterator", "|list before it");
  }
  Items items = items_of(runtime, value);
  std::reverse(items.begin(), items.end());
  if (!value.text()) return runtime.list(std::move(items), List::Kind::kIterator);
  Text out;
  for (const Value& letter : items) out.append(*letter.text());
  return runtime.text(std::move(out));
}

Value sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const auto bound = runtime.bind("sum", arguments, {"attribute", "start"});
  double real = 0;
  int64_t whole = 0;
  bool is_real = false;
  const auto add = [&](const Value& item) {
    if (const double* d = item.get<double>()) {
      real = (is_real ? real : static_cast<double>(whole)) + *d;
      is_real = true;
    } else if (is_real) {
      real += static_cast<double>(runtime.whole_number(item, "what is summed"));
    } else if (__builtin_add_overflow(whole, runtime.whole_number(item, "what is summed"),
                                      &whole)) {
      runtime.fail("number too large");
    }
  };
  if (bound[1]) add(*bound[1]);
  for (const Value& item : items_of(runtime, value)) {
    const bool part = bound[0] && !bound[0]->is_none();
    add(part ? attribute_of(runtime, item, *bound[0]) : item);
  }
  return is_real ? Value(real) : Value(whole);
}

Value extreme(Runtime& runtime, const Value& value, const Arguments& arguments, int wanted) {
  const auto bound = runtime.bind("min", arguments, {"case_sensitive", "attribute"});
  std::optional<Value> best, best_key;
  for (Value& item : items_of(runtime, value)) {
    Value key = key_of(runtime, item, bound[1], flag(bound[0]));
    if (best && order_or_fail(runtime, key, *best_key) != wanted) continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return best.value_or(Value(Undefined{"min"}));
}

// The arguments behind the first `n`.
Arguments rest_of(const Arguments& arguments, size_t n) {
  Arguments rest = arguments;
  rest.values.erase(rest.values.begin(), rest.values.begin() + static_cast<ptrdiff_t>(n));
  return rest;
}

Value mapped(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Items out;
  if (!value.truth()) return runtime.list({}, List::Kind::kIterator);  // none and 0 as well
  if (arguments.values.empty()) {
    const auto bound = runtime.bind("map", arguments, {"attribute", "default"});
    if (!bound[0]) runtime.fail("map without a filter or attribute");
    for (const Value& item : items_of(runtime, value)) {
      Value part = attribute_of(runtime, item, *bound[0]);
      out.push_back(part.is_undefined() && bound[1] ? *bound[1] : std::move(part));
    }
  } else {
    const std::string filter = runtime.need_text(arguments.values[0], "a filter's name").bytes();
    const Arguments rest = rest_of(arguments, 1);
    const Runtime::Deeper deeper(runtime);
    for (const Value& item : items_of(runtime, value)) {
      out.push_back(apply_filter(runtime, filter, item, rest));
    }
  }
  return runtime.list(std::move(out), List::Kind::kIterator);
}

// select, reject: by a test of the item; selectattr, rejectattr: of its attribute. Without a test, by
// truth.
Value selected(Runtime& runtime, const Value& value, const Arguments& arguments, bool by_attribute,
               bool wanted) {
  const size_t n = by_attribute ? 1 : 0;
  if (arguments.values.size() < n) runtime.fail("selectattr without an attribute");
  std::string test;
  Arguments rest;
  if (arguments.values.size() > n) {
    test = runtime.need_text(arguments.values[n], "a test's name").bytes();
    rest = rest_of(arguments, n + 1);
  }
  Items out;
  if (!value.truth()) return runtime.list({}, List::Kind::kIterator);
  for (Value& item : items_of(runtime, value)) {
    const Value tested = by_attribute ? attribute_of(runtime, item, arguments.values[0]) : item;
    const bool holds = test.empty() ? tested.truth() : apply_test(runtime, test, tested, rest);
    if (holds == wanted) out.push_back(std::move(item));
  }
  return runtime.list(std::move(out), List::Kind::kIterator);
}

}  // namespace

std::optional<Value> apply_list_filter(Runtime& runtime, const std::string& name,
                                       const Value& value, const Arguments& arguments) {
  if (name == "join") return join(runtime, value, arguments);
  if (name == "first") return first(runtime, value, arguments);
  if (name == "last") return last(runtime, value, arguments);
  if (name == "sort") return sorted(runtime, value, arguments);
  if (name == "unique") return unique(runtime, value, arguments);
  if (name == "reverse") return reversed(runtime, value, arguments);
  if (name == "sum") return sum(runtime, value, arguments);
  if (name == "min") return extreme(runtime, value, arguments, -1);
  if (name == "max") return extreme(runtime, value, arguments, 1);
  if (name == "map") return mapped(runtime, value, arguments);
  if (name == "select") return selected(runtime, value, arguments, false, true);
  if (name == "reject") return selected(runtime, value, arguments, false, false);
  if (name == "selectattr") return selected(runtime, value, arguments, true, true);
  if (name == "rejectattr") return selected(runtime, value, arguments, true, false);
  if (name != "list") return std::nullopt;
  runtime.bind("list", arguments, {});
  return runtime.list(items_of(runtime, value));
}

}  // namespace hadal::jinja
