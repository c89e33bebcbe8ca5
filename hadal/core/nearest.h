// core/nearest.h: "did you mean": the candidate with the smallest edit distance.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal {

// Empty when nothing is close (more than a third of the word would have to change, or two letters).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// "; did you mean X?" or "" for the end of an error line.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace hadal
