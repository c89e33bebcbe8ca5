#include "hadal/ops/copy.h"

#include <cstring>

#include "hadal/kernels/copy.h"

namespace hadal {
namespace {

bool is_within(int64_t first, int64_t n, int64_t rows) {
  return first >= 0 && n >= 0 && first <= rows && n <= rows - first;
}

void expect_ranges(View<const float, 2> to, View<const float, 2> from,
                   std::span<const RowRange> ranges, const char* what) {
  if (from.dim(1) != to.dim(1)) {
    throw ShapeError(
        concat(what, " from: got ", from.dim(1), " columns, want ", to.dim(1), " as in to"));
  }
  for (const auto& [to_row, from_row, n] : ranges) {
    if (!is_within(to_row, n, to.dim(0)) || !is_within(from_row, n, from.dim(0))) {
      throw ShapeError(concat(what, " range: got ", n, " rows from ", from_row, " to ", to_row,
                              ", want them within from ", shape_text(from.shape()), " and to ",
                              shape_text(to.shape())));
    }
  }
}

void expect_filled(const Tensor& message, const Stretches& stretches) {
  if (message.bytes() != total_bytes(stretches)) {
    throw ShapeError(concat("message: got ", message.bytes(), " bytes, want ",
                            total_bytes(stretches), " of its stretches"));
  }
}

}  // namespace

void copy_rows(Context& ctx, View<float, 2> to, View<const float, 2> from) {
  expect_shape(from, to.shape(), "copy_rows from");
  switch (ctx.device) {
    case Device::kReference:
      return reference::copy_rows(to, from);
    case Device::kCpu:
      return cpu::copy_rows(ctx.pool, to, from);
    case Device::kCuda:
      return cuda::copy_rows(*ctx.stream, to, from);
  }
}

void copy_row_ranges(Context& ctx, View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges) {
  expect_ranges(to, from, ranges, "copy_row_ranges");
  switch (ctx.device) {
    case Device::kReference:
      return reference::copy_row_ranges(to, from, ranges);
    case Device::kCpu:
      return cpu::copy_row_ranges(ctx.pool, to, from, ranges);
    case Device::kCuda:
      return cuda::copy_row_ranges(*ctx.stream, to, from, ranges);
  }
}

void add_row_ranges(Context& ctx, View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges) {
  expect_ranges(to, from, ranges, "add_row_ranges");
  switch (ctx.device) {
    case Device::kReference:
      return reference::add_row_ranges(to, from, ranges);
    case Device::kCpu:
      return cpu::add_row_ranges(ctx.pool, to, from, ranges);
    case Device::kCuda:
      return cuda::add_row_ranges(*ctx.stream, to, from, ranges);
  }
}

void copy_bytes(Context& ctx, std::span<const ByteCopy> copies) {
  for (const ByteCopy& each : copies) {
    if (each.from.size() != each.to.size()) {
      throw ShapeError(
          concat("copy_bytes: got ", each.from.size(), " bytes, want ", each.to.size()));
    }
  }
  ctx.pool.parallel_tasks(static_cast<int64_t>(copies.size()), [&](int64_t task, int) {
    const auto& [to, from] = copies[static_cast<size_t>(task)];
    if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
  });
}

int64_t total_bytes(const Stretches& stretches) {
  size_t total = 0;
  for (const auto& each : stretches) total += each.size();
  return static_cast<int64_t>(total);
}

void pack(Context& ctx, Tensor& message, const Stretches& stretches) {
  expect_filled(message, stretches);
  auto* to = static_cast<std::byte*>(message.raw());
  std::vector<ByteCopy> copies;
  for (const auto& each : stretches) {
    copies.push_back({{to, each.size()}, each});
    to += each.size();
  }
  copy_bytes(ctx, copies);
}

void unpack(Context& ctx, const Stretches& stretches, const Tensor& message) {
  expect_filled(message, stretches);
  const auto* from = static_cast<const std::byte*>(message.raw());
  std::vector<ByteCopy> copies;
  for (const auto& each : stretches) {
    copies.push_back({each, {from, each.size()}});
    from += each.size();
  }
  copy_bytes(ctx, copies);
}

}  // namespace hadal
