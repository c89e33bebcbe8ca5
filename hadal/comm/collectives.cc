#include "hadal/comm/collectives.h"

#include <algorithm>
#include <cstring>

namespace hadal {
namespace {

size_t at(int rank) { return static_cast<size_t>(rank); }

template <class T>
Tensor tensor_of(Arena& arena, std::span<const T> values) {
  Tensor tensor = Tensor::empty(arena, DTypeOf<T>::value, {static_cast<int64_t>(values.size())});
  if (!values.empty()) std::memcpy(tensor.raw(), values.data(), values.size_bytes());
  return tensor;
}

// A clone for every rank.
std::vector<Tensor> for_everybody(const Communicator& comm, const Tensor& mine, Arena& arena) {
  std::vector<Tensor> pieces;
  for (int rank = 0; rank < comm.n_ranks(); ++rank) pieces.push_back(mine.clone(arena));
  return pieces;
}

// sum = parts[0] + parts[1] + ..., in this order.
template <class T>
void sum_in_order(std::span<T> sum, const std::vector<Tensor>& parts) {
  for (size_t rank = 0; rank < parts.size(); ++rank) {
    const std::span<const T> part = parts[rank].flat<T>();
    if (part.size() != sum.size()) {
      throw CommError(concat("sum over ranks: rank ", rank, " has another number of values (found ",
                             part.size(), ", expected ", sum.size(), ")"));
    }
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = rank == 0 ? part[i] : sum[i] + part[i];
  }
}

template <class T>
void all_reduce(Communicator& comm, std::span<T> values, Arena& arena) {
  const Tensor mine = tensor_of<T>(arena, values);
  sum_in_order(values, start_all_gather(comm, mine, arena).finish());
}

}  // namespace

Exchange::Exchange(Communicator& comm, std::vector<Tensor> pieces, const MessageForm& form,
                   Arena& arena, int64_t tag) {
  const int n = comm.n_ranks();
  if (pieces.size() != at(n)) {
    throw ShapeError(concat("exchange: a piece for every rank is needed (found ", pieces.size(),
                            ", expected ", n, ")"));
  }
  for (int from = 0; from < n; ++from) {
    receipts_.push_back(comm.receive(from, tag, form, arena));
  }
  // Everybody begins with a neighbour of its own, so that no rank gets all messages at once.
  for (int i = 0; i < n; ++i) {
    const int to = (comm.rank() + i) % n;
    comm.send(to, tag, std::move(pieces[at(to)]));
  }
}

bool Exchange::arrived() {
  return std::ranges::all_of(receipts_, [](Receipt& receipt) { return receipt.arrived(); });
}

std::vector<Tensor> Exchange::finish() {
  std::vector<Tensor> pieces;
  for (Receipt& receipt : receipts_) pieces.push_back(receipt.wait());
  receipts_.clear();
  return pieces;
}

Exchange start_all_gather(Communicator& comm, const Tensor& mine, Arena& arena) {
  MessageForm form{mine.dtype(), mine.shape()};
  form.shape[0] = -1;
  return {comm, for_everybody(comm, mine, arena), form, arena};
}

ReduceScatter::ReduceScatter(Communicator& comm, std::span<const float> values,
                             std::span<const int64_t> ends, Arena& arena) {
  const auto n_values = static_cast<int64_t>(values.size());
  if (ends.size() != at(comm.n_ranks()) || ends.back() != n_values ||
      !std::ranges::is_sorted(ends) || ends.front() < 0) {
    throw ShapeError(concat("reduce-scatter: parts do not cut the vector (found ", ends.size(),
                            " ends, expected ", comm.n_ranks(), ", ascending up to ", n_values,
                            ")"));
  }
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    parts.push_back(tensor_of<float>(
        arena, values.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))));
    begin = end;
  }
  exchange_ = Exchange(comm, std::move(parts), {DType::kF32, {-1}}, arena);
}

void ReduceScatter::finish(std::span<float> sum) { sum_in_order(sum, exchange_.finish()); }

void all_reduce_sum(Communicator& comm, std::span<double> values, Arena& arena) {
  all_reduce(comm, values, arena);
}

void all_reduce_sum(Communicator& comm, std::span<int64_t> values, Arena& arena) {
  all_reduce(comm, values, arena);
}

void broadcast(Communicator& comm, Tensor& values, int root, Arena& arena) {
  if (comm.rank() != root) {
    const MessageForm form{values.dtype(), values.shape()};
    values = comm.receive(root, Communicator::kCollectiveTag, form, arena).wait();
    return;
  }
  for (int to = 0; to < comm.n_ranks(); ++to) {
    if (to != root) comm.send(to, Communicator::kCollectiveTag, values.clone(arena));
  }
}

void barrier(Communicator& comm, Arena& arena) {
  start_all_gather(comm, Tensor::empty(arena, DType::kI64, {0}), arena).finish();
}

}  // namespace hadal
