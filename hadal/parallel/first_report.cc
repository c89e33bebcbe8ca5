#include "hadal/parallel/first_report.h"

#include <limits>

#include "hadal/comm/collectives.h"

namespace hadal {
namespace {

// Nothing; or the order, then the text.
Tensor packed(const std::optional<RankReport>& report, Arena& arena) {
  const std::string bytes =
      report ? static_cast<char>(report->order) + report->text : std::string();
  Tensor tensor = Tensor::empty(arena, DType::kU8, {static_cast<int64_t>(bytes.size())});
  tensor.read_from(bytes.data());
  return tensor;
}

std::string bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.size())};
}

}  // namespace

std::optional<AgreedReport> first_report(Communicator& world, const std::optional<RankReport>& mine,
                                         Arena& arena) {
  const std::vector<Tensor> all = start_all_gather(world, packed(mine, arena), arena).finish();
  std::optional<AgreedReport> first;
  int least = std::numeric_limits<int>::max();
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const std::string bytes = bytes_of(all[rank]);
    if (bytes.empty() || bytes[0] >= least) continue;
    least = bytes[0];
    first = AgreedReport{static_cast<int>(rank), bytes.substr(1)};
  }
  return first;
}

}  // namespace hadal
