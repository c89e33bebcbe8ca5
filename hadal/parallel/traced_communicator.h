// parallel/traced_communicator.h: a communicator that notes what it sends and how long its rank waits.
#pragma once

#include <map>

#include "hadal/parallel/run_trace.h"

namespace hadal {

// Groups of it are traced too, under the same network's name. Both that it is made of outlive it.
class TracedCommunicator final : public Communicator {
 public:
  // world_ranks: of inner's ranks; empty: inner is the world. All ranks of it make one together, so that
  // they count its messages alike.
  TracedCommunicator(Communicator& inner, RunTrace& trace, std::string_view network,
                     std::vector<int> world_ranks = {});

  int rank() const override { return inner_.rank(); }
  int n_ranks() const override { return inner_.n_ranks(); }
  void send(int to, int64_t tag, Tensor message) override;
  Receipt receive(int from, int64_t tag, const MessageForm& form, Arena& arena) override;
  void progress() override { inner_.progress(); }
  void finish_sends() override { inner_.finish_sends(); }
  void at(const RankPlace& place) override;
  double patience_seconds() const override { return inner_.patience_seconds(); }
  void fail(const std::string& reason) override { inner_.fail(reason); }
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks) override;

 private:
  struct Owned {  // a group's own
    std::unique_ptr<Communicator> inner;
  };
  TracedCommunicator(Owned owned, RunTrace& trace, std::string_view network,
                     std::vector<int> world_ranks);
  int world_rank(int rank) const { return world_ranks_.at(static_cast<size_t>(rank)); }
  using Counts = std::map<MessageKey, int64_t>;
  MessageKey next(Counts& counts, int from, int to, int64_t tag) const;

  Owned owned_;
  Communicator& inner_;
  RunTrace& trace_;
  std::string_view network_;
  std::vector<int> world_ranks_;
  int64_t group_ = 0;
  Counts n_sent_, n_asked_;  // a message to oneself is in both
};

}  // namespace hadal
