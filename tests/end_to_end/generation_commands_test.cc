// generate, score and chat as a user types them: results, and the one-line error of wrong input.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "hadal/core/json.h"
#include "hadal/io/safetensors.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"

namespace hadal {
namespace {

using test::model_folder_without_tokenizer;
using test::text_model_folder;
using testing::expect_refused;
using testing::run_hadal;
using testing::RunResult;

std::string write(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "generation-" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

RunResult run(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.end(), {"--threads", "1"});
  return run_hadal(arguments, input, {"XDG_STATE_HOME=" + ::testing::TempDir() + "state"});
}
RunResult generate(std::vector<std::string> more) {
  more.insert(more.begin(), {"generate", "--model", text_model_folder()});
  return run(more);
}
Json json_of(const RunResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "stdout");
}

TEST(GenerateCommand, ReportsEveryFieldOfTheContract) {
  const Json json = json_of(generate({"--prompt", "the cat", "--max-tokens", "12", "--json"}));
  EXPECT_TRUE(json.at("text").is_string());
  EXPECT_EQ(json.at("tokens").as_array().size(), 12U);
  EXPECT_GE(json.at("prompt_tokens").as_integer(), 2);
  EXPECT_EQ(json.at("finish_reason").as_string(), "length");
  for (const char* field : {"prefill_tokens_per_s", "decode_tokens_per_s",
                            "accepted_tokens_per_step", "acceptance_rate"}) {
    EXPECT_TRUE(json.at(field).is_number()) << field;
  }
}

// A prompt that begins with BOS itself gets no second one, and llama.cpp's -1s are understood.
TEST(GenerateCommand, OneBosHoweverThePromptBegins) {
  const std::string bos = "<｜begin▁of▁sentence｜>";
  const auto prompt_tokens = [](const std::string& prompt) {
    return json_of(generate({"-p", prompt, "-n", "1", "--json"})).at("prompt_tokens").as_integer();
  };
  EXPECT_EQ(prompt_tokens(bos + "the cat"), prompt_tokens("the cat"));
  EXPECT_EQ(prompt_tokens(bos + bos + "the cat"), prompt_tokens("the cat") + 1);
  const auto scored = [](const std::string& text) {
    return json_of(run({"score", "-m", text_model_folder(), "--text", text, "--json"}));
  };
  EXPECT_EQ(scored(bos + "the cat").at("tokens"), scored("the cat").at("tokens"));
  EXPECT_EQ(scored(bos + "the cat").at("logprobs"), scored("the cat").at("logprobs"));
}

TEST(GenerateCommand, MinusOneMeansWhatItMeansElsewhere) {
  const Json all = json_of(generate({"-p", "the", "-n", "-1", "--ignore-eos", "--json"}));
  EXPECT_EQ(static_cast<int64_t>(all.at("tokens").as_array().size()),
            128 - all.at("prompt_tokens").as_integer());
  const auto sampled = [](const char* top_k) {
    return json_of(generate({"-p", "the", "-n", "20", "--temp", "1", "--seed", "3", "--top-k",
                             top_k, "--json"}))
        .at("tokens");
  };
  EXPECT_EQ(sampled("-1"), sampled("0"));
  EXPECT_NE(sampled("-1"), sampled("1"));
  EXPECT_EQ(generate({"-p", "the", "-n", "-2"}).exit_code, 2);
  std::string long_prompt;
  for (int i = 0; i < 200; ++i) long_prompt += "the cat ";
  const RunResult full = generate({"-p", long_prompt, "-n", "-1"});
  EXPECT_EQ(full.exit_code, 2);
  EXPECT_NE(full.err.find("tokens of prompt and 1 to write"), std::string::npos) << full.err;
  EXPECT_EQ(generate({"-p", "the", "--top-k", "-2"}).exit_code, 2);
  const auto any = [] {
    return json_of(generate({"-p", "the", "-n", "30", "--temp", "1", "--seed", "-1", "--json"}))
        .at("tokens");
  };
  EXPECT_NE(any(), any());
}

TEST(GenerateCommand, GreedyOutputIsTheSameAtEveryDepthAndOnEveryThreadCount) {
  const auto tokens = [](const char* speculate, const char* threads) {
    return json_of(generate({"-p", "the", "-n", "60", "--temp", "0", "--speculate", speculate,
                             "--json", "--threads", threads}))
        .at("tokens");
  };
  const Json plain = tokens("off", "1");
  for (const char* speculate : {"auto", "1", "2", "3"}) EXPECT_EQ(tokens(speculate, "1"), plain);
  EXPECT_EQ(tokens("off", "2"), plain);
}

TEST(GenerateCommand, SampledOutputIsTheSameWhateverIsDrafted) {
  const auto result = [](const char* speculate, const char* draft) {
    return json_of(generate({"-p", "the", "-n", "60", "--temp", "0.7", "--seed", "3", "--speculate",
                             speculate, "--draft", draft, "--json"}));
  };
  const Json plain = result("off", "auto").at("tokens");
  EXPECT_EQ(result("auto", "auto").at("tokens"), plain);
  EXPECT_EQ(result("2", "mtp").at("tokens"), plain);
  const Json by_ngrams = result("4", "ngram");
  EXPECT_EQ(by_ngrams.at("tokens"), plain);
  EXPECT_EQ(by_ngrams.at("mtp").at("drafted").as_integer(), 0);
  EXPECT_EQ(generate({"-p", "the", "--draft", "oracle"}).exit_code, 2);
}

TEST(GenerateCommand, RecordsWhatTrainingReplays) {
  const test::TemporaryFolder folder;
  const std::string file = folder / "record.safetensors";
  const Json answer = json_of(generate(
      {"-p", "the", "-n", "12", "--temp", "1", "--top-k", "4", "--record", file, "--json"}));
  const TensorSource source = TensorSource::open(file);
  const int64_t n_prompt = answer.at("prompt_tokens").as_integer();
  const int64_t n_written = std::ssize(answer.at("tokens").as_array());
  const auto shape = [&](const char* name) { return source.entries().at(name).info->shape; };
  EXPECT_EQ(shape("tokens"), (Shape{n_prompt + n_written}));
  EXPECT_EQ(shape("experts").front(), n_prompt + n_written - 1);
  EXPECT_EQ(shape("mask_offsets"), (Shape{n_written + 1}));
  EXPECT_EQ(shape("mask_ids"), (Shape{4 * n_written})) << "top-k left four each time";
}

TEST(GenerateCommand, TextOnStdoutIsTheAnswerAlone) {
  const RunResult text = generate({"-p", "the cat", "-n", "20"});
  const Json json = json_of(generate({"-p", "the cat", "-n", "20", "--json"}));
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out, json.at("text").as_string() + "\n");
  EXPECT_NE(text.err.find("tokens/s"), std::string::npos) << "the timing is on stderr";
}

TEST(GenerateCommand, ASeedRepeatsAndAnotherDoesNot) {
  const auto tokens = [](const char* seed) {
    return json_of(generate({"-p", "the", "-n", "30", "--temp", "1", "--seed", seed, "--json"}))
        .at("tokens");
  };
  EXPECT_EQ(tokens("5"), tokens("5"));
  EXPECT_NE(tokens("5"), tokens("6"));
}

// What the model's folder asks for holds until the command line says otherwise.
TEST(GenerateCommand, GenerationConfigLimitsTheAnswer) {
  const test::TemporaryFolder folder;
  std::filesystem::copy(text_model_folder(), folder.path());
  const auto json = [&](const std::string& config, std::vector<std::string> more) {
    folder.write("generation_config.json", config);
    more.insert(more.begin(), {"generate", "-m", folder.path(), "-p", "the", "--json"});
    return json_of(run(more));
  };
  EXPECT_EQ(json(R"({"max_new_tokens": 5})", {}).at("tokens").as_array().size(), 5U);
  EXPECT_EQ(json(R"({"max_new_tokens": 5})", {"-n", "7"}).at("tokens").as_array().size(), 7U);
  const Json plain = json("{}", {"-n", "8"});
  const std::string text = plain.at("text").as_string();
  const size_t at =
      text.find_first_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  ASSERT_NE(at, std::string::npos) << text;
  const std::string stop = text.substr(at, 1);
  const Json stopped = json(R"({"stop_strings": [")" + stop + R"("]})", {"-n", "40"});
  EXPECT_EQ(stopped.at("text").as_string(), text.substr(0, at));
  const Json& first = plain.at("tokens").as_array()[0];
  const Json other = json(R"({"suppress_tokens": [)" + first.dump() + "]}", {"-n", "8"});
  for (const Json& id : other.at("tokens").as_array()) EXPECT_NE(id, first);
}

TEST(GenerateCommand, StopStringsEndTheTextBeforeThem) {
  const std::string text =
      json_of(generate({"-p", "the", "-n", "40", "--json"})).at("text").as_string();
  ASSERT_GT(text.size(), 6U);
  const std::string stop = text.substr(4, 2);
  const Json json = json_of(generate({"-p", "the", "-n", "40", "--stop", stop, "--json"}));
  EXPECT_EQ(json.at("text").as_string(), text.substr(0, text.find(stop)));
  EXPECT_EQ(json.at("finish_reason").as_string(), "stop");
}

TEST(GenerateCommand, TokenIdsNeedNoTokenizer) {
  const std::string flat = write("flat.json", "[5, 6, 7]");
  const std::string nested = write("nested.json", "[[5, 6, 7]]");
  const std::vector<std::string> base = {
      "generate", "-m", model_folder_without_tokenizer(), "-n", "5", "--json", "--prompt-tokens"};
  std::vector<std::string> with_flat = base, with_nested = base;
  with_flat.push_back(flat);
  with_nested.push_back(nested);
  const Json json = json_of(run(with_flat));
  EXPECT_TRUE(json.at("text").is_null());
  EXPECT_EQ(json.at("tokens").as_array().size(), 5U);
  EXPECT_EQ(json_of(run(with_nested)).at("tokens"), json.at("tokens"));
}

TEST(GenerateCommand, PromptFilesStandardInputAndFillInTheMiddle) {
  const std::string file = write("prompt.txt", "the cat");
  const Json want = json_of(generate({"-p", "the cat", "-n", "9", "--json"})).at("tokens");
  EXPECT_EQ(json_of(generate({"-f", file, "-n", "9", "--json"})).at("tokens"), want);
  const RunResult piped =
      run({"generate", "-m", text_model_folder(), "-f", "-", "-n", "9", "--json"}, "the cat");
  EXPECT_EQ(json_of(piped).at("tokens"), want);
  const Json fim = json_of(generate({"-p", "the", "--suffix", "end", "-n", "9", "--json"}));
  EXPECT_GE(fim.at("prompt_tokens").as_integer(), 5) << "two texts and three marks";
}

TEST(GenerateCommand, WrongInputIsOneLineThatNamesTheOption) {
  const std::string no_list = write("no-list.json", "{\"ids\": [1]}");
  const std::string big_id = write("big-id.json", "[100000]");
  const std::string no_json = write("no-json.json", "[1, 2");
  const std::string two = write("two.json", "[[1], [2]]");
  const std::string empty = write("empty.json", "[]");
  expect_refused(
      {
          {{"-n", "5"}, "--prompt: missing"},
          {{"-p", "the", "-f", "x.txt"}, "--prompt: given beside another"},
          {{"-f", "/no/such/file"}, "/no/such/file: cannot be read"},
          {{"--prompt-tokens", no_list}, no_list + ": not a list of token ids"},
          {{"--prompt-tokens", big_id}, "--prompt-tokens: id out of range"},
          {{"--prompt-tokens", no_json}, no_json + ": line 1, column 6: not valid JSON"},
          {{"--prompt-tokens", two}, two + ": not a list of token ids"},
          {{"--prompt-tokens", empty}, "--prompt: no tokens"},
          {{"--prompt-tokens", big_id, "--suffix", "x"}, "--suffix: needs a text prompt"},
          {{"-p", "the", "-n", "0"}, "--max-tokens: out of range"},
          {{"-p", "the", "-n", "128"}, "--max-tokens: the context is too short"},
          {{"-p", "the", "--max-context", "4", "-n", "10"},
           "--max-tokens: the context is too short"},
          {{"-p", "the", "--max-context", "129"}, "--max-context: out of range"},
          {{"-p", "the", "--temperature", "-1"}, "--temperature: out of range"},
          {{"-p", "the", "--temperature", "warm"}, "--temperature: not a number here"},
          {{"-p", "the", "--top-p", "0"}, "--top-p: out of range"},
          {{"-p", "the", "--top-k", "-3"}, "--top-k: out of range"},
          {{"-p", "the", "--min-p", "2"}, "--min-p: out of range"},
          {{"-p", "the", "--seed", "-2"}, "--seed: out of range"},
          {{"-p", "the", "--speculate", "often"}, "--speculate: wrong value"},
          {{"-p", "the", "--speculate", "8"}, "--speculate: wrong value"},
          {{"-p", "the", "--frequency-penalty", "9"}, "--frequency-penalty: out of range"},
      },
      {"generate", "--threads", "1", "--model", text_model_folder()});
}

TEST(GenerateCommand, AFolderWithoutAModelOrTokenizerIsNamed) {
  expect_refused({{{"-m", model_folder_without_tokenizer(), "-p", "x"},
                   model_folder_without_tokenizer() + "/tokenizer.json: no such file"},
                  {{"-m", "/no/such/folder", "-p", "x"}, "/no/such/folder: not a folder"}},
                 {"generate"});
}

TEST(ScoreCommand, ReportsOneLogprobForEachToken) {
  const Json json = json_of(
      run({"score", "--model", text_model_folder(), "--text", "the cat and the hat", "--json"}));
  const Json::Array& logprobs = json.at("logprobs").as_array();
  ASSERT_EQ(logprobs.size(), json.at("tokens").as_array().size());
  double nats = 0.0;
  for (const Json& logprob : logprobs) {
    EXPECT_LT(logprob.as_number(), 0.0) << "the first one too: it stands behind BOS";
    nats -= logprob.as_number();
  }
  EXPECT_NEAR(json.at("bits_per_byte").as_number(), nats / std::log(2.0) / 19.0, 1e-9);
  EXPECT_NEAR(json.at("perplexity").as_number(),
              std::exp(nats / static_cast<double>(logprobs.size())), 1e-6);
}

TEST(ScoreCommand, ALongFileIsReadInWindows) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "the man ran to the end, ";
  const Json json = json_of(run({"score", "-m", text_model_folder(), "-f", write("long.txt", text),
                                 "--json", "--window", "64", "--stride", "16"}));
  EXPECT_EQ(json.at("n_bytes").as_integer(), static_cast<int64_t>(text.size()));
}

TEST(ScoreCommand, WrongInputIsOneLineThatNamesTheOption) {
  const std::string model = text_model_folder(), empty = write("empty.txt", "");
  expect_refused(
      {
          {{"-m", model}, "--text: give exactly one text"},
          {{"-m", model, "--text", "a", "--file", "b"}, "--text: give exactly one text"},
          {{"-m", model, "--text", ""}, "--text: nothing to score"},
          {{"-m", model, "--file", empty}, empty + ": nothing to score"},
          {{"-m", model, "--file", "/no/such/file"}, "/no/such/file: cannot be read"},
          {{"-m", model, "--text", "a", "--window", "1"}, "--window: out of range"},
          {{"-m", model, "--text", "a", "--encoding", "latin-1"}, "--encoding: is of a file"},
          {{"-m", model, "--text", "a", "--window", "129"}, "--window: out of range"},
          {{"-m", model, "--text", "a", "--window", "8", "--stride", "8"},
           "--stride: out of range"},
          {{"-m", model_folder_without_tokenizer(), "--text", "a"},
           model_folder_without_tokenizer() + "/tokenizer.json: no such file"},
          {{"--text", "a"}, "--model: missing"},
      },
      {"score", "--threads", "1"});
}

TEST(ChatCommand, TalksThroughAPipe) {
  const std::string file = ::testing::TempDir() + "generation-chat.json";
  const RunResult result =
      run({"chat", "-m", text_model_folder(), "-n", "6", "--system", "the end"},
          "the cat\n/save " + file + "\n/reset\nthe hat\n/help\n/exit\nunread\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("/save FILE"), std::string::npos) << "/help answers";
  const Json json = parse_json_file(file);
  const Json::Array& messages = json.at("messages").as_array();
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0].at("role").as_string(), "system");
  EXPECT_EQ(messages[1].at("content").as_string(), "the cat");
  EXPECT_EQ(messages[2].at("role").as_string(), "assistant");
}

TEST(ChatCommand, AFoldersTemplateIsFollowed) {
  const test::TemporaryFolder folder;
  test::copy_files(text_model_folder(), folder.path());
  const std::vector<std::string> chat = {"chat", "-m", folder.path(), "-n", "4", "--ignore-eos"};
  folder.write("chat_template.jinja",
               "{{ bos_token }}{{ messages[-1].content }}{% if thinking %}<think>{% endif %}");
  std::vector<std::string> with_thought = chat;
  with_thought.insert(with_thought.end(), {"--think", "on"});
  EXPECT_NE(run(with_thought, "hi\n").out.find("[thinking]\n"), std::string::npos);
  EXPECT_EQ(run(chat, "hi\n").out.find("[thinking]"), std::string::npos);
  EXPECT_NE(run(chat, "/think on\nhi\n").out.find("[thinking]\n"), std::string::npos);
  folder.write("chat_template.jinja", "\n{{ 'x' | wordcount }}");
  EXPECT_NE(run(chat, "hi\n").err.find("chat_template.jinja: line 2: this filter is not supported"),
            std::string::npos);
  folder.write("chat_template.jinja", "{% include 'x' %}");
  EXPECT_EQ(run(chat, "hi\n").exit_code, 2);
}

TEST(ChatCommand, TurnsAreTakenBackAskedAnewSavedAndLoaded) {
  const test::TemporaryFolder folder;
  const std::string file = folder / "chat.json", again = folder / "again.json";
  const RunResult first =
      run({"chat", "-m", text_model_folder(), "-n", "3", "--ignore-eos"},
          "the cat\n/retry\nthe hat\\\nsat\n/edit the man\n\"\"\"\none\n\ntwo\n\"\"\"\n/undo\n"
          "/system the end\n/stats\n/nonsense\n/think on\n/save " +
              file + "\n");
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.err.find("5 answers, 15 tokens written"), std::string::npos) << first.err;
  EXPECT_NE(first.err.find("tokens from the cache"), std::string::npos);
  EXPECT_NE(first.err.find("/nonsense: no such command"), std::string::npos);
  EXPECT_NE(first.err.find("--think: the model's chat template does not ask"), std::string::npos);
  const Json saved = parse_json_file(file);
  std::vector<std::string> said;
  for (const Json& m : saved.at("messages").as_array()) {
    if (m.at("role").as_string() != "assistant") said.push_back(m.at("content").as_string());
  }
  EXPECT_EQ(said, (std::vector<std::string>{"the end", "the cat", "the man"}));
  const RunResult second = run({"chat", "-m", text_model_folder(), "-n", "3"},
                               "/load " + file + "\n/save " + again + "\n/load /no/such\n/edit\n");
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(parse_json_file(again), saved);
  EXPECT_NE(second.err.find("/no/such"), std::string::npos);
}

TEST(ChatCommand, AFullContextIsSaidAndTheChatGoesOn) {
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += "the cat and the hat and the man\n";
  const RunResult result =
      run({"chat", "-m", text_model_folder(), "-n", "4"}, lines + "/reset\nhi\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("/reset starts a new one"), std::string::npos);
}

// As long as the context lets it, which then has no room for another turn.
TEST(ChatCommand, MinusOneTokenIsNoLimit) {
  const RunResult result =
      run({"chat", "-m", text_model_folder(), "-n", "-1", "--ignore-eos"}, "hi\nhi\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("/reset starts a new one"), std::string::npos) << result.err;
}

TEST(ChatCommand, WrongInputIsOneLineThatNamesTheOption) {
  expect_refused(
      {
          {{}, "--model: missing"},
          {{"-m", text_model_folder(), "--json"}, "--json: chat is a conversation"},
          {{"-m", text_model_folder(), "-n", "0"}, "--max-tokens: out of range"},
          {{"-m", text_model_folder(), "--max-context", "1000"}, "--max-context: out of range"},
          {{"-m", text_model_folder(), "--top-p", "-1"}, "--top-p: out of range"},
          {{"-m", model_folder_without_tokenizer()},
           model_folder_without_tokenizer() + "/tokenizer.json: no such file"},
      },
      {"chat", "--threads", "1"}, "hello\n");
  const RunResult unwritable = run({"chat", "-m", text_model_folder(), "-n", "3"},
                                   "hi\n/save /no/such/folder/x.json\n/save\n");
  EXPECT_EQ(unwritable.exit_code, 0) << "the conversation goes on";
  EXPECT_NE(unwritable.err.find("/no/such/folder"), std::string::npos);
}

}  // namespace
}  // namespace hadal
