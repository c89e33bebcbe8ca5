// Attention on the latent cache, for rows of any width and form: a block for 64 of a sequence's queries
// (all heads of a query side by side), a range of its keys and 256 columns; then the ranges are merged in
// ascending order. Not yet run on a card.
#include "hadal/kernels/latent_attention.h"

#include "hadal/kernels/cuda/attend.h"
#include "hadal/kernels/cuda/attention_tiles.h"
#include "hadal/kernels/cuda/latent_keys.h"
#include "hadal/kernels/latent_ranges.h"

namespace hadal::cuda {
namespace {

// The queries of one sequence: H n_queries rows. Tasks (ranges), rows, pages and partial results are
// counted over the sequences before.
struct Group {
  int64_t first_query, n_queries, n_rows;
  int64_t n_ranges, first_task, first_row, first_page, first_partial;

  constexpr int64_t n_visible(int64_t query) const { return n_rows - n_queries + query + 1; }
};

// Finds the last group for which first <= number.
__device__ Group group_of(const Group* groups, int64_t n, int64_t number, int64_t Group::*first) {
  int64_t begin = 0, end = n;
  while (end - begin > 1) {
    const int64_t middle = (begin + end) / 2;
    (groups[middle].*first <= number ? begin : end) = middle;
  }
  return groups[begin];
}

// Query rows, latent and rotary part side by side.
struct QueryRows {
  View<const float, 3> latent, rope;
  int64_t first;  // row
  bool quads;

  __device__ const float* row_of(const View<const float, 3>& x, int64_t row) const {
    const int64_t i = first + row, H = x.dim(1);
    return x.data() + i / H * x.stride(0) + i % H * x.stride(1);
  }
  __device__ float at(int row, int col) const {
    const int64_t d_c = latent.dim(2);
    return col < d_c ? row_of(latent, row)[col] : row_of(rope, row)[col - d_c];
  }
  __device__ float4 quad(int row, int col) const {
    const int64_t d_c = latent.dim(2);
    return *reinterpret_cast<const float4*>(col < d_c ? row_of(latent, row) + col
                                                      : row_of(rope, row) + (col - d_c));
  }
};

// What each range leaves behind: for every row o [d_c], the largest score and the sum.
struct Partials {
  float *o, *state;
  int64_t d_c;
};

struct Operands {
  View<const float, 3> q_latent, q_rope;
  bool quads;  // of the queries
  const std::byte* pages;
  LatentRowForm form;
  const int32_t* page_ids;
  const Group* groups;
  int64_t n_groups;
  float scale;
};

template <LatentForm kForm, int kGroups>
__global__ void __launch_bounds__(kTileThreads, 1) range_kernel(Partials partials, Operands x) {
  HADAL_DYNAMIC_SHARED(float, shared);
  const Group group = group_of(x.groups, x.n_groups, blockIdx.x, &Group::first_task);
  const int64_t H = x.q_latent.dim(1), n_rows = group.n_queries * H,
                first_row = int64_t{blockIdx.y} * kAttentionTile;
  if (first_row >= n_rows) return;
  const int64_t range = blockIdx.x - group.first_task, begin = range_begin(range),
                end = min(range_begin(range + 1), group.n_rows);
  const QueryRows queries{x.q_latent, x.q_rope, group.first_query * H + first_row, x.quads};
  const LatentKeys<kForm> keys{x.pages, x.form, x.page_ids + group.first_page};
  const int n_queries = static_cast<int>(min(n_rows - first_row, int64_t{kAttentionTile})),
            d_c = static_cast<int>(partials.d_c), d_rope = static_cast<int>(x.q_rope.dim(2)),
            col = static_cast<int>(blockIdx.z) * kGroups * kAttentionTile;
  Attended<kGroups> result;
  const auto visible = [&](int row) { return group.n_visible((first_row + row) / H); };
  attend(result, shared, queries, n_queries, keys, keys, begin, end, d_c + d_rope, col, d_c,
         visible, x.scale);
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int row = 4 * tile_ty() + r;
    const int64_t at = group.first_partial + range * n_rows + first_row + row;
    if (row >= n_queries) continue;
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int column = col + g * kAttentionTile + 4 * tile_tx() + c;
        if (column < d_c) partials.o[at * d_c + column] = result.o[g][r][c];
      }
    }
    if (col == 0 && tile_tx() == 0) {
      partials.state[2 * at] = result.largest[r], partials.state[2 * at + 1] = result.sum[r];
    }
  }
}

// o = sum_b w_b o_b / sum_b w_b sum_b,   w_b = exp(largest_b - largest of all), over the ranges of which
// the query sees a key. A block for each row. Shared memory: the weights.
__global__ void merge_kernel(View<float, 3> o, Partials partials, const Group* groups,
                             int64_t n_groups) {
  HADAL_DYNAMIC_SHARED(float, weights);
  const Group group = group_of(groups, n_groups, blockIdx.x, &Group::first_row);
  const int64_t H = o.dim(1), d_c = partials.d_c, row = blockIdx.x - group.first_row,
                n = n_ranges(group.n_visible(row / H)), step = group.n_queries * H,
                first = group.first_partial + row;
  float largest = -INFINITY, sum = 0.0F;
  for (int64_t b = threadIdx.x; b < n; b += blockDim.x) {
    largest = Max{}(largest, partials.state[2 * (first + b * step)]);
  }
  largest = reduce_block(Max{}, largest, -INFINITY);
  for (int64_t b = threadIdx.x; b < n; b += blockDim.x) {
    const float* const state = partials.state + 2 * (first + b * step);
    weights[b] = expf(state[0] - largest);
    sum += weights[b] * state[1];
  }
  sum = sum_block(sum);  // and the weights are there
  for (int64_t column = threadIdx.x; column < d_c; column += blockDim.x) {
    float value = 0.0F;
    for (int64_t b = 0; b < n; ++b) {
      value = fmaf(weights[b], partials.o[(first + b * step) * d_c + column], value);
    }
    o(group.first_query + row / H, row % H, column) = value / sum;
  }
}

template <LatentForm kForm>
void launch_ranges(Stream& stream, Grid grid, const Partials& partials, const Operands& operands) {
  const bool narrow = partials.d_c <= 2 * kAttentionTile;
  grid.blocks.z =
      static_cast<unsigned>(ceil_div(partials.d_c, int64_t{narrow ? 2 : 4} * kAttentionTile));
  launch("latent attention", narrow ? range_kernel<kForm, 2> : range_kernel<kForm, 4>, grid, stream,
         partials, operands);
}

}  // namespace

void latent_attention(Stream& stream, View<float, 3> o_latent, View<const float, 3> q_latent,
                      View<const float, 3> q_rope, const LatentPagesView& pages,
                      std::span<const SequenceRows> sequences, float scale) {
  OwnStream& card = own(stream);
  const int64_t H = q_latent.dim(1), d_c = q_latent.dim(2);
  std::vector<Group> groups;
  std::vector<int32_t> page_ids;
  int64_t n_tasks = 0, n_rows = 0, n_partials = 0, most_rows = 0, most_ranges = 0;
  for (const SequenceRows& sequence : sequences) {
    const int64_t rows = sequence.n_queries * H, n = n_ranges(sequence.n_rows);
    if (rows == 0) continue;
    groups.push_back({sequence.first_query, sequence.n_queries, sequence.n_rows, n, n_tasks, n_rows,
                      std::ssize(page_ids), n_partials});
    const auto used = sequence.pages.first(static_cast<size_t>(pages_for(sequence.n_rows)));
    page_ids.insert(page_ids.end(), used.begin(), used.end());
    n_tasks += n, n_rows += rows, n_partials += n * rows;
    most_rows = std::max(most_rows, rows), most_ranges = std::max(most_ranges, n);
  }
  if (groups.empty()) return;
  Tensor o = Tensor::empty(card.scratch(), DType::kF32, {n_partials, d_c}),
         state = Tensor::empty(card.scratch(), DType::kF32, {n_partials, 2});
  const Partials partials{static_cast<float*>(o.raw()), static_cast<float*>(state.raw()), d_c};
  const Operands operands{q_latent,
                          q_rope,
                          has_quads(q_latent) && has_quads(q_rope),
                          pages.data,
                          LatentRowForm(pages),
                          card.upload(std::span<const int32_t>(page_ids)),
                          card.upload(std::span<const Group>(groups)),
                          std::ssize(groups),
                          scale};
  const Grid grid{dim3(static_cast<unsigned>(n_tasks),
                       static_cast<unsigned>(ceil_div(most_rows, int64_t{kAttentionTile}))),
                  kTileThreads, kAttendBytes};
  switch (pages.layout.form) {
    case LatentForm::kF32:
      launch_ranges<LatentForm::kF32>(stream, grid, partials, operands);
      break;
    case LatentForm::kBF16:
      launch_ranges<LatentForm::kBF16>(stream, grid, partials, operands);
      break;
    case LatentForm::kFp8:
      launch_ranges<LatentForm::kFp8>(stream, grid, partials, operands);
      break;
  }
  Grid merge = block_each(n_rows, 128);
  merge.shared_bytes = 4 * most_ranges;
  launch("latent attention", merge_kernel, merge, stream, o_latent, partials, operands.groups,
         operands.n_groups);
}

}  // namespace hadal::cuda
