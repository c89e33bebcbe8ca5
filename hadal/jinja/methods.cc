// jinja/methods.cc: what Python's strings, lists and dictionaries can be asked. Methods that change
// a value are not among them: the sandbox refuses those too.
#include <algorithm>
#include <functional>
#include <map>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/jinja/runtime.h"

namespace hadal::jinja {
namespace {

using Method = Value (*)(Runtime&, const Text&, const Arguments&);

// A count that may be missing, None or negative: then there is no limit.
int64_t count_of(Runtime& runtime, const std::optional<Value>& value, const char* what) {
  return !value || value->is_none() ? -1 : runtime.whole_number(*value, what);
}
// A text that may be missing or None.
std::optional<std::string_view> text_or_none(Runtime& runtime, const std::optional<Value>& value,
                                             const char* what) {
  if (!value || value->is_none()) return std::nullopt;
  return runtime.need_text(*value, what).view();
}

Value list_of(Runtime& runtime, std::vector<Text> texts, List::Kind kind = List::Kind::kList) {
  std::vector<Value> items;
  for (Text& text : texts) items.push_back(runtime.text(std::move(text)));
  return runtime.list(std::move(items), kind);
}

template <Sides kSides>
Value stripped(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("strip", arguments, {"chars"});
  const auto characters = text_or_none(runtime, bound[0], "the characters to strip");
  runtime.charge(self.size() * (characters ? characters->size() / 8 + 1 : 1));
  return runtime.text(strip(self, kSides, characters));
}

template <bool kFromRight>
Value parts(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("split", arguments, {"sep", "maxsplit"});
  const auto separator = text_or_none(runtime, bound[0], "a separator");
  const int64_t most = count_of(runtime, bound[1], "maxsplit");
  if (separator && separator->empty()) runtime.fail("empty separator of split");
  runtime.charge_search(self, separator.value_or(""));
  const auto spend = [&](size_t n) { runtime.charge(n); };
  if (!kFromRight) return list_of(runtime, split(self, separator, most, spend));
  if (!separator) runtime.fail("rsplit() without a separator is not supported");
  return list_of(runtime, split_from_right(self, *separator, most, spend));
}

// text.partition(separator): what is before it, itself, and what is behind.
template <bool kFromRight>
Value partition(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("partition", arguments, {"sep"});
  if (!bound[0]) runtime.fail("partition without a separator");
  const Text& separator = runtime.need_text(*bound[0], "a separator");
  if (separator.empty()) runtime.fail("empty separator of partition");
  runtime.charge_search(self, separator.view());
  const size_t at =
      kFromRight ? self.view().rfind(separator.view()) : self.view().find(separator.view());
  std::vector<Text> three(3);
  if (at == std::string_view::npos) {
    three[kFromRight ? 2 : 0] = self;
  } else {
    three[0] = self.slice(0, at);
    three[1] = separator;
    three[2] = self.slice(at + separator.size(), self.size());
  }
  return list_of(runtime, std::move(three), List::Kind::kTuple);
}

template <bool kAtEnd>
Value begins_or_ends(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const char* what = kAtEnd ? "endswith" : "startswith";
  const auto bound = runtime.bind(what, arguments, {"text"});
  if (!bound[0]) runtime.fail(concat(what, " without a text"));
  const auto matches = [&](const Value& value) {
    const std::string_view word = runtime.need_text(value, concat("an argument of ", what)).view();
    runtime.charge(word.size());
    if (word.size() > self.size()) return false;
    return self.view().substr(kAtEnd ? self.size() - word.size() : 0, word.size()) == word;
  };
  const List* several = bound[0]->list();
  if (!several || several->kind != List::Kind::kTuple) return Value(matches(*bound[0]));
  runtime.step(several->items.size());
  return Value(std::any_of(several->items.begin(), several->items.end(), matches));
}

Value replaced(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("replace", arguments, {"old", "new", "count"});
  if (!bound[0] || !bound[1]) runtime.fail("replace without two texts");
  const Text& from = runtime.need_text(*bound[0], "what is replaced");
  const Text& to = runtime.need_text(*bound[1], "a replacement");
  // The longest it may get, before it is made.
  const size_t places = self.size() / std::max<size_t>(from.size(), 1) + 1;
  if (to.size() > 0 && places > static_cast<size_t>(runtime.limits().bytes) / to.weight()) {
    runtime.fail("a replacement makes too much text");
  }
  runtime.charge_search(self, from.view());
  return runtime.text(
      replace(self, from.view(), to, count_of(runtime, bound[2], "a number of replacements")));
}

template <Case kCase>
Value in_case(Runtime& runtime, const Text& self, const Arguments& arguments) {
  runtime.bind("a change of case", arguments, {});
  runtime.charge(self.size());
  std::optional<Text> changed = with_case(self, kCase);
  if (!changed) runtime.fail("upper and lower case beyond ASCII", in_quotes(self.view()), "ASCII");
  return runtime.text(std::move(*changed));
}

// The place of a text in characters, -1 if it is not there.
template <bool kFromRight>
Value place(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("find", arguments, {"text"});
  if (!bound[0]) runtime.fail("find without a text");
  const std::string_view word = runtime.need_text(*bound[0], "what is searched").view();
  runtime.charge_search(self, word);
  const size_t at = kFromRight ? self.view().rfind(word) : self.view().find(word);
  if (at == std::string_view::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(character_count(self.view().substr(0, at))));
}

Value count(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("count", arguments, {"text"});
  if (!bound[0]) runtime.fail("count without a text");
  const Text& word = runtime.need_text(*bound[0], "what is counted");
  runtime.charge_search(self, word.view());
  if (word.empty()) return Value(static_cast<int64_t>(character_count(self.view()) + 1));
  int64_t n = 0;
  for (size_t at = self.view().find(word.view()); at != std::string_view::npos;
       at = self.view().find(word.view(), at + word.size())) {
    ++n;
  }
  return Value(n);
}

Value lines(Runtime& runtime, const Text& self, const Arguments& arguments) {
  runtime.bind("splitlines", arguments, {});
  runtime.charge(self.size());
  return list_of(runtime, split_lines(self, [&](size_t n) { runtime.charge(n); }));
}

Value joined(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("join", arguments, {"list"});
  if (!bound[0]) runtime.fail("join without a list");
  const std::shared_ptr<const List> items = runtime.each(*bound[0]);
  Text out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    const Text& item = runtime.need_text(items->items[i], "what is joined");
    runtime.charge(self.size() + item.size());
    if (i > 0) out.append(self);
    out.append(item);
  }
  return runtime.text(std::move(out));
}

template <bool kAtEnd>
Value without(Runtime& runtime, const Text& self, const Arguments& arguments) {
  const auto bound = runtime.bind("removeprefix", arguments, {"text"});
  if (!bound[0]) runtime.fail("removeprefix without a text");
  const size_t n = runtime.need_text(*bound[0], "what is removed").size();
  const bool there = begins_or_ends<kAtEnd>(runtime, self, arguments).truth();
  if (!there) return runtime.text(self);
  return runtime.text(kAtEnd ? self.slice(0, self.size() - n) : self.slice(n, self.size()));
}

const std::map<std::string, Method, std::less<>>& methods_of_strings() {
  static const std::map<std::string, Method, std::less<>> methods = {
      {"strip", stripped<Sides::kBoth>},
      {"lstrip", stripped<Sides::kLeft>},
      {"rstrip", stripped<Sides::kRight>},
      {"split", parts<false>},
      {"rsplit", parts<true>},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"startswith", begins_or_ends<false>},
      {"endswith", begins_or_ends<true>},
      {"removeprefix", without<false>},
      {"removesuffix", without<true>},
      {"replace", replaced},
      {"upper", in_case<Case::kUpper>},
      {"lower", in_case<Case::kLower>},
      {"capitalize", in_case<Case::kCapital>},
      {"title", in_case<Case::kTitle>},
      {"find", place<false>},
      {"rfind", place<true>},
      {"count", count},
      {"splitlines", lines},
      {"join", joined},
  };
  return methods;
}

Value call_on_dict(Runtime& runtime, const Dict& self, const std::string& name,
                   const Arguments& arguments) {
  if (name == "get") {
    const auto bound = runtime.bind("get", arguments, {"key", "default"});
    if (!bound[0]) runtime.fail("get without a key");
    runtime.expect_key(*bound[0]);
    runtime.step(self.members.size() / 8);
    const Value* found = bound[0]->text() ? self.find(bound[0]->text()->view()) : nullptr;
    return found ? *found : bound[1].value_or(Value(nullptr));
  }
  if (name != "items" && name != "keys" && name != "values") {
    runtime.fail("this method of a dict is not supported", in_quotes(name),
                 "get, items, keys or values");
  }
  runtime.bind(name, arguments, {});
  std::vector<Value> items;
  for (const auto& [key, value] : self.members) {
    if (name == "values") {
      items.push_back(value);
      continue;
    }
    Value word = runtime.text(key);
    items.push_back(name == "keys" ? std::move(word)
                                   : runtime.list({std::move(word), value}, List::Kind::kTuple));
  }
  return runtime.list(std::move(items), List::Kind::kView);
}

Value call_on_list(Runtime& runtime, const List& self, const std::string& name,
                   const Arguments& arguments) {
  const auto bound = runtime.bind(name, arguments, {"value"});
  if ((name != "index" && name != "count") || !self.has_places()) {
    runtime.fail("this method of a list is not supported", in_quotes(name), "index or count");
  }
  if (!bound[0]) runtime.fail(concat(name, " without a value"));
  runtime.step(self.items.size());
  const auto is_it = [&](const Value& item) { return runtime.equal(item, *bound[0]); };
  if (name == "count") {
    return Value(static_cast<int64_t>(std::count_if(self.items.begin(), self.items.end(), is_it)));
  }
  const auto found = std::find_if(self.items.begin(), self.items.end(), is_it);
  if (found == self.items.end()) runtime.fail("index of what is not in the list");
  return Value(static_cast<int64_t>(found - self.items.begin()));
}

}  // namespace

bool is_method_of_dict(const std::string& name) {
  for (const char* method : {"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem",
                             "setdefault", "update", "values"}) {
    if (name == method) return true;
  }
  return false;
}

Value call_method(Runtime& runtime, const Value& value, const std::string& name,
                  const Arguments& arguments) {
  if (const Text* text = value.text()) {
    const auto found = methods_of_strings().find(name);
    if (found == methods_of_strings().end()) {
      runtime.fail("this method of a string is not supported", in_quotes(name));
    }
    return found->second(runtime, *text, arguments);
  }
  if (const Dict* dict = value.dict()) return call_on_dict(runtime, *dict, name, arguments);
  if (const List* list = value.list()) return call_on_list(runtime, *list, name, arguments);
  if (value.is_undefined()) {
    runtime.fail("a method of what is not there", in_quotes(value.get<Undefined>()->name),
                 "a variable that is defined");
  }
  runtime.fail(concat("no method of this name for a ", value.type_name()), in_quotes(name));
}

}  // namespace hadal::jinja
