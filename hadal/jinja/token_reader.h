// jinja/token_reader.h: where a parser stands among its tokens, and the parser of expressions.
#pragma once

#include <initializer_list>

#include "hadal/jinja/lexer.h"
#include "hadal/jinja/syntax.h"

namespace hadal::jinja {

// Deeper trees than this are refused: whoever walks a tree recurses.
inline constexpr int kMaxTreeDepth = 200;

class TokenReader {
 public:
  TokenReader(std::vector<Token> tokens, const std::string& source)
      : tokens_(std::move(tokens)), source_(source) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& behind() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token take();
  bool is(Token::Kind kind, std::string_view value) const {
    return now().kind == kind && now().value == value;
  }
  bool is_operator(std::string_view signs) const { return is(Token::Kind::kOperator, signs); }
  bool is_word(std::string_view word) const { return is(Token::Kind::kName, word); }
  bool skip_operator(std::string_view signs);
  bool skip_word(std::string_view word);
  void expect_operator(std::string_view signs);
  std::string expect_name();
  void expect_end_of_block();
  [[noreturn]] void fail(const std::string& problem, const std::string& expected) const;

  // Nested constructs, in a tree or on the way to one.
  struct Deeper {
    explicit Deeper(TokenReader& reader);
    ~Deeper() { --reader_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    TokenReader& reader_;
  };

 private:
  std::vector<Token> tokens_;
  const std::string& source_;
  size_t at_ = 0;
  int depth_ = 0;
};

// An expression; several with commas between them are a tuple. Without `conditional`, an "if" is not
// part of it.
ExpressionPtr parse_expressions(TokenReader& reader, bool conditional);
ExpressionPtr parse_expression(TokenReader& reader);
// |name(arguments)|... behind `value`, which may be null: then it is what the caller puts there.
ExpressionPtr parse_filters(TokenReader& reader, ExpressionPtr value);

}  // namespace hadal::jinja
