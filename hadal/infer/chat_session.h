// infer/chat_session.h: a conversation with a model, turn by turn. The latent cache is kept between
// turns: each reads only what is new or what the template has rewritten.
#pragma once

#include <functional>
#include <string>

#include "hadal/infer/answer_stream.h"
#include "hadal/infer/conversation.h"
#include "hadal/infer/session.h"
#include "hadal/infer/text_model.h"

namespace hadal {

struct ChatTotals {
  int64_t turns = 0, prompt_tokens = 0, cached_tokens = 0, written_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
};

class ChatSession {
 public:
  // `context`: tokens of the whole conversation at most; `options.max_tokens`: of one answer.
  // `as_published`: as ChatTemplate::load has it. The model outlives the session. REQUIRES a
  // tokenizer.
  ChatSession(TextModel& model, const std::string& system, int64_t context,
              const GenerateOptions& options, std::vector<std::string> stop_strings,
              bool as_published = false, const CacheOptions& cache = {},
              PassTurns& turns = local_turns());

  Conversation& conversation() { return conversation_; }
  const Conversation& conversation() const { return conversation_; }
  int64_t context() const { return session_.capacity(); }
  double cache_bytes() const;  // of a full context
  const ChatTotals& totals() const { return totals_; }

  // Called for what may be shown now; false ends the answer there.
  using OnPiece = std::function<bool(const AnswerStream::Piece&)>;
  // Answers the conversation as it stands and adds the answer to it, also one that was cut short, but
  // not one without a token. ConfigError when there is no room for an answer. Every answer has a seed of
  // its own.
  GenerateResult answer(const OnPiece& on_piece, const OnPrefill& on_prefill = nullptr);

 private:
  TextModel& model_;
  Conversation conversation_;
  LatentForm form_;
  GenerationSession session_;
  GenerateOptions options_;
  std::vector<std::string> stop_strings_;
  ChatTotals totals_;
};

}  // namespace hadal
