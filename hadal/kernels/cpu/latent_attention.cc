// Attention on the latent cache. All heads, and all queries of a sequence, share the keys, so a block
// of the cache is read once for all of them. A task is the queries of one sequence and a range of
// keys; its partial result (as if there were no other keys) is merged with the others in ascending
// order. Ranges and blocks begin at fixed keys: neither the thread count nor other queries and sequences
// change a bit.
#include "hadal/kernels/latent_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "hadal/kernels/cpu/attention_rows.h"
#include "hadal/kernels/cpu/few_rows.h"
#include "hadal/kernels/cpu/latent_block.h"
#include "hadal/kernels/cpu/scratch.h"
#include "hadal/kernels/latent_ranges.h"
#include "hadal/kernels/latent_rows.h"

namespace hadal::cpu {
namespace {

constexpr int64_t kBlock = kLatentBlock;

// The queries of one sequence, all heads of a query side by side: H n_queries rows.
struct Group {
  SequenceRows sequence;
  int64_t n_ranges, first_task, first_row, first_partial;  // counted over the groups before

  int64_t n_visible(int64_t query) const {  // keys
    return sequence.n_rows - sequence.n_queries + query + 1;
  }
};

// What each task leaves behind: for every row o [d_c], the largest score, the sum.
struct Partials {
  int64_t H, d_c;
  float* storage;

  int64_t row_floats() const { return d_c + 2; }
  int64_t task_floats(const Group& group) const {
    return group.sequence.n_queries * H * row_floats();
  }
  View<float, 2> of(const Group& group, int64_t range) const {
    return {storage + group.first_partial + range * task_floats(group),
            {group.sequence.n_queries * H, row_floats()}};
  }
};

// One more than there are: the last one begins where all end.
std::vector<Group> groups_of(std::span<const SequenceRows> sequences, int64_t H, int64_t d_c) {
  std::vector<Group> groups;
  int64_t n_tasks = 0, n_rows = 0, n_floats = 0;
  for (const SequenceRows& sequence : sequences) {
    if (sequence.n_queries == 0) continue;
    const int64_t n = n_ranges(sequence.n_rows), rows = sequence.n_queries * H;
    groups.push_back({sequence, n, n_tasks, n_rows, n_floats});
    n_tasks += n;
    n_rows += rows;
    n_floats += n * rows * (d_c + 2);
  }
  groups.push_back({{}, 0, n_tasks, n_rows, n_floats});
  return groups;
}
const Group& group_of(std::span<const Group> groups, int64_t number, int64_t Group::*first) {
  return *std::prev(std::ranges::upper_bound(groups, number, {}, first));
}

// Query rows [H n_queries, d_c + d_r], latent and rotary part side by side.
void gather_queries(View<float, 2> to, View<const float, 3> q_latent, View<const float, 3> q_rope,
                    const SequenceRows& sequence) {
  const int64_t H = q_latent.dim(1);
  for (int64_t r = 0; r < to.dim(0); ++r) {
    const int64_t t = sequence.first_query + r / H, h = r % H;
    const float* const latent = q_latent.data() + t * q_latent.stride(0) + h * q_latent.stride(1);
    const float* const rope = q_rope.data() + t * q_rope.stride(0) + h * q_rope.stride(1);
    float* const end = std::copy_n(latent, q_latent.dim(2), to.row(r).data());
    std::copy_n(rope, q_rope.dim(2), end);
  }
}

// The products in F32, of rows in any form.
class PlainProducts {
 public:
  PlainProducts(ThreadPool& pool, View<const float, 2> queries, const LatentLayout& layout)
      : pool_(pool), queries_(queries), layout_(layout) {}

  // Of the pieces of a block, each within a page, `at` rows into the block.
  void scores(View<float, 2> s, const LatentRows& piece, int64_t at, ReadAhead /*ahead*/) {
    thread_local Scratch widened_scratch;
    const int64_t d_c = layout_.d_c, d = layout_.d_row();
    Keys& keys = keys_[at / kPageRows] = {piece.content(), piece.rope()};
    // Widening pays once several portions of rows read the result (few_rows.cc).
    if (layout_.form != LatentForm::kF32 && queries_.dim(0) > kFewQueries) {
      float* const block = widened_scratch.take(kBlock * d) + at * d;
      const View<float, 2> widened(block, {piece.n, d});
      load_latent_rows(pool_, widened, piece);
      keys = {WeightView(widened.columns(0, d_c)), WeightView(widened.columns(d_c, d))};
    }
    few_rows_nt(s, queries_.columns(0, d_c), keys.content, false);
    few_rows_nt(s, queries_.columns(d_c, d), keys.rope, true);
  }
  void prepare_values(View<const float, 2> p) { p_ = p; }
  void values(View<float, 2> o, int64_t at, int64_t n, bool accumulate) {
    few_rows_nn(o, p_.columns(at, at + n), keys_[at / kPageRows].content, accumulate);
  }

 private:
  static constexpr int64_t kFewQueries = 16;
  struct Keys {
    WeightView content, rope;
  };
  ThreadPool& pool_;
  View<const float, 2> queries_, p_;
  LatentLayout layout_;
  Keys keys_[kBlock / kPageRows];
};

// The products of BF16 pairs, of BF16 and FP8 rows.
class Bf16Products {
 public:
  Bf16Products(ThreadPool& /*pool*/, View<const float, 2> queries, const LatentLayout& layout)
      : layout_(layout) {
    thread_local Scratch query_scratch, p_scratch, key_scratch;
    const int64_t R = queries.dim(0), d = queries.dim(1), d_padded = round_up(d, kBf16Step);
    const auto rows = [](Scratch& scratch, int64_t n, int64_t cols) {
      return View<bf16, 2>(reinterpret_cast<bf16*>(scratch.take(ceil_div(n * cols, int64_t{2}))),
                           {n, cols});
    };
    const View<bf16, 2> rounded = rows(query_scratch, R, d_padded);
    for (int64_t r = 0; r < R; ++r) {
      bf16_round(rounded.row(r).data(), queries.row(r).data(), d);
      std::fill(rounded.row(r).begin() + d, rounded.row(r).end(), bf16{0});
    }
    queries_ = rounded;
    p_ = rows(p_scratch, R, kBlock);
    if (layout.form == LatentForm::kFp8) block_ = rows(key_scratch, kBlock, d);
  }

  void scores(View<float, 2> s, const LatentRows& piece, int64_t at, ReadAhead ahead) {
    View<const bf16, 2>& keys = keys_[at / kPageRows];
    if (layout_.form == LatentForm::kFp8) {
      const View<bf16, 2> widened = block_.rows(at, at + piece.n);
      fp8_rows_as_bf16(widened, piece, ahead);
      keys = widened;
      bf16_scores(s, queries_, keys, {});
    } else {
      keys = {reinterpret_cast<const bf16*>(piece.data), {piece.n, layout_.d_row()}};
      bf16_scores(s, queries_, keys, ahead);
    }
  }
  void prepare_values(View<const float, 2> p) {
    for (int64_t r = 0; r < p.dim(0); ++r) {
      bf16_round(p_.row(r).data(), p.row(r).data(), p.dim(1));
      if (p.dim(1) % 2 == 1) p_(r, p.dim(1)) = bf16{0};
    }
  }
  void values(View<float, 2> o, int64_t at, int64_t n, bool accumulate) {
    bf16_values(o, p_.columns(at, at + n), keys_[at / kPageRows].columns(0, layout_.d_c),
                accumulate);
  }

 private:
  LatentLayout layout_;
  View<const bf16, 2> queries_;
  View<bf16, 2> p_, block_;
  View<const bf16, 2> keys_[kBlock / kPageRows];
};

template <class Products>
void attend_range(ThreadPool& pool, const Group& group, int64_t range, View<float, 2> partial,
                  View<const float, 3> q_latent, View<const float, 3> q_rope,
                  const LatentPagesView& pages, float scale) {
  thread_local Scratch query_scratch, score_scratch;
  const int64_t R = partial.dim(0), H = q_latent.dim(1), d = pages.layout.d_row(),
                d_c = pages.layout.d_c;
  const auto page_at = [&](int64_t key, int64_t n) {
    return pages.rows(group.sequence.pages[static_cast<size_t>(key / kPageRows)], 0, n);
  };
  const int64_t begin = range_begin(range),
                end = std::min(range_begin(range + 1), group.sequence.n_rows);
  ask_for(page_at(begin, 0).data,
          std::min(ReadAhead::kRows, end - begin) * pages.layout.row_bytes());
  const View<float, 2> queries(query_scratch.take(R * d), {R, d});
  gather_queries(queries, q_latent, q_rope, group.sequence);
  Products products(pool, queries, pages.layout);
  const View<float, 2> o = partial.columns(0, d_c);
  std::vector<RunningSoftmax> softmax(static_cast<size_t>(R),
                                      {-std::numeric_limits<float>::infinity(), 0.0F});
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t n = std::min(kBlock, end - block);
    const View<float, 2> s(score_scratch.take(R * kBlock), {R, n}, {kBlock, 1});
    for (int64_t at = 0; at < n; at += kPageRows) {
      const int64_t n_piece = std::min(kPageRows, n - at);
      const bool last = block + at + n_piece >= end;
      products.scores(s.columns(at, at + n_piece), page_at(block + at, n_piece), at,
                      {last ? nullptr : page_at(block + at + kPageRows, 0).data});
    }
    for (int64_t r = 0; r < R; ++r) {
      const int64_t n_seen = std::clamp<int64_t>(group.n_visible(r / H) - block, 0, n);
      const float factor =
          softmax_next_block(softmax[static_cast<size_t>(r)], s.row(r).data(), n_seen, n, scale);
      if (block > begin) scale_row(o.row(r).data(), d_c, factor);
    }
    products.prepare_values(s);
    for (int64_t at = 0; at < n; at += kPageRows) {
      products.values(o, at, std::min(kPageRows, n - at), at > 0 || block > begin);
    }
  }
  for (int64_t r = 0; r < R; ++r) {
    partial(r, d_c) = softmax[static_cast<size_t>(r)].largest;
    partial(r, d_c + 1) = softmax[static_cast<size_t>(r)].sum;
  }
}

// o = sum_b w_b o_b / sum_b w_b sum_b,   w_b = exp(largest_b - largest of all), over the ranges of
// which the query sees a key.
void merge_ranges(const Partials& partials, const Group& group, int64_t row, std::span<float> o) {
  const int64_t n = n_ranges(group.n_visible(row / partials.H)), d_c = partials.d_c;
  const View<float, 2> parts(partials.of(group, 0).row(row).data(), {n, partials.row_floats()},
                             {partials.task_floats(group), 1});
  float largest = parts(0, d_c);
  for (int64_t b = 1; b < n; ++b) largest = std::max(largest, parts(b, d_c));
  std::vector<float> weights(static_cast<size_t>(n));
  float sum = 0.0F;
  for (int64_t b = 0; b < n; ++b) {
    weights[static_cast<size_t>(b)] = std::exp(parts(b, d_c) - largest);
    sum += weights[static_cast<size_t>(b)] * parts(b, d_c + 1);
  }
  for (float& weight : weights) weight /= sum;
  few_rows_nn({o.data(), {1, d_c}}, View<const float, 2>(weights.data(), {1, n}),
              WeightView(parts.columns(0, d_c)), false);
}

}  // namespace

void latent_attention(ThreadPool& pool, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, const LatentPagesView& pages,
                      std::span<const SequenceRows> sequences, float scale) {
  const int64_t H = q_latent.dim(1), d_c = q_latent.dim(2);
  if (H == 0) return;
  const std::vector<Group> groups = groups_of(sequences, H, d_c);
  const Group& end = groups.back();
  if (end.first_task == 0) return;
  thread_local Scratch partial_scratch;
  const Partials partials{H, d_c, partial_scratch.take(end.first_partial)};
  const bool pairs = pages.layout.form != LatentForm::kF32 && has_bf16_products();
  pool.parallel_tasks(end.first_task, [&](int64_t task, int) {
    const Group& group = group_of(groups, task, &Group::first_task);
    const int64_t range = task - group.first_task;
    const auto attend = pairs ? attend_range<Bf16Products> : attend_range<PlainProducts>;
    attend(pool, group, range, partials.of(group, range), q_latent, q_rope, pages, scale);
  });
  pool.parallel_for(end.first_row, 4, [&](int64_t begin, int64_t stop, int) {
    for (int64_t i = begin; i < stop; ++i) {
      const Group& group = group_of(groups, i, &Group::first_row);
      const int64_t row = i - group.first_row, t = group.sequence.first_query + row / H;
      float* const o = o_latent.data() + t * o_latent.stride(0) + row % H * o_latent.stride(1);
      merge_ranges(partials, group, row, {o, static_cast<size_t>(d_c)});
    }
  });
}

}  // namespace hadal::cpu
