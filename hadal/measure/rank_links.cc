#include "hadal/measure/rank_links.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "hadal/comm/collectives.h"
#include "hadal/core/clock.h"
#include "hadal/core/host_name.h"

namespace hadal {
namespace {

constexpr int64_t kSmallBytes = 8, kLargeBytes = int64_t{8} << 20;
constexpr int kSmallRounds = 200, kLargeRounds = 8;

// Seconds that a message takes one way: half of the quickest round, for other work on the machine makes
// a round longer and none makes it shorter.
double one_way_seconds(Communicator& comm, int other, bool begins, int64_t bytes, int n_rounds,
                       Arena& arena) {
  const MessageForm form{DType::kU8, {bytes}};
  Tensor message = Tensor::zeros(arena, DType::kU8, {bytes});
  double quickest = 1e9;
  for (int round = 0; round < n_rounds; ++round) {
    const double start = monotonic_seconds();
    Receipt receipt = comm.receive(other, 0, form, arena);
    if (!begins) message = receipt.wait();
    comm.send(other, 0, std::move(message));
    if (begins) message = receipt.wait();
    quickest = std::min(quickest, monotonic_seconds() - start);
  }
  return quickest / 2;
}

// What a rank tells of itself: numbers that all hosts write alike, for they run one build.
struct RankCard {
  std::array<char, 64> host{};
  int32_t n_threads = 0, n_cores = 0;
};

std::vector<RankCard> gather_cards(Communicator& comm, int n_threads, Arena& arena) {
  RankCard mine{.host = {}, .n_threads = n_threads, .n_cores = available_cores()};
  host_name().copy(mine.host.data(), mine.host.size() - 1);
  Tensor bytes = Tensor::empty(arena, DType::kU8, {sizeof(RankCard)});
  std::memcpy(bytes.raw(), &mine, sizeof(mine));
  std::vector<RankCard> cards;
  for (const Tensor& card : start_all_gather(comm, bytes, arena).finish()) {
    std::memcpy(&cards.emplace_back(), card.raw(), sizeof(RankCard));
  }
  return cards;
}

// "4: 0-1 on a, 2-3 on b; threads of each 2, cores of each 2"
std::string ranks_text(const std::vector<RankCard>& cards) {
  std::string text = concat(cards.size(), ":");
  for (size_t first = 0, last = 0; first < cards.size(); first = last + 1) {
    last = first;
    while (last + 1 < cards.size() && cards[last + 1].host == cards[first].host) ++last;
    text += concat(first > 0 ? ", " : " ", first, last > first ? concat("-", last) : "", " on ",
                   cards[first].host.data());
  }
  const auto range = [&](int32_t RankCard::*count) {
    const auto [least, most] = std::ranges::minmax(cards, {}, count);
    return least.*count == most.*count ? concat(most.*count)
                                       : concat(least.*count, " to ", most.*count);
  };
  return text + concat("; threads of each ", range(&RankCard::n_threads), ", cores of each ",
                       range(&RankCard::n_cores));
}

std::string link_text(const RankLink& link) {
  char text[80];
  std::snprintf(text, sizeof(text), "%.1f us, %.2f GB/s", link.latency_seconds * 1e6,
                link.bytes_per_second / 1e9);
  return text;
}

}  // namespace

std::vector<RankLink> measure_rank_links(Communicator& comm, Arena& arena) {
  const int n_links = comm.n_ranks() - 1;
  std::vector<double> seconds(2 * static_cast<size_t>(n_links));  // of each link: small, large
  for (int from = 0; from < n_links; ++from) {
    barrier(comm, arena);
    const bool begins = comm.rank() == from;
    if (!begins && comm.rank() != from + 1) continue;
    const int other = begins ? from + 1 : from;
    const double small = one_way_seconds(comm, other, begins, kSmallBytes, kSmallRounds, arena);
    const double large = one_way_seconds(comm, other, begins, kLargeBytes, kLargeRounds, arena);
    if (!begins) continue;
    seconds[2 * static_cast<size_t>(from)] = small;
    seconds[2 * static_cast<size_t>(from) + 1] = large;
  }
  all_reduce_sum(comm, std::span<double>(seconds), arena);  // each was measured by one
  std::vector<RankLink> links;
  for (int from = 0; from < n_links && comm.rank() == 0; ++from) {
    const size_t at = 2 * static_cast<size_t>(from);
    links.push_back(
        {from, from + 1, seconds[at], static_cast<double>(kLargeBytes) / seconds[at + 1]});
  }
  return links;
}

std::vector<Check> examine_ranks(Communicator& comm, int n_threads, Arena& arena) {
  const std::vector<RankCard> cards = gather_cards(comm, n_threads, arena);
  const std::vector<RankLink> links = measure_rank_links(comm, arena);
  if (comm.rank() != 0) return {};
  std::vector<Check> checks{{"ranks", true, ranks_text(cards)}};
  for (const RankLink& link : links) {
    checks.push_back({concat("link ", link.from, "-", link.to), true, link_text(link)});
  }
  return checks;
}

}  // namespace hadal
