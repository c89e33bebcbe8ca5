#include "hadal/model/read_weights.h"

#include <algorithm>

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

std::vector<std::span<const std::byte>> absent_files(const TensorSource& source) {
  std::vector<std::span<const std::byte>> absent;
  for (const auto& file : source.files()) {
    if (resident_share(file->mapped()) < kEnoughResident) absent.push_back(file->mapped());
  }
  return absent;
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

void read_weights_ahead(Context& ctx, const TensorSource& source, const ModelConfig& config) {
  int64_t all_bytes = 0, total = 0, done = 0;
  for (const auto& file : source.files()) all_bytes += file->bytes();
  if (const std::string warning = memory_warning(config, all_bytes, available_memory());
      !warning.empty()) {
    log_warning(source.path(), ": ", warning);
    return;
  }
  const auto absent = absent_files(source);
  for (const auto file : absent) total += std::ssize(file);
  ProgressLine line;
  const double start = monotonic_seconds();
  const auto n_threads = static_cast<size_t>(ctx.pool.n_threads());
  for (const auto file : absent) {
    for (size_t begin = 0; begin < file.size(); begin += n_threads * kPieceBytes) {
      if (interrupted()) throw Interrupted("interrupted while weights were read");
      const auto group =
          file.subspan(begin, std::min(n_threads * kPieceBytes, file.size() - begin));
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
