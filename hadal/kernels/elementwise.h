// kernels/elementwise.h: the backends of ops/elementwise.h.
#pragma once

#include <cstdint>
#include <span>

#include "hadal/core/thread_pool.h"
#include "hadal/kernels/cuda_stream.h"

namespace hadal::reference {

void add(std::span<float> y, std::span<const float> x) noexcept;
void scale(std::span<float> y, float factor) noexcept;
void fill(std::span<float> y, float value) noexcept;
void ema_update(std::span<float> average, std::span<const float> value, float decay) noexcept;
double sum_of_squares(std::span<const float> x) noexcept;
float largest_magnitude(std::span<const float> x) noexcept;
int64_t count_not_finite(std::span<const float> x) noexcept;

}  // namespace hadal::reference

namespace hadal::cpu {

void add(ThreadPool& pool, std::span<float> y, std::span<const float> x);
void scale(ThreadPool& pool, std::span<float> y, float factor);
void fill(ThreadPool& pool, std::span<float> y, float value);
void ema_update(ThreadPool& pool, std::span<float> average, std::span<const float> value,
                float decay);
double sum_of_squares(ThreadPool& pool, std::span<const float> x);
float largest_magnitude(ThreadPool& pool, std::span<const float> x);
int64_t count_not_finite(ThreadPool& pool, std::span<const float> x);

}  // namespace hadal::cpu

namespace hadal::cuda {

void add(Stream& stream, std::span<float> y, std::span<const float> x);
void scale(Stream& stream, std::span<float> y, float factor);
void fill(Stream& stream, std::span<float> y, float value);
void ema_update(Stream& stream, std::span<float> average, std::span<const float> value,
                float decay);
double sum_of_squares(Stream& stream, std::span<const float> x);
float largest_magnitude(Stream& stream, std::span<const float> x);
int64_t count_not_finite(Stream& stream, std::span<const float> x);

}  // namespace hadal::cuda
