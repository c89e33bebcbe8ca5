#include "hadal/parallel/token_routes.h"

namespace hadal {

std::vector<RowList> tokens_of_groups(View<const int32_t, 2> indices, int n_groups,
                                      FunctionRef<int(int32_t expert)> group_of) {
  const auto [T, K] = indices.shape();
  std::vector<RowList> lists(static_cast<size_t>(n_groups));
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      RowList& list = lists.at(static_cast<size_t>(group_of(indices(t, k))));
      if (list.empty() || list.back() != t) list.push_back(static_cast<int32_t>(t));
    }
  }
  return lists;
}

ExpertRows returned_rows(View<const int32_t, 2> indices, int n_places,
                         FunctionRef<int(int32_t expert)> place_of) {
  const auto [T, K] = indices.shape();
  const auto place = [&](int64_t t, int64_t k) {
    return static_cast<size_t>(place_of(indices(t, k)));
  };
  std::vector<int32_t> next(static_cast<size_t>(n_places) + 1, 0);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) ++next.at(place(t, k) + 1);
  }
  for (size_t p = 1; p < next.size(); ++p) next[p] += next[p - 1];
  ExpertRows rows;
  rows.n_tokens = T;
  rows.top_k = K;
  rows.token_of.resize(static_cast<size_t>(T * K));
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      const int32_t row = next[place(t, k)]++;
      rows.row_of.push_back(row);
      rows.token_of[static_cast<size_t>(row)] = static_cast<int32_t>(t);
    }
  }
  return rows;
}

ExpertRows returned_sums(const std::vector<RowList>& tokens_of_places, int64_t n_tokens) {
  const size_t n_places = tokens_of_places.size();
  ExpertRows rows;
  rows.n_tokens = n_tokens;
  rows.top_k = static_cast<int64_t>(n_places);
  rows.row_of.assign(static_cast<size_t>(n_tokens) * n_places, -1);
  for (size_t p = 0; p < n_places; ++p) {
    for (const int32_t t : tokens_of_places[p]) {
      rows.row_of[static_cast<size_t>(t) * n_places + p] =
          static_cast<int32_t>(rows.token_of.size());
      rows.token_of.push_back(t);
    }
  }
  return rows;
}

RowList rows_of_tokens(const ExpertRows& rows, int64_t begin, int64_t end) {
  RowList list;
  for (int64_t i = begin * rows.top_k; i < end * rows.top_k; ++i) {
    const int32_t row = rows.row_of[static_cast<size_t>(i)];
    if (row >= 0) list.push_back(row);
  }
  return list;
}

}  // namespace hadal
