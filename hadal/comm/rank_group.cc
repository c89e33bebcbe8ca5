#include "hadal/comm/rank_group.h"

#include <algorithm>
#include <numeric>

namespace hadal {
namespace {

// splitmix64's step: every bit of `word` reaches every bit of the result.
uint64_t mixed(uint64_t hash, uint64_t word) {
  hash += word + 0x9E3779B97F4A7C15ULL;
  hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBULL;
  return hash ^ (hash >> 31);
}

std::vector<int> all_of(int n_ranks) {
  std::vector<int> ranks(static_cast<size_t>(n_ranks));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace

uint64_t GroupNames::name(const std::vector<int>& world_ranks) {
  const int64_t n_before = n_asked_[world_ranks]++;
  uint64_t hash = mixed(world_ranks.size(), static_cast<uint64_t>(n_before));
  for (const int rank : world_ranks) hash = mixed(hash, static_cast<uint64_t>(rank));
  if (hash == 0 || !taken_.emplace(hash, world_ranks).second) {
    throw CommError(
        "groups of ranks: two of them have one name; list their ranks in another order");
  }
  return hash;
}

RankGroup::RankGroup(Transport& transport)
    : transport_(transport),
      names_(std::make_shared<GroupNames>()),
      world_ranks_(all_of(transport.n_ranks())),
      rank_(transport.rank()) {}

RankGroup::RankGroup(const RankGroup& parent, std::vector<int> world_ranks)
    : transport_(parent.transport_), names_(parent.names_), world_ranks_(std::move(world_ranks)) {
  const auto mine = std::ranges::find(world_ranks_, transport_.rank());
  if (mine == world_ranks_.end()) {
    throw ShapeError(concat("group of ranks: rank ", transport_.rank(), " is not in it"));
  }
  std::vector<int> sorted = world_ranks_;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) {
    throw ShapeError("group of ranks: a rank is in it twice");
  }
  rank_ = static_cast<int>(mine - world_ranks_.begin());
  name_ = names_->name(world_ranks_);
}

int RankGroup::world_rank(int rank) const {
  if (rank < 0 || rank >= n_ranks()) {
    throw ShapeError(
        concat("message: no such rank (found ", rank, ", expected 0 to ", n_ranks() - 1, ")"));
  }
  return world_ranks_[static_cast<size_t>(rank)];
}

Channel RankGroup::channel(int64_t tag) const {
  if (tag < 0 || tag > kCollectiveTag) {
    throw ShapeError(concat("message: no such tag (found ", tag, ", expected 0 to ", kMaxTag, ")"));
  }
  return {name_, tag};
}

void RankGroup::send(int to, int64_t tag, Tensor message) {
  if (!message.on_host()) throw ShapeError("message: its elements are not on the host");
  transport_.send(world_rank(to), channel(tag), std::move(message));
}

Receipt RankGroup::receive(int from, int64_t tag, const MessageForm& form, Arena& arena) {
  return transport_.receive(world_rank(from), channel(tag), form, arena);
}

std::unique_ptr<Communicator> RankGroup::group(const std::vector<int>& ranks) {
  std::vector<int> world_ranks;
  for (const int rank : ranks) world_ranks.push_back(world_rank(rank));
  return std::unique_ptr<Communicator>(new RankGroup(*this, std::move(world_ranks)));
}

}  // namespace hadal
