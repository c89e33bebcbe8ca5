// core/nearest.h: "did you mean": the candidate with the smallest edit distance.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal {

// Empty when nothing is close (more than a third of the word would have to change, or two letters).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// Advice for an error: "did you mean X?", `otherwise` alone when nothing is close, or both.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         const std::string& otherwise = "");

}  // namespace hadal
