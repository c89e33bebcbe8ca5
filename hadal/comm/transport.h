// comm/transport.h: what an implementation of ranks provides. comm/rank_group.h makes Communicators of
// it: the world and its groups. Ranks are those of the world here.
#pragma once

#include <compare>

#include "hadal/comm/communicator.h"

namespace hadal {

// What keeps messages between two ranks apart.
struct Channel {
  uint64_t group = 0;  // its name (rank_group.h); 0: the world
  int64_t tag = 0;
  auto operator<=>(const Channel&) const = default;
};

// The same contracts as Communicator's.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int n_ranks() const = 0;
  virtual void send(int to, const Channel& channel, Tensor message) = 0;
  virtual Receipt receive(int from, const Channel& channel, const MessageForm& form,
                          Arena& arena) = 0;
  virtual void progress() {}
  virtual void finish_sends() = 0;
  virtual void at(const RankPlace& place) = 0;
  virtual double patience_seconds() const = 0;
  virtual void fail(const std::string& reason) = 0;
};

// The two ends of a message, for errors.
struct MessageEnds {
  int to = 0, from = 0;  // world ranks
  int64_t tag = 0;
};
// CommError unless a message is of the form that its receiver expects.
void check_form(const MessageEnds& ends, DType dtype, const Shape& shape, const MessageForm& form);
// CommError: rank `to` waited in vain. `silent_at`: where the other rank is, empty where nobody knows.
[[noreturn]] void throw_silent(const MessageEnds& ends, const RankPlace& place, double seconds,
                               const std::string& silent_at);

}  // namespace hadal
