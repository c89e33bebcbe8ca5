// nn/kept_rows.h: activations [T, d] in the form in which they wait, from F to B or from B to W.
#pragma once

#include <variant>
#include <vector>

#include "hadal/ops/quantize.h"
#include "hadal/ops/quantize_e5m6.h"
#include "hadal/tensor/context.h"

namespace hadal {

class KeptRows {
 public:
  KeptRows() = default;  // no rows
  // F32, nothing rounded; is_bf16 where every value is one of BF16.
  static KeptRows as_is(const Tensor& x, bool is_bf16 = false);
  static KeptRows bf16_of(Context& ctx, const Tensor& x);                             // 2 bytes
  static KeptRows fp8_of(Context& ctx, const Tensor& x, const TileOptions& options);  // 1x128

  static KeptRows e5m6_of(Context& ctx, const Tensor& x);  // 12 bits

  bool has_data() const { return !std::holds_alternative<std::monostate>(rows_); }
  KeptRows share() const;
  Tensor f32(Context& ctx) const;            // shared where they are F32
  bool is_bf16() const { return is_bf16_; }  // every value is one of BF16
  bool is_fp8() const { return std::holds_alternative<Quantized>(rows_); }
  int64_t bytes() const;  // that keeping them takes
  // The tensors they are, row by row: values, or codes and scales.
  std::vector<Tensor> parts() const;
  // As many rows of the same form, contents undefined until somebody fills their parts.
  KeptRows empty_as(Context& ctx, int64_t n_rows) const;
  // What tells these elements from others, as long as somebody keeps them.
  const void* id() const;

 private:
  std::variant<std::monostate, Tensor, Quantized, E5m6Rows> rows_;
  bool is_bf16_ = false;
};

}  // namespace hadal
