// jinja/syntax.h: a template as a tree.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hadal/jinja/value.h"

namespace hadal::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Expression {
  enum class Kind : uint8_t {
    kConstant,
    kName,
    kList,
    kTuple,
    kDict,       // children: key, value, key, value ...
    kAttribute,  // child.name
    kItem,       // child[child]
    kSlice,      // child[child:child:child]; a part that is left out is no child (null)
    kCall,       // child(arguments)
    kFilter,     // child|name(arguments)
    kTest,       // child is name(arguments)
    kNot,
    kNegative,
    kPositive,
    kBinary,   // child name child: + - * / // % **
    kConcat,   // child ~ child ~ ...
    kCompare,  // child op child op child ...: operators
    kAnd,
    kOr,
    kConditional,  // child if child else child (or null)
  };
  Kind kind = Kind::kConstant;
  int line = 0;
  int depth = 1;  // of this tree: the evaluator recurses so far
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> children;
  std::vector<std::pair<std::string, ExpressionPtr>>
      named;  // arguments with names, behind the others
  std::vector<std::string> operators;
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

// What a for or set assigns to: a name, several that take a value apart, or a member of a namespace.
struct Target {
  std::vector<std::string> names;
  bool apart = false;
  std::string member;
};

struct Statement {
  enum class Kind : uint8_t {
    kText,        // text
    kPrint,       // expressions[0]
    kIf,          // expressions[i] decides over blocks[i]; one block more is the else
    kFor,         // target in expressions[0] if expressions[1] (or null): blocks[0], else blocks[1]
    kSet,         // target = expressions[0]
    kSetBlock,    // target = what blocks[0] prints, through expressions[0] if that is there
    kMacro,       // target.names[0] is its name; parameters, expressions: their defaults
    kGeneration,  // blocks[0], marked as the assistant's words, which matters to training alone
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kText;
  int line = 0;
  Text text;
  Target target;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> expressions;
  std::vector<Block> blocks;
};

}  // namespace hadal::jinja
