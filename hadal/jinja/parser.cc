#include "hadal/jinja/parser.h"

#include "hadal/jinja/token_reader.h"

namespace hadal::jinja {
namespace {

using Kind = Statement::Kind;
using Mutable = std::unique_ptr<Statement>;

class Parser {
 public:
  Parser(std::string_view text, const std::string& source)
      : r_(read_tokens(text, source), source) {}

  Block whole() { return block({}); }

 private:
  Mutable make(Kind kind) const {
    auto s = std::make_unique<Statement>();
    s->kind = kind;
    s->line = r_.now().line;
    return s;
  }

  // Up to a block that begins with one of these words, whose {% is passed; to the end without them.
  Block block(std::initializer_list<std::string_view> ends) {
    const TokenReader::Deeper deeper(r_);
    Block result;
    for (;;) {
      const Token::Kind kind = r_.now().kind;
      if (kind == Token::Kind::kEnd) {
        if (ends.size() > 0)
          r_.fail("block without an end", "{% " + std::string(*(ends.end() - 1)) + " %}");
        return result;
      }
      if (kind == Token::Kind::kText) {
        Mutable s = make(Kind::kText);
        s->text = Text(r_.take().value, Origin::kTemplate);
        result.push_back(std::move(s));
      } else if (kind == Token::Kind::kPrintBegin) {
        result.push_back(print());
      } else {
        r_.take();  // {%
        for (const std::string_view end : ends) {
          if (r_.is_word(end)) return result;
        }
        result.push_back(statement());
      }
    }
  }
  // The same, and passes the one closing word.
  Block block_until(std::string_view end) {
    Block result = block({end});
    r_.take();
    r_.expect_end_of_block();
    return result;
  }

  Mutable print() {
    Mutable s = make(Kind::kPrint);
    r_.take();
    s->expressions.push_back(parse_expressions(r_, /*conditional=*/true));
    if (r_.now().kind != Token::Kind::kPrintEnd) r_.fail("unexpected", "}}");
    r_.take();
    return s;
  }

  Mutable statement() {
    if (r_.now().kind != Token::Kind::kName) r_.fail("unexpected", "the name of a block");
    if (r_.is_word("if")) return if_statement();
    if (r_.is_word("for")) return for_statement();
    if (r_.is_word("set")) return set_statement();
    if (r_.is_word("macro")) return macro();
    if (r_.is_word("generation")) return generation();
    if (r_.is_word("break") || r_.is_word("continue")) return leave_loop();
    r_.fail("this part of Jinja is not supported",
            "if, for, set, macro, generation, break, continue or raw");
  }

  Mutable if_statement() {
    Mutable s = make(Kind::kIf);
    do {
      r_.take();  // if, elif
      s->expressions.push_back(parse_expressions(r_, /*conditional=*/false));
      r_.expect_end_of_block();
      s->blocks.push_back(block({"elif", "else", "endif"}));
    } while (r_.is_word("elif"));
    if (r_.skip_word("else")) {
      r_.expect_end_of_block();
      s->blocks.push_back(block({"endif"}));
    }
    r_.take();
    r_.expect_end_of_block();
    return s;
  }

  Mutable for_statement() {
    Mutable s = make(Kind::kFor);
    r_.take();
    s->target = target();
    if (!s->target.member.empty()) r_.fail("a loop cannot set a member", "a name");
    if (!r_.skip_word("in")) r_.fail("unexpected", "in");
    s->expressions.push_back(parse_expressions(r_, /*conditional=*/false));
    s->expressions.push_back(r_.skip_word("if") ? parse_expression(r_) : nullptr);
    if (r_.is_word("recursive")) r_.fail("recursive loops are not supported", "%}");
    r_.expect_end_of_block();
    ++loops_;
    s->blocks.push_back(block({"else", "endfor"}));
    --loops_;
    if (r_.skip_word("else")) {
      r_.expect_end_of_block();
      s->blocks.push_back(block({"endfor"}));
    }
    r_.take();
    r_.expect_end_of_block();
    return s;
  }

  Target target() {
    Target result;
    const bool parentheses = r_.skip_operator("(");
    result.names.push_back(r_.expect_name());
    if (!parentheses && r_.skip_operator(".")) {
      result.member = r_.expect_name();
      return result;
    }
    while (r_.skip_operator(",")) {
      result.apart = true;
      if (r_.now().kind != Token::Kind::kName || r_.is_word("in")) break;
      result.names.push_back(r_.expect_name());
    }
    if (parentheses) r_.expect_operator(")");
    for (const std::string& name : result.names) {
      for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
        if (name == constant) r_.fail("a constant cannot be set", "a name");
      }
    }
    return result;
  }

  // A block of its own, in which no loop around it can be left.
  Block closed_block(std::string_view end) {
    const int around = loops_;
    loops_ = 0;
    ++closed_;
    Block result = block_until(end);
    --closed_;
    loops_ = around;
    return result;
  }

  Mutable set_statement() {
    Mutable s = make(Kind::kSet);
    r_.take();
    s->target = target();
    if (r_.skip_operator("=")) {
      s->expressions.push_back(parse_expressions(r_, /*conditional=*/true));
      r_.expect_end_of_block();
      return s;
    }
    s->kind = Kind::kSetBlock;
    s->expressions.push_back(parse_filters(r_, nullptr));
    r_.expect_end_of_block();
    s->blocks.push_back(closed_block("endset"));
    return s;
  }

  Mutable macro() {
    if (loops_ + closed_ > 0)
      r_.fail("a macro inside of another block is not supported", "it outside");
    Mutable s = make(Kind::kMacro);
    r_.take();
    s->target.names.push_back(r_.expect_name());
    r_.expect_operator("(");
    while (!r_.is_operator(")")) {
      s->parameters.push_back(r_.expect_name());
      if (r_.skip_operator("=")) {
        s->expressions.push_back(parse_expression(r_));
      } else if (!s->expressions.empty()) {
        r_.fail("a parameter without a default behind one with it", "=");
      }
      if (!r_.is_operator(")")) r_.expect_operator(",");
    }
    r_.take();
    r_.expect_end_of_block();
    s->blocks.push_back(closed_block("endmacro"));
    return s;
  }

  Mutable generation() {
    Mutable s = make(Kind::kGeneration);
    r_.take();
    r_.expect_end_of_block();
    s->blocks.push_back(closed_block("endgeneration"));
    return s;
  }

  Mutable leave_loop() {
    if (loops_ == 0) r_.fail("no loop to leave", "it inside of a loop's own block");
    Mutable s = make(r_.is_word("break") ? Kind::kBreak : Kind::kContinue);
    r_.take();
    r_.expect_end_of_block();
    return s;
  }

  TokenReader r_;
  int loops_ = 0;   // around this place, that break may leave
  int closed_ = 0;  // macros and such around it
};

}  // namespace

Block parse_template(std::string_view text, const std::string& source) {
  return Parser(text, source).whole();
}

}  // namespace hadal::jinja
