// comm/communicator.h: how ranks exchange tensors. Ranks are threads of one process
// (comm/thread_ranks.h) or processes under MPI (comm/mpi_ranks.h); one rank alone is either of them.
//
// Two operations, both of which return at once: a message is given away, and a message is asked for.
// Everything else (collectives.h) is made of them, so that sums run in an order of our own and every
// implementation gives the same bytes.
//
//   sender     comm.send(to, tag, std::move(rows));
//   receiver   Receipt receipt = comm.receive(from, tag, {DType::kF32, {-1, d}});
//              ...                                   // computes something else
//              Tensor rows = receipt.wait();
//
// A message belongs to the communicator from send() on, and to the receiver after wait(): nobody has to
// keep a buffer alive. Its size need not be known to the receiver. The n-th send of a (from, to, tag)
// meets the n-th receive of the same; other tags may overtake.
//
// Messages move while their ranks compute. wait() gives up after the communicator's patience: CommError,
// naming this rank, the place in the run it is at (at()) and the rank it waits for. A rank that fails
// says so by fail(): the waits of all others end with its reason.
//
// One thread of a rank at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/tensor/arena.h"
#include "hadal/tensor/tensor.h"

namespace hadal {

struct CommError : Error {  // another rank is gone, silent, or sent what was not expected
  using Error::Error;
};

// What a receiver expects: of the first axis -1, as many rows as come.
struct MessageForm {
  DType dtype = DType::kF32;
  Shape shape = {-1};
};

// Where a rank is in a run, for messages of waits: "step 12, dispatch, stage 3, micro-batch 1".
struct RankPlace {
  int64_t step = 0;        // 0: outside of steps
  std::string_view phase;  // static text
  int32_t stage = -1, micro_batch = -1;
};
std::string place_text(const RankPlace& place);

// A message that was asked for.
class Receipt {
 public:
  class Pending {  // one of an implementation
   public:
    virtual ~Pending() = default;
    virtual bool arrived() = 0;
    virtual Tensor wait() = 0;
  };
  Receipt() = default;
  explicit Receipt(std::unique_ptr<Pending> pending) : pending_(std::move(pending)) {}

  bool expected() const { return pending_ != nullptr; }
  bool arrived() { return pending_->arrived(); }  // CommError where a rank has failed
  Tensor wait();                                  // once

 private:
  std::unique_ptr<Pending> pending_;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int n_ranks() const = 0;

  // A tag is 0 .. kMaxTag. Sending to oneself is allowed. REQUIRES a message on the host, owned by nobody
  // else: the receiver may write to it.
  virtual void send(int to, int64_t tag, Tensor message) = 0;
  // The message's memory is the arena's where it has to be copied (MPI), the sender's where not.
  virtual Receipt receive(int from, int64_t tag, const MessageForm& form, Arena& arena) = 0;
  static constexpr int64_t kMaxTag = (int64_t{1} << 25) - 1;
  static constexpr int64_t kCollectiveTag = kMaxTag + 1;  // of collectives.h alone

  // Moves what can be moved without waiting. Computations that are long call it now and then; where an
  // implementation moves messages by itself, it does nothing.
  virtual void progress() {}
  // Returns when every message that was sent has left. Before a rank ends.
  virtual void finish_sends() = 0;

  virtual void at(const RankPlace& place) = 0;
  virtual double patience_seconds() const = 0;  // of a wait
  // The rank cannot go on: the waits of all other ranks throw CommError with this reason.
  virtual void fail(const std::string& reason) = 0;

  // The ranks listed, renumbered in that order, with tags of their own. Every rank of the list asks for
  // the same groups in the same order; REQUIRES this rank among them. Lives no longer than this one.
  virtual std::unique_ptr<Communicator> group(const std::vector<int>& ranks) = 0;
};

std::vector<int> all_ranks(const Communicator& comm);  // 0, 1, ..., for a group like the whole

}  // namespace hadal
