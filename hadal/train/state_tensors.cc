#include "hadal/train/state_tensors.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "hadal/core/error.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr const char* kWhole = "training_state.safetensors";

// "m.NAME[128:256]" -> "m.NAME", 128, 256; rows stay where they are if the name has none.
std::string without_rows(const std::string& name, int64_t& first, int64_t& last) {
  const size_t open = name.rfind('['), colon = name.rfind(':');
  if (name.empty() || name.back() != ']' || open == std::string::npos || colon < open) return name;
  const char* const end = name.data() + name.size() - 1;
  const auto [colon_at, bad_first] = std::from_chars(name.data() + open + 1, end, first);
  if (bad_first != std::errc() || colon_at != name.data() + colon) return name;
  const auto [end_at, bad_last] = std::from_chars(name.data() + colon + 1, end, last);
  if (bad_last != std::errc() || end_at != end) return name;
  return name.substr(0, open);
}

std::vector<std::string> state_files(const std::string& folder) {
  if (is_regular_file(folder + "/" + kWhole)) return {folder + "/" + kWhole};
  std::vector<std::string> files;
  for (const std::string& name : entry_names(folder)) {
    int rank = 0, n_ranks = 0;
    if (std::sscanf(name.c_str(), "training_state-%d-of-%d", &rank, &n_ranks) != 2) continue;
    if (n_ranks < 1 || n_ranks > 1 << 20) continue;
    files.clear();
    for (int i = 0; i < n_ranks; ++i) files.push_back(folder + "/" + state_file_name(i, n_ranks));
    return files;
  }
  return {folder + "/" + kWhole};  // open() says that it is not there
}

bool same_rows(const Shape& a, const Shape& b) {
  return a.size() == b.size() && std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

}  // namespace

std::string state_file_name(int rank, int n_ranks) {
  if (n_ranks == 1) return kWhole;
  char name[64];
  std::snprintf(name, sizeof(name), "training_state-%05d-of-%05d.safetensors", rank + 1, n_ranks);
  return name;
}

std::string piece_name(const std::string& name, int64_t first, int64_t last, int64_t n_rows) {
  return first == 0 && last == n_rows ? name : concat(name, "[", first, ":", last, "]");
}

StateTensors::StateTensors(const std::string& folder) : folder_(folder) {
  for (const std::string& path : state_files(folder)) {
    files_.push_back(std::make_unique<SafetensorsFile>(SafetensorsFile::open(path)));
    for (const TensorInfo& info : files_.back()->tensors()) {
      Piece piece{0, info.shape.empty() ? 0 : info.shape[0], files_.back().get(), &info};
      const std::string name = without_rows(info.name, piece.first, piece.last);
      pieces_[name].push_back(piece);
    }
  }
  for (auto& [name, pieces] : pieces_) {
    std::ranges::sort(pieces, {}, [](const Piece& piece) { return piece.first; });
  }
}

void StateTensors::refuse(const std::string& name, const Tensor& wanted, const Shape& whole) const {
  const auto found = pieces_.find(name);
  std::string text = "none";
  if (found != pieces_.end()) {
    const TensorInfo& info = *found->second.front().info;
    text =
        concat(dtype_name(info.dtype), " ", shape_text(info.shape),
               found->second.size() > 1 ? concat(" and ", found->second.size() - 1, " pieces more")
                                        : std::string());
  }
  throw FormatError({.place = files_.front()->path(),
                     .problem = {"tensor ", name, " does not fit this run"},
                     .found = text,
                     .expected = {dtype_name(wanted.dtype()), " ", shape_text(whole)},
                     .advice = "resume with the settings it was started with"});
}

void StateTensors::read(const std::string& name, Tensor& into, int64_t first,
                        const Shape& whole) const {
  const auto found = pieces_.find(name);
  if (found == pieces_.end()) refuse(name, into, whole);
  const int64_t end = first + into.dim(0);
  const auto row_bytes = static_cast<size_t>(into.dim(0) > 0 ? into.bytes() / into.dim(0) : 0);
  std::vector<std::byte> rows;  // of several pieces, put together
  int64_t next = first;
  for (const Piece& piece : found->second) {
    const TensorInfo& info = *piece.info;
    if (info.dtype != into.dtype() || !same_rows(info.shape, whole) ||
        info.shape[0] != piece.last - piece.first || piece.last > whole[0]) {
      refuse(name, into, whole);
    }
    const int64_t from = std::max(next, piece.first), to = std::min(end, piece.last);
    if (from >= to) continue;
    if (from != next) refuse(name, into, whole);
    const Tensor stored = piece.file->tensor(info);
    const auto* const source = static_cast<const std::byte*>(stored.raw()) +
                               static_cast<size_t>(from - piece.first) * row_bytes;
    if (from == first && to == end) return into.read_from(source);
    rows.insert(rows.end(), source, source + static_cast<size_t>(to - from) * row_bytes);
    next = to;
  }
  if (next != end) refuse(name, into, whole);
  into.read_from(rows.data());
}

}  // namespace hadal
