// Rows of the latent cache in each form: what comes back, to which error, and where it lies.
#include "hadal/ops/latent_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/op_test.h"

namespace hadal {
namespace {

using test::random_values;

class LatentRowsTest : public testing::Test {
 protected:
  LatentPagesView pages(LatentForm form, int64_t d_c, int64_t d_rope, int64_t n_pages) {
    LatentPagesView view{{form, d_c, d_rope}, nullptr, n_pages};
    bytes_.assign(static_cast<size_t>(n_pages * view.layout.page_bytes()), 0xFF);
    view.data = reinterpret_cast<std::byte*>(bytes_.data());
    return view;
  }
  std::vector<float> stored(Context& ctx, const LatentPagesView& view, int64_t first,
                            const std::vector<float>& rows) {
    const int64_t d = view.layout.d_row(), n = static_cast<int64_t>(rows.size()) / d;
    store_latent_rows(ctx, view, ids_, first, {rows.data(), {n, d}});
    std::vector<float> back(rows.size());
    load_latent_rows(ctx, {back.data(), {n, d}}, view, ids_, first);
    return back;
  }

  const std::vector<int32_t> ids_ = {2, 0, 1};  // adjacent ones and a jump
  std::vector<uint8_t> bytes_;
  test::Machine cpu_machine_{Device::kCpu, 2};
  Context& cpu_ = cpu_machine_.ctx();
};

TEST_F(LatentRowsTest, V3RowsTakeThePublishedBytes) {
  EXPECT_EQ((LatentLayout{LatentForm::kF32, 512, 64}.row_bytes()), 2304);
  EXPECT_EQ((LatentLayout{LatentForm::kBF16, 512, 64}.row_bytes()), 1152);
  EXPECT_EQ((LatentLayout{LatentForm::kFp8, 512, 64}.row_bytes()), 656);
}

// F32 keeps every bit, BF16 8 of them, E4M3 4 beside the largest of 128 values.
TEST_F(LatentRowsTest, RowsComeBackToTheErrorOfTheirForm) {
  for (const auto& [d_c, d_rope] : {std::pair(512, 64), {37, 5}, {130, 2}, {1, 1}}) {
    const int64_t d = d_c + d_rope;
    std::vector<float> rows = random_values(100 * d, 1);
    for (int64_t c = 0; c < d; ++c) rows[static_cast<size_t>(3 * d + c)] = 0.0F;
    for (const LatentForm form : kLatentForms) {
      const LatentPagesView view = pages(form, d_c, d_rope, 3);
      const std::vector<float> back = stored(cpu_, view, 50, rows);
      const double rounding = form == LatentForm::kF32 ? 0.0 : 0x1p-8;
      for (size_t i = 0; i < rows.size(); ++i) {
        const bool code = form == LatentForm::kFp8 && static_cast<int64_t>(i) % d < d_c;
        // Of 4 bits, and of the last place of the smallest codes: the largest is below 448 scales.
        const double bound =
            code ? std::abs(rows[i]) * 0x1p-4 + 4.0 * 0x1p-10 / 224 : std::abs(rows[i]) * rounding;
        ASSERT_LE(std::abs(back[i] - rows[i]), bound)
            << latent_form_name(form) << " " << i / static_cast<size_t>(d) << ","
            << i % static_cast<size_t>(d);
      }
    }
  }
}

TEST_F(LatentRowsTest, BackendsWriteTheSameBytes) {
  for (const auto& [d_c, d_rope] : {std::pair(512, 64), {37, 5}, {130, 2}}) {
    const std::vector<float> rows = random_values(100 * (d_c + d_rope), 2);
    for (const LatentForm form : kLatentForms) {
      std::vector<float> back;
      std::vector<uint8_t> want;
      for (const Device device : test::all_devices()) {  // the reference comes first
        test::Machine machine(device, 2);
        const LatentPagesView view = pages(form, d_c, d_rope, 3);
        const std::vector<float> got = stored(machine.ctx(), view, 50, rows);
        if (device == Device::kReference) {
          back = got;
          want = bytes_;
        }
        EXPECT_EQ(got, back) << latent_form_name(form);
        EXPECT_EQ(bytes_, want) << latent_form_name(form);
      }
    }
  }
}

// What makes an FP8 row a BF16 row: nothing is lost when code times scale is stored in 16 bits.
TEST_F(LatentRowsTest, Fp8RowsAreBf16Rows) {
  const LatentPagesView view = pages(LatentForm::kFp8, 300, 6, 3);
  std::vector<float> rows = random_values(40 * 306, 3);
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] *= std::ldexp(1.0F, static_cast<int>(i % 41) - 20);
  for (const float value : stored(cpu_, view, 0, rows)) {
    EXPECT_EQ(to_float(to_bf16(value)), value);
  }
}

TEST_F(LatentRowsTest, NanStaysNan) {
  for (const Device device : test::all_devices()) {
    test::Machine machine(device);
    for (const LatentForm form : kLatentForms) {
      const LatentPagesView view = pages(form, 40, 4, 3);
      std::vector<float> rows = random_values(44, 4);
      rows[7] = rows[41] = std::nanf("");
      const std::vector<float> back = stored(machine.ctx(), view, 0, rows);
      for (size_t i = 0; i < 44; ++i) {
        EXPECT_EQ(std::isnan(back[i]), std::isnan(rows[i])) << latent_form_name(form) << " " << i;
      }
    }
  }
}

TEST_F(LatentRowsTest, RefusesRowsBeyondThePages) {
  const LatentPagesView view = pages(LatentForm::kBF16, 8, 2, 3);
  std::vector<float> rows(200 * 10);
  const auto store = [&](std::span<const int32_t> ids, int64_t first, int64_t n, int64_t d) {
    store_latent_rows(cpu_, view, ids, first, {rows.data(), {n, d}});
  };
  EXPECT_NO_THROW(store(ids_, 92, 100, 10));
  EXPECT_THROW(store(ids_, 93, 100, 10), ShapeError);
  EXPECT_THROW(store(ids_, 0, 100, 9), ShapeError);
  const std::vector<int32_t> wrong = {3};
  EXPECT_THROW(store(wrong, 0, 1, 10), ShapeError);
}

}  // namespace
}  // namespace hadal
