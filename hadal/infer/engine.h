// infer/engine.h: many requests through one model, a step at a time (docs/engine.md).
//
//   add(request) -> id      step() -> events of that step      cancel(id)
//
// A step is one pass of the model over rows of many requests: of every request that writes its last
// token and the drafts behind it, and of those that read a bounded number of rows of their prompts. A
// request's tokens are the same, greedy or sampled, with drafts or without, whatever runs beside it:
// its rows' bits do not depend on their neighbours. With Reuse::kRead they do not depend on what ran
// before either; with Reuse::kAll they do where they rest on rows of an answer.
//
// A request starts when the pool has pages for its prompt and a little more, in order of arrival, and
// reads behind what earlier ones left in the cache of its beginning (infer/prefix_cache.h). When the
// pool runs out, the youngest one gives its pages back and waits; once there is room, it reads what it
// knew and is no longer cached, and goes on.
#pragma once

#include <deque>
#include <memory>

#include "hadal/infer/sequence.h"

namespace hadal {

struct EngineOptions {
  int64_t context = 0;   // tokens of one request at most, prompt and answer together
  int64_t capacity = 0;  // tokens of all requests that run, in whole pages; 0: one context
  int64_t max_running = 16;
  int64_t max_waiting = 64;
  // Rows of prompts in one step, when nobody writes and when somebody does: the first bounds the
  // memory of their activations, the second the time between two tokens.
  int64_t chunk = 0;  // 0: usual_chunk
  int64_t chunk_beside_decoding = 64;
  CacheOptions cache = {};
  bool with_mtp = true;  // caches for the MTP modules too, so that requests may draft
};

// Rows of a prompt in one step whose activations, those of the widest layer, take about 100 MB; 512 at
// most. A row of DeepSeek-V3 goes to eight experts 7168 wide: 112 rows.
int64_t usual_chunk(const ModelConfig& config);

// What a step did for one request.
struct EngineEvent {
  RequestId id = 0;
  std::optional<double> prompt_read;    // share of the prompt, if the step read some of it
  std::vector<int32_t> tokens;          // new ones, in order
  std::vector<TokenLogprobs> logprobs;  // of each of them, if the request asks for them
  std::optional<FinishReason> finished;
  std::optional<TokenRecord> record;  // of the whole request, with `finished`, if it asks for it
  RequestCounts counts;               // of the request so far
};

struct EngineCounts {
  int64_t steps = 0, preemptions = 0, recomputed_tokens = 0;
};

// Not thread-safe: one thread adds, steps and cancels. A server hands it its requests.
class Engine {
 public:
  // ConfigError when the model has fewer positions than `context`. Context, model and turns outlive the
  // engine; REQUIRES model.ensure_rope(arena, context).
  Engine(Context& ctx, const DeepseekV3& model, const EngineOptions& options,
         PassTurns& turns = local_turns());

  // Nothing when as many wait as may wait. ConfigError when the request could never run.
  std::optional<RequestId> add(Request request);
  std::vector<EngineEvent> step();  // nothing when nobody waits or runs
  // The request ends here, with the answer it has: as if the next token had been a stop token, but
  // without an event. Returns its record, if it asked for one and runs.
  std::optional<TokenRecord> finish(RequestId id);
  // The request goes; only what is cached of its prompt may serve others. No event. An unknown id does
  // nothing.
  void cancel(RequestId id);

  // A request that decodes leaves for another engine, with all of its answer so far; nothing for one that does
  // not (yet). What is cached of it may serve others.
  std::optional<SequenceState> hand_over(RequestId id);
  // Goes on with a request that another engine handed over. Its events tell the whole answer. REQUIRES the same model, form of cache and modules; ShapeError for pages of others. The
  // queue's limit does not count: it has been let in once.
  RequestId take_over(SequenceState state);

  bool idle() const { return waiting_.empty() && running_.empty(); }
  int64_t context() const { return options_.context; }
  const LatentPages& pages() const { return pages_; }
  const PrefixCache& prefixes() const { return prefixes_; }
  const EngineCounts& counts() const { return counts_; }

 private:
  struct Entry {
    RequestId id;
    std::unique_ptr<Sequence> sequence;
  };
  struct Waiting {
    RequestId id;
    Request request;                                    // if it never ran
    std::unique_ptr<Sequence> sequence;                 // if its pages were taken away
    std::optional<SequenceState> state = std::nullopt;  // if another engine has begun it
  };
  // A running request's part of a step: rows [first, first + n) of the pass, and of its logits.
  struct Part {
    size_t entry;
    bool reads;
    int64_t first = 0, n = 0, first_logits = 0, n_logits = 0;
  };
  void start_waiting();
  bool has_room(const Waiting& next) const;
  void give_way();

  std::vector<Part> plan_step();
  bool waits_for_reader(size_t entry) const;
  bool plan_rows(Sequence& sequence, PlannedStep& step, int64_t& to_read);
  void draft(const std::vector<Part>& parts);
  std::vector<EngineEvent> run(std::vector<Part> parts);
  EngineEvent take(const Part& part, const HiddenRows& out, const Tensor& logits,
                   const RoutingListener& routing);
  EngineEvent event_of(Entry& entry);
  // From the running ones; returns the next.
  std::vector<Entry>::iterator retire(std::vector<Entry>::iterator entry);
  void retire_finished();

  Context& ctx_;
  const DeepseekV3& model_;
  EngineOptions options_;
  PassTurns& turns_;
  LatentPages pages_;
  PrefixCache prefixes_;
  StepCosts costs_;
  EngineCounts counts_;
  RequestId last_id_ = 0;
  std::deque<Waiting> waiting_;  // oldest first
  std::vector<Entry> running_;   // oldest first
};

}  // namespace hadal
