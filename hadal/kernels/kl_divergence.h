// kernels/kl_divergence.h: the backends of ops/kl_divergence.h. Rows do not know of each other: the
// reference on a few of them is what every CPU thread runs.
#pragma once

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"
#include "hadal/tensor/view.h"

namespace hadal::reference {

void kl_divergence(View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void kl_divergence(ThreadPool& pool, View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q);

}  // namespace hadal::cpu

namespace hadal::cuda {

void kl_divergence(Stream& stream, View<float, 1> kl, View<const float, 2> logits_p,
                   View<const float, 2> logits_q);

}  // namespace hadal::cuda
