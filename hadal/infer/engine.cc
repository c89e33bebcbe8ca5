// Who runs, who waits, whose cache is kept, and the two kinds of step. The life of one request is
// infer/sequence.cc.
#include "hadal/infer/engine.h"

#include <algorithm>

#include "hadal/core/clock.h"
#include "hadal/model/head.h"

namespace hadal {
namespace {

// Pages for everything that the request may ever cache: the last token is never run.
int64_t pages_needed(const Request& request) {
  return pages_for(std::ssize(request.prompt) + request.options.max_tokens);
}

EngineOptions checked(const DeepseekV3& model, EngineOptions options) {
  check_context(model.config, options.context);
  expect_positions(model, options.context);
  options.capacity = std::max(options.capacity, options.context);
  return options;
}

template <class Entries>
auto find_id(Entries& entries, RequestId id) {
  return std::ranges::find_if(entries, [&](const auto& entry) { return entry.id == id; });
}

}  // namespace

Engine::Engine(Context& ctx, const DeepseekV3& model, const EngineOptions& options)
    : ctx_(ctx),
      model_(model),
      options_(checked(model, options)),
      pages_(model.config, pages_for(options_.capacity),
             options.with_mtp ? model.config.n_mtp : 0) {}

std::optional<RequestId> Engine::add(Request request) {
  check_request(request, model_.config, options_.context, pages_.n_mtp() > 0);
  if (std::ssize(waiting_) >= options_.max_waiting) return std::nullopt;
  waiting_.push_back({++last_id_, std::move(request)});
  return last_id_;
}

std::vector<EngineEvent> Engine::step() {
  start_waiting();
  std::vector<EngineEvent> events;
  const auto reader =
      std::ranges::find_if(running_, [](const Entry& entry) { return entry.sequence->reading(); });
  if (reader != running_.end()) {
    events.push_back(read(*reader));
  } else if (!running_.empty()) {
    events = decode();
  }
  retire_finished();
  return events;
}

void Engine::start_waiting() {
  while (!waiting_.empty() && std::ssize(running_) < options_.max_running &&
         make_room(waiting_.front().request)) {
    auto [id, request] = std::move(waiting_.front());
    waiting_.pop_front();
    std::unique_ptr<Sequence> sequence = take_kept(request.continues);
    if (!sequence) sequence = std::make_unique<Sequence>(model_, pages_);
    sequence->start(std::move(request));
    running_.push_back({id, std::move(sequence)});
  }
}

// Whether `next` may start. Kept caches give way to it, oldest first, but for the one it continues.
bool Engine::make_room(const Request& next) {
  int64_t room = pages_.n_pages() - pages_needed(next);
  for (const Entry& entry : running_) room -= pages_needed(entry.sequence->request());
  if (room < 0) return false;
  const auto others = [&](const Entry& entry) { return entry.id != next.continues; };
  for (const Entry& entry : kept_) room -= others(entry) ? entry.sequence->cache().n_pages() : 0;
  while (room < 0) {
    const auto oldest = std::ranges::find_if(kept_, others);
    room += oldest->sequence->cache().n_pages();
    kept_.erase(oldest);
  }
  return true;
}

std::unique_ptr<Sequence> Engine::take_kept(std::optional<RequestId> id) {
  const auto found = id ? find_id(kept_, *id) : kept_.end();
  if (found == kept_.end()) return nullptr;
  std::unique_ptr<Sequence> sequence = std::move(found->sequence);
  kept_.erase(found);
  return sequence;
}

EngineEvent Engine::event_of(Entry& entry) {
  EngineEvent event;
  event.id = entry.id;
  const std::ptrdiff_t told = entry.sequence->n_told();
  event.tokens = entry.sequence->new_tokens();
  const std::vector<TokenLogprobs>& logprobs = entry.sequence->logprobs();
  if (!logprobs.empty()) {
    event.logprobs = {logprobs.begin() + told, logprobs.begin() + told + std::ssize(event.tokens)};
  }
  event.finished = entry.sequence->finished();
  event.counts = entry.sequence->counts();
  return event;
}

EngineEvent Engine::read(Entry& entry) {
  entry.sequence->read_chunk(ctx_, options_.chunk);
  EngineEvent event = event_of(entry);
  event.prompt_read = entry.sequence->prompt_read();
  return event;
}

std::vector<EngineEvent> Engine::decode() {
  const double started = monotonic_seconds();
  std::vector<int32_t> rows;
  std::vector<BatchShare> batch;
  for (Entry& entry : running_) {
    const std::vector<int32_t>& own = entry.sequence->next_rows(ctx_);
    rows.insert(rows.end(), own.begin(), own.end());
    batch.push_back({&entry.sequence->cache(), std::ssize(own)});
  }
  AbsorbedAttention attention(model_.rope, batch);
  const HiddenRows out = cached_forward(ctx_, model_, rows, attention);
  const Tensor logits = head_logits(ctx_, model_, out.normed.mat());
  const View<const float, 2> states = out.state(model_.config.mtp_hidden).mat();

  std::vector<EngineEvent> events;
  int64_t first = 0;
  for (size_t i = 0; i < running_.size(); ++i) {
    const int64_t end = first + batch[i].n;
    running_[i].sequence->take_rows(ctx_, logits.mat().rows(first, end), states.rows(first, end),
                                    started);
    events.push_back(event_of(running_[i]));
    first = end;
  }
  return events;
}

std::vector<Engine::Entry>::iterator Engine::retire(std::vector<Entry>::iterator entry) {
  if (entry->sequence->request().keep_cache) kept_.push_back(std::move(*entry));
  return running_.erase(entry);
}

void Engine::retire_finished() {
  for (auto entry = running_.begin(); entry != running_.end();) {
    entry = entry->sequence->finished() ? retire(entry) : entry + 1;
  }
}

void Engine::finish(RequestId id) {
  const auto found = find_id(running_, id);
  if (found != running_.end()) retire(found);
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == id; });
}

void Engine::cancel(RequestId id) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == id; });
  std::erase_if(running_, [&](const Entry& entry) { return entry.id == id; });
  std::erase_if(kept_, [&](const Entry& entry) { return entry.id == id; });
}

}  // namespace hadal
