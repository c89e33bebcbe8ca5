#include "hadal/jinja/runtime.h"

#include <algorithm>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/jinja/lexer.h"

namespace hadal::jinja {

void Runtime::fail(const std::string& problem, const std::string& found,
                   const std::string& expected) const {
  refuse_template(source_, line_, problem, found, expected);
}

void Runtime::step(size_t n) {
  steps_ += static_cast<int64_t>(n);
  if (steps_ > limits_.steps) fail("the template runs too long", concat(steps_, " steps"));
}

void Runtime::charge(size_t bytes) {
  bytes_ += static_cast<int64_t>(bytes);
  if (bytes_ > limits_.bytes) fail("the template makes too much text", concat(bytes_, " bytes"));
}

void Runtime::charge_search(const Text& text, std::string_view word) {
  // A word of 64 letters may be compared at every place before its last letter differs.
  charge(text.size() * (1 + word.size() / 64));
}

int Runtime::check_depth(int depth) const {
  if (depth > limits_.value_depth) fail("lists nested too deeply", concat(depth, " levels"));
  return depth;
}

Value Runtime::text(Text text) {
  charge(sizeof(Text) + text.weight());
  return Value(std::move(text));
}

Value Runtime::list(std::vector<Value> items, List::Kind kind) {
  charge(sizeof(Value) * items.size() + sizeof(List));
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return Value(std::make_shared<const List>(
      List{.items = std::move(items), .kind = kind, .depth = check_depth(depth + 1)}));
}

Value Runtime::dict(std::vector<std::pair<Text, Value>> members) {
  charge((sizeof(Value) + sizeof(Text)) * members.size() + sizeof(Dict));
  int depth = 0;
  for (const auto& member : members) {
    charge(member.first.size());
    depth = std::max(depth, member.second.depth());
  }
  return Value(std::make_shared<const Dict>(
      Dict{.members = std::move(members), .depth = check_depth(depth + 1)}));
}

Namespace* Runtime::new_namespace() {
  charge(sizeof(Namespace));
  return &namespaces_.emplace_back();
}

Text Runtime::printed(const Value& value) {
  std::optional<Text> text = printed_value(value, [this](size_t n) { charge(n); });
  if (!text)
    fail("printing this value is not supported", value.type_name(), "a text, number, list or dict");
  return std::move(*text);
}

bool Runtime::equal(const Value& a, const Value& b) {
  return jinja::equal(a, b, [this](size_t n) { charge(n); });
}

int Runtime::order(const Value& a, const Value& b) {
  return jinja::order(a, b, [this](size_t n) { charge(n); });
}

std::shared_ptr<const List> Runtime::each(const Value& value) {
  if (const auto* list = value.get<std::shared_ptr<const List>>()) {
    if ((*list)->kind != List::Kind::kIterator) return *list;
    List left{.items = {(*list)->items.begin() + static_cast<ptrdiff_t>((*list)->passed),
                        (*list)->items.end()}};
    (*list)->passed = (*list)->items.size();
    left.depth = (*list)->depth;
    charge(sizeof(Value) * left.items.size());
    return std::make_shared<const List>(std::move(left));
  }
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    for (const auto& member : dict->members) items.push_back(text(member.first));
  } else if (const Text* letters = value.text()) {
    for (size_t at = 0, length = 0; at < letters->size(); at += length) {
      code_point_at(letters->view(), at, &length);
      items.push_back(text(letters->slice(at, at + length)));
    }
  } else if (!value.is_undefined()) {
    fail("not a list to go through", value.type_name(), "a list, dict or string");
  }
  return *list(std::move(items)).get<std::shared_ptr<const List>>();
}

Value Runtime::member(const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    const Text* name = key.text();
    step(dict->members.size() / 8);
    if (const Value* found = name ? dict->find(name->view()) : nullptr) return *found;
  } else if (const Namespace* space = value.name_space()) {
    for (const auto& [name, found] : space->members) {
      if (key.text() && key.text()->view() == name) return found;
    }
  } else if (const List* items = value.list(); items && items->has_places()) {
    if (const int64_t* place = key.get<int64_t>()) {
      const int64_t n = std::ssize(items->items), i = *place < 0 ? *place + n : *place;
      if (i >= 0 && i < n) return items->items[static_cast<size_t>(i)];
    }
  } else if (const Text* letters = value.text()) {
    if (const int64_t* place = key.get<int64_t>()) {
      charge(letters->size());
      const auto n = static_cast<int64_t>(character_count(letters->view()));
      const int64_t i = *place < 0 ? *place + n : *place;
      if (i >= 0 && i < n) {
        const size_t begin = character_begin(letters->view(), static_cast<size_t>(i));
        size_t length = 0;
        code_point_at(letters->view(), begin, &length);
        return text(letters->slice(begin, begin + length));
      }
    }
  } else if (value.is_undefined()) {
    fail("a member of what is not there", in_quotes(value.get<Undefined>()->name),
         "a variable that is defined");
  }
  return Value(Undefined(key.text() ? key.text()->view() : key.type_name()));
}

int64_t Runtime::whole_number(const Value& value, const std::string& what) const {
  if (const int64_t* number = value.get<int64_t>()) return *number;
  if (const bool* truth = value.get<bool>()) return *truth ? 1 : 0;
  fail(concat("wrong type of ", what), value.type_name(), "an integer");
}

const Text& Runtime::need_text(const Value& value, const std::string& what) const {
  if (!value.text()) fail(concat("wrong type of ", what), value.type_name(), "a string");
  return *value.text();
}

std::vector<std::optional<Value>> Runtime::bind(const std::string& what, const Arguments& given,
                                                std::initializer_list<const char*> names) const {
  std::vector<std::optional<Value>> bound(names.size());
  if (given.values.size() > names.size()) {
    fail(concat("too many arguments of ", what), concat(given.values.size()),
         concat("at most ", names.size()));
  }
  std::copy(given.values.begin(), given.values.end(), bound.begin());
  for (const auto& [name, value] : given.named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail(concat("unknown argument of ", what), in_quotes(name));
    auto& place = bound[static_cast<size_t>(found - names.begin())];
    if (place) fail(concat("argument of ", what, " given twice"), in_quotes(name));
    place = value;
  }
  return bound;
}

void Runtime::expect_key(const Value& value) const {
  if (value.dict() || (value.list() && value.list()->kind == List::Kind::kList)) {
    fail("a value that no dict has for a key", value.type_name(), "a string, number or tuple");
  }
}

bool contains(Runtime& runtime, const Value& whole, const Value& part) {
  if (const Text* text = whole.text()) {
    const Text& word = runtime.need_text(part, "what is searched in a string");
    runtime.charge_search(*text, word.view());
    return text->view().find(word.view()) != std::string_view::npos;
  }
  if (const Dict* dict = whole.dict()) {
    runtime.expect_key(part);
    runtime.step(dict->members.size() / 8);
    return part.text() && dict->find(part.text()->view()) != nullptr;
  }
  const std::shared_ptr<const List> items = runtime.each(whole);
  runtime.step(items->items.size());
  return std::any_of(items->items.begin(), items->items.end(),
                     [&](const Value& item) { return runtime.equal(item, part); });
}

}  // namespace hadal::jinja
