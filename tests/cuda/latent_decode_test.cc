// Absorbed attention over the paged cache against doubles on the host. Everything that the kernels may
// not read is NaN: pages of no sequence, rows behind a sequence's last, and outputs before a call.
#include "hadal/kernels/cuda/hopper/latent_decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "hadal/kernels/latent_attention.h"
#include "tests/cuda/device_array.h"

namespace hadal::test {
namespace {

constexpr int64_t kLatent = 512, kRope = 64, kRow = kLatent + kRope;

struct Sequence {
  int32_t n_rows, n_queries;
  unsigned seed;               // of rows and queries: the same sequence again has the same ones
  int32_t n_seed_queries = 0;  // of which it has the first n_queries; 0: n_queries
};

struct Setting {
  int64_t n_heads = 16;
  LatentForm form = LatentForm::kBF16;
  bool bf16_out = false;
  int64_t rows_per_split = 0;
  unsigned page_seed = 1;
  float scale = 0.0722F;  // 192^-1/2
};

float draw(std::mt19937& random, float width) {
  return std::normal_distribution<float>(0, width)(random);
}

// Rows as they are stored, and what they mean.
struct Rows {
  std::vector<std::byte> bytes;
  std::vector<float> values;  // [n, 576]
};
Rows draw_rows(const LatentLayout& layout, int64_t n, std::mt19937& random) {
  Rows rows;
  const auto row_bytes = static_cast<size_t>(layout.row_bytes());
  rows.bytes.resize(static_cast<size_t>(n) * row_bytes);
  rows.values.resize(static_cast<size_t>(n * kRow));
  for (int64_t j = 0; j < n; ++j) {
    std::byte* to = rows.bytes.data() + static_cast<size_t>(j) * row_bytes;
    float* value = rows.values.data() + j * kRow;
    for (int64_t i = 0; i < kRow; ++i) {
      const float x = draw(random, 1);
      if (layout.form == LatentForm::kFp8 && i < kLatent) {
        // Any power of two will do, another for every tile.
        const float scale = std::ldexp(1.0F, static_cast<int>((j + i / 128) % 5) - 7);
        const f8e4m3 code = to_f8e4m3(x / scale);
        value[i] = to_float(code) * scale;
        std::memcpy(to + i, &code, 1);
        std::memcpy(to + layout.scales_at() + 4 * (i / 128), &scale, 4);
      } else {
        const bf16 rounded = to_bf16(x);
        value[i] = to_float(rounded);
        const int64_t at =
            layout.form == LatentForm::kFp8 ? layout.rope_at() + 2 * (i - kLatent) : 2 * i;
        std::memcpy(to + at, &rounded, 2);
      }
    }
  }
  return rows;
}

struct Call {
  std::vector<std::vector<float>> rows;  // of each sequence
  std::vector<float> q;                  // [tokens, heads, 576]
  std::vector<float> out;                // [tokens, heads, 512]; one token more, of no sequence
  std::vector<int32_t> first_query;
};

Call run(const Setting& setting, const std::vector<Sequence>& sequences) {
  const LatentLayout layout{setting.form, kLatent, kRope};
  const auto page_bytes = static_cast<size_t>(layout.page_bytes());
  Call result;
  int64_t n_pages = 3, max_pages = 1, max_queries = 1;
  std::vector<int32_t> n_rows, n_queries;
  int32_t n_tokens = 0;
  for (const Sequence& s : sequences) {
    n_pages += pages_for(s.n_rows);
    max_pages = std::max(max_pages, pages_for(s.n_rows));
    max_queries = std::max<int64_t>(max_queries, s.n_queries);
    n_rows.push_back(s.n_rows);
    n_queries.push_back(s.n_queries);
    result.first_query.push_back(n_tokens);
    n_tokens += s.n_queries;
  }
  ++n_tokens;

  std::vector<int32_t> ids(static_cast<size_t>(n_pages));
  std::iota(ids.begin(), ids.end(), 0);
  std::mt19937 shuffler(setting.page_seed);
  std::shuffle(ids.begin(), ids.end(), shuffler);
  std::vector<std::byte> pages(static_cast<size_t>(n_pages) * page_bytes, std::byte{0xFF});
  std::vector<int32_t> table(sequences.size() * static_cast<size_t>(max_pages), -1);
  // Strides that are not the widths: 8 columns of nothing behind each head, 16 behind each token.
  const int64_t latent_head = kLatent + 8, rope_head = kRope + 8;
  const int64_t latent_token = setting.n_heads * latent_head + 16;
  const int64_t rope_token = setting.n_heads * rope_head + 16;
  std::vector<bf16> q_latent(static_cast<size_t>(n_tokens * latent_token), bf16{0xFFFF});
  std::vector<bf16> q_rope(static_cast<size_t>(n_tokens * rope_token), bf16{0xFFFF});
  result.q.resize(static_cast<size_t>(n_tokens * setting.n_heads * kRow));
  size_t next_id = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    std::mt19937 random(sequences[s].seed);
    const int64_t n_drawn = std::max(sequences[s].n_queries, sequences[s].n_seed_queries);
    for (int64_t t = 0; t < n_drawn; ++t) {
      for (int64_t h = 0; h < setting.n_heads; ++h) {
        for (int64_t i = 0; i < kRow; ++i) {
          const bf16 x = to_bf16(draw(random, 1.5F));
          if (t >= sequences[s].n_queries) continue;
          const int64_t token = result.first_query[s] + t;
          result.q[static_cast<size_t>((token * setting.n_heads + h) * kRow + i)] = to_float(x);
          (i < kLatent
               ? q_latent[static_cast<size_t>(token * latent_token + h * latent_head + i)]
               : q_rope[static_cast<size_t>(token * rope_token + h * rope_head + i - kLatent)]) = x;
        }
      }
    }
    Rows rows = draw_rows(layout, sequences[s].n_rows, random);
    for (int64_t j = 0; j < sequences[s].n_rows; j += kPageRows) {
      const int32_t id = ids[next_id++];
      table[s * static_cast<size_t>(max_pages) + static_cast<size_t>(j / kPageRows)] = id;
      const int64_t n = std::min(kPageRows, sequences[s].n_rows - j) * layout.row_bytes();
      std::memcpy(pages.data() + static_cast<size_t>(id) * page_bytes,
                  rows.bytes.data() + j * layout.row_bytes(), static_cast<size_t>(n));
    }
    result.rows.push_back(std::move(rows.values));
  }

  const auto n_out = static_cast<size_t>(n_tokens * setting.n_heads * kLatent);
  const DeviceArray<float> out_f32(std::vector<float>(setting.bf16_out ? 0 : n_out, NAN));
  const DeviceArray<bf16> out_bf16(std::vector<bf16>(setting.bf16_out ? n_out : 0, bf16{0xFFFF}));
  const DeviceArray<bf16> q_latent_there(q_latent), q_rope_there(q_rope);
  const DeviceArray<std::byte> pages_there(pages);
  const DeviceArray<int32_t> table_there(table), rows_there(n_rows),
      first_there(result.first_query), queries_there(n_queries);
  cuda::LatentDecode call;
  call.q_latent = {q_latent_there.data(), latent_token, latent_head};
  call.q_rope = {q_rope_there.data(), rope_token, rope_head};
  if (setting.bf16_out) {
    call.o_bf16 = {out_bf16.data(), setting.n_heads * kLatent, kLatent};
  } else {
    call.o_f32 = {out_f32.data(), setting.n_heads * kLatent, kLatent};
  }
  call.n_tokens = n_tokens;
  call.n_heads = setting.n_heads;
  call.form = setting.form;
  call.pages = pages_there.data();
  call.n_pages = n_pages;
  call.n_sequences = static_cast<int64_t>(sequences.size());
  call.max_queries = max_queries;
  call.max_pages = max_pages;
  call.page_table = table_there.data();
  call.n_rows = rows_there.data();
  call.first_query = first_there.data();
  call.n_queries = queries_there.data();
  call.scale = setting.scale;
  call.rows_per_split = setting.rows_per_split;
  call.workspace_bytes = cuda::latent_decode_workspace_bytes(call);
  const DeviceArray<std::byte> workspace(
      std::vector<std::byte>(static_cast<size_t>(call.workspace_bytes), std::byte{0xFF}));
  call.workspace = workspace.data();
  cuda::latent_decode(call, nullptr);
  cuda::check(cudaDeviceSynchronize(), "latent_decode");

  if (setting.bf16_out) {
    for (const bf16 x : out_bf16.host()) result.out.push_back(to_float(x));
  } else {
    result.out = out_f32.host();
  }
  return result;
}

// o_latent of one query and head; it sees the first n_visible rows, which are whole pages in `rows`.
std::vector<double> expected(const float* q, const std::vector<double>& rows, int64_t n_visible,
                             double scale) {
  const std::vector<double> query(q, q + kRow);
  std::vector<double> o(kLatent);
  std::vector<int32_t> pages(static_cast<size_t>(pages_for(n_visible)));
  std::iota(pages.begin(), pages.end(), 0);
  SequenceRows sequence;
  sequence.pages = pages;
  sequence.n_rows = n_visible;
  sequence.first_query = 0;
  sequence.n_queries = 1;
  reference::latent_attention<double>({o.data(), {1, 1, kLatent}}, {query.data(), {1, 1, kLatent}},
                                      {query.data() + kLatent, {1, 1, kRope}},
                                      {rows.data(), {std::ssize(pages), kPageRows, kRow}},
                                      {&sequence, 1}, scale);
  return o;
}

// Probabilities are rounded to 8 bits, a relative error of 2^-9 at most each, in random directions: 2^-9 /
// sqrt(3) of the result's norm is 0.0011. A BF16 result adds as much.
void expect_right(const Setting& setting, const std::vector<Sequence>& sequences) {
  const Call call = run(setting, sequences);
  const int64_t n_heads = setting.n_heads;
  const int64_t step = std::max<int64_t>(1, n_heads / 12);  // some heads, the last among them
  for (size_t s = 0; s < sequences.size(); ++s) {
    std::vector<double> rows(call.rows[s].begin(), call.rows[s].end());
    rows.resize(static_cast<size_t>(pages_for(sequences[s].n_rows) * kPageRows * kRow), NAN);
    for (int64_t t = 0; t < sequences[s].n_queries; ++t) {
      const int64_t n_visible = sequences[s].n_rows - sequences[s].n_queries + t + 1;
      for (int64_t h = n_heads - 1; h >= 0; h -= step) {
        const int64_t at = (call.first_query[s] + t) * n_heads + h;
        const auto want =
            expected(call.q.data() + at * kRow, rows, n_visible, double{setting.scale});
        double error = 0, norm = 0;
        for (int64_t i = 0; i < kLatent; ++i) {
          const double got = double{call.out[static_cast<size_t>(at * kLatent + i)]};
          error += (got - want[static_cast<size_t>(i)]) * (got - want[static_cast<size_t>(i)]);
          norm += want[static_cast<size_t>(i)] * want[static_cast<size_t>(i)];
        }
        EXPECT_LT(std::sqrt(error / norm), 0.004)
            << sequences[s].n_rows << " rows, query " << t << " of " << sequences[s].n_queries
            << ", head " << h << " of " << n_heads;
      }
    }
  }
  const size_t written = call.out.size() - static_cast<size_t>(n_heads * kLatent);
  for (size_t i = 0; i < written; ++i) ASSERT_TRUE(std::isfinite(call.out[i])) << i;
  for (size_t i = written; i < call.out.size(); ++i) ASSERT_TRUE(std::isnan(call.out[i])) << i;
}

const std::vector<Sequence> kMany = {{1, 1, 1},   {2, 2, 2},    {63, 1, 3},
                                     {64, 2, 4},  {65, 3, 5},   {127, 4, 6},
                                     {700, 1, 7}, {128, 1, 13}, {3000, 2, 8}};

class LatentDecode : public testing::TestWithParam<LatentForm> {
 protected:
  void SetUp() override {
    if (!has_card()) GTEST_SKIP() << "no card here";
  }
};

TEST_P(LatentDecode, OnePage) {
  for (const int32_t n_rows : {64, 1, 17}) expect_right({.form = GetParam()}, {{n_rows, 1, 3}});
}
TEST_P(LatentDecode, PagesOfOnePiece) {
  for (const int32_t n_rows : {128, 129, 192, 1000}) {
    expect_right({.form = GetParam()}, {{n_rows, 1, 4}});
  }
}
TEST_P(LatentDecode, ManySequences) { expect_right({.form = GetParam()}, kMany); }
TEST_P(LatentDecode, OneHead) { expect_right({.n_heads = 1, .form = GetParam()}, kMany); }
TEST_P(LatentDecode, TwentyHeadsInShortPieces) {
  expect_right({.n_heads = 20, .form = GetParam(), .rows_per_split = 128}, kMany);
}
TEST_P(LatentDecode, AllHeadsOfTheModel) {
  expect_right({.n_heads = 128, .form = GetParam()}, {{65, 2, 9}, {700, 1, 10}, {2100, 3, 11}});
}
TEST_P(LatentDecode, BF16Results) {
  expect_right({.form = GetParam(), .bf16_out = true, .rows_per_split = 512}, kMany);
}
TEST_P(LatentDecode, ManyQueries) {
  expect_right({.n_heads = 3, .form = GetParam(), .rows_per_split = 64},
               {{64, 64, 12}, {200, 50, 13}, {130, 7, 14}});
}

// Twice the same, alone, and elsewhere in memory: the same bits.
TEST_P(LatentDecode, ASequenceAloneHasItsBits) {
  Setting setting{.n_heads = 20, .form = GetParam(), .rows_per_split = 256};
  const Call together = run(setting, kMany);
  for (size_t s = 0; s < kMany.size(); ++s) {
    setting.page_seed = static_cast<unsigned>(20 + s);
    const Call alone = run(setting, {kMany[s]});
    const int64_t row = setting.n_heads * kLatent;
    EXPECT_EQ(std::memcmp(alone.out.data(), together.out.data() + together.first_query[s] * row,
                          static_cast<size_t>(kMany[s].n_queries * row) * sizeof(float)),
              0)
        << kMany[s].n_rows;
  }
}

// A query has the same bits whether or not drafts follow it, here over the end of a page and of a piece.
TEST_P(LatentDecode, AQueryBeforeDraftsHasItsBits) {
  for (const int32_t n_rows : {70, 129, 130, 258}) {
    const Setting setting{.form = GetParam(), .rows_per_split = 128};
    const Call drafted = run(setting, {{n_rows, 4, 15}});
    const Call plain = run(setting, {{n_rows - 3, 1, 15, 4}});
    EXPECT_EQ(std::memcmp(drafted.out.data(), plain.out.data(),
                          static_cast<size_t>(setting.n_heads * kLatent) * sizeof(float)),
              0)
        << n_rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, LatentDecode, testing::Values(LatentForm::kBF16, LatentForm::kFp8),
                         [](const auto& form) {
                           return std::string(latent_form_name(form.param));
                         });

TEST(LatentDecodeCall, Workspace) {
  cuda::LatentDecode call;
  call.n_tokens = 3;
  call.n_heads = 16;
  call.max_pages = 16;  // 1024 rows, one piece
  EXPECT_EQ(cuda::latent_decode_workspace_bytes(call), 0);
  call.max_pages = 17;
  EXPECT_EQ(cuda::latent_decode_workspace_bytes(call), 3 * 16 * 2 * 514 * 4);
}
TEST(LatentDecodeCall, WhatCannotBeIsRefused) {
  cuda::LatentDecode call;
  call.n_tokens = call.n_sequences = call.n_heads = call.max_pages = 1;
  EXPECT_THROW(cuda::latent_decode(call, nullptr), ShapeError);
  call.form = LatentForm::kF32;
  EXPECT_THROW(cuda::latent_decode(call, nullptr), ShapeError);
}

}  // namespace
}  // namespace hadal::test
