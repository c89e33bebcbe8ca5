#include "hadal/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "hadal/core/utf8.h"

namespace hadal::jinja {

Undefined::Undefined(std::string_view of)
    : name(of.substr(0, utf8_boundary_at_or_before(of, std::min<size_t>(of.size(), 60)))) {}

const Text* Value::text() const {
  const auto* found = get<std::shared_ptr<const Text>>();
  return found ? found->get() : nullptr;
}
const List* Value::list() const {
  const auto* found = get<std::shared_ptr<const List>>();
  return found ? found->get() : nullptr;
}
const Dict* Value::dict() const {
  const auto* found = get<std::shared_ptr<const Dict>>();
  return found ? found->get() : nullptr;
}
Namespace* Value::name_space() const {
  const auto* found = get<Namespace*>();
  return found ? *found : nullptr;
}

const char* Value::type_name() const {
  constexpr const char* kNames[] = {"undefined", "none",      "boolean", "integer",
                                    "float",     "string",    "list",    "dict",
                                    "loop",      "namespace", "macro",   "function"};
  return kNames[v_.index()];
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (const bool* b = get<bool>()) return *b;
  if (const int64_t* i = get<int64_t>()) return *i != 0;
  if (const double* d = get<double>()) return *d != 0;
  if (const Text* t = text()) return !t->empty();
  if (const List* l = list()) return l->kind == List::Kind::kIterator || !l->items.empty();
  if (const Dict* d = dict()) return !d->members.empty();
  return true;
}

int Value::depth() const {
  if (const List* l = list()) return l->depth;
  if (const Dict* d = dict()) return d->depth;
  if (const auto* loop = get<std::shared_ptr<const Loop>>()) return (*loop)->items->depth;
  return 0;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name.view() == key) return &value;
  }
  return nullptr;
}

Value from_json(const Json& json, Origin origin) {
  if (json.is_null()) return Value(nullptr);
  if (json.is_bool()) return Value(json.as_bool());
  if (json.is_string()) return Value(Text(json.as_string(), origin));
  if (json.is_integer() && !json.is_unsigned()) return Value(json.as_integer());
  if (json.is_number()) return Value(json.as_number());
  int depth = 0;
  if (json.is_array()) {
    List list;
    for (const Json& item : json.as_array()) {
      list.items.push_back(from_json(item, origin));
      depth = std::max(depth, list.items.back().depth());
    }
    list.depth = depth + 1;
    return Value(std::make_shared<const List>(std::move(list)));
  }
  Dict dict;
  for (const auto& [key, member] : json.as_object()) {
    dict.members.emplace_back(Text(key, origin), from_json(member, origin));
    depth = std::max(depth, dict.members.back().second.depth());
  }
  dict.depth = depth + 1;
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

namespace {

// A boolean counts as 0 or 1, as in Python.
std::optional<int64_t> whole(const Value& v) {
  if (const bool* b = v.get<bool>()) return *b ? 1 : 0;
  if (const int64_t* i = v.get<int64_t>()) return *i;
  return std::nullopt;
}

int order_of(auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; }

// Exact, where a conversion of the whole number would round it.
int order_of_mixed(int64_t a, double b) {
  if (std::isnan(b)) return 2;
  if (b >= 0x1p63) return -1;
  if (b < -0x1p63) return 1;
  const double floor = std::floor(b);
  const int by_floor = order_of(a, static_cast<int64_t>(floor));
  return by_floor == 0 && b > floor ? -1 : by_floor;
}

// Of two numbers; nothing for anything else.
std::optional<int> number_order(const Value& a, const Value& b) {
  const auto ia = whole(a), ib = whole(b);
  const double *da = a.get<double>(), *db = b.get<double>();
  if (ia && ib) return order_of(*ia, *ib);
  if (ia && db) return order_of_mixed(*ia, *db);
  if (da && ib) {
    const int reversed = order_of_mixed(*ib, *da);
    return reversed == 2 ? 2 : -reversed;
  }
  if (da && db) return std::isnan(*da) || std::isnan(*db) ? 2 : order_of(*da, *db);
  return std::nullopt;
}

bool equal_dicts(const Dict& a, const Dict& b, Spend spend) {
  if (a.members.size() != b.members.size()) return false;
  return std::all_of(a.members.begin(), a.members.end(), [&](const auto& member) {
    spend(b.members.size());
    const Value* other = b.find(member.first.view());
    return other && equal(member.second, *other, spend);
  });
}

}  // namespace

bool equal(const Value& a, const Value& b, Spend spend) {
  spend(1);
  if (const auto numbers = number_order(a, b)) return *numbers == 0;
  if (a.text() && b.text()) {
    if (a.text()->size() == b.text()->size()) spend(a.text()->size());
    return a.text()->view() == b.text()->view();
  }
  if (a.list() && b.list()) {
    if (a.list() == b.list()) return true;
    return a.list()->kind == b.list()->kind && a.list()->has_places() &&
           std::equal(a.list()->items.begin(), a.list()->items.end(), b.list()->items.begin(),
                      b.list()->items.end(),
                      [&](const Value& x, const Value& y) { return equal(x, y, spend); });
  }
  if (a.dict() && b.dict()) return equal_dicts(*a.dict(), *b.dict(), spend);
  if (a.name_space() || b.name_space()) return a.name_space() == b.name_space();
  if (const auto* fa = a.get<Function>(), *fb = b.get<Function>(); fa && fb) return *fa == *fb;
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int order(const Value& a, const Value& b, Spend spend) {
  spend(1);
  if (const auto numbers = number_order(a, b)) return *numbers;
  if (a.text() && b.text()) {
    spend(std::min(a.text()->size(), b.text()->size()));
    return order_of(a.text()->view().compare(b.text()->view()), 0);
  }
  const List *la = a.list(), *lb = b.list();
  if (!la || !lb || la->kind != lb->kind || !la->has_places()) return 2;
  for (size_t i = 0; i < std::min(la->items.size(), lb->items.size()); ++i) {
    if (!equal(la->items[i], lb->items[i], spend)) return order(la->items[i], lb->items[i], spend);
  }
  return order_of(la->items.size(), lb->items.size());
}

}  // namespace hadal::jinja
