#include "hadal/ops/elementwise.h"

#include "hadal/kernels/cpu/grain.h"
#include "hadal/kernels/elementwise.h"

namespace hadal {

static_assert(kSquaresBlock == cpu::kGrainElements);

void add(Context& ctx, std::span<float> y, std::span<const float> x) {
  if (x.size() != y.size()) {
    throw ShapeError(concat("add x: got [", x.size(), "], want [", y.size(), "]"));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::add(y, x);
    case Device::kCpu:
      return cpu::add(ctx.pool, y, x);
    case Device::kCuda:
      return cuda::add(*ctx.stream, y, x);
  }
}

void scale(Context& ctx, std::span<float> y, float factor) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::scale(y, factor);
    case Device::kCpu:
      return cpu::scale(ctx.pool, y, factor);
    case Device::kCuda:
      return cuda::scale(*ctx.stream, y, factor);
  }
}

void fill(Context& ctx, std::span<float> y, float value) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::fill(y, value);
    case Device::kCpu:
      return cpu::fill(ctx.pool, y, value);
    case Device::kCuda:
      return cuda::fill(*ctx.stream, y, value);
  }
}

void ema_update(Context& ctx, std::span<float> average, std::span<const float> value, float decay) {
  if (value.size() != average.size()) {
    throw ShapeError(
        concat("ema_update value: got [", value.size(), "], want [", average.size(), "]"));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::ema_update(average, value, decay);
    case Device::kCpu:
      return cpu::ema_update(ctx.pool, average, value, decay);
    case Device::kCuda:
      return cuda::ema_update(*ctx.stream, average, value, decay);
  }
}

double sum_of_squares(Context& ctx, std::span<const float> x) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::sum_of_squares(x);
    case Device::kCpu:
      return cpu::sum_of_squares(ctx.pool, x);
    case Device::kCuda:
      break;
  }
  return cuda::sum_of_squares(*ctx.stream, x);
}

float largest_magnitude(Context& ctx, std::span<const float> x) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::largest_magnitude(x);
    case Device::kCpu:
      return cpu::largest_magnitude(ctx.pool, x);
    case Device::kCuda:
      break;
  }
  return cuda::largest_magnitude(*ctx.stream, x);
}

int64_t count_not_finite(Context& ctx, std::span<const float> x) {
  switch (ctx.device) {
    case Device::kReference:
      return reference::count_not_finite(x);
    case Device::kCpu:
      return cpu::count_not_finite(ctx.pool, x);
    case Device::kCuda:
      break;
  }
  return cuda::count_not_finite(*ctx.stream, x);
}

}  // namespace hadal
