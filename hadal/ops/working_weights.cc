#include "hadal/ops/working_weights.h"

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

}  // namespace hadal
