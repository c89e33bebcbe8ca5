// jinja/value.h: what a template computes with: JSON's values with Python's habits, since that is what
// templates are written for. Lists and dictionaries never change once they are made (as in the sandbox
// in which Hugging Face renders), so values are shared, not copied.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "hadal/core/json.h"
#include "hadal/jinja/text.h"

namespace hadal::jinja {

class Value;
struct List;
struct Dict;
struct Loop;
struct Namespace;
struct Statement;

// A name or member that is not there: prints as nothing, is false, has no members.
struct Undefined {
  Undefined() = default;
  explicit Undefined(std::string_view of);
  std::string name;  // its beginning: it goes into a message alone, and is copied with the value
};
// What a template may call by name.
enum class Function : uint8_t { kNamespace, kRange, kDict, kRaiseException, kStrftimeNow };

class Value {
 public:
  using Variant =
      std::variant<Undefined, std::nullptr_t, bool, int64_t, double, std::shared_ptr<const Text>,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                   std::shared_ptr<const Loop>, Namespace*, const Statement*, Function>;

  Value() = default;  // undefined
  template <class T>
  explicit Value(T value) : v_(std::move(value)) {}
  explicit Value(Text text) : v_(std::make_shared<const Text>(std::move(text))) {}

  template <class T>
  const T* get() const {
    return std::get_if<T>(&v_);
  }
  bool is_undefined() const { return v_.index() == 0; }
  bool is_none() const { return v_.index() == 1; }
  const Text* text() const;
  const List* list() const;
  const Dict* dict() const;
  Namespace* name_space() const;
  const char* type_name() const;  // "string", "list": Jinja's words where it has some
  bool truth() const;
  // Number of values in each other: 0 for a number, 1 for a list of numbers.
  int depth() const;

 private:
  Variant v_;
};

// Things to go through one after another.
struct List {
  enum class Kind : uint8_t {
    kList,
    kTuple,
    kRange,
    kView,      // a dictionary's items(), keys() or values()
    kIterator,  // what map or select give: for one pass, and true even when empty
  };
  std::vector<Value> items;
  Kind kind = Kind::kList;
  int depth = 1;
  mutable size_t passed = 0;  // kIterator: so many were taken

  bool has_places() const { return kind != Kind::kView && kind != Kind::kIterator; }
};

struct Dict {
  std::vector<std::pair<Text, Value>> members;
  int depth = 1;
  const Value* find(std::string_view key) const;
};

// The variable `loop`.
struct Loop {
  std::shared_ptr<const List> items;
  size_t index0 = 0;
};

// The only thing that changes: namespace(found=false), then {% set ns.found = true %}. Owned by the
// rendering, since it may hold itself.
struct Namespace {
  std::vector<std::pair<std::string, Value>> members;
};

Value from_json(const Json& json, Origin origin);

// What these cost is not bounded by what the values take in memory: lists in lists share their values.
bool equal(const Value& a, const Value& b, Spend spend);
// -1, 0, 1, or 2 where Python has no order: a number and a text.
int order(const Value& a, const Value& b, Spend spend);

// As Python's str() prints it. Nothing for what has no such form here: functions, macros, namespaces,
// iterators.
std::optional<Text> printed_value(const Value& value, Spend spend);
std::string float_text(double value);  // Python's repr: 1.0, 1e-05, 1e+16, nan

struct JsonStyle {
  bool ensure_ascii = false, sort_keys = false;
  std::optional<std::string> indent;  // of one level; nothing: one line
  std::string item_separator = ", ", key_separator = ": ";
};
// Python's json.dumps. Nothing if `value` holds what JSON has no form for.
std::optional<Text> json_text(const Value& value, const JsonStyle& style, Spend spend);

}  // namespace hadal::jinja
