#include "hadal/infer/chat_session.h"

#include <algorithm>

#include "hadal/core/error.h"

namespace hadal {
namespace {

// The model, ready for so many positions.
const DeepseekV3& ready_for(TextModel& model, int64_t n_positions) {
  const int64_t most = model.model.config.max_position_embeddings;
  require(n_positions >= 1 && n_positions <= most, {.field = "context",
                                                    .problem = "out of range",
                                                    .found = n_positions,
                                                    .expected = {"1 to ", most},
                                                    .advice = "the model has no more positions"});
  model.model.ensure_rope(model.arena, n_positions);
  return model.model;
}

// MTP modules that need a cache of their own.
int64_t drafting_modules(const TextModel& model, const GenerateOptions& options) {
  const bool drafts = options.draft_tokens > 0 && options.draft_from != DraftFrom::kNgram;
  return drafts ? model.model.config.n_mtp : 0;
}

}  // namespace

ChatSession::ChatSession(TextModel& model, const std::string& system, int64_t context,
                         const GenerateOptions& options, std::vector<std::string> stop_strings,
                         bool as_published, const CacheOptions& cache, PassTurns& turns)
    : model_(model),
      conversation_(model.need_tokenizer(),
                    ChatTemplate::load(model.folder, model.need_tokenizer(), as_published), system),
      form_(cache.form),
      session_(model.ctx, ready_for(model, context), context, drafting_modules(model, options) > 0,
               cache, turns),
      options_(options),
      stop_strings_(std::move(stop_strings)) {}

double ChatSession::cache_bytes() const {
  const int64_t modules = drafting_modules(model_, options_);
  return static_cast<double>(context()) *
         static_cast<double>(LatentPages::bytes_per_token(model_.model.config, modules, form_));
}

GenerateResult ChatSession::answer(const OnPiece& on_piece, const OnPrefill& on_prefill) {
  const Conversation::Prompt prompt = conversation_.prompt();
  const int64_t room = context() - std::ssize(prompt.ids);
  require(room >= 1, {.field = "context",
                      .problem = "the conversation is full",
                      .found = {prompt.ids.size(), " tokens"},
                      .expected = {"fewer than ", context()},
                      .advice = "/reset starts a new one, /undo takes the last turn back"});
  GenerateOptions options = options_;
  options.max_tokens = std::min(options_.max_tokens, room);
  AnswerStream stream(*model_.tokenizer, stop_strings_, prompt.opens_thinking, prompt.n_tool_calls);
  const auto on_token = [&](int32_t token) {
    return on_piece(stream.push(token)) && !stream.stopped();
  };
  const GenerateResult result = session_.generate(prompt.ids, options, on_token, on_prefill);
  on_piece(stream.finish());
  options_.sampling.seed += 1;  // the same words again need not get the same answer
  totals_.turns += 1;
  totals_.prompt_tokens += result.prompt_tokens;
  totals_.cached_tokens += result.cached_tokens;
  totals_.written_tokens += std::ssize(result.tokens);
  totals_.prefill_seconds += result.prefill_seconds;
  totals_.decode_seconds += result.decode_seconds;
  if (!result.tokens.empty()) conversation_.add_answer(stream.message(), result.tokens);
  return result;
}

}  // namespace hadal
