// infer/row_queue.h: rows that wait for their use: added behind, dropped at either end.
#pragma once

#include "hadal/tensor/context.h"

namespace hadal {

class RowQueue {
 public:
  int64_t size() const { return end_ - begin_; }
  View<const float, 2> rows() const { return storage_.mat().rows(begin_, end_); }  // if size() > 0

  void push(Context& ctx, View<const float, 2> rows);
  void drop_first(int64_t n) { begin_ += n; }        // REQUIRES n <= size()
  void keep_first(int64_t n) { end_ = begin_ + n; }  // REQUIRES n <= size()

 private:
  Tensor storage_;  // [capacity, d]
  int64_t begin_ = 0, end_ = 0;
};

}  // namespace hadal
