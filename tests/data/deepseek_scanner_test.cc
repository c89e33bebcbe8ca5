// The scanner against PCRE2 running the same three expressions.
#include "hadal/data/deepseek_scanner.h"

#include <gtest/gtest.h>

#include <string>

#include "hadal/core/rng.h"
#include "hadal/core/utf8.h"
#include "hadal/data/tokenizer_unicode.h"

namespace hadal {
namespace {

std::vector<SplitStage> deepseek_stages() {
  std::vector<SplitStage> stages;
  for (const char* pattern : kDeepseekPatterns) stages.push_back({pattern, "test"});
  return stages;
}

std::vector<std::string> pieces(const PreTokenizer& pre_tokenizer, const std::string& text) {
  std::vector<uint32_t> lengths;
  for (size_t at = 0; at < text.size();) at = pre_tokenizer.split(text, at, lengths);
  std::vector<std::string> out;
  size_t at = 0;
  for (const uint32_t length : lengths) {
    out.push_back(text.substr(at, length));
    at += length;
  }
  EXPECT_EQ(at, text.size());
  return out;
}

TEST(DeepseekScanner, CutsAsTheExpressionsSay) {
  const DeepseekScanner scanner;
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(pieces(scanner, "Hello, world!"), (Pieces{"Hello", ",", " world", "!"}));
  EXPECT_EQ(pieces(scanner, "1234567"), (Pieces{"123", "456", "7"}));
  EXPECT_EQ(pieces(scanner, "a  b"), (Pieces{"a", " ", " b"}));
  EXPECT_EQ(pieces(scanner, "a  1"), (Pieces{"a", "  ", "1"}));  // a window's end is an end
  EXPECT_EQ(pieces(scanner, "x \n\n y"), (Pieces{"x", " \n\n", " y"}));
  EXPECT_EQ(pieces(scanner, "'caf\u00e9"), (Pieces{"'caf", "\u00e9"}));
  EXPECT_EQ(pieces(scanner, "a。\r\nb"), (Pieces{"a", "。\r\n", "b"}));
  EXPECT_EQ(pieces(scanner, "アー・イ中a"), (Pieces{"アー", "・", "イ中", "a"}));
  EXPECT_EQ(pieces(scanner, "\x01\x02z"), (Pieces{"\x01", "\x02z"}));
  EXPECT_EQ(pieces(scanner, ""), Pieces{});
}

TEST(DeepseekScanner, MakePreTokenizerRecognisesThePattern) {
  std::vector<SplitStage> stages = deepseek_stages();
  EXPECT_TRUE(is_deepseek_sequence(stages));
  stages[2].pattern += "|x";
  EXPECT_FALSE(is_deepseek_sequence(stages));
}

// Debian's PCRE2 knows Unicode 14: code points assigned later are left out, as PCRE2 names them.
class DeepseekScannerAgainstPcre2 : public ::testing::Test {
 protected:
  // Code points that PCRE2 calls assigned, or that are unassigned in Unicode 16 too. Planes without
  // characters are sampled.
  std::vector<uint32_t> common_code_points() const {
    std::vector<uint32_t> candidates, common;
    std::string text;
    for (uint32_t c = 0; c < kCodePoints; ++c) {
      const bool empty_plane = (c > 0x32000 && c < 0xE0000) || c > 0xE0200;
      if ((c >= 0xD800 && c < 0xE000) || (empty_plane && c % 61 != 0)) continue;
      candidates.push_back(c);
      text += 'a';
      append_utf8(text, c);
    }
    // Unassigned ones come out as pieces of their own; every other piece begins with an a.
    size_t next = 0, at = 0, candidate_at = 0;
    const auto skip_to = [&](size_t end, bool known) {
      for (; candidate_at < end; ++next) {
        candidate_at += 1 + static_cast<size_t>(utf8_character_length(text, candidate_at + 1));
        if (known || (classes_[candidates[next]] & 31) == 0) common.push_back(candidates[next]);
      }
    };
    for (const std::string& piece : pieces(*unassigned_, text)) {
      if (piece[0] == 'a') {
        // The last a may belong to an unassigned code point.
        skip_to(at + piece.size() - (piece.back() == 'a' ? 1 : 0), true);
      } else {
        skip_to(at + piece.size(), false);
      }
      at += piece.size();
    }
    return common;
  }
  void expect_same(const std::string& text) const {
    ASSERT_EQ(pieces(scanner_, text), pieces(*regex_, text)) << text;
  }

  const DeepseekScanner scanner_;
  const std::unique_ptr<PreTokenizer> regex_ = make_regex_splitter(deepseek_stages());
  const std::unique_ptr<PreTokenizer> unassigned_ = make_regex_splitter({{R"(\p{Cn})", "test"}});
  const std::vector<uint8_t> classes_ = unicode_classes();
};

TEST_F(DeepseekScannerAgainstPcre2, EveryCodePoint) {
  const std::vector<uint32_t> code_points = common_code_points();
  ASSERT_GT(code_points.size(), 180'000U);
  std::string text;
  for (size_t i = 0; i < code_points.size(); ++i) {
    std::string c;
    append_utf8(c, code_points[i]);
    text += c + "a" + c + " " + c + c + "1" + c + "\n" + c + "中" + c + "!x" + c + "b";
    if (i % 256 != 0 && i + 1 != code_points.size()) continue;
    expect_same(text);
    if (HasFatalFailure()) return;
    text.clear();
  }
}

TEST_F(DeepseekScannerAgainstPcre2, RandomTexts) {
  const std::vector<std::string> alphabet = {
      "a",          "Z",  "é",    "\u0301", "1",          "٣",      "½",      " ",      "  ",
      "\t",         "\n", "\r\n", "\u00a0", "\u2028",     "\u0085", "\u180e", "!",      "'",
      "_",          "$",  "。",   "「",     "€",          "🙂",   "中",     "龥",     "龦",
      "ア",         "・", "゙",     "\u3040", "〇",         "\x01",   "\x7f",   "\u200b", "\ufffd",
      "\U00020000", "한", "ไ",    "ก่",      "\U000E0001", "\uE000"};
  Rng rng(21);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    const uint64_t size = 1 + rng.uniform_below(24);
    // Few different letters a text, so that runs and repeated changes occur.
    const uint64_t first = rng.uniform_below(alphabet.size());
    const uint64_t spread = 1 + rng.uniform_below(alphabet.size());
    for (uint64_t k = 0; k < size; ++k) {
      text += alphabet[(first + rng.uniform_below(spread)) % alphabet.size()];
    }
    expect_same(text);
    if (HasFatalFailure()) return;
  }
}

TEST_F(DeepseekScannerAgainstPcre2, LongRuns) {
  for (const char* unit :
       {"a", " ", "\n", "7", "!", "中", "🙂", "\u0301", " \n", "a ", "\x01", "\r"}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    expect_same(text);
    expect_same(text + "x");
  }
}

TEST_F(DeepseekScannerAgainstPcre2, SafeCutsChangeNothing) {
  const std::vector<std::string> alphabet = {"a",      "b",      "é",    "1",  " ",  "\n",
                                             "\u00a0", "!",      "'",    "中", "ア", "・",
                                             "🙂",   "\u0301", "\x01", "٣"};
  Rng rng(22);
  int cuts = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (int k = 0; k < 40; ++k) text += alphabet[rng.uniform_below(alphabet.size())];
    const size_t cut = scanner_.safe_cut(text, rng.uniform_below(text.size()));
    if (cut == text.size()) continue;
    ++cuts;
    std::vector<std::string> both = pieces(scanner_, text.substr(0, cut));
    const std::vector<std::string> right = pieces(scanner_, text.substr(cut));
    both.insert(both.end(), right.begin(), right.end());
    ASSERT_EQ(both, pieces(scanner_, text)) << text << " at " << cut;
  }
  EXPECT_GT(cuts, 1000);
}

}  // namespace
}  // namespace hadal
