// train/team_line.h: how the leading rank of a run tells the others what to do. It alone reads the text,
// the clock and signals; every command goes to all, who do it together with it.
#pragma once

#include "hadal/comm/communicator.h"
#include "hadal/core/json.h"
#include "hadal/data/batch.h"

namespace hadal {

struct TeamCommand {
  Json what;                   // {"do": "update", ...}
  std::vector<Batch> batches;  // what it is done with

  const std::string& verb() const { return what.at("do").as_string(); }
};

// REQUIRES the leading rank, 0.
void tell(Communicator& world, Arena& arena, const TeamCommand& command);
// Waits as long as it takes: the leader may be reading text, or hashing files. REQUIRES another rank.
TeamCommand hear(Communicator& world, Arena& arena);

}  // namespace hadal
