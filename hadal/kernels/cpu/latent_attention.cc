// Attention on the latent cache. All heads share the keys, so one block of the cache is read once
// for all of them. Each task is one query and one page of keys; its partial result (as if there were
// no other keys) is merged with the others in ascending order. Pages begin at fixed keys: neither the
// thread count nor other queries and sequences change a bit.
#include "hadal/kernels/latent_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "hadal/kernels/cpu/attention_rows.h"
#include "hadal/kernels/cpu/few_rows.h"
#include "hadal/kernels/cpu/scratch.h"

namespace hadal::cpu {
namespace {

// The [H, d] matrix of one token; the [64, d] rows of one page.
template <class T>
View<T, 2> of_token(View<T, 3> x, int64_t t) {
  return {x.data() + t * x.stride(0), {x.dim(1), x.dim(2)}, {x.stride(1), 1}};
}

// One query, and the blocks of keys it sees: one a page.
struct Query {
  int64_t row;        // among all queries
  int64_t n_visible;  // keys
  int64_t first_task;
  const int32_t* pages;
  int64_t n_blocks() const { return pages_for(n_visible); }
};

std::vector<Query> queries_of(std::span<const SequenceRows> sequences) {
  std::vector<Query> queries;
  int64_t n_tasks = 0;
  for (const SequenceRows& sequence : sequences) {
    for (int64_t i = 0; i < sequence.n_queries; ++i) {
      queries.push_back({sequence.first_query + i, sequence.n_rows - sequence.n_queries + i + 1,
                         n_tasks, sequence.pages.data()});
      n_tasks += queries.back().n_blocks();
    }
  }
  return queries;
}

// What each task leaves behind.
struct Partials {
  int64_t H, d_c;
  float* storage;

  static int64_t floats(int64_t n_tasks, int64_t H, int64_t d_c) { return n_tasks * H * (d_c + 2); }
  float* of(int64_t task) const { return storage + task * H * (d_c + 2); }
  View<float, 2> o(int64_t task) const { return {of(task), {H, d_c}}; }
  float& largest(int64_t task, int64_t h) const { return of(task)[H * d_c + h]; }
  float& sum(int64_t task, int64_t h) const { return of(task)[H * (d_c + 1) + h]; }
};

void attend_block(const Partials& partials, int64_t task, View<const float, 2> q_latent,
                  View<const float, 2> q_rope, View<const float, 2> keys, float scale) {
  thread_local Scratch score_scratch;
  const int64_t H = q_latent.dim(0), d_c = q_latent.dim(1), n = keys.dim(0);
  const View<float, 2> s(score_scratch.take(H * kPageRows), {H, n}, {kPageRows, 1});
  few_rows_nt(s, q_latent, keys.columns(0, d_c), false);
  few_rows_nt(s, q_rope, keys.columns(d_c, keys.dim(1)), true);
  for (int64_t h = 0; h < H; ++h) {
    RunningSoftmax softmax{-std::numeric_limits<float>::infinity(), 0.0F};
    softmax_next_block(softmax, s.row(h).data(), n, n, scale);
    partials.largest(task, h) = softmax.largest;
    partials.sum(task, h) = softmax.sum;
  }
  few_rows_nn(partials.o(task), s, keys.columns(0, d_c), false);
}

// o = sum_b w_b o_b / sum_b w_b sum_b,   w_b = exp(largest_b - largest of all)
void merge_blocks(const Partials& partials, const Query& query, int64_t h, std::span<float> o) {
  const int64_t begin = query.first_task, end = begin + query.n_blocks();
  float largest = partials.largest(begin, h);
  for (int64_t b = begin + 1; b < end; ++b) largest = std::max(largest, partials.largest(b, h));
  std::fill(o.begin(), o.end(), 0.0F);
  float sum = 0.0F;
  for (int64_t b = begin; b < end; ++b) {
    const float weight = std::exp(partials.largest(b, h) - largest);
    sum += weight * partials.sum(b, h);
    const float* part = partials.o(b).row(h).data();
    for (size_t c = 0; c < o.size(); ++c) o[c] += weight * part[c];
  }
  scale_row(o.data(), static_cast<int64_t>(o.size()), 1.0F / sum);
}

}  // namespace

void latent_attention(ThreadPool& pool, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, View<const float, 3> pages,
                      std::span<const SequenceRows> sequences, float scale) {
  const int64_t H = q_latent.dim(1), d_c = q_latent.dim(2);
  const std::vector<Query> queries = queries_of(sequences);
  if (queries.empty() || H == 0) return;
  thread_local Scratch partial_scratch;
  const int64_t n_tasks = queries.back().first_task + queries.back().n_blocks();
  const Partials partials{H, d_c, partial_scratch.take(Partials::floats(n_tasks, H, d_c))};
  pool.parallel_tasks(n_tasks, [&](int64_t task, int) {
    const auto after = std::ranges::upper_bound(queries, task, {}, &Query::first_task);
    const Query& query = *std::prev(after);
    const int64_t block = task - query.first_task;
    const int64_t n_keys = std::min(kPageRows, query.n_visible - block * kPageRows);
    attend_block(partials, task, of_token(q_latent, query.row), of_token(q_rope, query.row),
                 of_token(pages, query.pages[block]).rows(0, n_keys), scale);
  });
  pool.parallel_for(std::ssize(queries) * H, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Query& query = queries[static_cast<size_t>(i / H)];
      merge_blocks(partials, query, i % H, of_token(o_latent, query.row).row(i % H));
    }
  });
}

}  // namespace hadal::cpu
