// kernels/elementwise.h: the backends of ops/elementwise.h.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"

namespace hadal::reference {

void add(std::span<float> y, std::span<const float> x) noexcept;
void scale(std::span<float> y, float factor) noexcept;
void fill(std::span<float> y, float value) noexcept;
void ema_update(std::span<float> average, std::span<const float> value, float decay) noexcept;
double sum_of_squares(std::span<const float> x) noexcept;
int64_t count_not_finite(std::span<const float> x) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void add(ThreadPool& pool, std::span<float> y, std::span<const float> x);
void scale(ThreadPool& pool, std::span<float> y, float factor);
void fill(ThreadPool& pool, std::span<float> y, float value);
void ema_update(ThreadPool& pool, std::span<float> average, std::span<const float> value,
                float decay);
double sum_of_squares(ThreadPool& pool, std::span<const float> x);
int64_t count_not_finite(ThreadPool& pool, std::span<const float> x);

}  // namespace hadal::cpu

namespace hadal::cuda {

void add(std::span<float> y, std::span<const float> x);
void scale(std::span<float> y, float factor);
void fill(std::span<float> y, float value);
void ema_update(std::span<float> average, std::span<const float> value, float decay);
double sum_of_squares(std::span<const float> x);
int64_t count_not_finite(std::span<const float> x);

}  // namespace hadal::cuda
