// What greedy decoding would write of a text, counted on models whose every next token is known.
#include "hadal/measure/completion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "hadal/data/bpe_trainer.h"
#include "hadal/infer/score.h"
#include "hadal/infer/session.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"

namespace hadal {
namespace {

using Ids = std::vector<int32_t>;

// Its tokenizer has ";\n", ";\n\n" and "{\n\n" for tokens, and no other merges of two characters.
class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    ThreadPool pool(1);
    BpeTrainer trainer({.vocab_size = smallest_trained_vocab_size() + 5}, pool);
    for (int i = 0; i < 9; ++i) trainer.add("a;\n\nb;\nc{\n\n");
    write_tokenizer_folder(trainer.train(), folder_.path());
    tokenizer_.emplace(Tokenizer::load(folder_.path()));
  }

  int32_t token(const std::string& bytes) const { return tokenizer_->token_id(bytes).value(); }
  Ids tokens(const std::vector<std::string>& all) const {
    Ids ids;
    for (const std::string& each : all) ids.push_back(token(each));
    return ids;
  }
  // A model that writes the second of two neighbours behind the first.
  TextModel& reciting(const std::vector<Ids>& sequences) {
    test::write_reciting_weights(folder_.path(), sequences);
    return model_.emplace(folder_.path(), 1, Device::kCpu, false);
  }
  TextModel& reciting(const std::vector<std::vector<std::string>>& sequences) {
    std::vector<Ids> ids;
    for (const auto& each : sequences) ids.push_back(tokens(each));
    return reciting(ids);
  }
  // "exact lines/lines exact texts"
  static std::string counts(TextModel& m, const std::string& prompt, const std::string& text,
                            int64_t window = 0) {
    const CompletionScore score = score_completions(m, {{"", prompt, text}}, window);
    return concat(score.exact_lines, "/", score.lines, " ", score.exact_texts);
  }

  test::TemporaryFolder folder_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<TextModel> model_;
};

TEST_F(CompletionTest, WhatTheModelWritesIsExact) {
  TextModel& m = reciting({{"{", "p", "q", ";\n", "r", "s", "\n"}});
  EXPECT_EQ(counts(m, "{", "pq;\nrs\n"), "2/2 1");
  EXPECT_EQ(counts(m, "{", "pq;\nrs"), "2/2 1");
  EXPECT_EQ(counts(m, "{", "pq;\n \t\nrs\n"), "1/2 0");  // it writes no blank line, and s behind r
  EXPECT_EQ(counts(m, "{", "px;\nrs\n"), "1/2 0");
  EXPECT_EQ(counts(m, "{", "pq;\nr\n"), "1/2 0");  // the line goes on
  EXPECT_EQ(counts(m, "{", "pq;\nrst\n"), "1/2 0");
  EXPECT_EQ(counts(m, "p", "pq;\nrs\n"), "1/2 0");
}

// What a model scores by closing braces can be told from the rest.
TEST_F(CompletionTest, LinesThatSayMoreThanBraces) {
  TextModel& m = reciting({{"{", "p", "q", "\n", "}", ";\n", "r", ",", "\n"}});
  const CompletionScore score =
      score_completions(m, {{"", "{", "pq\n};\n7\n{}\n"}, {"", ";\n", "r,\n(\n"}});
  EXPECT_EQ(concat(score.exact_lines, "/", score.lines), "3/6");
  EXPECT_EQ(concat(score.exact_word_lines, "/", score.word_lines), "2/3");
}

// Which tokens a line ends with is not the line's: a model that leaves a blank line has written it.
TEST_F(CompletionTest, ATokenMayHoldMoreThanTheEndOfTheLine) {
  TextModel& m = reciting({{"{", "p", "q", ";\n\n"}, {";\n", "r", "s", ";\n\n"}});
  EXPECT_EQ(counts(m, "{", "pq;\nrs;\n"), "2/2 0");
  EXPECT_EQ(tokenizer_->encode("q;\n", false), tokens({"q", ";\n"}));
  EXPECT_EQ(counts(m, "{", "pq;\r\nrs;\r\n"), "1/2 0");  // nothing is known behind \r\n
}

TEST_F(CompletionTest, LinesThatEndWithCarriageReturn) {
  // It knows nothing of carriage returns: lines are the same, the text is not.
  TextModel& m = reciting({{"{", "p", "q", ";\n"}, {"\n", "r", "s", ";\n"}});
  EXPECT_EQ(counts(m, "{", "pq;\r\nrs;\r\n"), "2/2 0");
  TextModel& other = reciting(std::vector<Ids>{tokenizer_->encode("{pq;\r\nrs;\r\n", false)});
  EXPECT_EQ(counts(other, "{", "pq;\r\nrs;\r\n"), "2/2 1");
}

// Prompt and text are read as one: their last and first bytes may be one token.
TEST_F(CompletionTest, ATokenMayHoldTheEndOfThePrompt) {
  ASSERT_EQ(tokenizer_->encode("f{\n\np", false), tokens({"f", "{\n\n", "p"}));
  TextModel& m = reciting({{"f", "{\n\n", "p", "q", ";\n"}});
  EXPECT_EQ(counts(m, "f{\n", "\npq;\n"), "1/1 1");
  // What it writes instead of that token is not the text.
  TextModel& other = reciting({{"f", "{", "p"}, {"{\n\n", "p", "q", ";\n"}});
  EXPECT_EQ(counts(other, "f{\n", "\npq;\n"), "1/1 0");
}

TEST_F(CompletionTest, TheEndOfTheTextMustStandWhereItEnds) {
  const int32_t end = tokenizer_->eos_id().value();
  Ids ids = tokens({"{", "p", "q", ";\n", "r", "s"});
  ids.push_back(end);
  TextModel& m = reciting({ids});
  EXPECT_EQ(counts(m, "{", "pq;\nrs\n"), "2/2 1");
  EXPECT_EQ(counts(m, "{", "rs\npq;\n"), "0/2 0");
  TextModel& early =
      reciting(std::vector<Ids>{{token("{"), token("p"), end}, tokens({"\n", "q", "x"})});
  EXPECT_EQ(counts(early, "{", "p\nq\n"), "0/2 0");
}

// Lines behind the window are not counted, and no function is whole without them.
TEST_F(CompletionTest, ATextThatIsTooLongLosesItsEnd) {
  TextModel& m = reciting({{"{", "p", "q", ";\n", "p"}});
  std::string text;
  for (int i = 0; i < 5; ++i) text += "pq;\n";
  const std::string prompt(40, '{');
  EXPECT_EQ(counts(m, prompt, text), "5/5 1");
  EXPECT_EQ(counts(m, prompt, text, 20), "5/5 1");  // 15 tokens behind 5 of the prompt's
  EXPECT_EQ(counts(m, prompt, text, 16), "4/4 0");  // 12 behind 4
  const auto field = [&](int64_t window) {
    return test::refusal_of([&] { counts(m, prompt, text, window); }).field;
  };
  EXPECT_EQ(field(129), "window");
  EXPECT_EQ(field(1), "window");
}

// A model that attends to all that stands before: what generation writes is exact to the end, in the
// tokens that encoding gives the text again.
TEST_F(CompletionTest, WhatGenerationWritesIsExact) {
  for (const char* file : {"/tokenizer.json", "/tokenizer_config.json"}) {
    folder_.write(file + 1, read_text_file(test::tokenizer_folder() + file));
  }
  const Tokenizer tokenizer = Tokenizer::load(folder_.path());
  Arena arena;
  DeepseekV3 random = test::load_folder(test::text_model_folder(), arena);
  // It writes capital letters, which no merge joins, and now and then a line ends.
  const int32_t line_break = tokenizer.token_id("\n").value();
  for (int32_t id = 0; id < random.config.vocab_size; ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id);
    const bool capital = bytes.size() == 1 && bytes.front() >= 'A' && bytes.front() <= 'Z';
    const float scale = id == line_break ? 1.5F : capital ? 1.0F : 0.0F;
    for (float& weight : random.head.master.mat().row(id)) weight *= scale;
  }
  test::save_folder(folder_.path(), random);
  TextModel m(folder_.path(), 1, Device::kCpu, false);
  m.model.ensure_rope(m.arena, 128);
  GenerateOptions options;
  options.max_tokens = 60;
  options.sampling.n_usable_ids = tokenizer.vocab_size();
  int64_t lines = 0, texts = 0;
  for (const char* prompt :
       {"the", "cat", "land", "rain", "hat", "story", "and", "man", "ran", "of"}) {
    const Ids ids = m.encode(prompt);
    Ids written =
        generate(m.ctx, m.model, ids, options, nullptr, nullptr, {.form = LatentForm::kF32}).tokens;
    while (!written.empty() && written.back() != line_break) written.pop_back();
    Ids whole = ids;
    whole.insert(whole.end(), written.begin(), written.end());
    const std::string text = tokenizer.decode(written);
    if (written.size() < 4 || m.encode(prompt + text) != whole) continue;
    const CompletionScore score = score_completions(m, {{"", prompt, text}});
    EXPECT_EQ(score.exact_lines, score.lines) << prompt;
    EXPECT_EQ(score.exact_texts, score.lines > 0 ? 1 : 0) << prompt;
    lines += score.lines;
    texts += score.lines > 0 ? 1 : 0;
  }
  EXPECT_GE(texts, 2);
  EXPECT_GE(lines, 5);
}

TEST_F(CompletionTest, BitsAreThoseOfTheTokensThatReachIntoTheText) {
  TextModel m(test::text_model_folder(), 1, Device::kCpu, false);
  const std::string prompt = "the cat and the", text = " hat and\nthe man ran\n";
  const Ids ids = m.encode(prompt + text);
  const std::vector<double> all = score_tokens(m.ctx, m.model, ids);
  const auto n = std::ssize(m.tokenizer->encode(text));
  ASSERT_EQ(m.tokenizer->decode(Ids(ids.end() - n, ids.end())), text);
  const double nats = -std::accumulate(all.end() - n, all.end(), 0.0);
  const CompletionScore score = score_completions(m, {{"", prompt, text}});
  EXPECT_EQ(score.bytes, std::ssize(text));
  EXPECT_NEAR(score.bits_per_byte(), nats / std::log(2.0) / static_cast<double>(text.size()), 1e-9);
  // The first token begins with the prompt's last byte: both count whole.
  const CompletionScore shifted = score_completions(m, {{"", prompt + " ", text.substr(1)}});
  EXPECT_EQ(shifted.bytes, score.bytes);
  EXPECT_EQ(shifted.nats, score.nats);
}

TEST(HeldOut, IsReadLineByLine) {
  const test::TemporaryFolder folder;
  const std::string path =
      folder.write("held_out.jsonl",
                   "{\"name\":\"f\",\"prompt\":\"int f() {\",\"text\":\" }\\n\"}\r\n\n"
                   "{\"text\":\"pass\",\"prompt\":\"\",\"name\":\"g\"}");
  const std::vector<HeldOutText> texts = read_held_out(path);
  ASSERT_EQ(texts.size(), 2U);
  EXPECT_EQ(texts[0].name, "f");
  EXPECT_EQ(texts[0].prompt, "int f() {");
  EXPECT_EQ(texts[0].text, " }\n");
  EXPECT_EQ(texts[1].name, "g");
  EXPECT_EQ(texts[1].text, "pass");
}

// Which file, which line, and what is wrong there.
TEST(HeldOut, NamesTheLineThatIsNone) {
  const test::TemporaryFolder folder;
  const std::string good = "{\"name\":\"f\",\"prompt\":\"p\",\"text\":\"t\"}\n";
  const auto expect_refused = [&](const std::string& content, const std::string& what) {
    const std::string path = folder.write("held_out.jsonl", content);
    test::expect_refused<FormatError>([&] { read_held_out(path); }, path + what);
  };
  expect_refused(good + "\nint main()\n", ": line 3: ");
  expect_refused(good + good.substr(0, 20), ": line 2: ");
  expect_refused(good + "{\"name\":\"f\",\"text\":\"t\"}\n",
                 ": line 2: prompt: no string (found an object without it, expected on each line");
  expect_refused("{\"name\":\"f\",\"prompt\":\"p\",\"text\":3}\n",
                 ": line 1: text: no string (found integer");
  expect_refused("[1]\n", ": line 1: name: no string (found array");
  expect_refused("\n", ": no held-out text in it");
  test::expect_refused<FormatError>([&] { read_held_out(folder / "none"); }, folder / "none");
}

}  // namespace
}  // namespace hadal
