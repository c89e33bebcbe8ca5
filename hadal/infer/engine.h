// infer/engine.h: many requests through one model, a step at a time.
//
//   add(request) -> id      step() -> events of that step      cancel(id)
//
// A step is one pass: a chunk of the oldest prompt that is not read yet (MHA form), or else one row
// and its drafts of every running request together (absorbed form). A request's tokens are the same,
// greedy or sampled, with drafts or without, whatever runs beside it: its rows' bits do not depend on
// their neighbours, and nothing else is shared. Same seed: same tokens.
//
// A request starts when the pool has pages for its whole prompt and answer besides those of the
// running ones, so none is ever put back. Requests start in order of arrival.
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
  int64_t chunk = 512;   // rows of a prompt in one step: bounds the memory of its activations
  bool with_mtp = true;  // caches for the MTP modules too, so that requests may draft
};

// What a step did for one request.
struct EngineEvent {
  RequestId id = 0;
  std::optional<double> prompt_read;    // share of the prompt, if the step read some of it
  std::vector<int32_t> tokens;          // new ones, in order
  std::vector<TokenLogprobs> logprobs;  // of each of them, if the request asks for them
  std::optional<FinishReason> finished;
  RequestCounts counts;  // of the request so far
};

// Not thread-safe: one thread adds, steps and cancels. A server hands it its requests.
class Engine {
 public:
  // ConfigError when the model has fewer positions than `context`. Context and model outlive the
  // engine; REQUIRES model.ensure_rope(arena, context).
  Engine(Context& ctx, const DeepseekV3& model, const EngineOptions& options);

  // Nothing when as many wait as may wait. ConfigError when the request could never run.
  std::optional<RequestId> add(Request request);
  std::vector<EngineEvent> step();  // nothing when nobody waits or runs
  // The request ends here, with the answer it has: as if the next token had been a stop token, but
  // without an event.
  void finish(RequestId id);
  // The request goes, with everything kept for it. No event. An unknown id does nothing.
  void cancel(RequestId id);

  bool idle() const { return waiting_.empty() && running_.empty(); }
  int64_t context() const { return options_.context; }
  const LatentPages& pages() const { return pages_; }

 private:
  struct Waiting {
    RequestId id;
    Request request;
  };
  struct Entry {
    RequestId id;
    std::unique_ptr<Sequence> sequence;
  };
  void start_waiting();
  bool make_room(const Request& next);
  std::unique_ptr<Sequence> take_kept(std::optional<RequestId> id);
  EngineEvent read(Entry& entry);
  std::vector<EngineEvent> decode();
  EngineEvent event_of(Entry& entry);
  // From the running ones; returns the next.
  std::vector<Entry>::iterator retire(std::vector<Entry>::iterator entry);
  void retire_finished();

  Context& ctx_;
  const DeepseekV3& model_;
  EngineOptions options_;
  LatentPages pages_;
  RequestId last_id_ = 0;
  std::deque<Waiting> waiting_;
  std::vector<Entry> running_, kept_;  // oldest first; kept: ended, its cache may be continued
};

}  // namespace hadal
