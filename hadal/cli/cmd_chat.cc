// cli/cmd_chat.cc: `hadal chat`
//
// Ctrl-C ends the answer, not the program; at the prompt it clears the line. The latent cache is
// kept between turns, so that each prefills only what is new.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "hadal/cli/commands.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/command/line_editor.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/data/stored_template.h"
#include "hadal/infer/conversation.h"
#include "hadal/infer/session.h"
#include "hadal/infer/text_stream.h"
#include "hadal/io/atomic_write.h"

namespace hadal::cli {
namespace {

struct ChatCommand {
  std::string model, system;
  int64_t max_context = 0;
  SamplingFlags sampling;
};

void bind(Flags& flags, ChatCommand& o) {
  o.sampling.max_tokens = 1024;
  o.sampling.temperature = 0.6;
  o.sampling.top_p = 0.95;
  flags.library_names({{"context", "--max-context"}, {"draft_tokens", "--speculate"}});
  flags.example("hadal chat --model DIR", "talk; /help lists what can be typed");
  flags.example("hadal chat -m DIR --system \"Answer in one sentence.\" --temp 0",
                "with a system "
                "message, always taking the most probable token");
  flags.required("model,-m", o.model, "model folder");
  flags.option("system", o.system, "system message");
  flags.option("max-context,-c,--ctx-size", o.max_context,
               "tokens of the whole conversation at most; 0: as many as the model has positions");
  o.sampling.bind(flags);
}

constexpr const char* kHelp =
    "/help         this list\n"
    "/reset        forget the conversation, keep the system message\n"
    "/save FILE    write the conversation as JSON\n"
    "/exit         leave (Ctrl-D does the same)\n"
    "Ctrl-C ends an answer early.\n";

// $XDG_STATE_HOME/hadal/chat_history; empty when no folder can be made.
std::string history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state != '\0') {
    folder = state;
  } else if (home != nullptr && *home != '\0') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  folder /= "hadal";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return error ? std::string() : (folder / "chat_history").string();
}

void save(const Conversation& conversation, const std::string& file) {
  require(!file.empty(), {.field = "/save",
                          .problem = "missing file name",
                          .found = "nothing",
                          .expected = "/save FILE"});
  Json messages = Json::array();
  for (const ChatMessage& message : conversation.messages()) {
    Json entry;
    entry["role"] = message.role == ChatMessage::Role::kSystem ? "system"
                    : message.role == ChatMessage::Role::kUser ? "user"
                                                               : "assistant";
    entry["content"] = message.text;
    messages.push_back(std::move(entry));
  }
  Json document;
  document["messages"] = std::move(messages);
  write_file_atomically(file, document.dump(2) + "\n");
  log_note("saved ", conversation.messages().size(), " messages to ", file);
}

class Chat {
 public:
  Chat(const ChatCommand& o, const CommonOptions& common, const Flags& flags, Output& out)
      : o_(o),
        out_(out),
        m_(o.model, common.threads, common.chosen_device(), o.sampling.speculate != "off"),
        conversation_(m_.need_tokenizer(), o.system),
        session_(m_.ctx, model_for(context()), context(),
                 o.sampling.draft_tokens(m_.model.config) > 0) {
    options_.sampling = o.sampling.sampling(flags, common, m_);
    options_.stop_tokens = o.sampling.stop_tokens(m_);
    options_.draft_tokens = o.sampling.draft_tokens(m_.model.config);
    options_.drop_slow_drafts = o.sampling.speculate == "auto";
    most_tokens_ = o.sampling.answer_limit(flags, m_, session_.capacity());
    require(most_tokens_ >= 1, {.field = "--max-tokens",
                                .problem = "out of range",
                                .found = most_tokens_,
                                .expected = "1 or more"});
  }

  void greet(bool on_terminal) const {
    const double bytes =
        static_cast<double>(session_.capacity()) *
        static_cast<double>(LatentPages::bytes_per_token(
            m_.model.config, options_.draft_tokens > 0 ? m_.model.config.n_mtp : 0));
    log_note(o_.model, ": context ", session_.capacity(), " tokens, latent cache up to ",
             human_bytes(bytes));
    const std::string note = prompt_note(m_.folder, conversation_.has_roles());
    if (!note.empty()) log_note(note);
    if (on_terminal) log_note("/help lists what can be typed; Ctrl-D leaves.");
  }

  void loop(LineEditor& editor) {
    for (std::string line;;) {
      const LineEditor::Event event = editor.read(line);
      if (event == LineEditor::Event::kEnd) return;
      if (event == LineEditor::Event::kInterrupt) {
        clear_interrupt();
        if (interrupted()) throw Interrupted("chat: asked to end");
        continue;
      }
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      if (line == "/exit" || line == "/quit") return;
      try {
        if (!command(line)) answer(line);
      } catch (const IoError& error) {  // /save failed; the conversation goes on
        log_warning(error.line(out_.option_of()));
      } catch (const ConfigError& error) {  // too long, or a command used wrongly
        log_warning(error.line(out_.option_of()));
      }
    }
  }

 private:
  int64_t context() const {
    const int64_t most = m_.model.config.max_position_embeddings;
    require(o_.max_context >= 0 && o_.max_context <= most,
            {.field = "--max-context",
             .problem = "out of range",
             .found = o_.max_context,
             .expected = {"at most ", most},
             .advice = "the model has no more positions"});
    return o_.max_context == 0 ? most : o_.max_context;
  }

  // The model, ready for so many positions.
  const DeepseekV3& model_for(int64_t n_positions) {
    m_.model.ensure_rope(m_.arena, n_positions);
    return m_.model;
  }

  bool command(const std::string& line) {
    if (line == "/help") {
      out_.text(kHelp);
    } else if (line == "/reset") {
      conversation_.reset();
      log_note("The conversation is forgotten.");
    } else if (line.rfind("/save", 0) == 0 && (line.size() == 5 || line[5] == ' ')) {
      const size_t start = line.find_first_not_of(' ', 5);
      save(conversation_, start == std::string::npos ? "" : line.substr(start));
    } else {
      return false;
    }
    return true;
  }

  void answer(const std::string& text) {
    clear_interrupt();  // one that came while the line was typed
    conversation_.add_user(text);
    const std::vector<int32_t> prompt = conversation_.prompt();
    const int64_t room = session_.capacity() - static_cast<int64_t>(prompt.size());
    if (room < 1) {
      conversation_.drop_last_user();
      throw ConfigError({.field = "--max-context",
                         .problem = "the conversation is full",
                         .found = {prompt.size(), " tokens"},
                         .expected = {"fewer than ", session_.capacity()},
                         .advice = "/reset starts a new one"});
    }
    options_.max_tokens = std::min(most_tokens_, room);
    TextStream stream(*m_.tokenizer, m_.stop_texts(o_.sampling.stop));
    const auto show = [&](const std::string& more) {
      out_.text(more);
      std::fflush(stdout);
    };
    const auto on_token = [&](int32_t token) {
      show(stream.push(token));
      return !interrupted() && !stream.stopped();
    };
    const GenerateResult result =
        session_.generate(prompt, options_, on_token, [](double) { return !interrupted(); });
    show(stream.finish() + "\n");
    clear_interrupt();
    if (interrupted()) throw Interrupted("chat: asked to end");
    conversation_.add_answer(stream.text());
    options_.sampling.seed += 1;  // the same words again need not get the same answer
    if (result.finish_reason == "length") log_note("(cut at ", options_.max_tokens, " tokens)");
  }

  const ChatCommand& o_;
  Output& out_;
  TextModel m_;
  Conversation conversation_;
  GenerationSession session_;
  GenerateOptions options_;
  int64_t most_tokens_ = 0;  // of one answer
};

int run(const ChatCommand& o, const CommonOptions& common, const Flags& flags, Output& out) {
  require(!out.json(), {.field = "--json",
                        .problem = "chat is a conversation",
                        .found = "--json",
                        .expected = "a person or lines on standard input",
                        .advice = "use hadal generate --json"});
  catch_interrupts();
  Chat chat(o, common, flags, out);
  LineEditor editor("> ", history_file());
  chat.greet(editor.is_terminal());
  chat.loop(editor);
  return 0;
}

}  // namespace

Command make_chat_command() {
  auto options = std::make_shared<ChatCommand>();
  return {"chat", "talk with a model in the terminal",
          [options](Flags& flags) { bind(flags, *options); },
          [options](const CommonOptions& common, const Flags& flags, Output& out) {
            return run(*options, common, flags, out);
          }};
}

}  // namespace hadal::cli
