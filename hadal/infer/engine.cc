// Who runs, who waits, and what a step is made of. The life of one request is infer/sequence.cc.
#include "hadal/infer/engine.h"

#include <algorithm>

#include "hadal/core/clock.h"
#include "hadal/model/head.h"

namespace hadal {
namespace {

EngineOptions checked(const DeepseekV3& model, EngineOptions options) {
  check_context(model.config, options.context);
  expect_positions(model, options.context);
  options.capacity = std::max(options.capacity, options.context);
  if (options.chunk == 0) options.chunk = usual_chunk(model.config);
  return options;
}

template <class Entries>
auto find_id(Entries& entries, RequestId id) {
  return std::ranges::find_if(entries, [&](const auto& entry) { return entry.id == id; });
}

// What the rows that it reads and the token behind them still take of the pool.
int64_t pages_missing(const Sequence& sequence) {
  return std::max<int64_t>(0, pages_for(sequence.n_to_read() + 1) - sequence.cache().n_pages());
}

}  // namespace

int64_t usual_chunk(const ModelConfig& config) {
  constexpr int64_t kBytes = int64_t{96} << 20, kMost = 512, kLeast = 16;
  const int64_t d = config.d_model;
  const int64_t heads = config.n_heads * (config.d_qk() + config.v_head_dim);
  const int64_t experts =
      config.router.top_k * (2 * d + 3 * config.d_expert) + 3 * config.d_shared();
  const int64_t row_bytes =
      int64_t{sizeof(float)} * (6 * d + std::max({heads, experts, 3 * config.d_ff}));
  return std::clamp(kBytes / row_bytes / kLeast * kLeast, kLeast, kMost);
}

Engine::Engine(Context& ctx, const DeepseekV3& model, const EngineOptions& options,
               PassTurns& turns)
    : ctx_(ctx),
      model_(model),
      options_(checked(model, options)),
      turns_(turns),
      pages_(model.config, pages_for(options_.capacity), options.with_mtp ? model.config.n_mtp : 0,
             options.cache.form, ctx.arena.memory()),
      prefixes_(pages_, options.cache.reuse, options.cache.folder) {}

std::optional<RequestId> Engine::add(Request request) {
  check_request(request, model_.config, options_.context, pages_.n_mtp() > 0);
  if (std::ssize(waiting_) >= options_.max_waiting) return std::nullopt;
  waiting_.push_back({++last_id_, std::move(request), nullptr});
  return last_id_;
}

std::vector<EngineEvent> Engine::step() {
  start_waiting();
  std::vector<Part> parts = plan_step();
  if (parts.empty()) return {};
  draft(parts);
  std::vector<EngineEvent> events = run(std::move(parts));
  counts_.steps += 1;
  retire_finished();
  return events;
}

void Engine::start_waiting() {
  while (!waiting_.empty() && std::ssize(running_) < options_.max_running &&
         has_room(waiting_.front())) {
    auto [id, request, sequence, state] = std::move(waiting_.front());
    waiting_.pop_front();
    if (!sequence) {
      sequence = std::make_unique<Sequence>(model_, pages_, turns_);
      if (state) {
        sequence->restore(ctx_, *state);  // has_room has counted its pages
      } else {
        sequence->start(std::move(request));
      }
    }
    running_.push_back({id, std::move(sequence)});
  }
}

// Whether `next` may start: beside its rows and those that the running ones have yet to read, a page
// for the next tokens of each of these, or it would soon be put back. Pages that are only kept count as
// room.
bool Engine::has_room(const Waiting& next) const {
  const int64_t n_rows = next.sequence ? next.sequence->n_to_read()
                         : next.state  ? std::ssize(next.state->tokens)
                                       : std::ssize(next.request.prompt);
  int64_t room = pages_.n_free() - pages_for(n_rows + 1) - std::ssize(running_);
  for (const Entry& entry : running_) room -= pages_missing(*entry.sequence);
  return room >= 0;
}

// The pool is empty: the youngest request waits again, before those that came after it. Whoever is
// oldest always finds room, so everybody's turn comes.
void Engine::give_way() {
  auto [id, sequence] = std::move(running_.back());
  running_.pop_back();
  counts_.preemptions += 1;
  sequence->put_back(prefixes_);
  waiting_.push_front({id, {}, std::move(sequence)});
}

std::vector<Engine::Part> Engine::plan_step() {
  const auto n_decoding = std::ranges::count_if(
      running_, [](const Entry& entry) { return !entry.sequence->reading(); });
  PlannedStep step{.n_rows = n_decoding, .tokens = static_cast<double>(n_decoding)};
  int64_t to_read = n_decoding > 0 ? options_.chunk_beside_decoding : options_.chunk;
  std::vector<Part> parts;
  for (size_t i = 0; i < running_.size(); ++i) {
    const bool reads = running_[i].sequence->reading();
    if (reads && (to_read == 0 || waits_for_reader(i))) continue;
    while (i < running_.size() && !plan_rows(*running_[i].sequence, step, to_read)) give_way();
    if (i < running_.size())
      parts.push_back({.entry = i, .reads = running_[i].sequence->reading()});
  }
  return parts;
}

// Whether an older request reads a page that this one, which has not begun, can take up in the next
// step.
bool Engine::waits_for_reader(size_t entry) const {
  const Sequence& sequence = *running_[entry].sequence;
  if (sequence.cache().n_pages() > 0 || sequence.request().options.record) return false;
  const std::vector<int32_t>& prompt = sequence.request().prompt;
  return std::any_of(running_.begin(), running_.begin() + static_cast<std::ptrdiff_t>(entry),
                     [&](const Entry& older) {
                       const std::vector<int32_t>& other = older.sequence->request().prompt;
                       return older.sequence->reading() &&
                              std::ranges::mismatch(prompt, other).in1 - prompt.begin() > kPageRows;
                     });
}

// False if the pool has too few pages.
bool Engine::plan_rows(Sequence& sequence, PlannedStep& step, int64_t& to_read) {
  // Not before its turn to read: by then older ones may have read the same beginning.
  if (sequence.cache().n_pages() == 0) counts_.recomputed_tokens += sequence.take_up(prefixes_);
  if (sequence.reading()) {
    if (!sequence.plan_reading(to_read)) return false;
    to_read -= std::ssize(sequence.rows());
    return true;
  }
  const DraftOffer offer = sequence.offer();
  const DraftPlan plan = sequence.request().options.drop_slow_drafts
                             ? choose_drafts(costs_, step, offer, sequence.experience())
                             : all_drafts(offer);
  if (!sequence.plan_decoding(plan)) return false;
  step.n_rows += plan.n;
  step.tokens += sequence.experience().of(plan.source, offer.match_length).expected(plan.n);
  if (plan.source == DraftSource::kMtp) step.mtp_passes = std::max(step.mtp_passes, plan.n);
  return true;
}

void Engine::draft(const std::vector<Part>& parts) {
  std::vector<MtpDrafter::Job> jobs;
  std::vector<Sequence*> drafting;
  int64_t n_passes = 0;
  for (const Part& part : parts) {
    Sequence& sequence = *running_[part.entry].sequence;
    const std::optional<MtpDrafter::Job> job = part.reads ? std::nullopt : sequence.mtp_job();
    if (!job) continue;
    jobs.push_back(*job);
    drafting.push_back(&sequence);
    n_passes = std::max(n_passes, job->n);
  }
  if (jobs.empty()) return;
  const double started = monotonic_seconds();
  MtpDrafter::draft_together(ctx_, model_, jobs);
  costs_.add_mtp_pass((monotonic_seconds() - started) / static_cast<double>(n_passes));
  for (Sequence* sequence : drafting) sequence->take_drafts();
}

std::vector<EngineEvent> Engine::run(std::vector<Part> parts) {
  const double started = monotonic_seconds();
  std::ranges::stable_partition(
      parts, [&](const Part& part) { return !running_[part.entry].sequence->in_prefill_form(); });
  std::vector<int32_t> rows;
  std::vector<BatchShare> absorbed, prefill;
  std::vector<RowRange> with_logits;
  int64_t n_logits = 0;
  bool records = false;
  for (Part& part : parts) {
    Sequence& sequence = *running_[part.entry].sequence;
    const std::span<const int32_t> own = sequence.rows();
    part.first = std::ssize(rows);
    part.n = static_cast<int64_t>(own.size());
    part.first_logits = n_logits;
    part.n_logits = sequence.n_logits();
    rows.insert(rows.end(), own.begin(), own.end());
    (sequence.in_prefill_form() ? prefill : absorbed).push_back({&sequence.cache(), part.n});
    with_logits.push_back({n_logits, part.first + part.n - part.n_logits, part.n_logits});
    n_logits += part.n_logits;
    records = records || sequence.request().options.record;
  }
  RoutingListener routing(ctx_.probe);
  Context ctx = ctx_;
  if (records) ctx.probe = &routing;
  MixedAttention attention(model_.rope, std::move(absorbed), std::move(prefill));
  const HiddenRows out = cached_forward(ctx, model_, rows, attention, turns_);
  Tensor logits;
  if (n_logits > 0) {
    logits = head_logits(ctx_, model_, picked_rows(ctx_, out.normed, with_logits).mat()).to_host();
  }
  if (std::ranges::none_of(parts, &Part::reads)) {
    costs_.add_pass(std::ssize(rows), monotonic_seconds() - started);
  }
  std::vector<EngineEvent> events;
  for (const Part& part : parts) events.push_back(take(part, out, logits, routing));
  return events;
}

EngineEvent Engine::take(const Part& part, const HiddenRows& out, const Tensor& logits,
                         const RoutingListener& routing) {
  Entry& entry = running_[part.entry];
  Sequence& sequence = *entry.sequence;
  const bool first_reading = part.reads && sequence.n_told() == 0;
  const View<const float, 2> states =
      out.state(model_.config.mtp_hidden).mat().rows(part.first, part.first + part.n);
  View<const float, 2> own_logits;
  if (part.n_logits > 0) {
    own_logits = logits.mat().rows(part.first_logits, part.first_logits + part.n_logits);
  }
  sequence.record_rows(routing, part.first);
  if (part.reads) {
    sequence.take_read(ctx_, states, own_logits);
    if (!sequence.reading()) sequence.store(prefixes_);  // others need not wait for its end
  } else {
    sequence.take_decoded(ctx_, states, own_logits);
  }
  EngineEvent event = event_of(entry);
  if (first_reading) event.prompt_read = sequence.prompt_read();
  return event;
}

EngineEvent Engine::event_of(Entry& entry) {
  Sequence& sequence = *entry.sequence;
  EngineEvent event;
  event.id = entry.id;
  const std::ptrdiff_t told = sequence.n_told();
  event.tokens = sequence.new_tokens();
  const std::vector<TokenLogprobs>& logprobs = sequence.logprobs();
  if (!logprobs.empty()) {
    event.logprobs = {logprobs.begin() + told, logprobs.begin() + told + std::ssize(event.tokens)};
  }
  event.finished = sequence.finished();
  if (event.finished && sequence.request().options.record) event.record = sequence.record();
  event.counts = sequence.counts();
  return event;
}

std::vector<Engine::Entry>::iterator Engine::retire(std::vector<Entry>::iterator entry) {
  entry->sequence->store(prefixes_);
  return running_.erase(entry);
}

void Engine::retire_finished() {
  for (auto entry = running_.begin(); entry != running_.end();) {
    entry = entry->sequence->finished() ? retire(entry) : entry + 1;
  }
}

std::optional<TokenRecord> Engine::finish(RequestId id) {
  std::optional<TokenRecord> record;
  const auto found = find_id(running_, id);
  if (found != running_.end()) {
    if (found->sequence->request().options.record) record = found->sequence->record();
    retire(found);
  }
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == id; });
  return record;
}

std::optional<SequenceState> Engine::hand_over(RequestId id) {
  const auto found = find_id(running_, id);
  if (found == running_.end() || found->sequence->reading()) return std::nullopt;
  SequenceState state = found->sequence->save(ctx_);
  retire(found);
  return state;
}

RequestId Engine::take_over(SequenceState state) {
  check_request(state.request, model_.config, options_.context, pages_.n_mtp() > 0);
  waiting_.push_back({++last_id_, {}, nullptr, std::move(state)});
  return last_id_;
}

void Engine::cancel(RequestId id) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == id; });
  std::erase_if(running_, [&](const Entry& entry) { return entry.id == id; });
}

}  // namespace hadal
