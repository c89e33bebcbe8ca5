// model/stage_forward.h: F of one stage in steps, so that an executor can put the communication of one
// micro-batch behind the computation of another.
//
// A step computes up to the next start of a communication; the next step waits for it first. Of n layers
// with experts that makes 2n + 1 steps:
//
//   attention, dispatch | experts | combine, attention, dispatch | experts | ... | combine, heads
//
// Layers without experts are a part of the step they fall in.
#pragma once

#include <string_view>

#include "hadal/model/stage.h"

namespace hadal {

enum class Keep { kNothing, kForBackward };

struct StageOutput {
  Tensor rows;                  // [T,d] for the next stage; empty where the stage has heads
  std::vector<double> balance;  // of its layers, MTP layers last; 0 of dense ones
  ExpertLoad load;              // likewise
};

class StageForward {
 public:
  // `rows` [T,d] from the stage before; empty where the stage has the embedding. All but `in` and `rows`
  // outlive it. Fills saved; with Keep::kNothing only what the heads read. With a probe, offers it hidden,
  // final_norm and mtp.hidden.
  StageForward(Context& ctx, TokenDispatcher& dispatcher, const DeepseekV3& model,
               const StageCut& cut, Tensor rows, const StageRows& in, Keep keep, StageSaved& saved);

  bool done() const { return next_ == Next::kNothing; }
  std::string_view phase() const;  // that the next step begins with, as text
  bool ready();                    // whether the next step need not wait. REQUIRES !done()
  void step();                     // REQUIRES !done()
  StageOutput output();            // REQUIRES done(); once
  StageOutput run();               // all steps

 private:
  enum class Next { kBlock, kExperts, kCombine, kNothing };
  struct Block {  // layers of the cut, then MTP modules
    const DecoderLayer& layer;
    const Pass& pass;
    DecoderLayer::Saved& saved;
  };
  size_t n_layers() const { return saved_.layers.size(); }
  Block block();
  bool begin_block();
  void finish_block();
  void leave_layers();
  Tensor enter_mtp(size_t k);
  void leave_mtp(size_t k, Tensor hidden);

  Context& ctx_;
  TokenDispatcher& dispatcher_;
  const DeepseekV3& model_;
  const StageCut& cut_;
  const StageRows in_;
  const Keep keep_;
  StageSaved& saved_;
  Next next_ = Next::kBlock;
  size_t block_ = 0;
  bool in_layers_ = true;
  Tensor x_;  // residual stream; past the layers the state that the next MTP module reads
  StageOutput output_;
};

}  // namespace hadal
