// comm/lanes.h: which message meets which receive. A lane is (from, channel); its n-th message is for
// the n-th that asked there, whatever comes first. Not locked.
#pragma once

#include <map>
#include <utility>

#include "hadal/comm/transport.h"

namespace hadal {

// Somebody's place in a lane.
struct Ticket {
  int from = 0;
  Channel channel;
  int64_t number = 0;
  auto operator<=>(const Ticket&) const = default;
};

template <class Parcel>
class Lanes {
 public:
  Ticket ask(int from, const Channel& channel) {
    return {from, channel, lanes_[{from, channel}].n_asked++};
  }
  // Returns the ticket that it is for.
  Ticket put(int from, const Channel& channel, Parcel parcel) {
    Lane& lane = lanes_[{from, channel}];
    const int64_t number = lane.n_arrived++;
    lane.arrived.emplace(number, std::move(parcel));
    return {from, channel, number};
  }
  // nullptr: not there yet.
  Parcel* find(const Ticket& ticket) {
    const auto lane = lanes_.find({ticket.from, ticket.channel});
    if (lane == lanes_.end()) return nullptr;
    const auto parcel = lane->second.arrived.find(ticket.number);
    return parcel == lane->second.arrived.end() ? nullptr : &parcel->second;
  }
  // REQUIRES that it is there.
  Parcel take(const Ticket& ticket) {
    const auto lane = lanes_.find({ticket.from, ticket.channel});
    Parcel parcel = std::move(lane->second.arrived.extract(ticket.number).mapped());
    // A lane that is even has nothing to remember: tags may differ in every step.
    if (lane->second.arrived.empty() && lane->second.n_asked == lane->second.n_arrived) {
      lanes_.erase(lane);
    }
    return parcel;
  }

 private:
  struct Lane {
    int64_t n_asked = 0, n_arrived = 0;
    std::map<int64_t, Parcel> arrived;  // by number
  };
  std::map<std::pair<int, Channel>, Lane> lanes_;
};

}  // namespace hadal
