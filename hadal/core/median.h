// core/median.h: the middle of some numbers.
#pragma once

#include <vector>

namespace hadal {

// Of an even number of values the mean of the middle two; 0 of none.
double median_of(std::vector<double> values);

}  // namespace hadal
