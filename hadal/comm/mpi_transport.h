// comm/mpi_transport.h: messages between processes, over MPI.
//
// A message is an envelope (channel, type, shape, number) and its elements. Envelopes are taken in as
// they come; elements move, in pieces, when their receiver has asked for them, straight from the sender's
// tensor into the receiver's. Few elements travel in the envelope. MPI keeps the order of envelopes
// between two ranks, and so which message meets which receive (lanes.h).
//
// MPI needs to be called for anything to move. Whoever waits calls it; while a rank computes, a thread of
// ours does, which sleeps where nothing is under way. One mutex is around all of it.
#pragma once

#include <mpi.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <type_traits>

#include "hadal/comm/lanes.h"
#include "hadal/comm/slow_link.h"

namespace hadal {

// CommError naming the call and what MPI says, unless it succeeded.
void check_mpi(int code, const char* call);

// What goes before the elements of a message, or with them, where they are few.
struct MpiEnvelope {
  enum Kind : int32_t { kMessage, kFailure };  // of a failure: the reason goes with it
  Kind kind = kMessage;
  DType dtype = DType::kU8;
  Channel channel = {};
  Shape shape = {};
  int64_t number = 0;  // of the messages from one rank to another
  int64_t bytes = 0;
  LinkClock::rep not_before = 0;  // of a slow link: the sender's clock
};
static_assert(std::is_trivially_copyable_v<MpiEnvelope>);

// What has arrived of a message that nobody has asked for yet: the elements lie at their sender, or here
// because they came with the envelope, or because the sender is this rank.
struct MpiParcel {
  MpiEnvelope envelope;
  std::vector<std::byte> inside;
  Tensor own;
};

// A message on its way, and what MPI reads or writes meanwhile.
struct MpiTransfer {
  Tensor message;
  std::vector<std::byte> envelope;  // of one that is sent
  int n_open = 0;                   // requests
  // Of one that is received:
  bool sending = true, there = false;
  LinkClock::time_point not_before;
  bool can_be_had() const { return there && not_before <= LinkClock::now(); }
  MessageForm form;
  Arena* arena = nullptr;
  std::exception_ptr refused;  // not of this form
};

class MpiTransport : public Transport {
 public:
  // REQUIRES MPI started with MPI_THREAD_SERIALIZED or better, and that it is not ended before this is.
  explicit MpiTransport(double patience_seconds, const SlowLink& link = {});
  ~MpiTransport() override;

  int rank() const override { return rank_; }
  int n_ranks() const override { return n_ranks_; }
  void send(int to, const Channel& channel, Tensor message) override;
  Receipt receive(int from, const Channel& channel, const MessageForm& form, Arena& arena) override;
  void progress() override;
  void finish_sends() override;
  void at(const RankPlace& place) override;
  double patience_seconds() const override { return patience_seconds_; }
  void fail(const std::string& reason) override;
  std::string place() const;

 private:
  class Pending;

  // All of these REQUIRE the lock.
  void put(int from, const Channel& channel, MpiParcel parcel);
  void start_receiving(const std::shared_ptr<MpiTransfer>& transfer, const Ticket& ticket);
  void send_envelope(int to, const MpiEnvelope& envelope, std::span<const std::byte> inside,
                     const std::shared_ptr<MpiTransfer>& transfer);
  // Every piece of its elements to or from the other rank.
  void start_pieces(int other, int64_t number, const std::shared_ptr<MpiTransfer>& transfer);
  bool poll();  // one look at MPI; true: it has been copying, and another is worth while
  void take_envelopes();
  void end_requests();
  void throw_if_failed() const;
  bool has_work() const { return !requests_.empty() || !asked_.empty(); }
  // Looks at MPI until done(); false: patience ended first.
  template <class Done>
  bool wait_until(std::unique_lock<std::mutex>& lock, const Done& done);

  void move_while_computing();  // what the thread does

  const double patience_seconds_;
  MPI_Comm world_ = MPI_COMM_NULL;
  int rank_ = 0, n_ranks_ = 1;
  int64_t n_element_tags_ = 1;

  mutable std::mutex mutex_;  // of all below and of every call of MPI
  std::condition_variable wake_;
  Lanes<MpiParcel> lanes_;
  std::map<Ticket, std::shared_ptr<MpiTransfer>> asked_;  // before their message is there
  std::vector<MPI_Request> requests_;
  std::vector<std::shared_ptr<MpiTransfer>> of_request_;  // beside requests_
  std::vector<int64_t> n_sent_;                           // [to] messages
  std::optional<SlowLinks> links_;
  RankPlace place_;
  std::string failure_;        // why no wait goes on
  std::exception_ptr broken_;  // what the thread met
  bool waiting_ = false, ending_ = false;
  std::jthread mover_;  // the last: it uses the others
};

}  // namespace hadal
