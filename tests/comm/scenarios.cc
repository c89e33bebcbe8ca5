#include "tests/comm/scenarios.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "hadal/comm/collectives.h"
#include "hadal/core/rng.h"

namespace hadal::test {
namespace {

size_t index(int64_t i) { return static_cast<size_t>(i); }

void expect(bool holds, const std::string& what) {
  if (!holds) throw Error(what);
}

// n rows of 3 whose values nobody else sends: of (what, row, column).
Tensor rows_of(Arena& arena, int64_t n, int64_t what) {
  Tensor rows = Tensor::empty(arena, DType::kI64, {n, 3});
  const auto values = rows.flat<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = what * 1000003 + static_cast<int64_t>(i);
  return rows;
}
const MessageForm kRowsOf3{DType::kI64, {-1, 3}};

// They are these; and they are the receiver's own: it may write to them.
void expect_rows(Tensor rows, int64_t n, int64_t what) {
  expect(rows.shape() == Shape{n, 3},
         concat("message ", what, ": shape ", shape_text(rows.shape()), ", expected ", n, " rows"));
  const auto values = rows.flat<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != what * 1000003 + static_cast<int64_t>(i)) {
      throw Error(concat("message ", what, ": another value at ", i));
    }
    values[i] = -1;
  }
}

void ring(Communicator& comm, Arena& arena, uint64_t) {
  const int n = comm.n_ranks(), next = (comm.rank() + 1) % n, previous = (comm.rank() + n - 1) % n;
  Tensor rows = rows_of(arena, 5, comm.rank());
  for (int lap = 0; lap < 2 * n; ++lap) {  // every rank's rows come home twice
    Receipt receipt = comm.receive(previous, 3, kRowsOf3, arena);
    comm.send(next, 3, std::move(rows));
    rows = receipt.wait();
  }
  expect_rows(std::move(rows), 5, comm.rank());
}

void random_traffic(Communicator& comm, Arena& arena, uint64_t seed) {
  struct Message {
    int from, to;
    int64_t tag, n, what;
  };
  Rng rng(seed);  // the same messages on every rank
  const auto n_ranks = static_cast<uint64_t>(comm.n_ranks());
  std::vector<std::pair<Message, Receipt>> receipts;
  for (int64_t what = 0; what < 400; ++what) {
    const auto draw = [&](uint64_t below) {
      return static_cast<int64_t>(rng.uniform_below(below));
    };
    const int64_t most = draw(20) == 0 ? 20000 : 20;
    const Message m{static_cast<int>(draw(n_ranks)), static_cast<int>(draw(n_ranks)), draw(4),
                    draw(static_cast<uint64_t>(most)), what};
    if (m.to == comm.rank()) receipts.emplace_back(m, comm.receive(m.from, m.tag, kRowsOf3, arena));
    if (m.from == comm.rank()) comm.send(m.to, m.tag, rows_of(arena, m.n, m.what));
  }
  Rng order(seed, 1 + static_cast<uint64_t>(comm.rank()));  // nobody waits in the order of receives
  for (size_t left = receipts.size(); left > 0; --left) {
    std::swap(receipts[left - 1], receipts[order.uniform_below(left)]);
    auto& [m, receipt] = receipts[left - 1];
    expect_rows(receipt.wait(), m.n, m.what);
    expect(!receipt.expected(), "a receipt is used up by wait()");
  }
}

// Rows from one rank to another; some pieces are empty.
int64_t n_rows(int from, int to, int64_t round) {
  return (from * 7 + to * 3 + round * 5) % 4 == 0 ? 0 : from + 2 * to + round;
}
int64_t what_of(int from, int to, int64_t round) { return (round * 100 + from) * 100 + to; }

Exchange start_exchange(Communicator& comm, Arena& arena, int64_t round) {
  std::vector<Tensor> pieces;
  for (int to = 0; to < comm.n_ranks(); ++to) {
    pieces.push_back(
        rows_of(arena, n_rows(comm.rank(), to, round), what_of(comm.rank(), to, round)));
  }
  return {comm, std::move(pieces), kRowsOf3, arena};
}

void finish_exchange(Communicator& comm, Exchange& exchange, int64_t round) {
  std::vector<Tensor> pieces = exchange.finish();
  expect(pieces.size() == index(comm.n_ranks()), "exchange: a piece of every rank");
  for (int from = 0; from < comm.n_ranks(); ++from) {
    expect_rows(std::move(pieces[index(from)]), n_rows(from, comm.rank(), round),
                what_of(from, comm.rank(), round));
  }
  expect(!exchange.started(), "an exchange is used up by finish()");
}

void uneven_exchange(Communicator& comm, Arena& arena, uint64_t) {
  for (int64_t round = 0; round < 8; ++round) {
    Exchange exchange = start_exchange(comm, arena, round);
    expect(exchange.started(), "exchange: started");
    while (round % 2 == 0 && !exchange.arrived()) {
      comm.progress();
      std::this_thread::yield();  // ranks may be more than cores
    }
    finish_exchange(comm, exchange, round);
  }
}

void exchanges_under_way(Communicator& comm, Arena& arena, uint64_t) {
  std::vector<Exchange> exchanges;
  for (int64_t round = 0; round < 6; ++round) {
    exchanges.push_back(start_exchange(comm, arena, round));
  }
  for (int64_t round = 5; round >= 0; --round) {  // the last one first
    finish_exchange(comm, exchanges[index(round)], round);
  }
}

void all_gather(Communicator& comm, Arena& arena, uint64_t) {
  const Tensor mine = rows_of(arena, comm.rank() % 3, comm.rank());
  Exchange first = start_all_gather(comm, mine, arena);
  Exchange second = start_all_gather(comm, mine, arena);
  for (Exchange* exchange : {&second, &first}) {
    std::vector<Tensor> all = exchange->finish();
    for (int rank = 0; rank < comm.n_ranks(); ++rank) {
      expect_rows(std::move(all[index(rank)]), rank % 3, rank);
    }
  }
}

// Values of a rank, of magnitudes far apart, so that the order of a sum shows.
std::vector<float> values_of(int rank, size_t n, uint64_t seed) {
  Rng rng(seed, static_cast<uint64_t>(rank));
  std::vector<float> values(n);
  for (float& value : values) {
    value = static_cast<float>(rng.normal() * std::exp(8.0 * rng.normal()));
  }
  return values;
}

void reduce_scatter(Communicator& comm, Arena& arena, uint64_t seed) {
  const int n = comm.n_ranks();
  std::vector<int64_t> ends;
  for (int rank = 0; rank < n; ++rank) {  // every third part is empty
    ends.push_back((ends.empty() ? 0 : ends.back()) + (rank % 3 == 2 ? 0 : 101 + rank));
  }
  const auto total = index(ends.back());
  ReduceScatter scatter(comm, values_of(comm.rank(), total, seed), ends, arena);

  std::vector<float> expected = values_of(0, total, seed);
  for (int rank = 1; rank < n; ++rank) {
    const std::vector<float> other = values_of(rank, total, seed);
    for (size_t i = 0; i < total; ++i) expected[i] += other[i];
  }
  const int64_t begin = comm.rank() == 0 ? 0 : ends[index(comm.rank() - 1)];
  std::vector<float> sum(index(ends[index(comm.rank())] - begin));
  scatter.finish(sum);
  expect(std::equal(sum.begin(), sum.end(), expected.begin() + begin),
         "reduce-scatter: not the ascending sum, bit for bit");
}

void all_reduce(Communicator& comm, Arena& arena, uint64_t seed) {
  std::vector<double> values(50), expected(50);
  std::vector<int64_t> counts{1, comm.rank(), int64_t{1} << 40};
  for (int rank = 0; rank < comm.n_ranks(); ++rank) {
    const std::vector<float> of_rank = values_of(rank, 50, seed);
    for (size_t i = 0; i < 50; ++i) {
      const double value = double{of_rank[i]} / 3.0;
      if (rank == comm.rank()) values[i] = value;
      expected[i] = rank == 0 ? value : expected[i] + value;
    }
  }
  all_reduce_sum(comm, std::span<double>(values), arena);
  all_reduce_sum(comm, std::span<int64_t>(counts), arena);
  expect(values == expected, "all-reduce: not the ascending sum, bit for bit");
  const int64_t n = comm.n_ranks();
  expect(counts == std::vector<int64_t>{n, n * (n - 1) / 2, n << 40}, "all-reduce of integers");
}

void broadcasts(Communicator& comm, Arena& arena, uint64_t) {
  for (int root = 0; root < comm.n_ranks(); ++root) {
    Tensor rows = rows_of(arena, 4, comm.rank());
    broadcast(comm, rows, root, arena);
    expect_rows(std::move(rows), 4, root);
    barrier(comm, arena);
  }
}

// Every rank tells the others of its group who it is; names of ranks are those of the group.
void exchange_in(Communicator& group, const std::vector<int>& world_ranks, int world_rank,
                 Arena& arena) {
  expect(group.n_ranks() == static_cast<int>(world_ranks.size()), "group: size");
  expect(world_ranks[index(group.rank())] == world_rank, "group: place in the list");
  std::vector<Tensor> all = start_all_gather(group, rows_of(arena, 2, world_rank), arena).finish();
  for (size_t i = 0; i < all.size(); ++i) expect_rows(std::move(all[i]), 2, world_ranks[i]);
}

void groups(Communicator& comm, Arena& arena, uint64_t) {
  const int n = comm.n_ranks(), me = comm.rank();
  std::vector<int> alike, backwards, lower;
  for (int rank = n - 1; rank >= 0; --rank) backwards.push_back(rank);
  for (int rank = me % 2; rank < n; rank += 2) alike.push_back(rank);
  for (int rank = 0; rank <= n / 2; ++rank) lower.push_back(rank);
  const auto reversed = comm.group(backwards), again = comm.group(backwards);
  const auto parity = comm.group(alike);

  // The same tag between the same two ranks, in five groups at once: none meets another's.
  const auto first = reversed->group({reversed->n_ranks() - 1 - me});
  std::vector<Communicator*> all{&comm, reversed.get(), again.get(), parity.get(), first.get()};
  std::vector<std::pair<int64_t, Receipt>> receipts;
  for (size_t g = all.size(); g-- > 0;) {
    const int last = all[g]->n_ranks() - 1;
    receipts.emplace_back(g, all[g]->receive(last - all[g]->rank(), 9, kRowsOf3, arena));
  }
  for (size_t g = 0; g < all.size(); ++g) {
    const int last = all[g]->n_ranks() - 1;
    all[g]->send(last - all[g]->rank(), 9, rows_of(arena, 1, static_cast<int64_t>(g)));
  }
  for (auto& [g, receipt] : receipts) expect_rows(receipt.wait(), 1, g);

  exchange_in(*reversed, backwards, me, arena);
  exchange_in(*parity, alike, me, arena);
  exchange_in(*again, backwards, me, arena);
  if (me <= n / 2) exchange_in(*comm.group(lower), lower, me, arena);
}

// Several megabytes each way, in other types: more than any eager limit.
void large_messages(Communicator& comm, Arena& arena, uint64_t) {
  const int to = (comm.rank() + 1) % comm.n_ranks();
  const int from = (comm.rank() + comm.n_ranks() - 1) % comm.n_ranks();
  constexpr int64_t kRows = 100000;
  Tensor bytes = Tensor::empty(arena, DType::kU8, {3, 5, 7});
  std::ranges::fill(bytes.flat<uint8_t>(), static_cast<uint8_t>(comm.rank()));
  comm.send(to, 0, rows_of(arena, kRows, comm.rank()));
  comm.send(to, 1, std::move(bytes));
  const Tensor small = comm.receive(from, 1, {DType::kU8, {3, 5, 7}}, arena).wait();
  expect_rows(comm.receive(from, 0, kRowsOf3, arena).wait(), kRows, from);
  expect(std::ranges::all_of(small.flat<uint8_t>(), [&](uint8_t b) { return b == from; }), "bytes");
}

constexpr Scenario kScenarios[] = {
    {"ring", ring},
    {"random_traffic", random_traffic},
    {"uneven_exchange", uneven_exchange},
    {"exchanges_under_way", exchanges_under_way},
    {"all_gather", all_gather},
    {"reduce_scatter", reduce_scatter},
    {"all_reduce", all_reduce},
    {"broadcasts", broadcasts},
    {"groups", groups},
    {"large_messages", large_messages},
};

}  // namespace

std::span<const Scenario> scenarios() { return kScenarios; }

}  // namespace hadal::test
