#include "hadal/parallel/trace_gather.h"

#include <algorithm>

#include "hadal/parallel/run_record.h"

namespace hadal {
namespace {

constexpr int64_t kTag = Communicator::kMaxTag;
constexpr int kRounds = 50;
constexpr int kFirst = 0;

struct Clock {
  double ahead = 0;  // of the first rank's
  double error = 0;
};

Tensor message_of(Arena& arena, double value) {
  Tensor message = Tensor::empty(arena, DType::kF64, {1});
  message.read_from(&value);
  return message;
}

Clock compare_clock(Communicator& world, int with, Arena& arena, FunctionRef<double()> now) {
  const MessageForm form{DType::kF64, {1}};
  Clock best{0, 1e9};
  for (int i = 0; i < kRounds; ++i) {
    const double start = now();
    world.send(with, kTag, message_of(arena, start));
    const Tensor answer = world.receive(with, kTag, form, arena).wait();
    const double end = now();
    if ((end - start) / 2 >= best.error) continue;
    best = {answer.flat<double>()[0] - (start + end) / 2, (end - start) / 2};
  }
  return best;
}

void answer_clock(Communicator& world, Arena& arena, FunctionRef<double()> now) {
  for (int i = 0; i < kRounds; ++i) {
    world.receive(kFirst, kTag, {DType::kF64, {1}}, arena).wait();
    world.send(kFirst, kTag, message_of(arena, now()));
  }
}

void shift(RunTrace& trace, double by) {
  const auto shift_all = [by](auto& list) {
    for (auto& each : list) {
      each.start += by;
      each.end += by;
    }
  };
  trace.start += by;
  trace.end += by;
  shift_all(trace.actions);
  shift_all(trace.steps);
  shift_all(trace.waits);
  for (TimedSend& each : trace.sends) each.at += by;
}

RunTrace take_trace(Communicator& world, int from, Arena& arena) {
  const Tensor text = world.receive(from, kTag, {DType::kU8, {-1}}, arena).wait();
  const auto bytes = text.flat<uint8_t>();
  return trace_from(
      parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "trace"));
}

}  // namespace

GatheredTraces gather_traces(Communicator& world, const RunTrace& mine, Arena& arena,
                             FunctionRef<double()> now) {
  GatheredTraces all;
  if (world.rank() != kFirst) {
    answer_clock(world, arena, now);
    const std::string text = trace_json(mine).dump();
    Tensor message = Tensor::empty(arena, DType::kU8, {static_cast<int64_t>(text.size())});
    message.read_from(text.data());
    world.send(kFirst, kTag, std::move(message));
    return all;
  }
  all.ranks.push_back(mine);
  for (int rank = 1; rank < world.n_ranks(); ++rank) {
    const Clock clock = compare_clock(world, rank, arena, now);
    all.clock_error = std::max(all.clock_error, clock.error);
    all.ranks.push_back(take_trace(world, rank, arena));
    shift(all.ranks.back(), -clock.ahead);
  }
  return all;
}

}  // namespace hadal
