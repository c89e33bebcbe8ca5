// comm/rank_group.h: the world and its groups as Communicators over one Transport. A group is a list of
// world ranks and a name that all its members find without asking each other.
#pragma once

#include <map>

#include "hadal/comm/transport.h"

namespace hadal {

// Names of a rank's groups: a hash of the list and of how often this list was asked for before. Two
// groups of one rank never have the same name (CommError if their hashes are equal); of other groups'
// names a pair of ranks need not know.
class GroupNames {
 public:
  uint64_t name(const std::vector<int>& world_ranks);

 private:
  std::map<std::vector<int>, int64_t> n_asked_;
  std::map<uint64_t, std::vector<int>> taken_;
};

class RankGroup : public Communicator {
 public:
  explicit RankGroup(Transport& transport);  // the world

  int rank() const override { return rank_; }
  int n_ranks() const override { return static_cast<int>(world_ranks_.size()); }
  void send(int to, int64_t tag, Tensor message) override;
  Receipt receive(int from, int64_t tag, const MessageForm& form, Arena& arena) override;
  void progress() override { transport_.progress(); }
  void finish_sends() override { transport_.finish_sends(); }
  void at(const RankPlace& place) override { transport_.at(place); }
  double patience_seconds() const override { return transport_.patience_seconds(); }
  void fail(const std::string& reason) override { transport_.fail(reason); }
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks) override;

 private:
  RankGroup(const RankGroup& parent, std::vector<int> world_ranks);
  int world_rank(int rank) const;
  Channel channel(int64_t tag) const;

  Transport& transport_;
  std::shared_ptr<GroupNames> names_;
  std::vector<int> world_ranks_;
  uint64_t name_ = 0;
  int rank_ = 0;
};

}  // namespace hadal
