// A long conversation reads every token once: what the next prompt repeats comes from the cache, up to
// the first token that the template has rewritten.
#include "hadal/infer/chat_session.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "hadal/core/error.h"
#include "hadal/core/utf8.h"
#include "tests/support/random_model.h"
#include "tests/support/text_model_folder.h"

namespace hadal {
namespace {

using Ids = std::vector<int32_t>;
using Role = ChatMessage::Role;

int64_t common_prefix(const Ids& a, const Ids& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

// Ids that are no words: control tokens and parts of characters. What a model writes with them is not
// what a message says.
std::vector<int32_t> wordless(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < static_cast<int32_t>(tokenizer.vocab_size()); ++id) {
    if (!valid_utf8(tokenizer.token_bytes(id))) ids.push_back(id);
  }
  for (const AddedToken& token : tokenizer.added_tokens()) ids.push_back(token.id);
  return ids;
}

class ChatSessionTest : public testing::Test {
 protected:
  ChatSessionTest() {
    ModelConfig config = test::odd_config();
    config.vocab_size = tokenizer_.vocab_size();
    config.max_position_embeddings = 4096;
    config.n_mtp = 0;
    random_.emplace(config, 3);
    random_->model.ensure_rope(random_->arena, 4096);
  }

  // 20 turns, every third with a call and its result, answered by whatever the model writes. Returns
  // how often a prompt did not repeat everything that the cache held.
  int talk(const char* chat_template, bool thinking) {
    Conversation chat(tokenizer_, ChatTemplate(tokenizer_, chat_template, "template"), "the end");
    GenerationSession session(random_->ctx, random_->model, 4096, false);
    Ids held;  // what the cache holds: all but the last token
    int rewritten = 0;
    for (int turn = 0; turn < 20; ++turn) {
      const bool call = turn % 3 == 1;
      chat.add_user("the cat and the hat");
      if (call) {
        chat.add({.role = Role::kAssistant, .tool_calls = {{"c1", "land", "{\"of\": \"rain\"}"}}});
        chat.add({.role = Role::kTool, .content = "the rain", .tool_call_id = "c1"});
      }
      const Conversation::Prompt prompt = chat.prompt();
      GenerateOptions options{.max_tokens = 12, .sampling = {.temperature = 1.0}};
      options.sampling.seed = static_cast<uint64_t>(turn);
      options.sampling.suppressed_ids = wordless(tokenizer_);
      const GenerateResult result = session.generate(prompt.ids, options);
      const int64_t same = common_prefix(held, prompt.ids);
      EXPECT_EQ(result.cached_tokens, same) << "turn " << turn;
      rewritten += same < std::ssize(held) ? 1 : 0;
      held = prompt.ids;
      held.insert(held.end(), result.tokens.begin(), result.tokens.end());
      held.pop_back();
      ChatMessage answer{.role = Role::kAssistant, .content = tokenizer_.decode(result.tokens)};
      Ids written = result.tokens;
      if (thinking) {  // as if half of it had been a thought
        answer.reasoning_content = tokenizer_.decode({written.begin(), written.begin() + 6});
        answer.content = tokenizer_.decode({written.begin() + 6, written.end()});
      }
      chat.add_answer(answer, written);
    }
    return rewritten;
  }

  Tokenizer tokenizer_ = Tokenizer::load(test::tokenizer_folder());
  std::optional<test::RandomModel> random_;
};

constexpr const char* kKeeps =
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}<｜User｜>{{ m.content }}<｜Assistant｜>"
    "{% elif m.role == 'assistant' %}{{ m.reasoning_content or '' }}{{ m.content or '' }}"
    "{{ m.tool_calls | tojson if m.tool_calls }}{{ eos_token }}"
    "{% elif m.role == 'tool' %}<｜User｜>{{ m.content }}<｜Assistant｜>{% else %}{{ m.content }}"
    "{% endif %}{% endfor %}";
// Thoughts are shown behind the last question alone.
constexpr const char* kDrops =
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}<｜User｜>{{ m.content }}<｜Assistant｜>"
    "{% elif m.role == 'assistant' %}{{ m.content or '' }}{{ m.tool_calls | tojson if m.tool_calls "
    "}}"
    "{{ eos_token }}"
    "{% elif m.role == 'tool' %}<｜User｜>{{ m.content }}<｜Assistant｜>{% else %}{{ m.content }}"
    "{% endif %}{% endfor %}";

TEST_F(ChatSessionTest, TwentyTurnsWithToolsReadNothingTwice) {
  EXPECT_EQ(talk(kKeeps, false), 0);
  EXPECT_EQ(talk(kKeeps, true), 0);
}

TEST_F(ChatSessionTest, ADroppedThoughtIsReadAgainFromTheFirstDifference) {
  EXPECT_GE(talk(kDrops, true), 18) << "but turns whose thought was written anew by chance";
}

TEST(ChatSession, TheSameWordsAgainGetAnotherAnswer) {
  TextModel model(test::text_model_folder(), 1, Device::kCpu, false);
  GenerateOptions options{.max_tokens = 12, .sampling = {.temperature = 1.0}};
  ChatSession chat(model, "", 128, options, {});
  chat.conversation().add_user("the cat");
  const auto take = [](const AnswerStream::Piece&) { return true; };
  const Ids first = chat.answer(take).tokens;
  ASSERT_TRUE(chat.conversation().drop_answer());
  EXPECT_NE(chat.answer(take).tokens, first);
}

TEST(ChatSession, AnAnswerEndsWhereTheContextDoes) {
  TextModel model(test::text_model_folder(), 1, Device::kCpu, false);
  GenerateOptions options{.max_tokens = 1000};
  options.sampling.suppressed_ids = wordless(*model.tokenizer);
  ChatSession chat(model, "", 64, options, {});
  chat.conversation().add_user("the cat");
  const GenerateResult result = chat.answer([](const AnswerStream::Piece&) { return true; });
  EXPECT_EQ(result.prompt_tokens + std::ssize(result.tokens), 64);
}

TEST(ChatSession, ReportsWhatWasReusedAndKeepsEveryAnswer) {
  TextModel model(test::text_model_folder(), 1, Device::kCpu, false);
  GenerateOptions options{.max_tokens = 5};
  options.sampling.suppressed_ids = wordless(*model.tokenizer);
  ChatSession chat(model, "the end", 128, options, {});
  chat.conversation().add_user("the cat");
  std::string shown;
  const auto show = [&](const AnswerStream::Piece& piece) {
    shown += piece.thinking + piece.content;
    return true;
  };
  const GenerateResult first = chat.answer(show);
  EXPECT_EQ(first.cached_tokens, 0);
  EXPECT_EQ(chat.conversation().messages().back().content, shown);
  chat.conversation().add_user("the hat");
  const GenerateResult second = chat.answer(show);
  EXPECT_EQ(second.cached_tokens, first.prompt_tokens + std::ssize(first.tokens) - 1);
  EXPECT_EQ(chat.totals().turns, 2);
  EXPECT_EQ(chat.totals().cached_tokens, second.cached_tokens);
  // Stopped after a token: that one stays. Stopped before: nothing does.
  chat.conversation().add_user("then");
  const size_t n = chat.conversation().messages().size();
  chat.answer([](const AnswerStream::Piece&) { return false; });
  EXPECT_EQ(chat.conversation().messages().size(), n + 1);
  EXPECT_TRUE(chat.conversation().drop_answer());
  chat.answer(show, [](double) { return false; });
  EXPECT_EQ(chat.conversation().messages().size(), n);
  chat.conversation().add_user(std::string(400, 'x'));
  EXPECT_THROW(chat.answer(show), ConfigError);
}

}  // namespace
}  // namespace hadal
