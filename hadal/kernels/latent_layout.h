// kernels/latent_layout.h: how a row of the latent cache, [c_kv (d_c) | k_rope (d_r)], is stored.
//
//   kF32    d_c + d_r F32                                                     2304 B in DeepSeek-V3
//   kBF16   d_c + d_r BF16                                                    1152 B
//   kFp8    d_c E4M3 codes, one F32 scale per 128 of them, d_r BF16            656 B
//
// Scales are powers of two, so that code * scale is a BF16 number: an FP8 row is a BF16 row in fewer
// bytes, and whatever reads BF16 rows reads it without a further rounding. The rotary part stays BF16:
// it has 64 values that no norm bounds. docs/latent_cache.md has the errors of each form.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "hadal/kernels/paged_rows.h"
#include "hadal/tensor/weight_view.h"

namespace hadal {

enum class LatentForm : uint8_t { kF32, kBF16, kFp8 };
inline constexpr LatentForm kLatentForms[] = {LatentForm::kF32, LatentForm::kBF16,
                                              LatentForm::kFp8};

inline std::string_view latent_form_name(LatentForm form) {
  switch (form) {
    case LatentForm::kF32:
      return "f32";
    case LatentForm::kBF16:
      return "bf16";
    case LatentForm::kFp8:
      return "fp8";
  }
  return "";
}
inline std::optional<LatentForm> latent_form_from_name(std::string_view name) {
  for (const LatentForm form : kLatentForms) {
    if (latent_form_name(form) == name) return form;
  }
  return std::nullopt;
}

struct LatentLayout {
  static constexpr int64_t kTile = 128;  // codes that share a scale

  LatentForm form = LatentForm::kF32;
  int64_t d_c = 0, d_rope = 0;

  int64_t d_row() const { return d_c + d_rope; }
  int64_t n_scales() const { return ceil_div(d_c, kTile); }
  // kFp8: where in a row the parts behind the codes begin. Scales keep the alignment of F32.
  int64_t scales_at() const { return round_up(d_c, 4); }
  int64_t rope_at() const { return scales_at() + 4 * n_scales(); }
  int64_t row_bytes() const {
    switch (form) {
      case LatentForm::kF32:
        return 4 * d_row();
      case LatentForm::kBF16:
        return 2 * d_row();
      case LatentForm::kFp8:
        return round_up(rope_at() + 2 * d_rope, 4);
    }
    return 0;
  }
  int64_t page_bytes() const { return kPageRows * row_bytes(); }
};

// Rows that lie one behind the other. Owns nothing.
struct LatentRows {
  LatentLayout layout;
  std::byte* data = nullptr;
  int64_t n = 0;

  // Both parts as matrices [n, d_c] and [n, d_r] in the form in which they are stored.
  WeightView content() const { return part(0, layout.d_c, /*codes=*/true); }
  WeightView rope() const {
    switch (layout.form) {
      case LatentForm::kF32:
        return part(4 * layout.d_c, layout.d_rope, false);
      case LatentForm::kBF16:
        return part(2 * layout.d_c, layout.d_rope, false);
      case LatentForm::kFp8:
        return part(layout.rope_at(), layout.d_rope, false);
    }
    return {};
  }
  // kFp8. As an op writes them: codes [n, d_c], scales [n, n_scales].
  View<f8e4m3, 2> codes() const {
    return {reinterpret_cast<f8e4m3*>(data), {n, layout.d_c}, {layout.row_bytes(), 1}};
  }
  View<float, 2> scales() const {
    return {reinterpret_cast<float*>(data + layout.scales_at()),
            {n, layout.n_scales()},
            {layout.row_bytes() / 4, 1}};
  }

 private:
  WeightView part(int64_t at, int64_t cols, bool codes) const {
    WeightView w;
    w.form = layout.form == LatentForm::kF32 ? WeightForm::kF32 : WeightForm::kBF16;
    if (codes && layout.form == LatentForm::kFp8) {
      w.form = WeightForm::kFp8;
      w.scales = {scales().data(), scales().stride(0), {1, LatentLayout::kTile}};
    }
    w.data = data + at;
    w.rows = n;
    w.cols = cols;
    w.row_stride = layout.row_bytes() * 8 / bits_per_value(w.form);
    return w;
  }
};

// All pages of one layer. Owns nothing.
struct LatentPagesView {
  LatentLayout layout;
  std::byte* data = nullptr;
  int64_t n_pages = 0;

  // `n` rows from row `first` of a page on; they may go on in the pages with the next ids.
  LatentRows rows(int32_t page, int64_t first, int64_t n) const {
    return {layout, data + page * layout.page_bytes() + first * layout.row_bytes(), n};
  }
};

}  // namespace hadal
