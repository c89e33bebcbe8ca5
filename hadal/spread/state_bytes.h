// spread/state_bytes.h: a SequenceState but for its tensors as bytes, and back: between processes of one
// program, so in the form that this machine has.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "hadal/infer/sequence_state.h"

namespace hadal {

// A request on its way from the rank that read its prompt to the one that writes its answer.
struct HandedOver {
  int64_t number = 0;
  double prefill_seconds = 0;
  SequenceState state;
};

using RowsForm = std::array<int64_t, 2>;

std::vector<std::byte> bytes_of(const HandedOver& request);
// CommError where they do not end as they should. Of the tensors, pages and waiting rows, shapes alone are
// there, in `forms`: pages first, then those of each module, [0,0] where none waits.
HandedOver request_from(std::span<const std::byte> bytes, std::vector<RowsForm>& forms);

}  // namespace hadal
