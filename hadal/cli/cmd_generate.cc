// cli/cmd_generate.cc: `hadal generate`
#include <cstdio>
#include <filesystem>

#include "hadal/cli/activations_flag.h"
#include "hadal/cli/answer_printer.h"
#include "hadal/cli/cache_flags.h"
#include "hadal/cli/commands.h"
#include "hadal/cli/prompt_flags.h"
#include "hadal/cli/sampling_flags.h"
#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/io/safetensors.h"
#include "hadal/spread/answer_requests.h"

namespace hadal::cli {
namespace {

struct GenerateCommand {
  ActivationsFlag activations;
  std::string model, record;
  PromptFlags prompt;
  int64_t max_context = 0, logprobs = 0, prefill_ranks = 0, redundant_experts = 0;
  CacheFlags cache;
  SamplingFlags sampling;
};

void bind(Flags& flags, GenerateCommand& o) {
  flags.library_names({{"context", "--max-context"},
                       {"draft_tokens", "--speculate"},
                       {"top_logprobs", "--logprobs"},
                       {"prefill_ranks", "--prefill-ranks"},
                       {"redundant_experts", "--redundant-experts"}});
  flags.example("hadal generate --model runs/nano --prompt \"Once upon a time\"",
                "continue a text, as it is written");
  flags.example("hadal generate -m runs/nano -p \"The\" --temp 0.8 --top-p 0.95 --seed 7 -n 200",
                "sample 200 tokens, the same ones every time");
  flags.example("hadal generate -m DIR --prompt-tokens ids.json --temperature 0 --json",
                "token ids in and out, for scripts");
  flags.example("hadal generate -m DIR --messages chat.json --json",
                "answer a conversation; thoughts and tool calls apart");
  flags.example("mpirun -n 4 hadal generate -m DIR -f one.txt -f two.txt --json",
                "four ranks share the model's experts, and answer the prompts together");
  flags.required("model,-m", o.model, "model folder");
  o.prompt.bind(flags);
  flags.option("max-context,-c,--ctx-size", o.max_context,
               "tokens of prompt and answer together at most; 0: as many as the model has "
               "positions");
  flags.option("logprobs", o.logprobs,
               "with --json: each token's logprob, and those of the N most probable ones");
  flags.option("record", o.record,
               "safetensors file for the experts that every token chose, and the ids that the "
               "sampler had left to draw from");
  flags.option(
      "prefill-ranks", o.prefill_ranks,
      "of several ranks: so many that only read prompts, for the others, which write; 0: each "
      "does both");
  flags.option("redundant-experts", o.redundant_experts,
               "on several ranks: copies that busy experts of a layer get, by the loads that were "
               "seen; 0: experts stay where they are");
  o.cache.bind(flags);
  o.sampling.bind(flags);
  o.activations.bind(flags);
}

int64_t context_limit(const GenerateCommand& o, const ModelConfig& config) {
  const int64_t most = config.max_position_embeddings;
  require(o.max_context >= 0 && o.max_context <= most,
          {.field = "--max-context",
           .problem = "out of range",
           .found = o.max_context,
           .expected = {"at most ", most},
           .advice = "the model has no more positions"});
  return o.max_context == 0 ? most : o.max_context;
}

void note_timing(const GenerateResult& r, const ModelConfig& config, bool with_mtp,
                 LatentForm cache) {
  const double cache_bytes =
      static_cast<double>(r.prompt_tokens + static_cast<int64_t>(r.tokens.size())) *
      static_cast<double>(LatentPages::bytes_per_token(config, with_mtp ? config.n_mtp : 0, cache));
  char line[256];
  std::snprintf(line, sizeof(line),
                "prompt: %lld tokens, %.1f tokens/s; written: %zu tokens, %.1f tokens/s; latent "
                "cache: %s",
                static_cast<long long>(r.prompt_tokens), r.prefill_tokens_per_s(), r.tokens.size(),
                r.decode_tokens_per_s(), human_bytes(cache_bytes).c_str());
  log_note(line);
  if (r.drafted() == 0) return;
  std::snprintf(
      line, sizeof(line),
      "speculation: kept %lld of %lld drafts by MTP, %lld of %lld by n-grams; %.2f tokens "
      "per step",
      static_cast<long long>(r.mtp.accepted), static_cast<long long>(r.mtp.drafted),
      static_cast<long long>(r.ngram.accepted), static_cast<long long>(r.ngram.drafted),
      r.accepted_tokens_per_step());
  log_note(line);
}

// What training needs to replay the answer (infer/token_record.h).
void write_record(const std::string& file, std::vector<int32_t> tokens, const GenerateResult& r) {
  const int64_t n_prompt = std::ssize(tokens);
  tokens.insert(tokens.end(), r.tokens.begin(), r.tokens.end());
  const auto tensors = record_tensors(*r.record, std::move(tokens));
  std::vector<std::pair<std::string, const Tensor*>> to_write;
  for (const auto& [name, tensor] : tensors) to_write.emplace_back(name, &tensor);
  write_safetensors(file, to_write, {{"prompt_tokens", concat(n_prompt)}});
}

Json counts_json(const DraftCounts& counts) {
  Json json;
  json["drafted"] = counts.drafted;
  json["accepted"] = counts.accepted;
  return json;
}

// What is written, shown as it comes: ids, a text, or the parts of an answer.
class Writing {
 public:
  Writing(const GenerateCommand& o, const TextModel& m, const Conversation::Prompt& prompt,
          Output& out)
      : out_(out) {
    require(m.tokenizer || o.sampling.stop.empty(), {.field = "--stop",
                                                     .problem = {m.folder, " has no tokenizer"},
                                                     .found = "text",
                                                     .expected = "none",
                                                     .advice = "leave the option out"});
    std::vector<std::string> stops = m.stop_texts(o.sampling.stop);
    if (o.prompt.is_chat()) {
      answer_.emplace(*m.tokenizer, std::move(stops), prompt.opens_thinking, prompt.n_tool_calls);
      printer_.emplace(out);
    } else if (m.tokenizer) {
      text_.emplace(*m.tokenizer, std::move(stops));
    }
  }

  // False where a stop string ends it.
  bool push(int32_t token) {
    if (answer_) {
      printer_->show(answer_->push(token));
      return !answer_->stopped();
    }
    show(text_ ? text_->push(token) : concat(first_ ? "" : " ", token));
    first_ = false;
    return !(text_ && text_->stopped());
  }
  void finish() {
    if (answer_) {
      printer_->show(answer_->finish());
      printer_->finish();
      return;
    }
    if (text_) show(text_->finish());
    show("\n");
  }

  Json json(const GenerateResult& r) const {
    Json json;
    json["text"] = text_ ? Json(text_->text()) : Json();
    if (answer_) {
      const ChatMessage message = answer_->message();
      json["text"] = message.content.value_or("");
      json["message"] = message_json(message);
      json["malformed_tool_call"] = answer_->malformed_call();
    }
    json["tokens"] = Json::array_of(r.tokens);
    if (!r.logprobs.empty()) json["logprobs"] = logprobs_json(r.logprobs);
    json["prompt_tokens"] = r.prompt_tokens;
    json["finish_reason"] = r.finish_reason;
    if (r.finish_reason == "stop" && answer_ && !answer_->message().tool_calls.empty()) {
      json["finish_reason"] = "tool_calls";
    }
    json["prefill_tokens_per_s"] = r.prefill_tokens_per_s();
    json["decode_tokens_per_s"] = r.decode_tokens_per_s();
    json["accepted_tokens_per_step"] = r.accepted_tokens_per_step();
    json["acceptance_rate"] = r.acceptance_rate();
    json["mtp"] = counts_json(r.mtp);
    json["ngram"] = counts_json(r.ngram);
    return json;
  }

 private:
  void show(const std::string& text) {
    out_.text(text);
    if (!text.empty()) std::fflush(stdout);
  }
  Output& out_;
  std::optional<TextStream> text_;
  std::optional<AnswerStream> answer_;
  std::optional<AnswerPrinter> printer_;  // of answer_
  bool first_ = true;
};

// What all ranks know of the requests.
GenerateOptions options_of(const GenerateCommand& o, const CommonOptions& common,
                           const Flags& flags, const TextModel& m) {
  GenerateOptions options;
  options.sampling = o.sampling.sampling(flags, common, m);
  options.stop_tokens = o.sampling.stop_tokens(m);
  o.sampling.set_drafts(options, m.model.config);
  options.record = !o.record.empty();
  if (flags.given("logprobs")) options.top_logprobs = o.logprobs;
  return options;
}

// Without --max-tokens the answer ends where the context does; an explicit number that does not fit is an
// error, never cut short in silence.
int64_t checked_limit(const GenerateCommand& o, const Flags& flags, const TextModel& m,
                      const Conversation::Prompt& prompt) {
  const int64_t n_prompt = std::ssize(prompt.ids);
  const int64_t context = context_limit(o, m.model.config);
  const int64_t max_tokens = o.sampling.answer_limit(flags, m, context - n_prompt);
  require_room(context, n_prompt, max_tokens);
  return max_tokens;
}

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted("generate: interrupted; what is written so far was printed");
}

// One prompt, shown while it is answered. By the rank that has the terminal.
void answer_one(const GenerateCommand& o, SpreadRank& rank, const CommonOptions& common,
                const Flags& flags, Output& out) {
  TextModel& m = rank.text;
  GenerateOptions options = options_of(o, common, flags, m);
  const Conversation::Prompt prompt = o.prompt.make(flags, m).front();
  const int64_t n_prompt = std::ssize(prompt.ids);
  options.max_tokens = checked_limit(o, flags, m, prompt);
  ProgressLine progress;
  const auto on_prefill = [&](double fraction) {
    if (progress.due()) progress.show(concat("reading the prompt ", progress_bar(fraction, 24)));
    return !interrupted();
  };
  Writing writing(o, m, prompt, out);
  m.model.ensure_rope(m.arena, n_prompt + options.max_tokens);
  const auto on_token = [&](int32_t token) { return writing.push(token) && !interrupted(); };
  const GenerateResult result = generate(m.ctx, m.model, prompt.ids, options, on_token, on_prefill,
                                         o.cache.options(m.folder, o.activations), rank.turns);
  writing.finish();
  throw_if_interrupted();
  if (result.record) write_record(o.record, prompt.ids, result);
  if (out.json()) out.report(writing.json(result));
  note_timing(result, m.model.config, o.sampling.may_use_mtp(), o.cache.form());
}

void print_answers(const std::map<int64_t, std::string>& answers, Output& out) {
  Json::Array list;
  for (const auto& [number, text] : answers) {
    list.push_back(parse_json(text, "answer"));
    out.text(concat("--- ", number + 1, " of ", answers.size(), "\n",
                    list.back().at("text").is_string() ? list.back().at("text").as_string()
                                                       : list.back().at("tokens").dump(),
                    "\n"));
  }
  Json document;
  document["answers"] = std::move(list);
  if (out.json()) out.report(document);
}

// Several prompts, on all ranks; the one with the terminal reads them and shows the answers.
void answer_all(const GenerateCommand& o, SpreadRank& rank, const CommonOptions& common,
                const Flags& flags, Output& out) {
  TextModel& m = rank.text;
  std::vector<NumberedRequest> all;
  if (rank.leads()) {  // what is wrong is found here first
    options_of(o, common, flags, m);
    for (Conversation::Prompt& prompt : o.prompt.make(flags, m)) {
      const int64_t limit = checked_limit(o, flags, m, prompt);
      all.push_back({std::ssize(all), std::move(prompt.ids), limit});
    }
  }
  const DealtRequests dealt = deal_out(rank.world, m.arena, rank.n_readers(), all);
  Output nobody(/*json=*/true);
  std::map<int64_t, Writing> writings;
  std::map<int64_t, std::string> answers;
  const auto writing_of = [&](int64_t number) -> Writing& {
    return writings.try_emplace(number, o, m, Conversation::Prompt(), nobody).first->second;
  };
  ProgressLine progress;
  const AnswerSink sink{[&](int64_t number, int32_t token) {
                          throw_if_interrupted();
                          return writing_of(number).push(token);
                        },
                        [&](int64_t number, const GenerateResult& result) {
                          Writing& writing = writing_of(number);
                          writing.finish();
                          answers.emplace(number, writing.json(result).dump());
                          if (progress.due())
                            progress.show(concat(answers.size(), " answered here"));
                        }};
  answer_requests(rank, dealt,
                  {.options = options_of(o, common, flags, m),
                   .cache = o.cache.options(m.folder, o.activations)},
                  sink);
  const auto everybodys = gather_answers(rank.world, m.arena, answers);
  if (rank.leads()) print_answers(everybodys, out);
}

void check(const GenerateCommand& o, const Flags& flags, const Output& out) {
  o.prompt.check(flags);
  o.cache.form();
  require(!flags.given("logprobs") || out.json(),
          {.field = "--logprobs", .problem = "written in the JSON only", .advice = "add --json"});
  require(o.prefill_ranks == 0 || !o.prompt.is_chat(), {.field = "--prefill-ranks",
                                                        .problem = "is of texts",
                                                        .found = "--messages",
                                                        .expected = "--prompt or --prompt-file"});
  require(o.record.empty() || (o.prompt.n_prompts() == 1 && o.prefill_ranks == 0),
          {.field = "--record",
           .problem = "keeps one answer",
           .found = {o.prompt.n_prompts(), " prompts"},
           .expected = "one prompt"});
}

int run(const GenerateCommand& o, const CommonOptions& common, const Flags& flags, Output& out) {
  if (!is_beside_first()) check(o, flags, out);  // before the model is loaded
  catch_interrupts();
  const LaunchedModel model{.path = o.model,
                            .n_threads = common.threads,
                            .device = common.chosen_device(),
                            .with_mtp = o.sampling.may_use_mtp(),
                            .prefill_ranks = static_cast<int>(o.prefill_ranks),
                            .redundant_experts = o.redundant_experts};
  run_launched_model(model, [&](SpreadRank& rank) {
    o.activations.apply(rank.text.model);
    if (o.prompt.n_prompts() > 1 || rank.is_split()) return answer_all(o, rank, common, flags, out);
    if (rank.leads()) answer_one(o, rank, common, flags, out);
  });
  return 0;
}

}  // namespace

Command make_generate_command() {
  auto options = std::make_shared<GenerateCommand>();
  return {"generate", "continue a prompt", [options](Flags& flags) { bind(flags, *options); },
          [options](const CommonOptions& common, const Flags& flags, Output& out) {
            return run(*options, common, flags, out);
          }};
}

}  // namespace hadal::cli
