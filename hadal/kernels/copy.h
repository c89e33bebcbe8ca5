// kernels/copy.h: the backends of ops/copy.h.
#pragma once

#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/kernels/row_range.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {

void copy_rows(View<float, 2> to, View<const float, 2> from) noexcept;
void copy_row_ranges(View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges) noexcept;
void add_row_ranges(View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void copy_rows(ThreadPool& pool, View<float, 2> to, View<const float, 2> from);
void copy_row_ranges(ThreadPool& pool, View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges);
void add_row_ranges(ThreadPool& pool, View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges);

}  // namespace hadal::cpu

namespace hadal::cuda {

void copy_rows(Stream& stream, View<float, 2> to, View<const float, 2> from);
void copy_row_ranges(Stream& stream, View<float, 2> to, View<const float, 2> from,
                     std::span<const RowRange> ranges);
void add_row_ranges(Stream& stream, View<float, 2> to, View<const float, 2> from,
                    std::span<const RowRange> ranges);

}  // namespace hadal::cuda
