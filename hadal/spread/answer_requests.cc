#include "hadal/spread/answer_requests.h"

#include <algorithm>

namespace hadal {
namespace {

EngineOptions engine_options(const std::vector<NumberedRequest>& own, const AnswerHow& how) {
  EngineOptions options{
      .max_running = how.max_running,
      .max_waiting = std::ssize(own),
      .cache = how.cache,
      .with_mtp = how.options.draft_tokens > 0 && how.options.draft_from != DraftFrom::kNgram};
  for (const NumberedRequest& request : own) {
    options.context = std::max(options.context, std::ssize(request.prompt) + request.max_tokens);
  }
  // Addresses alone: pages take memory when they are written.
  options.capacity = std::min(how.max_running, std::ssize(own)) * (options.context + kPageRows);
  return options;
}

}  // namespace

void answer_requests(SpreadRank& rank, const std::vector<NumberedRequest>& own,
                     const AnswerHow& how, const Answers::OnToken& on_token,
                     const OnAnswer& on_answer) {
  TextModel& m = rank.text;
  if (!own.empty()) {
    const EngineOptions options = engine_options(own, how);
    m.model.ensure_rope(m.arena, options.context);
    Engine engine(m.ctx, m.model, options, rank.turns);
    Answers answers(engine, on_token);
    for (const NumberedRequest& each : own) {
      Request request{each.prompt, how.options};
      request.options.max_tokens = each.max_tokens;
      answers.expect(engine.add(std::move(request)).value(), each.number, std::ssize(each.prompt));
    }
    while (!engine.idle()) {
      answers.take(engine.step());
      for (auto& [number, result] : answers.finished()) on_answer(number, std::move(result));
    }
  }
  rank.turns.leave(m.ctx);
}

}  // namespace hadal
