// nn/linear_input.h: rows [T, d] as the products of a linear read them: its input x, or the gradient
// dy of its output. Rounded once; linears that read the same rows share one.
#pragma once

#include <span>

#include "hadal/nn/kept_rows.h"
#include "hadal/nn/precision.h"
#include "hadal/ops/column_groups.h"

namespace hadal {

// How a linear rounds: what its products share.
struct LinearPrecision {
  Precision products = Precision::kF32;
  WeightGradientTiles tiles = WeightGradientTiles::kRetiled;  // FP8 training alone
  KeptNorms norms = KeptNorms::kInputs;                       // of the norm in front; the same

  LinearPrecision() = default;
  LinearPrecision(Precision p,  // NOLINT(google-explicit-constructor): the usual case
                  WeightGradientTiles t = WeightGradientTiles::kRetiled,
                  KeptNorms n = KeptNorms::kInputs)
      : products(p), tiles(t), norms(n) {}
  bool operator==(const LinearPrecision&) const = default;

  // What waits for the way back beside the inputs of linears takes the form that belongs to theirs.
  // Inputs of norms and latents: BF16 in BF16 and FP8 training.
  KeptRows kept_stream(Context& ctx, const Tensor& x) const;
  // gate and up of SwiGLU: E4M3 tiles in FP8 training.
  KeptRows kept_swiglu_input(Context& ctx, const Tensor& x) const;

  // What attention gave: B needs it once more, and so does W. E5M6 tiles in FP8 training; in BF16
  // training `rounded`, the input of the linear behind it.
  KeptRows kept_attention_output(Context& ctx, const Tensor& o, const KeptRows& rounded) const;

  // x as y = x W^T reads it.
  KeptRows rounded_input(Context& ctx, const Tensor& x) const;
  // dy as dx = dy W reads it.
  KeptRows rounded_gradient(Context& ctx, const Tensor& dy) const;
  bool quantises_columns() const {
    return trains_in_fp8(products) && tiles == WeightGradientTiles::kColumns;
  }
  bool keeps_norm_outputs() const {
    return trains_in_fp8(products) && norms == KeptNorms::kOutputs;
  }
};

class LinearInput {
 public:
  LinearInput() = default;  // no rows
  LinearInput(Context& ctx, const Tensor& x, LinearPrecision precision);
  // What was rounded before, or is kept in another form for the way back.
  explicit LinearInput(KeptRows rows) : rows_(std::move(rows)) {}

  // The input or gradient of experts: rows in groups (ops/column_groups.h). Where the columns of a
  // weight gradient are quantised beside the rows, `high` are the rows before they were rounded.
  static LinearInput of_groups(Context& ctx, KeptRows rows, const Tensor& high,
                               LinearPrecision precision, std::span<const int64_t> offsets);
  static LinearInput gradient(Context& ctx, const Tensor& dy, LinearPrecision precision);

  bool has_data() const { return rows_.has_data() || columns_.has_data(); }
  LinearInput share() const;
  // The same without what W does not read.
  LinearInput for_weight_gradient() const;
  const KeptRows& rows() const { return rows_; }
  Tensor f32(Context& ctx) const { return rows_.f32(ctx); }
  bool is_bf16() const { return rows_.is_bf16(); }
  int64_t bytes() const { return rows_.bytes() + columns_bytes(); }

  // What dW += dy^T x multiplies: the rows, or in FP8 training their 128x1 tiles, whose values these
  // are. offsets: of the groups of rows; empty where they are one.
  Tensor weight_gradient_operand(Context& ctx, Precision precision,
                                 std::span<const int64_t> offsets = {}) const;
  bool weight_gradient_is_bf16(Precision precision) const;  // every value of it
  const void* id() const;

 private:
  int64_t columns_bytes() const { return columns_.has_data() ? columns_.bytes() : 0; }
  KeptRows rows_;
  ColumnGroups columns_;  // only where they are quantised beside the rows
};

// Whether dW += dy^T x multiplies BF16 by BF16.
inline bool weight_gradient_is_bf16(const LinearInput& dy, const LinearInput& x, Precision p) {
  return dy.weight_gradient_is_bf16(p) && x.weight_gradient_is_bf16(p);
}

}  // namespace hadal
