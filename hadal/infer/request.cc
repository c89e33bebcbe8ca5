#include "hadal/infer/request.h"

#include "hadal/core/error.h"

namespace hadal {

void check_request(const Request& request, const ModelConfig& config, int64_t context,
                   bool can_draft) {
  const GenerateOptions& options = request.options;
  options.sampling.validate();
  require(!request.prompt.empty(), {.field = "prompt",
                                    .problem = "no tokens",
                                    .found = "0",
                                    .expected = "at least 1",
                                    .advice = "give some text"});
  for (const int32_t id : request.prompt) {
    require(id >= 0 && id < config.vocab_size,
            {.field = "prompt_tokens",
             .problem = "id out of range",
             .found = id,
             .expected = {"0 to ", config.vocab_size - 1},
             .advice = "use the tokenizer that belongs to this model"});
  }
  require(options.max_tokens >= 1, {.field = "max_tokens",
                                    .problem = "out of range",
                                    .found = options.max_tokens,
                                    .expected = "1 or more"});
  require_room(context, std::ssize(request.prompt), options.max_tokens);
  require(options.draft_tokens >= 0 && options.draft_tokens <= kMaxDraftTokens,
          {.field = "draft_tokens",
           .problem = "out of range",
           .found = options.draft_tokens,
           .expected = {"0 to ", kMaxDraftTokens},
           .advice = "1 to 3 are usual"});
  const int64_t top_logprobs = options.top_logprobs.value_or(0);
  require(top_logprobs >= 0 && top_logprobs <= kMaxTopLogprobs,
          {.field = "top_logprobs",
           .problem = "out of range",
           .found = top_logprobs,
           .expected = {"0 to ", kMaxTopLogprobs}});
  require(options.draft_tokens == 0 || options.draft_from != DraftFrom::kMtp || can_draft,
          {.field = "draft_tokens",
           .problem = "the model has no MTP module",
           .found = {options.draft_tokens, " drafts"},
           .expected = "off",
           .advice = "use {draft_tokens} off, or draft by n-grams"});
}

void require_room(int64_t context, int64_t n_prompt, int64_t max_tokens) {
  require(max_tokens <= context - n_prompt,
          {.field = "max_tokens",
           .problem = "the context is too short",
           .found = {n_prompt, " tokens of prompt and ", max_tokens, " to write"},
           .expected = {"at most ", context, " together"},
           .advice = "shorten the prompt or lower {max_tokens}"});
}

void check_context(const ModelConfig& config, int64_t context) {
  require(context >= 1 && context <= config.max_position_embeddings,
          {.field = "context",
           .problem = "more tokens than the model has positions",
           .found = context,
           .expected = {"1 to ", config.max_position_embeddings},
           .advice = "shorten the prompt or lower {max_tokens}"});
}

}  // namespace hadal
