// spread/sequence_transfer.h: requests whose prompts were read, on their way to the ranks that write their
// answers (report section 3.4: prefill and decode on separate units). What travels is the latent pages, what
// the MTP modules have not read yet, and a kilobyte or so: request, tokens, counts.
//
// The receiver computes meanwhile: it looks in now and then.
#pragma once

#include "hadal/comm/communicator.h"
#include "hadal/spread/state_bytes.h"

namespace hadal {

// Returns the bytes that travel.
int64_t send_sequence(Communicator& world, Arena& arena, int to, HandedOver request);
void send_last(Communicator& world, Arena& arena, int to);  // no more will come

class SequenceInbox {
 public:
  // From these ranks, each of which ends with send_last.
  SequenceInbox(Communicator& world, Arena& arena, const std::vector<int>& senders);
  std::vector<HandedOver> arrived();  // wholly, since the last call
  bool closed() const { return doors_.empty(); }

 private:
  // What comes from one sender, in order.
  struct Door {
    int from = 0;
    Receipt header;
    std::optional<HandedOver> coming;
    std::vector<std::pair<size_t, Receipt>> tensors;  // of `coming`: pages 0, module m: m + 1
  };
  Receipt next_header(int from);
  bool begin(Door& door);  // a header has come; false: it was the last
  void complete(Door& door);

  Communicator& world_;
  Arena& arena_;
  std::vector<Door> doors_;
};

}  // namespace hadal
