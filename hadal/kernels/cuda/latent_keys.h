// kernels/cuda/latent_keys.h: rows of the latent cache (kernels/latent_layout.h) as sources of tiles.
#pragma once

#include "hadal/kernels/cuda/tile.h"
#include "hadal/kernels/cuda/values.h"
#include "hadal/kernels/latent_layout.h"

namespace hadal::cuda {

// What of a layout a kernel needs.
struct LatentRowForm {
  int d_c;
  int64_t row_bytes, page_bytes, scales_at, rope_at;
  bool quads;

  explicit LatentRowForm(const LatentPagesView& pages)
      : d_c(static_cast<int>(pages.layout.d_c)),
        row_bytes(pages.layout.row_bytes()),
        page_bytes(pages.layout.page_bytes()),
        scales_at(pages.layout.scales_at()),
        rope_at(pages.layout.rope_at()) {
    const auto address = reinterpret_cast<uintptr_t>(pages.data);
    switch (pages.layout.form) {
      case LatentForm::kF32:
        quads = (address | static_cast<uintptr_t>(row_bytes)) % 16 == 0 && d_c % 4 == 0;
        return;
      case LatentForm::kBF16:
        quads = (address | static_cast<uintptr_t>(row_bytes)) % 8 == 0 && d_c % 4 == 0;
        return;
      case LatentForm::kFp8:
        quads = address % 4 == 0 && d_c % 4 == 0 && pages.layout.d_rope % 4 == 0;
        return;
    }
    quads = false;
  }
};

// Rows one behind the other.
template <LatentForm kForm>
struct LatentBlock {
  const std::byte* data;
  LatentRowForm form;
  bool quads;

  __device__ LatentBlock(const std::byte* data_, const LatentRowForm& form_)
      : data(data_), form(form_), quads(form_.quads) {}
  __device__ LatentBlock from(int64_t n) const { return {data + n * form.row_bytes, form}; }

  template <class T>
  __device__ static T read(const std::byte* from) {
    return *reinterpret_cast<const T*>(from);
  }
  __device__ float at(int row, int col) const {
    const std::byte* const from = data + row * form.row_bytes;
    if constexpr (kForm == LatentForm::kF32) return read<float>(from + 4 * col);
    if constexpr (kForm == LatentForm::kBF16) return value_of(read<bf16>(from + 2 * col));
    if (col >= form.d_c) return value_of(read<bf16>(from + form.rope_at + 2 * (col - form.d_c)));
    return value_of(read<f8e4m3>(from + col)) * scale(from, col);
  }
  // REQUIRES col a multiple of 4
  __device__ float4 quad(int row, int col) const {
    const std::byte* const from = data + row * form.row_bytes;
    if constexpr (kForm == LatentForm::kF32) return read<float4>(from + 4 * col);
    if constexpr (kForm == LatentForm::kBF16) {
      const uint2 two = read<uint2>(from + 2 * col);
      return of_bf16(two.x, two.y);
    }
    if (col >= form.d_c) {
      const std::byte* const rope = from + form.rope_at + 2 * (col - form.d_c);
      return of_bf16(read<unsigned>(rope), read<unsigned>(rope + 4));
    }
    const unsigned codes = read<unsigned>(from + col);
    const float s = scale(from, col);
    return {code(codes, 0) * s, code(codes, 1) * s, code(codes, 2) * s, code(codes, 3) * s};
  }

 private:
  __device__ float scale(const std::byte* row, int col) const {
    return read<float>(row + form.scales_at + 4 * (col / LatentLayout::kTile));
  }
  __device__ static float code(unsigned codes, int i) {
    return value_of(f8e4m3{static_cast<uint8_t>(codes >> 8 * i & 0xFF)});
  }
  __device__ static float4 of_bf16(unsigned low, unsigned high) {
    return {__uint_as_float(low << 16), __uint_as_float(low & 0xFFFF0000U),
            __uint_as_float(high << 16), __uint_as_float(high & 0xFFFF0000U)};
  }
};

// The keys of one sequence; tiles begin with a page.
template <LatentForm kForm>
struct LatentKeys {
  const std::byte* data;
  LatentRowForm form;
  const int32_t* pages;  // of the sequence

  // REQUIRES key a multiple of kPageRows
  __device__ LatentBlock<kForm> from(int64_t key) const {
    return {data + pages[key / kPageRows] * form.page_bytes, form};
  }
};
static_assert(kAttentionTile == kPageRows);

}  // namespace hadal::cuda
