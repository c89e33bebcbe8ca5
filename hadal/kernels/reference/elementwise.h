// kernels/reference/elementwise.h: the executable specification of ops/elementwise.h.
#pragma once

#include <cstdint>
#include <span>

namespace hadal::reference {

void add(std::span<float> y, std::span<const float> x) noexcept;
void scale(std::span<float> y, float factor) noexcept;
double sum_of_squares(std::span<const float> x) noexcept;
int64_t count_not_finite(std::span<const float> x) noexcept;

}  // namespace hadal::reference
