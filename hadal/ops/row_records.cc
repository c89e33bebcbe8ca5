#include "hadal/ops/row_records.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace hadal {
namespace {

constexpr int64_t kBytesOfPart = 1 << 16;  // of a parallel region

int64_t row_bytes(const Tensor& part) {
  int64_t bytes = dtype_bytes(part.dtype());
  for (int axis = 1; axis < part.rank(); ++axis) bytes *= part.dim(axis);
  return bytes;
}

int64_t record_bytes(std::span<const Tensor> parts) {
  int64_t bytes = 0;
  for (const Tensor& part : parts) bytes += row_bytes(part);
  return bytes;
}

void check_rows(std::span<const Tensor> parts, std::span<const int32_t> rows) {
  for (const Tensor& part : parts) {
    if (!part.on_host()) {
      throw Unavailable("rows of a device's memory do not travel between ranks; use the CPU");
    }
    const auto outside = [&](int32_t row) { return row < 0 || row >= part.dim(0); };
    const auto found = std::ranges::find_if(rows, outside);
    if (found != rows.end()) {
      throw ShapeError(
          concat("records: got row ", *found, ", want one of ", shape_text(part.shape())));
    }
  }
}

// body(record, row, column, part) for every row of every part.
template <class Body>
void for_each_row(Context& ctx, std::span<const Tensor> parts, std::span<const int32_t> rows,
                  int64_t width, Body body) {
  const int64_t grain = std::max(int64_t{1}, kBytesOfPart / std::max(int64_t{1}, width));
  ctx.pool.parallel_for(std::ssize(rows), grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t column = 0;
      for (size_t p = 0; p < parts.size(); ++p) {
        const int64_t bytes = row_bytes(parts[p]);
        body(r * width + column, rows[static_cast<size_t>(r)] * bytes, p,
             static_cast<size_t>(bytes));
        column += bytes;
      }
    }
  });
}

}  // namespace

Tensor packed_rows(Context& ctx, std::span<const Tensor> parts, std::span<const int32_t> rows) {
  check_rows(parts, rows);
  const int64_t width = record_bytes(parts);
  Tensor records = ctx.empty({std::ssize(rows), width}, DType::kU8);
  auto* const to = static_cast<std::byte*>(records.raw());
  for_each_row(ctx, parts, rows, width, [&](int64_t at, int64_t from, size_t p, size_t bytes) {
    std::memcpy(to + at, static_cast<const std::byte*>(parts[p].raw()) + from, bytes);
  });
  return records;
}

void unpack_rows(Context& ctx, std::span<Tensor> parts, const Tensor& records,
                 std::span<const int32_t> to) {
  check_rows(parts, to);
  const int64_t width = records.dim(1);
  if (records.dtype() != DType::kU8 || records.dim(0) != std::ssize(to) ||
      width < record_bytes(parts)) {
    throw ShapeError(concat("records: got ", dtype_name(records.dtype()), " ",
                            shape_text(records.shape()), ", want U8 [", to.size(), ",",
                            record_bytes(parts), "] or longer"));
  }
  std::vector<std::byte*> starts;
  for (Tensor& part : parts) starts.push_back(static_cast<std::byte*>(part.raw()));
  const auto* const from = static_cast<const std::byte*>(records.raw());
  for_each_row(ctx, parts, to, width, [&](int64_t at, int64_t row, size_t p, size_t bytes) {
    std::memcpy(starts[p] + row, from + at, bytes);
  });
}

}  // namespace hadal
