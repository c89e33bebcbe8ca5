#include "hadal/spread/answer_requests.h"

#include <algorithm>
#include <thread>

#include "hadal/spread/sequence_transfer.h"

namespace hadal {
namespace {

// An engine of one rank, and who hears of its answers.
class Desk {
 public:
  Desk(SpreadRank& rank, const DealtRequests& requests, const AnswerHow& how,
       const AnswerSink& sink)
      : rank_(rank),
        how_(how),
        sink_(sink),
        engine_(ready(rank.text, requests.context), rank.text.model, engine_options(requests, how),
                rank.turns),
        answers_(engine_, sink.on_token) {}

  bool idle() const { return engine_.idle(); }
  // Reads a request's prompt and goes on.
  void begin(const NumberedRequest& own) {
    Request request{own.prompt, how_.options};
    request.options.max_tokens = own.max_tokens;
    const RequestId id = engine_.add(std::move(request)).value();
    answers_.expect(id, own.number, RunningAnswer(std::ssize(own.prompt)));
    number_of_[id] = own.number;
  }
  // Goes on where another rank has read the prompt.
  void take_over(HandedOver request) {
    const int64_t n_prompt = std::ssize(request.state.request.prompt);
    const RequestId id = engine_.take_over(std::move(request.state));
    answers_.expect(id, request.number, RunningAnswer(n_prompt, request.prefill_seconds));
  }
  void step() {
    std::vector<EngineEvent> events = engine_.step();
    tell_read(events);
    answers_.take(std::move(events));
    tell_finished();
  }
  // The same of a reader: what it has begun to answer and not ended goes to its writer.
  void step_and_hand_over(AnswerTraffic& traffic) {
    std::vector<EngineEvent> events = engine_.step();
    tell_read(events);
    std::vector<RequestId> leaving;
    std::erase_if(events, [&](const EngineEvent& event) {
      const bool leaves = !event.tokens.empty() && !event.finished;
      if (leaves) leaving.push_back(event.id);
      return leaves;
    });
    for (const RequestId id : leaving) hand_over(id, traffic);
    answers_.take(std::move(events));
    tell_finished();
  }

 private:
  static Context& ready(TextModel& m, int64_t context) {
    m.model.ensure_rope(m.arena, context);
    return m.ctx;
  }
  static EngineOptions engine_options(const DealtRequests& requests, const AnswerHow& how) {
    return {
        .context = requests.context,
        // Addresses alone: pages take memory when they are written.
        .capacity = how.max_running * (requests.context + kPageRows),
        .max_running = how.max_running,
        .max_waiting = requests.n_all,
        .cache = how.cache,
        .with_mtp = how.options.draft_tokens > 0 && how.options.draft_from != DraftFrom::kNgram};
  }
  void hand_over(RequestId id, AnswerTraffic& traffic) {
    const int64_t number = number_of_.at(id);
    SequenceState state = engine_.hand_over(id).value();
    traffic.n_sent += 1;
    traffic.bytes_sent +=
        send_sequence(rank_.world, rank_.text.arena, rank_.writer_of(number),
                      {number, answers_.forget(id).seconds_so_far(), std::move(state)});
  }
  void tell_read(const std::vector<EngineEvent>& events) {
    if (!sink_.on_read) return;
    for (const EngineEvent& event : events) {
      if (event.prompt_read && !event.tokens.empty()) sink_.on_read(number_of_.at(event.id));
    }
  }
  void tell_finished() {
    for (auto& [number, result] : answers_.finished()) sink_.on_answer(number, std::move(result));
  }

  SpreadRank& rank_;
  const AnswerHow& how_;
  const AnswerSink& sink_;
  Engine engine_;
  Answers answers_;
  std::map<RequestId, int64_t> number_of_;
};

void write_what_comes(SpreadRank& rank, Desk& desk) {
  std::vector<int> readers;
  for (int reader = 0; reader < rank.prefill_ranks; ++reader) readers.push_back(reader);
  SequenceInbox inbox(rank.world, rank.text.arena, readers);
  while (!inbox.closed() || !desk.idle()) {
    for (HandedOver& request : inbox.arrived()) desk.take_over(std::move(request));
    if (!desk.idle()) {
      desk.step();
    } else if (!rank.turns.take_part(rank.text.ctx)) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
}

}  // namespace

AnswerTraffic answer_requests(SpreadRank& rank, const DealtRequests& requests, const AnswerHow& how,
                              const AnswerSink& sink) {
  AnswerTraffic traffic;
  if (requests.n_all > 0) {
    Desk desk(rank, requests, how, sink);
    for (const NumberedRequest& each : requests.own) desk.begin(each);
    while (!desk.idle()) rank.reads_for_others() ? desk.step_and_hand_over(traffic) : desk.step();
    for (int to = rank.prefill_ranks; rank.reads_for_others() && to < rank.world.n_ranks(); ++to) {
      send_last(rank.world, rank.text.arena, to);
    }
    if (rank.is_split() && !rank.reads_for_others()) write_what_comes(rank, desk);
  }
  rank.turns.leave(rank.text.ctx);
  return traffic;
}

}  // namespace hadal
