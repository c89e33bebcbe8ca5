#include "hadal/infer/request.h"

#include "hadal/core/error.h"

namespace hadal {

void check_request(const Request& request, const ModelConfig& config, int64_t context,
                   bool can_draft) {
  const GenerateOptions& options = request.options;
  options.sampling.validate();
  require(!request.prompt.empty(),
          "--prompt: no tokens (found 0, expected at least 1); give some text");
  for (const int32_t id : request.prompt) {
    require(id >= 0 && id < config.vocab_size, "--prompt-tokens: id out of range (found ", id,
            ", expected 0 to ", config.vocab_size - 1,
            "); use the tokenizer that belongs to this model");
  }
  require(options.max_tokens >= 1, "--max-tokens: out of range (found ", options.max_tokens,
          ", expected 1 or more)");
  const int64_t n_prompt = std::ssize(request.prompt);
  require(options.max_tokens <= context - n_prompt,
          "--max-tokens: the context is too short (found ", n_prompt, " tokens of prompt and ",
          options.max_tokens, " to come, expected at most ", context,
          " together); shorten the prompt or lower --max-tokens");
  require(options.draft_tokens >= 0 && options.draft_tokens <= kMaxDraftTokens,
          "--speculate: out of range (found ", options.draft_tokens, ", expected 0 to ",
          kMaxDraftTokens, "); 1 to 3 are usual");
  require(options.draft_tokens == 0 || can_draft,
          "--speculate: the model has no MTP module (found ", options.draft_tokens,
          " drafts, expected off); use --speculate off");
}

void check_context(const ModelConfig& config, int64_t context) {
  require(context >= 1 && context <= config.max_position_embeddings,
          "--max-context: more tokens than the model has positions (found ", context,
          ", expected 1 to ", config.max_position_embeddings,
          "); shorten the prompt or lower --max-tokens");
}

}  // namespace hadal
