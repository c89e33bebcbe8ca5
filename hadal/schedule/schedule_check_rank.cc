// One rank's list, read from the front: is each action possible after those before it?
#include <algorithm>

#include "hadal/schedule/action_text.h"
#include "hadal/schedule/schedule_check_tables.h"

namespace hadal {
namespace {

class RankReader {
 public:
  RankReader(CheckTables& tables, int32_t rank)
      : t_(tables),
        rank_(rank),
        list_(tables.schedule.ranks[static_cast<size_t>(rank)]),
        facts_(tables.result.ranks[static_cast<size_t>(rank)]) {}

  void read() {
    for (; index_ < list_.size(); ++index_) read_action(list_[index_]);
    const auto left = std::count_if(queue_.begin(), queue_.end(),
                                    [&](Chunk chunk) { return !t_.at(chunk).weight; });
    if (left == 0) return;
    const auto first = std::find_if(queue_.begin(), queue_.end(),
                                    [&](Chunk chunk) { return !t_.at(chunk).weight; });
    t_.violation("rank ", rank_, ": the weight queue is not empty at the end: ", left,
                 " parts are left, the first is W ", first->stage, " ", first->micro_batch);
  }

 private:
  template <class... Parts>
  void violation(const Parts&... parts) {
    t_.violation("rank ", rank_, ", action ", index_, " (", to_text(list_[index_]),
                 "): ", parts...);
  }

  void read_action(const Action& action) {
    switch (action.kind) {
      case ActionKind::kForward:
        expect_forward(action.chunk);
        return do_forward(action.chunk);
      case ActionKind::kBackward:
      case ActionKind::kBackwardInput:
        expect_backward(action.chunk);
        return do_backward(action.chunk, action.kind == ActionKind::kBackwardInput);
      case ActionKind::kForwardBackward:  // both inputs must be there before either half runs
        ++facts_.n_pairs;
        expect_forward(action.chunk);
        expect_backward(action.backward);
        do_forward(action.chunk);
        return do_backward(action.backward, false);
      case ActionKind::kWeight:
        return weight(action.chunk);
      case ActionKind::kSend:
        return send(action);
      case ActionKind::kReceive:
        return receive(action);
    }
  }

  void expect_input(Payload payload, Chunk producer) {
    const int32_t maker = t_.maker(payload, producer);
    if (maker < 0) return;  // an end of the pipeline, or told as a missing chunk
    if (maker == rank_ && !t_.at(producer).made(payload)) {
      violation("needs ", describe(payload, producer), ", which this rank computes only later");
    } else if (maker != rank_ && !t_.at(producer).travel(payload).received) {
      violation("needs ", describe(payload, producer), ", not received from rank ", maker,
                " before it");
    }
  }

  void expect_held(int32_t stage) {
    const auto& held = t_.schedule.held[static_cast<size_t>(rank_)];
    if (std::find(held.begin(), held.end(), stage) == held.end()) {
      violation("this rank does not hold stage ", stage);
    }
  }

  void expect_forward(Chunk chunk) {
    expect_held(chunk.stage);
    if (t_.at(chunk).forward) {
      violation("computed a second time; F ", chunk.stage, " ", chunk.micro_batch,
                " ran before on rank ", t_.at(chunk).forward_rank);
    }
    expect_input(Payload::kActivation, {chunk.stage - 1, chunk.micro_batch});
  }

  void expect_backward(Chunk chunk) {
    const ChunkProgress& c = t_.at(chunk);
    if (c.backward) {
      violation("computed a second time; the backward of ", chunk.stage, " ", chunk.micro_batch,
                " ran before on rank ", c.backward_rank);
    }
    if (c.forward_rank >= 0 && c.forward_rank != rank_) {
      violation("the activations of F ", chunk.stage, " ", chunk.micro_batch, " are on rank ",
                c.forward_rank);
    } else if (c.forward_rank == rank_ && !c.forward) {
      violation("runs before F ", chunk.stage, " ", chunk.micro_batch, " on this rank");
    }
    expect_input(Payload::kGradient, {chunk.stage + 1, chunk.micro_batch});
  }

  void do_forward(Chunk chunk) {
    t_.at(chunk).forward = true;
    ++facts_.n_forward;
    count_stored(1, 0);
  }

  void do_backward(Chunk chunk, bool keep_weight) {
    ChunkProgress& c = t_.at(chunk);
    c.backward = true;
    ++facts_.n_backward;
    if (keep_weight) {
      c.queued = true;
      queue_.push_back(chunk);
    } else {
      c.weight = true;
    }
    count_stored(-1, keep_weight ? 1 : 0);
  }

  void weight(Chunk chunk) {
    ++facts_.n_weight;
    ChunkProgress& c = t_.at(chunk);
    if (c.weight) return violation("this weight part was computed before");
    if (!c.queued || c.backward_rank != rank_) {
      return violation("no Bi of this chunk before it on this rank");
    }
    if (!c.passed_over) {
      const Chunk front = queue_[front_];
      if (!(front == chunk)) {
        violation("out of turn; the front of the weight queue is W ", front.stage, " ",
                  front.micro_batch);
      }
      while (!(queue_[front_] == chunk)) t_.at(queue_[front_++]).passed_over = true;
      ++front_;
    }
    c.weight = true;
    count_stored(0, -1);
  }

  void send(const Action& action) {
    ++facts_.n_sends;
    ChunkProgress& c = t_.at(action.chunk);
    const Chunk consumer = consumer_of(action.payload, action.chunk);
    if (c.rank(action.payload) != rank_ || !c.made(action.payload)) {
      return violation("this rank has not computed ", describe(action.payload, action.chunk),
                       " before it");
    }
    if (!t_.exists(consumer)) return violation("superfluous: no stage needs it");
    // An activation is needed where the next stage's F runs, a gradient where the previous B does.
    const int32_t user = t_.maker(action.payload, consumer);
    if (user == rank_) return violation("superfluous: it is needed on this rank itself");
    if (user >= 0 && user != action.peer) {
      return violation("wrong rank; rank ", user, " needs it");
    }
    if (c.travel(action.payload).sent) return violation("sent a second time");
    c.travel(action.payload).sent = true;
  }

  void receive(const Action& action) {
    ++facts_.n_receives;
    const Chunk consumer = consumer_of(action.payload, action.chunk);
    if (t_.maker(action.payload, consumer) != rank_) {
      return violation("superfluous: nothing on this rank needs it");
    }
    ChunkProgress& c = t_.at(action.chunk);
    const int32_t maker = c.rank(action.payload);
    if (maker == rank_) return violation("superfluous: it is computed on this rank itself");
    if (maker >= 0 && maker != action.peer) {
      return violation("wrong rank; rank ", maker, " computes it");
    }
    if (c.travel(action.payload).received) return violation("received a second time");
    c.travel(action.payload).received = true;
  }

  void count_stored(int64_t activations, int64_t queued) {
    n_activations_ += activations;
    n_queued_ += queued;
    facts_.peak_activations = std::max(facts_.peak_activations, n_activations_);
    facts_.peak_weight_queue = std::max(facts_.peak_weight_queue, n_queued_);
    facts_.peak_stored = std::max(facts_.peak_stored, n_activations_ + n_queued_);
  }

  CheckTables& t_;
  int32_t rank_;
  const std::vector<Action>& list_;
  RankFacts& facts_;
  size_t index_ = 0;
  std::vector<Chunk> queue_;  // weight parts in the order of their Bi
  size_t front_ = 0;          // of queue_; those before it were taken or passed over
  int64_t n_activations_ = 0, n_queued_ = 0;
};

}  // namespace

std::string describe(Payload payload, Chunk c) {
  return concat(payload == Payload::kActivation ? "the activation" : "the gradient", " of stage ",
                c.stage, ", micro-batch ", c.micro_batch);
}

void check_rank(CheckTables& tables, int32_t rank) { RankReader(tables, rank).read(); }

}  // namespace hadal
