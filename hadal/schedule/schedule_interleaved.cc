// Interleaved 1F1B with overlapped pairs: rank r of P holds V stages, r, r+P, ..., r+(V-1)P, so that a
// micro-batch passes all ranks V times and filling the pipeline takes a V-th of the work.
//
// Forwards go by groups of P micro-batches: a group passes the rank's first stage, then its second,
// and so on; backwards the same from the last stage on. The rank warms up with
//   (V - 1)P       forwards until the first micro-batch reaches the last stage on the last rank,
//   2(P - 1 - r)   for the way from this rank there and back,
//   1              more, so that the forward beside a backward is another chunk's;
// then each forward runs beside the backward that has become possible (F&B). A backward without a
// forward beside it is split, and rank r keeps r weight parts back: at the end the gradient travels to
// rank 0 without waiting for them, and they fill the gaps.
//
// Where P does not divide M the order is that of the next multiple, without the micro-batches that do
// not exist; a pair that loses a half is a lone computation.
#include <algorithm>
#include <optional>

#include "hadal/schedule/schedule_writer.h"

namespace hadal {

std::vector<Action> interleaved_order(int32_t n_stages, int32_t n_micro_batches, int32_t rank,
                                      int32_t stages_per_rank) {
  ScheduleWriter out(ScheduleKind::kInterleaved, n_stages, n_micro_batches, rank, stages_per_rank);
  const int32_t n_ranks = n_stages / stages_per_rank, turns = stages_per_rank - 1;
  const auto n =
      static_cast<int32_t>(stages_per_rank * ordered_micro_batches(ScheduleKind::kInterleaved,
                                                                   n_ranks, n_micro_batches));
  const int32_t n_warm_up = std::min(n, turns * n_ranks + 2 * (n_ranks - 1 - rank) + 1);

  // The i-th forward or backward of the rank; nothing where there is none.
  const auto chunk = [&](int32_t i, bool backward) -> std::optional<Chunk> {
    const int32_t group = i / n_stages, turn = i % n_stages / n_ranks;
    const Chunk c = {(backward ? turns - turn : turn) * n_ranks + rank,
                     group * n_ranks + i % n_ranks};
    const bool exists = i >= 0 && i < n && c.micro_batch < n_micro_batches;
    return exists ? std::optional(c) : std::nullopt;
  };
  for (int32_t i = 0; i < n + n_warm_up; ++i) {
    const auto ahead = chunk(i, false), back = chunk(i - n_warm_up, true);
    if (ahead && back) {
      out.forward_backward(*ahead, *back);
    } else if (ahead) {
      out.forward(*ahead);
    } else if (back) {
      out.backward_input(*back);
      if (out.n_queued() > static_cast<size_t>(rank)) out.weight();
    }
  }
  while (out.n_queued() > 0) out.weight();
  return out.take();
}

}  // namespace hadal
