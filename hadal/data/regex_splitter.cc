// data/regex_splitter.cc: any sequence of expressions, through PCRE2.
//
// tokenizer.json writes Oniguruma's (Ruby's) syntax. Where both libraries agree the text is passed
// on; \s, \S, \d, \D and $ are rewritten; what means different things is refused with its position.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"
#include "hadal/data/pre_tokenizer.h"

namespace hadal {
namespace {

constexpr uint32_t kMatchLimit = 10'000'000;  // steps of backtracking in one match
constexpr size_t kJitStackBytes = 1 << 20;
constexpr size_t kMaxPatternBytes = 1 << 16;

// The expression with the same meaning in PCRE2.
std::string from_oniguruma(const SplitStage& stage) {
  const std::string& in = stage.pattern;
  std::string out;
  bool in_class = false;
  const auto refuse = [&](size_t at, const char* what) {
    throw FormatError(concat(stage.field, ": regular expression not supported: ", what, " at byte ",
                             at, " of ", in_quotes(in),
                             "; hadal reads what Oniguruma and PCRE2 understand alike"));
  };
  for (size_t i = 0; i < in.size(); ++i) {
    const char c = in[i];
    if (c == '\\') {
      if (++i == in.size()) refuse(i, "a trailing backslash");
      const char e = in[i];
      if (e == 's' || e == 'S') {
        out += e == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      } else if (e == 'd' || e == 'D') {
        out += e == 'd' ? "\\p{Nd}" : "\\P{Nd}";
      } else if (e == 'p' || e == 'P' || e == 'r' || e == 'n' || e == 't' || e == 'f') {
        out += {'\\', e};
      } else if ((e >= '0' && e <= '9') || (e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z')) {
        refuse(i, "this escape");
      } else {
        out += {'\\', e};
      }
    } else if (in_class) {
      if (c == '[') refuse(i, "a bracket inside a character class (write \\[)");
      if (c == '&' && in.compare(i, 2, "&&") == 0) refuse(i, "class intersection");
      if (c == ']') in_class = false;
      out += c;
    } else if (c == '[') {
      in_class = true;
      out += c;
      if (in.compare(i + 1, 1, "^") == 0) out += in[++i];
      if (in.compare(i + 1, 1, "]") == 0) refuse(i, "an empty character class");
    } else if (c == '$') {
      // Before a line break, or at the end unless a line break was last.
      out += "(?:(?=\\n)|(?<!\\n)\\z)";
    } else if (c == '^') {
      refuse(i, "^ outside a character class");
    } else if (c == '(' && in.compare(i, 2, "(*") == 0) {
      refuse(i, "a verb");
    } else if (c == '(' && in.compare(i, 2, "(?") == 0) {
      const char kind = i + 2 < in.size() ? in[i + 2] : '\0';
      const bool known = kind == ':' || kind == '=' || kind == '!' || kind == '>' ||
                         in.compare(i, 4, "(?i:") == 0 || in.compare(i, 4, "(?<=") == 0 ||
                         in.compare(i, 4, "(?<!") == 0;
      if (!known) refuse(i, "this kind of group");
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

class RegexSplitter final : public PreTokenizer {
 public:
  explicit RegexSplitter(const std::vector<SplitStage>& stages) {
    for (const SplitStage& stage : stages) stages_.push_back(compile(stage));
  }

  size_t split(std::string_view text, size_t at, std::vector<uint32_t>& lengths) const override {
    Scratch scratch;
    split_stage(scratch, 0, text.substr(at), lengths);
    return text.size();
  }

  // Nothing is known about where an arbitrary expression may be cut.
  size_t safe_cut(std::string_view text, size_t) const override { return text.size(); }

 private:
  template <auto free>
  struct Free {
    template <class T>
    void operator()(T* pointer) const {
      free(pointer);
    }
  };
  using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;

  struct Stage {
    Code code;
    std::string field;
  };

  struct Scratch {
    std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>> match{
        pcre2_match_data_create(1, nullptr)};
    std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>> context{
        pcre2_match_context_create(nullptr)};
    std::unique_ptr<pcre2_jit_stack, Free<pcre2_jit_stack_free>> stack{
        pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr)};
    Scratch() {
      if (!match || !context || !stack) throw std::bad_alloc();
      pcre2_set_match_limit(context.get(), kMatchLimit);
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
  };

  static std::string error_text(int code) {
    std::array<PCRE2_UCHAR, 256> text{};
    pcre2_get_error_message(code, text.data(), text.size());
    return reinterpret_cast<const char*>(text.data());
  }

  static Stage compile(const SplitStage& stage) {
    if (stage.pattern.size() > kMaxPatternBytes) {
      throw FormatError(concat(stage.field, ": regular expression too long (found ",
                               stage.pattern.size(), " bytes, expected at most ", kMaxPatternBytes,
                               "); shorten it"));
    }
    const std::string pattern = from_oniguruma(stage);
    int error = 0;
    size_t offset = 0;
    Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                            nullptr));
    if (!code) {
      throw FormatError(concat(stage.field, ": invalid regular expression ",
                               in_quotes(stage.pattern), ": ", error_text(error),
                               "; correct the pattern"));
    }
    uint32_t matches_empty = 0;
    pcre2_pattern_info(code.get(), PCRE2_INFO_MATCHEMPTY, &matches_empty);
    if (matches_empty != 0) {
      throw FormatError(concat(stage.field, ": regular expression ", in_quotes(stage.pattern),
                               " can match nothing (found an empty match, expected at least one "
                               "character); correct the pattern"));
    }
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without JIT the interpreter does it
    return {std::move(code), stage.field};
  }

  void split_stage(Scratch& scratch, size_t index, std::string_view piece,
                   std::vector<uint32_t>& lengths) const {
    if (piece.empty()) return;
    if (index == stages_.size()) {
      lengths.push_back(static_cast<uint32_t>(piece.size()));
      return;
    }
    const Stage& stage = stages_[index];
    size_t done = 0;
    while (done < piece.size()) {
      const int found = pcre2_match(stage.code.get(), reinterpret_cast<PCRE2_SPTR>(piece.data()),
                                    piece.size(), done, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY,
                                    scratch.match.get(), scratch.context.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) {
        throw FormatError(concat(stage.field, ": regular expression gave up on a text of ",
                                 piece.size(), " bytes: ", error_text(found),
                                 "; use a pattern that backtracks less"));
      }
      // Copied: the next stage writes over the result.
      const size_t* range = pcre2_get_ovector_pointer(scratch.match.get());
      const size_t begin = range[0], end = range[1];
      split_stage(scratch, index + 1, piece.substr(done, begin - done), lengths);
      split_stage(scratch, index + 1, piece.substr(begin, end - begin), lengths);
      done = end;
    }
    split_stage(scratch, index + 1, piece.substr(done), lengths);
  }

  std::vector<Stage> stages_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_regex_splitter(const std::vector<SplitStage>& stages) {
  return std::make_unique<RegexSplitter>(stages);
}

}  // namespace hadal
