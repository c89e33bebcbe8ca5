#include "hadal/infer/row_queue.h"

#include "hadal/ops/copy.h"

namespace hadal {

void RowQueue::push(Context& ctx, View<const float, 2> rows) {
  const int64_t capacity = storage_.has_data() ? storage_.dim(0) : 0, n = size() + rows.dim(0);
  if (end_ + rows.dim(0) > capacity) {
    // Twice what is needed: a row is moved once on average, however long the queue gets.
    Tensor grown = ctx.empty({2 * n, rows.dim(1)});
    if (size() > 0) copy_rows(ctx, grown.mat().rows(0, size()), this->rows());
    storage_ = std::move(grown);
    end_ = size();
    begin_ = 0;
  }
  copy_rows(ctx, storage_.mat().rows(end_, end_ + rows.dim(0)), rows);
  end_ += rows.dim(0);
}

}  // namespace hadal
