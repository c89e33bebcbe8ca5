#include "hadal/ops/working_weights.h"

#include <cstring>

#include "hadal/core/checked_math.h"
#include "hadal/ops/convert.h"
#include "hadal/ops/quantize.h"

namespace hadal {
namespace {

void remake_bf16(Context& ctx, Param& weight) {
  if (!std::holds_alternative<Tensor>(weight.working)) {
    weight.working = ctx.empty(weight.shape(), DType::kBF16);
  }
  convert(ctx, std::get<Tensor>(weight.working), weight.master);
}

void remake_fp8(Context& ctx, Param& weight, bool power_of_two) {
  const int64_t n_out = weight.shape()[0], n_in = weight.shape()[1];
  if (!std::holds_alternative<Quantized>(weight.working)) {
    weight.working = Quantized{ctx.empty({n_out, n_in}, DType::kF8E4M3),
                               ctx.empty({ceil_div(n_out, kFp8Tile), ceil_div(n_in, kFp8Tile)}),
                               kWeightBlocks, n_out, n_in};
  }
  auto& blocks = std::get<Quantized>(weight.working);
  quantize_blocks(ctx, blocks.codes.view<f8e4m3, 2>(), blocks.scales.mat(),
                  std::as_const(weight.master).mat(), power_of_two);
}

std::span<std::byte> row_bytes(Tensor& tensor, int64_t first, int64_t last) {
  const int64_t row = tensor.dim(0) == 0 ? 0 : tensor.bytes() / tensor.dim(0);
  return {static_cast<std::byte*>(tensor.raw()) + first * row,
          static_cast<size_t>((last - first) * row)};
}

void remake_rows(Context& ctx, const WorkingRows& each) {
  const View<const float, 2> masters = each.masters->mat();
  const int64_t last = each.first + masters.dim(0);
  switch (each.form) {
    case WorkingForm::kMaster:
      return;
    case WorkingForm::kBf16: {
      Tensor rows = ctx.empty(each.masters->shape(), DType::kBF16);
      convert(ctx, rows, *each.masters);
      const std::span<std::byte> place =
          row_bytes(std::get<Tensor>(each.weight->working), each.first, last);
      std::memcpy(place.data(), rows.raw(), place.size());
      return;
    }
    case WorkingForm::kFp8:
    case WorkingForm::kFp8F32Scales: {
      auto& blocks = std::get<Quantized>(each.weight->working);
      quantize_blocks(ctx, blocks.codes.view<f8e4m3, 2>().rows(each.first, last),
                      blocks.scales.mat().rows(each.first / kFp8Tile, ceil_div(last, kFp8Tile)),
                      masters, each.form == WorkingForm::kFp8);
      return;
    }
  }
}

void remake(Context& ctx, const WorkingWeight& each) {
  switch (each.form) {
    case WorkingForm::kMaster:
      each.weight->working = {};
      return;
    case WorkingForm::kBf16:
      return remake_bf16(ctx, *each.weight);
    case WorkingForm::kFp8:
      return remake_fp8(ctx, *each.weight, true);
    case WorkingForm::kFp8F32Scales:
      return remake_fp8(ctx, *each.weight, false);
  }
}

}  // namespace

void remake_working_weights(Context& ctx, std::span<const WorkingWeight> weights) {
  if (weights.size() == 1 || ctx.device == Device::kCuda) {
    for (const WorkingWeight& each : weights) remake(ctx, each);
    return;
  }
  ctx.pool.parallel_tasks(static_cast<int64_t>(weights.size()), [&](int64_t task, int) {
    remake(ctx, weights[static_cast<size_t>(task)]);
  });
}

void remake_working_rows(Context& ctx, std::span<const WorkingRows> rows) {
  ctx.pool.parallel_tasks(static_cast<int64_t>(rows.size()), [&](int64_t task, int) {
    remake_rows(ctx, rows[static_cast<size_t>(task)]);
  });
}

Stretches working_bytes(Param& weight, WorkingForm form, int64_t first, int64_t last) {
  switch (form) {
    case WorkingForm::kMaster:
      return {row_bytes(weight.master, first, last)};
    case WorkingForm::kBf16:
      return {row_bytes(std::get<Tensor>(weight.working), first, last)};
    case WorkingForm::kFp8:
    case WorkingForm::kFp8F32Scales:
      break;
  }
  auto& blocks = std::get<Quantized>(weight.working);
  return {row_bytes(blocks.codes, first, last),
          row_bytes(blocks.scales, first / kFp8Tile, ceil_div(last, kFp8Tile))};
}

}  // namespace hadal
