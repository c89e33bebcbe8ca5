#include "hadal/model/read_weights.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "hadal/core/clock.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/log.h"
#include "hadal/core/number_text.h"
#include "hadal/io/read_ahead.h"
#include "hadal/model/memory_needs.h"

namespace hadal {
namespace {

// Files of which less is in memory are read: a few pages are always missing under pressure.
constexpr double kEnoughResident = 0.98;
constexpr size_t kPieceBytes = size_t{32} << 20;  // one thread's, between two looks at the clock

using Range = std::span<const std::byte>;

bool holds(Range outer, Range inner) {
  return inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size();
}

void show(ProgressLine& line, int64_t done, int64_t total, double seconds) {
  if (!line.due()) return;
  const double fraction = static_cast<double>(done) / static_cast<double>(total);
  const double rate = static_cast<double>(done) / seconds;
  line.show(concat("reading weights ", progress_bar(fraction, 20), "  ",
                   human_bytes(static_cast<double>(done)), " of ",
                   human_bytes(static_cast<double>(total)), ", ", human_bytes(rate), "/s, ",
                   human_seconds(static_cast<double>(total - done) / rate), " left"));
}

}  // namespace

std::vector<Range> mapped_ranges(const TensorSource& source,
                                 std::span<const StoredWeight> weights) {
  std::vector<Range> ranges;
  for (const StoredWeight& weight : weights) {
    for (const Tensor& tensor : stored_tensors(weight)) {
      const Range range{static_cast<const std::byte*>(tensor.raw()),
                        static_cast<size_t>(tensor.bytes())};
      const bool is_copy = std::ranges::none_of(
          source.files(), [&](const auto& file) { return holds(file->mapped(), range); });
      if (!is_copy) ranges.push_back(range);
    }
  }
  std::ranges::sort(ranges, std::less<>(), [](Range range) { return range.data(); });
  std::vector<Range> joined;
  for (const Range range : ranges) {
    if (!joined.empty() && joined.back().data() + joined.back().size() == range.data()) {
      joined.back() = {joined.back().data(), joined.back().size() + range.size()};
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

void read_weights_ahead(Context& ctx, const TensorSource& source, const ModelConfig& config,
                        const std::vector<Range>& ranges) {
  int64_t all_bytes = 0, total = 0, done = 0;
  for (const Range range : ranges) all_bytes += std::ssize(range);
  if (const std::string warning = memory_warning(config, all_bytes, available_memory());
      !warning.empty()) {
    log_warning(source.path(), ": ", warning);
    return;
  }
  std::vector<Range> absent;
  std::ranges::copy_if(ranges, std::back_inserter(absent),
                       [](Range range) { return resident_share(range) < kEnoughResident; });
  for (const Range range : absent) total += std::ssize(range);
  ProgressLine line;
  const double start = monotonic_seconds();
  const auto n_threads = static_cast<size_t>(ctx.pool.n_threads());
  for (const Range range : absent) {
    for (size_t begin = 0; begin < range.size(); begin += n_threads * kPieceBytes) {
      if (interrupted()) throw Interrupted("interrupted while weights were read");
      const auto group =
          range.subspan(begin, std::min(n_threads * kPieceBytes, range.size() - begin));
      const auto n_pieces = static_cast<int64_t>((group.size() + kPieceBytes - 1) / kPieceBytes);
      ctx.pool.parallel_for(n_pieces, 1, [&](int64_t first, int64_t last, int) {
        for (auto piece = static_cast<size_t>(first); piece < static_cast<size_t>(last); ++piece) {
          const size_t at = piece * kPieceBytes;
          read_ahead(group.subspan(at, std::min(kPieceBytes, group.size() - at)));
        }
      });
      done += std::ssize(group);
      show(line, done, total, monotonic_seconds() - start);
    }
  }
}

}  // namespace hadal
