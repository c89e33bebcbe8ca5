#include "hadal/comm/thread_ranks.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "hadal/comm/lanes.h"
#include "hadal/comm/rank_group.h"

namespace hadal {
namespace {

using Clock = LinkClock;
using Moment = Clock::time_point;

struct Parcel {
  Tensor message;
  Moment there;  // not to be had before
};

// What lies before one rank.
struct Mailbox {
  std::mutex mutex;
  std::condition_variable changed;
  Lanes<Parcel> lanes;
};

// Where one rank is. Its phase is static text.
class PlaceBoard {
 public:
  void set(const RankPlace& place) {
    const std::lock_guard lock(mutex_);
    place_ = place;
  }
  RankPlace get() const {
    const std::lock_guard lock(mutex_);
    return place_;
  }

 private:
  mutable std::mutex mutex_;
  RankPlace place_;
};

// What the threads share.
struct ThreadWorld {
  explicit ThreadWorld(const ThreadRanks& wanted)
      : settings(wanted),
        mailboxes(static_cast<size_t>(wanted.n_ranks)),
        places(static_cast<size_t>(wanted.n_ranks)) {}

  Mailbox& mailbox(int rank) { return mailboxes[static_cast<size_t>(rank)]; }
  PlaceBoard& place(int rank) { return places[static_cast<size_t>(rank)]; }

  // The first that fails is the one that is remembered.
  void fail(int rank, const std::string& reason) {
    {
      const std::lock_guard lock(failure_mutex);
      if (failed_rank >= 0) return;
      failed_rank = rank;
      failure = concat("rank ", rank, " (", place_text(place(rank).get()), "): ", reason);
    }
    failed = true;
    for (Mailbox& box : mailboxes) {
      const std::lock_guard lock(box.mutex);  // whoever has just looked sleeps by now
      box.changed.notify_all();
    }
  }
  [[noreturn]] void throw_failure() {
    const std::lock_guard lock(failure_mutex);
    throw CommError(failure);
  }

  const ThreadRanks settings;
  std::vector<Mailbox> mailboxes;
  std::vector<PlaceBoard> places;
  std::atomic<bool> failed = false;
  std::mutex failure_mutex;
  int failed_rank = -1;
  std::string failure;
};

class PendingParcel : public Receipt::Pending {
 public:
  PendingParcel(ThreadWorld& world, int rank, const Ticket& ticket, const MessageForm& form)
      : world_(world), rank_(rank), ticket_(ticket), form_(form) {}

  bool arrived() override {
    if (world_.failed) world_.throw_failure();
    Mailbox& box = world_.mailbox(rank_);
    const std::lock_guard lock(box.mutex);
    const Parcel* parcel = box.lanes.find(ticket_);
    return parcel != nullptr && parcel->there <= Clock::now();
  }

  Tensor wait() override {
    Tensor message = taken();
    check_form(ends(), message.dtype(), message.shape(), form_);
    return message;
  }

 private:
  Tensor taken() {
    Mailbox& box = world_.mailbox(rank_);
    const double patience = world_.settings.patience_seconds;
    std::unique_lock lock(box.mutex);
    const Moment deadline = Clock::now() + link_duration(patience);
    for (;;) {
      if (world_.failed) world_.throw_failure();
      const Moment now = Clock::now();
      const Parcel* parcel = box.lanes.find(ticket_);
      if (parcel != nullptr && parcel->there <= now) return box.lanes.take(ticket_).message;
      if (parcel == nullptr && deadline <= now) {
        throw_silent(ends(), world_.place(rank_).get(), patience,
                     place_text(world_.place(ticket_.from).get()));
      }
      box.changed.wait_until(lock, parcel != nullptr ? parcel->there : deadline);
    }
  }
  MessageEnds ends() const { return {rank_, ticket_.from, ticket_.channel.tag}; }

  ThreadWorld& world_;
  int rank_;
  Ticket ticket_;
  MessageForm form_;
};

class ThreadTransport : public Transport {
 public:
  ThreadTransport(ThreadWorld& world, int rank)
      : world_(world), rank_(rank), links_(world.settings.link, rank, world.settings.n_ranks) {}

  int rank() const override { return rank_; }
  int n_ranks() const override { return world_.settings.n_ranks; }

  void send(int to, const Channel& channel, Tensor message) override {
    const Moment there = links_.arrival(to, message.bytes());
    Mailbox& box = world_.mailbox(to);
    const std::lock_guard lock(box.mutex);
    box.lanes.put(rank_, channel, {std::move(message), there});
    box.changed.notify_all();
  }

  Receipt receive(int from, const Channel& channel, const MessageForm& form, Arena&) override {
    Mailbox& box = world_.mailbox(rank_);
    const std::lock_guard lock(box.mutex);
    return Receipt(
        std::make_unique<PendingParcel>(world_, rank_, box.lanes.ask(from, channel), form));
  }

  void finish_sends() override {}  // a message is in the other's mailbox at once
  void at(const RankPlace& place) override { world_.place(rank_).set(place); }
  double patience_seconds() const override { return world_.settings.patience_seconds; }
  void fail(const std::string& reason) override { world_.fail(rank_, reason); }

 private:
  ThreadWorld& world_;
  int rank_;
  SlowLinks links_;
};

// One rank from start to end; what it throws is kept for whoever started the ranks.
void run_rank(ThreadWorld& world, int rank, const std::function<void(Communicator&)>& body,
              std::exception_ptr& thrown) {
  ThreadTransport transport(world, rank);
  RankGroup communicator(transport);
  try {
    body(communicator);
    communicator.finish_sends();
  } catch (const std::exception& error) {
    thrown = std::current_exception();
    world.fail(rank, error.what());
  } catch (...) {
    thrown = std::current_exception();
    world.fail(rank, "an unknown exception");
  }
}

// What the first rank to fail threw; it may have called fail() and thrown nothing.
void rethrow_cause(ThreadWorld& world, const std::vector<std::exception_ptr>& thrown) {
  if (!world.failed) return;
  if (const auto& cause = thrown[static_cast<size_t>(world.failed_rank)]) {
    std::rethrow_exception(cause);
  }
  world.throw_failure();
}

}  // namespace

void run_thread_ranks(const ThreadRanks& ranks, const std::function<void(Communicator&)>& body) {
  if (ranks.n_ranks < 1) throw ShapeError(concat("ranks: need at least 1, found ", ranks.n_ranks));
  ThreadWorld world(ranks);
  std::vector<std::exception_ptr> thrown(static_cast<size_t>(ranks.n_ranks));
  {
    std::vector<std::jthread> threads;  // joined at the end of this block
    try {
      for (int rank = 1; rank < ranks.n_ranks; ++rank) {
        threads.emplace_back(
            [&, rank] { run_rank(world, rank, body, thrown[static_cast<size_t>(rank)]); });
      }
    } catch (const std::system_error& error) {
      thrown[0] = std::current_exception();
      world.fail(0, concat("cannot start a thread for each rank: ", error.what()));
    }
    if (!thrown[0]) run_rank(world, 0, body, thrown[0]);
  }
  rethrow_cause(world, thrown);
}

}  // namespace hadal
