// model/dump.h: intermediate tensors under the names of the golden files, for comparison with
// another implementation (`hadal dump`, golden tests). S is the index of a sequence, L of a layer
// (MTP layers after the main ones), K an MTP depth from 1.
//
//   seq{S}.logits [T,V]      seq{S}.hidden.{L} [T,d]    seq{S}.final_norm [T,d]
//   seq{S}.router.{L}.indices (I32) and .gates [T,top_k]
//   seq{S}.mtp.{K}.logits [T-K,V] and .hidden [T-K,d], absent when T <= K
//   loss.total, loss.ce, loss.mtp (mean over the depths), loss.mtp.{K}, loss.balance: scalars, the
//   parts unweighted: total = ce + mtp_weight * mtp + balance_weight * balance
//   grad.{parameter}
#pragma once

#include <string>
#include <vector>

#include "hadal/model/deepseek_v3.h"
#include "hadal/model/loss.h"
#include "hadal/model/token_lists.h"

namespace hadal {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct DumpParts {
  bool logits = false, hidden = false, routing = false, mtp = false;
};

// Every list is a sequence of its own.
std::vector<NamedTensor> dump_inference(Context& ctx, const DeepseekV3& model,
                                        const TokenLists& lists, const DumpParts& parts);

// The lists as one batch: T+1 ids each, T inputs and their targets. ConfigError unless all have the
// same length of at least 2. Gradients are added to what the parameters hold (allocate_gradients).
std::vector<NamedTensor> dump_loss(Context& ctx, const DeepseekV3& model, const TokenLists& lists,
                                   const LossWeights& weights);
std::vector<NamedTensor> dump_gradients(Context& ctx, DeepseekV3& model, const TokenLists& lists,
                                        const LossWeights& weights);

}  // namespace hadal
