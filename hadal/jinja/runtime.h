// jinja/runtime.h: what one rendering may use up, where it stands, and how values are made under that
// watch. A hostile template ends with an error: it neither runs on nor fills the memory.
#pragma once

#include <ctime>
#include <deque>
#include <memory>

#include "hadal/jinja/value.h"

namespace hadal::jinja {

struct Limits {
  int64_t steps = 10'000'000;        // parts of the tree evaluated, and values gone through
  int64_t bytes = int64_t{1} << 28;  // of all texts and lists made or searched
  int depth = 600;                   // of the evaluator's recursion
  int value_depth = 400;             // lists in lists
  int64_t range = 100'000;           // numbers in range(), as in Jinja's sandbox
};

// What a call, filter or test gets, behind the value it is applied to.
struct Arguments {
  std::vector<Value> values;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime {
 public:
  // `source` names the template and outlives this.
  Runtime(const std::string& source, const Limits& limits, std::time_t now)
      : source_(source), limits_(limits), now_(now) {}

  // FormatError "SOURCE: line N: PROBLEM (found FOUND, expected EXPECTED)".
  [[noreturn]] void fail(const std::string& problem, const std::string& found = "",
                         const std::string& expected = "") const;
  void at(int line) { line_ = line; }
  void step(size_t n = 1);
  void charge(size_t bytes);
  void charge_search(const Text& text, std::string_view word);  // of the word in the text
  const Limits& limits() const { return limits_; }
  std::time_t now() const { return now_; }

  class Deeper {
   public:
    explicit Deeper(Runtime& runtime) : runtime_(runtime) {
      if (++runtime.depth_ > runtime.limits_.depth) runtime.fail("nested too deeply");
    }
    ~Deeper() { --runtime_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Runtime& runtime_;
  };

  Value text(Text text);
  Value list(std::vector<Value> items, List::Kind kind = List::Kind::kList);
  Value dict(std::vector<std::pair<Text, Value>> members);
  Namespace* new_namespace();

  Text printed(const Value& value);  // str(); fails where there is no such form
  // jinja/value.h's, charged.
  bool equal(const Value& a, const Value& b);
  int order(const Value& a, const Value& b);
  // The values in `value`: a list's, a dictionary's keys, a text's characters. An iterator's are gone
  // afterwards.
  std::shared_ptr<const List> each(const Value& value);
  // value[key]; undefined where it has no such member.
  Value member(const Value& value, const Value& key);
  int64_t whole_number(const Value& value, const std::string& what) const;
  const Text& need_text(const Value& value, const std::string& what) const;
  void expect_key(const Value& value) const;  // Python: of a type that is hashable

  // The arguments in the order of the parameters' names; nothing for what is not given.
  std::vector<std::optional<Value>> bind(const std::string& what, const Arguments& given,
                                         std::initializer_list<const char*> names) const;

 private:
  friend class Deeper;
  int check_depth(int depth) const;
  const std::string& source_;
  Limits limits_;
  std::time_t now_;
  int line_ = 0, depth_ = 0;
  int64_t steps_ = 0, bytes_ = 0;
  std::deque<Namespace> namespaces_;
};

// value|name(arguments)
Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   const Arguments& arguments);
// value is name(arguments)
bool apply_test(Runtime& runtime, const std::string& name, const Value& value,
                const Arguments& arguments);
// value.name(arguments), as Python's strings, lists and dictionaries have it.
Value call_method(Runtime& runtime, const Value& value, const std::string& name,
                  const Arguments& arguments);
bool is_method_of_dict(const std::string& name);
// The functions that a template calls by name.
Value call_function(Runtime& runtime, Function function, const Arguments& arguments);

bool contains(Runtime& runtime, const Value& whole, const Value& part);  // part in whole

}  // namespace hadal::jinja
