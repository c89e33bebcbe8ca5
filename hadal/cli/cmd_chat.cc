// cli/cmd_chat.cc: `hadal chat`
//
// Ctrl-C ends the answer, not the program; at the prompt it clears the line. The latent cache is
// kept between turns, so that each prefills only what is new.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "hadal/cli/activations_flag.h"
#include "hadal/cli/answer_printer.h"
#include "hadal/cli/cache_flags.h"
#include "hadal/cli/chat_flags.h"
#include "hadal/cli/chat_input.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/command/line_editor.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/infer/chat_session.h"
#include "hadal/io/atomic_write.h"
#include "hadal/spread/launched_model.h"

namespace hadal::cli {
namespace {

struct ChatCommand {
  ActivationsFlag activations;
  std::string model, system;
  ChatFlags chat;
  int64_t max_context = 0;
  CacheFlags cache;
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
  o.chat.bind(flags);
  flags.option("max-context,-c,--ctx-size", o.max_context,
               "tokens of the whole conversation at most; 0: as many as the model has positions");
  o.cache.bind(flags);
  o.sampling.bind(flags);
  o.activations.bind(flags);
}

constexpr const char* kHelp =
    "/help          this list\n"
    "/system TEXT   set the system message; without TEXT: none\n"
    "/save FILE     write the conversation as JSON\n"
    "/load FILE     go on with a conversation in JSON\n"
    "/retry         another answer to the last message\n"
    "/edit [TEXT]   the last message anew\n"
    "/undo          take the last message and its answer back\n"
    "/result TEXT   what a tool gave that the model called\n"
    "/reset         forget the conversation, keep the system message\n"
    "/think on|off  let the model think first, if its template asks\n"
    "/stats         tokens read, reused and written so far\n"
    "/quit          leave (/exit and Ctrl-D do the same)\n"
    "Several lines: end each but the last with \\, or put them between lines of \"\"\".\n"
    "A message that begins with /: //. Ctrl-C ends an answer early and keeps what is written.\n";

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

void save_conversation(const Conversation& conversation, const std::string& file) {
  Json messages = Json::array();
  for (const ChatMessage& message : conversation.messages()) {
    messages.push_back(message_json(message));
  }
  Json document;
  document["messages"] = std::move(messages);
  write_file_atomically(file, document.dump(2) + "\n");
}

class ChatLoop {
 public:
  ChatLoop(const ChatCommand& o, const CommonOptions& common, const Flags& flags, SpreadRank& rank,
           Output& out)
      : o_(o),
        out_(out),
        m_(rank.text),
        chat_(m_, o.system, context(), options(common, flags), m_.stop_texts(o.sampling.stop),
              o.chat.template_as_published, o.cache.options(m_.folder, o.activations), rank.turns) {
    o.chat.apply(chat_.conversation());
  }

  void greet(bool on_terminal) const {
    log_note(o_.model, ": context ", chat_.context(), " tokens, latent cache up to ",
             human_bytes(chat_.cache_bytes()));
    if (!chat_.conversation().has_roles()) {
      log_note(
          "The tokenizer has no role tokens and the folder no chat template, so this is a base "
          "model: it writes on where your text ends.");
    }
    if (on_terminal) log_note("/help lists what can be typed; Ctrl-D leaves.");
  }

  void loop(LineEditor& editor) {
    for (std::string message;;) {
      const LineEditor::Event event = read_message(editor, message);
      if (event == LineEditor::Event::kEnd) return;
      if (event == LineEditor::Event::kInterrupt) {
        clear_interrupt();
        if (interrupted()) throw Interrupted("chat: asked to end");
        continue;
      }
      if (message.find_first_not_of(" \t\n") == std::string::npos) continue;
      const ChatLine line = parse_chat_line(message);
      if (line.name == "exit" || line.name == "quit") return;
      try {
        if (line.name.empty()) {
          ask(line.rest);
        } else {
          command(line, editor);
        }
      } catch (const Interrupted&) {
        throw;
      } catch (const Error& error) {  // a file, a command used wrongly, no room; the chat goes on
        log_warning(error.line(out_.option_of()));
      }
    }
  }

 private:
  int64_t context() const {
    const int64_t most = m_.model.config.max_position_embeddings;
    return o_.max_context == 0 ? most : o_.max_context;
  }

  GenerateOptions options(const CommonOptions& common, const Flags& flags) const {
    GenerateOptions options;
    options.max_tokens = o_.sampling.answer_limit(flags, m_, std::max<int64_t>(context(), 1));
    require(options.max_tokens >= 1, {.field = "--max-tokens",
                                      .problem = "out of range",
                                      .found = options.max_tokens,
                                      .expected = "1 or more"});
    options.sampling = o_.sampling.sampling(flags, common, m_);
    options.stop_tokens = o_.sampling.stop_tokens(m_);
    o_.sampling.set_drafts(options, m_.model.config);
    return options;
  }

  void command(const ChatLine& line, LineEditor& editor) {
    Conversation& conversation = chat_.conversation();
    if (line.name == "help") {
      out_.text(kHelp);
    } else if (line.name == "reset") {
      conversation.reset();
      log_note("The conversation is forgotten.");
    } else if (line.name == "system") {
      conversation.set_system(line.rest);
      log_note(line.rest.empty() ? "No system message." : "The system message is set.");
    } else if (line.name == "save") {
      need_file(line);
      save_conversation(conversation, line.rest);
      log_note("saved ", conversation.messages().size(), " messages to ", line.rest);
    } else if (line.name == "load") {
      need_file(line);
      conversation.load(messages_from_json(parse_json_file(line.rest), line.rest));
      log_note("loaded ", conversation.messages().size(), " messages from ", line.rest);
    } else if (line.name == "think") {
      set_thinking(conversation, line.rest);
    } else if (line.name == "stats") {
      note_totals();
    } else if (line.name == "undo") {
      log_note(conversation.drop_turn() ? "The last turn is taken back." : "There is no turn.");
    } else if (line.name == "retry") {
      require(conversation.drop_answer(), {.field = "/retry",
                                           .problem = "nothing was asked yet",
                                           .expected = "a message before it"});
      answer();
    } else if (line.name == "result") {
      give_result(line.rest);
    } else if (line.name == "edit") {
      edit(line.rest, editor);
    } else {
      throw ConfigError({.field = {"/", line.name},
                         .problem = "no such command",
                         .expected = "one that /help lists",
                         .advice = "a message that begins with / is typed with //"});
    }
  }

  void need_file(const ChatLine& line) const {
    require(!line.rest.empty(), {.field = {"/", line.name},
                                 .problem = "missing file name",
                                 .found = "nothing",
                                 .expected = {"/", line.name, " FILE"}});
  }

  // Of the first call that waits for one; the model goes on when none does.
  void give_result(const std::string& text) {
    Conversation& conversation = chat_.conversation();
    const std::optional<ToolCall> call = conversation.waiting_call();
    require(call.has_value(), {.field = "/result",
                               .problem = "no tool was called",
                               .expected = "a tool call in the last answer"});
    conversation.add({.role = ChatMessage::Role::kTool, .content = text, .tool_call_id = call->id});
    const std::optional<ToolCall> next = conversation.waiting_call();
    if (!next) {
      answer();
    } else {
      log_note("/result of ", next->name, " ", next->arguments, " next");
    }
  }

  // The last question anew: by `text`, or for the person to change.
  void edit(const std::string& text, LineEditor& editor) {
    const std::optional<std::string> old = chat_.conversation().drop_turn();
    require(
        old.has_value(),
        {.field = "/edit", .problem = "nothing was asked yet", .expected = "a message before it"});
    if (!text.empty()) return ask(text);
    if (editor.is_terminal() && old->find('\n') == std::string::npos) {
      editor.prefill(*old);
    } else {
      log_note("The last turn is taken back; type it anew.");
    }
  }

  void ask(const std::string& text) {
    chat_.conversation().add_user(text);
    try {
      if (!answer()) chat_.conversation().drop_turn();
    } catch (const Error&) {
      chat_.conversation().drop_turn();
      throw;
    }
  }

  // False if not a token was written.
  bool answer() {
    clear_interrupt();  // one that came while the line was typed
    GenerateResult result;
    {
      AnswerPrinter printer(out_);
      result = chat_.answer(
          [&](const AnswerStream::Piece& piece) {
            printer.show(piece);
            return !interrupted();
          },
          [](double) { return !interrupted(); });
      printer.finish();
    }
    const bool cut = interrupted();
    clear_interrupt();
    if (interrupted()) throw Interrupted("chat: asked to end");
    if (cut) log_note(result.tokens.empty() ? "(stopped before the answer)" : "(stopped)");
    if (result.finish_reason == "length") log_note("(cut at ", result.tokens.size(), " tokens)");
    log_note("prompt: ", result.cached_tokens, " tokens from the cache, ",
             result.prompt_tokens - result.cached_tokens, " read; written: ", result.tokens.size(),
             printed(" tokens, %.1f tokens/s", result.decode_tokens_per_s()));
    return !result.tokens.empty();
  }

  void note_totals() const {
    const ChatTotals& t = chat_.totals();
    log_note(t.turns, " answers, ", t.written_tokens, " tokens written in ",
             printed("%.1f s", t.decode_seconds), "; prompts: ", t.cached_tokens,
             " tokens from the cache, ", t.prompt_tokens - t.cached_tokens, " read in ",
             printed("%.1f s", t.prefill_seconds),
             "; context: ", chat_.conversation().prompt().ids.size(), " of ", chat_.context(),
             " tokens");
  }

  const ChatCommand& o_;
  Output& out_;
  TextModel& m_;
  ChatSession chat_;
};

int run(const ChatCommand& o, const CommonOptions& common, const Flags& flags, Output& out) {
  require(!out.json(), {.field = "--json",
                        .problem = "chat is a conversation",
                        .found = "--json",
                        .expected = "a person or lines on standard input",
                        .advice = "use hadal generate --json"});
  catch_interrupts();
  const LaunchedModel model{o.model, common.threads, common.chosen_device(),
                            o.sampling.may_use_mtp()};
  run_launched_model(model, [&](SpreadRank& rank) {
    o.activations.apply(rank.text.model);
    if (!rank.leads()) return;
    ChatLoop chat(o, common, flags, rank, out);
    LineEditor editor("> ", history_file());
    chat.greet(editor.is_terminal());
    chat.loop(editor);
  });
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
