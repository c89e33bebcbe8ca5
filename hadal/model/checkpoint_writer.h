// model/checkpoint_writer.h: a folder in Hugging Face's layout, written weight by weight.
//
// A crash at any moment leaves either the old checkpoint, or one that loaders refuse, or the new
// one: shards are complete under temporary names before config.json and the index of the old one
// are taken away; the new config.json comes last.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hadal/core/function_ref.h"
#include "hadal/core/json.h"
#include "hadal/io/file_journal.h"
#include "hadal/model/stored_weight.h"

namespace hadal {

struct PlannedWeight {
  std::string name;
  Tensor::Shape shape;
  WeightForm form;
};

struct CheckpointFiles {
  Json config;                    // config.json
  std::string generation_config;  // text; empty: made from config's token ids
  int64_t max_shard_bytes = 0;
  std::vector<std::pair<std::string, std::string>>
      beside;  // other files that change with it: name, text
};

// `produce` gives the tensors that declare() promises for weight i; called once for each, in order.
// Returns the bytes of all tensors.
int64_t write_checkpoint(const std::string& folder, const std::vector<PlannedWeight>& weights,
                         const CheckpointFiles& files,
                         FunctionRef<std::vector<Tensor>(size_t i)> produce);

// The same for work that takes long: every shard is complete in `journal`'s folder, and noted there, before
// the next is begun, and `produce` is not asked for the weights of those noted by an earlier try. The
// whole moves to `target` at the end: as one folder if that is not there, else file by file, config.json
// last. REQUIRES both folders on one file system.
int64_t write_checkpoint_in_steps(FileJournal& journal, const std::string& target,
                                  const std::vector<PlannedWeight>& weights,
                                  const CheckpointFiles& files,
                                  FunctionRef<std::vector<Tensor>(size_t i)> produce);

}  // namespace hadal
