// comm/collectives.h: what all ranks of a communicator do together, made of its messages. Every rank
// calls the same ones in the same order; several may be on their way at once. Sums run in ascending
// rank, whatever arrives first.
#pragma once

#include <span>

#include "hadal/comm/communicator.h"

namespace hadal {

// All-to-all with uneven splits: pieces[i] went to rank i; finish() returns what came from each rank, in
// ascending rank, of whatever size its sender gave it.
class Exchange {
 public:
  Exchange() = default;
  // Starts it. REQUIRES n_ranks pieces, each of `form`; the piece for oneself is not copied. Exchanges with
  // a tag of their own may be started in another order than on other ranks.
  Exchange(Communicator& comm, std::vector<Tensor> pieces, const MessageForm& form, Arena& arena,
           int64_t tag = Communicator::kCollectiveTag);
  bool started() const { return !receipts_.empty(); }
  bool arrived();  // all of it
  std::vector<Tensor> finish();

 private:
  std::vector<Receipt> receipts_;
};

// Everybody's `mine`, in ascending rank; sizes may differ.
Exchange start_all_gather(Communicator& comm, const Tensor& mine, Arena& arena);

// Part i of an F32 vector that is cut by `ends` (ascending; part i is [ends[i-1], ends[i])), summed over
// ranks in ascending rank, on rank i.
class ReduceScatter {
 public:
  ReduceScatter() = default;
  ReduceScatter(Communicator& comm, std::span<const float> values, std::span<const int64_t> ends,
                Arena& arena);
  // sum = the part of this rank.
  void finish(std::span<float> sum);

 private:
  Exchange exchange_;
};

// Small values: sums in ascending rank, the same bits on every rank.
void all_reduce_sum(Communicator& comm, std::span<double> values, Arena& arena);
void all_reduce_sum(Communicator& comm, std::span<int64_t> values, Arena& arena);
// values of rank `root`, everywhere.
void broadcast(Communicator& comm, Tensor& values, int root, Arena& arena);
void barrier(Communicator& comm, Arena& arena);

}  // namespace hadal
