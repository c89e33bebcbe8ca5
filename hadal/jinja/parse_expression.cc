// jinja/parse_expression.cc: expressions, by Jinja's order of precedence: if-else, or, and, not,
// comparisons, + and -, ~, * / // %, **, signs, then what stands behind a value: . [] () | is.
#include <algorithm>
#include <charconv>

#include "hadal/core/in_quotes.h"
#include "hadal/jinja/token_reader.h"

namespace hadal::jinja {

Token TokenReader::take() {
  Token token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}
bool TokenReader::skip_operator(std::string_view signs) {
  if (!is_operator(signs)) return false;
  take();
  return true;
}
bool TokenReader::skip_word(std::string_view word) {
  if (!is_word(word)) return false;
  take();
  return true;
}
void TokenReader::expect_operator(std::string_view signs) {
  if (!skip_operator(signs)) fail("unexpected", std::string(signs));
}
std::string TokenReader::expect_name() {
  if (now().kind != Token::Kind::kName) fail("unexpected", "a name");
  return take().value;
}
void TokenReader::expect_end_of_block() {
  if (now().kind != Token::Kind::kBlockEnd) fail("unexpected", "%}");
  take();
}
void TokenReader::fail(const std::string& problem, const std::string& expected) const {
  const bool ended = now().kind == Token::Kind::kEnd;
  refuse_template(source_, now().line, problem,
                  ended ? "the end of the template" : in_quotes(now().value), expected);
}
TokenReader::Deeper::Deeper(TokenReader& reader) : reader_(reader) {
  if (++reader_.depth_ > kMaxTreeDepth) reader_.fail("nested too deeply", "fewer levels");
}

namespace {

using Kind = Expression::Kind;
using Mutable = std::unique_ptr<Expression>;

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader& reader) : r_(reader) {}

  ExpressionPtr conditional() {
    const TokenReader::Deeper deeper(r_);
    ExpressionPtr value = either();
    while (r_.is_word("if")) {
      Mutable e = make(Kind::kConditional);
      r_.take();
      ExpressionPtr condition = either();
      ExpressionPtr other = r_.skip_word("else") ? conditional() : nullptr;
      add(*e, std::move(value));
      add(*e, std::move(condition));
      add(*e, std::move(other));
      value = std::move(e);
    }
    return value;
  }

  ExpressionPtr either() { return chain("or", Kind::kOr, &ExpressionParser::both); }

  ExpressionPtr filters(ExpressionPtr value) {
    while (r_.skip_operator("|")) {
      Mutable e = make(Kind::kFilter);
      add(*e, std::move(value));
      e->name = dotted_name();
      if (r_.is_operator("(")) arguments(*e);
      value = std::move(e);
    }
    return value;
  }

 private:
  Mutable make(Kind kind) const {
    auto e = std::make_unique<Expression>();
    e->kind = kind;
    e->line = r_.now().line;
    return e;
  }
  void deepen(Expression& parent, const ExpressionPtr& child) const {
    if (child) parent.depth = std::max(parent.depth, child->depth + 1);
    // Chains such as a + b + c become deep without recursion in the parser.
    if (parent.depth > kMaxTreeDepth) r_.fail("nested too deeply", "a shorter expression");
  }
  void add(Expression& parent, ExpressionPtr child) const {
    deepen(parent, child);
    parent.children.push_back(std::move(child));
  }
  std::string dotted_name() {
    std::string name = r_.expect_name();
    while (r_.skip_operator(".")) name += "." + r_.expect_name();
    return name;
  }

  using Part = ExpressionPtr (ExpressionParser::*)();
  // part WORD part WORD part
  ExpressionPtr chain(std::string_view word, Kind kind, Part part) {
    ExpressionPtr left = (this->*part)();
    while (r_.is_word(word)) {
      Mutable e = make(kind);
      r_.take();
      add(*e, std::move(left));
      add(*e, (this->*part)());
      left = std::move(e);
    }
    return left;
  }
  ExpressionPtr binary(std::initializer_list<std::string_view> signs, Part part) {
    ExpressionPtr left = (this->*part)();
    for (;;) {
      const auto found = std::find_if(signs.begin(), signs.end(),
                                      [this](std::string_view s) { return r_.is_operator(s); });
      if (found == signs.end()) return left;
      Mutable e = make(Kind::kBinary);
      r_.take();
      e->name = *found;
      add(*e, std::move(left));
      add(*e, (this->*part)());
      left = std::move(e);
    }
  }

  ExpressionPtr both() { return chain("and", Kind::kAnd, &ExpressionParser::negation); }
  ExpressionPtr negation() {
    if (!r_.is_word("not")) return comparison();
    const TokenReader::Deeper deeper(r_);
    Mutable e = make(Kind::kNot);
    r_.take();
    add(*e, negation());
    return e;
  }
  // "" if no comparison stands here.
  std::string comparison_sign() {
    for (const char* sign : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (r_.skip_operator(sign)) return sign;
    }
    if (r_.skip_word("in")) return "in";
    if (r_.is_word("not") && r_.behind().kind == Token::Kind::kName && r_.behind().value == "in") {
      r_.take();
      r_.take();
      return "not in";
    }
    return "";
  }
  ExpressionPtr comparison() {
    ExpressionPtr left = sum();
    Mutable e = make(Kind::kCompare);
    for (std::string sign = comparison_sign(); !sign.empty(); sign = comparison_sign()) {
      if (left) add(*e, std::move(left));
      e->operators.push_back(std::move(sign));
      add(*e, sum());
    }
    if (left) return left;
    return e;
  }
  ExpressionPtr sum() { return binary({"+", "-"}, &ExpressionParser::concatenation); }
  ExpressionPtr concatenation() {
    ExpressionPtr left = product();
    if (!r_.is_operator("~")) return left;
    Mutable e = make(Kind::kConcat);
    add(*e, std::move(left));
    while (r_.skip_operator("~")) add(*e, product());
    return e;
  }
  ExpressionPtr product() { return binary({"*", "/", "//", "%"}, &ExpressionParser::power); }
  ExpressionPtr power() { return binary({"**"}, &ExpressionParser::filtered); }
  ExpressionPtr filtered() {
    ExpressionPtr value = signed_value();
    for (;;) {
      if (r_.is_operator("|")) {
        value = filters(std::move(value));
      } else if (r_.is_word("is")) {
        value = test(std::move(value));
      } else if (r_.is_operator("(")) {
        value = call(std::move(value));
      } else {
        return value;
      }
    }
  }
  ExpressionPtr signed_value() {
    if (!r_.is_operator("-") && !r_.is_operator("+")) return behind(primary());
    const TokenReader::Deeper deeper(r_);
    Mutable e = make(r_.is_operator("-") ? Kind::kNegative : Kind::kPositive);
    r_.take();
    add(*e, signed_value());
    return behind(std::move(e));
  }

  // value.name value[item] value(arguments) ...
  ExpressionPtr behind(ExpressionPtr value) {
    for (;;) {
      if (r_.is_operator(".")) {
        value = attribute(std::move(value));
      } else if (r_.is_operator("[")) {
        value = item(std::move(value));
      } else if (r_.is_operator("(")) {
        value = call(std::move(value));
      } else {
        return value;
      }
    }
  }
  ExpressionPtr attribute(ExpressionPtr value) {
    Mutable e = make(Kind::kAttribute);
    r_.take();
    add(*e, std::move(value));
    if (r_.now().kind == Token::Kind::kInteger) {
      e->kind = Kind::kItem;
      add(*e, number());
    } else {
      e->name = r_.expect_name();
    }
    return e;
  }
  ExpressionPtr item(ExpressionPtr value) {
    Mutable e = make(Kind::kItem);
    r_.take();
    add(*e, std::move(value));
    const auto part = [&]() -> ExpressionPtr {
      return r_.is_operator(":") || r_.is_operator("]") ? nullptr : conditional();
    };
    ExpressionPtr first = part();
    if (r_.is_operator(":")) {
      e->kind = Kind::kSlice;
      add(*e, std::move(first));
      r_.take();
      add(*e, part());
      add(*e, r_.skip_operator(":") ? part() : nullptr);
    } else if (first) {
      add(*e, std::move(first));
    } else {
      r_.fail("unexpected", "an expression");
    }
    r_.expect_operator("]");
    return e;
  }
  ExpressionPtr call(ExpressionPtr value) {
    Mutable e = make(Kind::kCall);
    add(*e, std::move(value));
    arguments(*e);
    return e;
  }
  void arguments(Expression& e) {
    r_.expect_operator("(");
    while (!r_.is_operator(")")) {
      if (r_.is_operator("*") || r_.is_operator("**")) {
        r_.fail("lists of arguments are not supported", "arguments one by one");
      }
      if (r_.now().kind == Token::Kind::kName && r_.behind().kind == Token::Kind::kOperator &&
          r_.behind().value == "=") {
        std::string name = r_.take().value;
        const auto is_it = [&](const auto& known) { return known.first == name; };
        if (std::ranges::any_of(e.named, is_it)) r_.fail("argument given twice", "each name once");
        if (e.named.size() == 255) r_.fail("too many arguments with names", "at most 255");
        r_.take();
        ExpressionPtr value = conditional();
        deepen(e, value);
        e.named.emplace_back(std::move(name), std::move(value));
      } else {
        if (!e.named.empty()) r_.fail("argument behind one with a name", "NAME=");
        add(e, conditional());
      }
      if (!r_.is_operator(")")) r_.expect_operator(",");
    }
    r_.take();
  }
  // value is [not] NAME [argument]
  ExpressionPtr test(ExpressionPtr value) {
    Mutable e = make(Kind::kTest);
    r_.take();
    const bool negated = r_.skip_word("not");
    e->name = dotted_name();
    add(*e, std::move(value));
    const Token& next = r_.now();
    const bool word = next.kind == Token::Kind::kName;
    if (r_.is_operator("(")) {
      arguments(*e);
    } else if (word && next.value == "is") {
      r_.fail("a test behind a test", "and, or");
    } else if ((word && next.value != "else" && next.value != "or" && next.value != "and") ||
               next.kind == Token::Kind::kString || next.kind == Token::Kind::kInteger ||
               next.kind == Token::Kind::kFloat || r_.is_operator("[") || r_.is_operator("{")) {
      add(*e, behind(primary()));
    }
    if (!negated) return e;
    Mutable inverse = make(Kind::kNot);
    add(*inverse, std::move(e));
    return inverse;
  }

  ExpressionPtr constant(Value value) {
    Mutable e = make(Kind::kConstant);
    e->constant = std::move(value);
    return e;
  }
  ExpressionPtr number() {
    const std::string digits = r_.now().value;
    const char* end = digits.data() + digits.size();
    ExpressionPtr result;
    if (r_.now().kind == Token::Kind::kInteger) {
      int64_t value = 0;
      if (std::from_chars(digits.data(), end, value).ec != std::errc()) {
        r_.fail("number too large", "at most 9223372036854775807");
      }
      result = constant(Value(value));
    } else {
      double value = 0;
      if (std::from_chars(digits.data(), end, value).ec != std::errc()) {
        r_.fail("number out of range", "a number in double precision");
      }
      result = constant(Value(value));
    }
    r_.take();
    return result;
  }
  ExpressionPtr word() {
    const std::string name = r_.now().value;
    ExpressionPtr result;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      result = constant(Value(name == "true" || name == "True"));
    } else if (name == "none" || name == "None") {
      result = constant(Value(nullptr));
    } else {
      for (const char* reserved : {"and", "else", "elif", "for", "if", "in", "is", "not", "or"}) {
        if (name == reserved) r_.fail("unexpected", "an expression");
      }
      Mutable e = make(Kind::kName);
      e->name = name;
      result = std::move(e);
    }
    r_.take();
    return result;
  }
  ExpressionPtr primary() {
    switch (r_.now().kind) {
      case Token::Kind::kName:
        return word();
      case Token::Kind::kInteger:
      case Token::Kind::kFloat:
        return number();
      case Token::Kind::kString: {
        Mutable e = make(Kind::kConstant);
        std::string joined;
        while (r_.now().kind == Token::Kind::kString) joined += r_.take().value;
        e->constant = Value(Text(std::move(joined), Origin::kTemplate));
        return e;
      }
      default:
        if (r_.is_operator("(")) return in_parentheses();
        if (r_.is_operator("[")) return list();
        if (r_.is_operator("{")) return dict();
        r_.fail("unexpected", "an expression");
    }
  }
  ExpressionPtr in_parentheses() {
    Mutable e = make(Kind::kTuple);
    r_.take();
    if (!r_.is_operator(")")) {
      ExpressionPtr first = conditional();
      if (r_.skip_operator(")")) return first;
      add(*e, std::move(first));
      while (r_.skip_operator(",") && !r_.is_operator(")")) add(*e, conditional());
    }
    r_.expect_operator(")");
    return e;
  }
  ExpressionPtr list() {
    Mutable e = make(Kind::kList);
    r_.take();
    while (!r_.is_operator("]")) {
      add(*e, conditional());
      if (!r_.is_operator("]")) r_.expect_operator(",");
    }
    r_.take();
    return e;
  }
  ExpressionPtr dict() {
    Mutable e = make(Kind::kDict);
    r_.take();
    while (!r_.is_operator("}")) {
      add(*e, conditional());
      r_.expect_operator(":");
      add(*e, conditional());
      if (!r_.is_operator("}")) r_.expect_operator(",");
    }
    r_.take();
    return e;
  }

  TokenReader& r_;
};

}  // namespace

ExpressionPtr parse_expression(TokenReader& reader) {
  return ExpressionParser(reader).conditional();
}

ExpressionPtr parse_expressions(TokenReader& reader, bool conditional) {
  ExpressionParser parser(reader);
  const auto next = [&] { return conditional ? parser.conditional() : parser.either(); };
  const int line = reader.now().line;
  ExpressionPtr first = next();
  if (!reader.is_operator(",")) return first;
  auto tuple = std::make_unique<Expression>();
  tuple->kind = Kind::kTuple;
  tuple->line = line;
  tuple->depth = first->depth + 1;
  tuple->children.push_back(std::move(first));
  while (reader.skip_operator(",")) {
    const Token::Kind end = reader.now().kind;
    if (end == Token::Kind::kBlockEnd || end == Token::Kind::kPrintEnd) break;
    tuple->children.push_back(next());
    tuple->depth = std::max(tuple->depth, tuple->children.back()->depth + 1);
  }
  return tuple;
}

ExpressionPtr parse_filters(TokenReader& reader, ExpressionPtr value) {
  return ExpressionParser(reader).filters(std::move(value));
}

}  // namespace hadal::jinja
