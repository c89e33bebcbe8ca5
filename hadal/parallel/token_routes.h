// parallel/token_routes.h: where the tokens of one micro-batch go, and where what comes back belongs.
// T tokens, K choices each, E places with equally many experts in ascending order.
#pragma once

#include <cstdint>
#include <vector>

#include "hadal/core/function_ref.h"
#include "hadal/ops/permute.h"

namespace hadal {

using RowList = std::vector<int32_t>;

// [n_groups] The tokens that chose an expert of each group, ascending.
std::vector<RowList> tokens_of_groups(View<const int32_t, 2> indices, int n_groups,
                                      FunctionRef<int(int32_t expert)> group_of);

// All choices over the rows that come back place after place, of one place in order of (token, choice).
ExpertRows returned_rows(View<const int32_t, 2> indices, int n_places,
                         FunctionRef<int(int32_t expert)> place_of);
// The same where a place sends one sum for each token: "choices" are the E places.
ExpertRows returned_sums(const std::vector<RowList>& tokens_of_places, int64_t n_tokens);

// The rows of tokens [begin, end), in the same order.
RowList rows_of_tokens(const ExpertRows& rows, int64_t begin, int64_t end);

}  // namespace hadal
