#include "hadal/parallel/traced_communicator.h"

#include <utility>

#include "hadal/core/clock.h"

namespace hadal {
namespace {

class TracedReceipt : public Receipt::Pending {
 public:
  TracedReceipt(Receipt inner, RunTrace& trace, std::string_view network, int from,
                const MessageKey& message)
      : inner_(std::move(inner)),
        trace_(trace),
        network_(network),
        from_(from),
        message_(message) {}
  bool arrived() override { return inner_.arrived(); }
  Tensor wait() override {
    double start = monotonic_seconds();
    if (message_.from != message_.to) start = std::exchange(trace_.idle_since, {}).value_or(start);
    Tensor message = inner_.wait();
    if (trace_.on) {
      trace_.waits.push_back(
          {network_, trace_.place, from_, message.bytes(), start, monotonic_seconds(), message_});
    }
    return message;
  }

 private:
  Receipt inner_;
  RunTrace& trace_;
  std::string_view network_;
  int from_;
  MessageKey message_;
};

// Groups with other ranks have another number, as good as surely.
int64_t number_of(const std::vector<int>& ranks) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const int rank : ranks) hash = (hash ^ static_cast<uint64_t>(rank)) * 0x100000001B3ULL;
  return static_cast<int64_t>(hash >> 16);
}

}  // namespace

TracedCommunicator::TracedCommunicator(Communicator& inner, RunTrace& trace,
                                       std::string_view network, std::vector<int> world_ranks)
    : inner_(inner),
      trace_(trace),
      network_(network),
      world_ranks_(world_ranks.empty() ? all_ranks(inner) : std::move(world_ranks)),
      group_(number_of(world_ranks_)) {}

TracedCommunicator::TracedCommunicator(Owned owned, RunTrace& trace, std::string_view network,
                                       std::vector<int> world_ranks)
    : owned_(std::move(owned)),
      inner_(*owned_.inner),
      trace_(trace),
      network_(network),
      world_ranks_(std::move(world_ranks)),
      group_(number_of(world_ranks_)) {}

MessageKey TracedCommunicator::next(Counts& counts, int from, int to, int64_t tag) const {
  MessageKey key{world_rank(from), world_rank(to), group_, tag, 0};
  key.number = counts[key]++;
  return key;
}

void TracedCommunicator::send(int to, int64_t tag, Tensor message) {
  if (trace_.on) {
    trace_.sends.push_back({next(n_sent_, rank(), to, tag), message.bytes(), monotonic_seconds()});
  }
  inner_.send(to, tag, std::move(message));
}

Receipt TracedCommunicator::receive(int from, int64_t tag, const MessageForm& form, Arena& arena) {
  Receipt receipt = inner_.receive(from, tag, form, arena);
  if (!trace_.on) return receipt;
  return Receipt(std::make_unique<TracedReceipt>(std::move(receipt), trace_, network_, from,
                                                 next(n_asked_, from, rank(), tag)));
}

void TracedCommunicator::at(const RankPlace& place) {
  trace_.place = place;
  inner_.at(place);
}

std::unique_ptr<Communicator> TracedCommunicator::group(const std::vector<int>& ranks) {
  std::vector<int> world_ranks;
  for (const int each : ranks) world_ranks.push_back(world_rank(each));
  return std::unique_ptr<Communicator>(
      new TracedCommunicator(Owned{inner_.group(ranks)}, trace_, network_, std::move(world_ranks)));
}

}  // namespace hadal
