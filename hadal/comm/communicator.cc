#include "hadal/comm/communicator.h"

#include <numeric>

#include "hadal/comm/transport.h"

namespace hadal {
namespace {

std::string form_text(const MessageForm& form) {
  std::string text = concat(dtype_name(form.dtype), " ", shape_text(form.shape));
  if (const size_t any = text.find("[-1"); any != std::string::npos) text.replace(any + 1, 2, "*");
  return text;
}

std::string tag_text(int64_t tag) {
  return tag == Communicator::kCollectiveTag ? "of a collective" : concat("with tag ", tag);
}

}  // namespace

std::string place_text(const RankPlace& place) {
  std::string text = place.step > 0 ? concat("step ", place.step) : "outside of steps";
  if (!place.phase.empty()) text += concat(", ", place.phase);
  if (place.stage >= 0) text += concat(", stage ", place.stage);
  if (place.micro_batch >= 0) text += concat(", micro-batch ", place.micro_batch);
  return text;
}

Tensor Receipt::wait() {
  const std::unique_ptr<Pending> pending = std::move(pending_);
  return pending->wait();
}

void check_form(const MessageEnds& ends, DType dtype, const Shape& shape, const MessageForm& form) {
  bool same = dtype == form.dtype && shape.size() == form.shape.size();
  for (size_t axis = 0; same && axis < shape.size(); ++axis) {
    same = shape[axis] == form.shape[axis] || (axis == 0 && form.shape[axis] == -1);
  }
  if (same) return;
  throw CommError(concat("rank ", ends.to, ": a message of rank ", ends.from, " ",
                         tag_text(ends.tag), " is none that was expected (found ",
                         dtype_name(dtype), " ", shape_text(shape), ", expected ", form_text(form),
                         ")"));
}

void throw_silent(const MessageEnds& ends, const RankPlace& place, double seconds,
                  const std::string& silent_at) {
  throw CommError(concat("rank ", ends.to, " (", place_text(place), "): rank ", ends.from,
                         silent_at.empty() ? "" : concat(" (", silent_at, ")"),
                         " is silent; waited ", seconds, " s for its message ",
                         tag_text(ends.tag)));
}

std::vector<int> all_ranks(const Communicator& comm) {
  std::vector<int> ranks(static_cast<size_t>(comm.n_ranks()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace hadal
