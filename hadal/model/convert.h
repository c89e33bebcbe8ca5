// model/convert.h: rewrites a checkpoint in another precision, weight by weight: memory holds one
// weight at a time, whatever the model's size.
#pragma once

#include <string>

#include "hadal/model/stored_weight.h"
#include "hadal/tensor/context.h"

namespace hadal {

struct ConvertOptions {
  StoredForms forms;
  bool overwrite = false;  // an existing, non-empty destination
  int64_t max_shard_bytes = int64_t{5} * 1000 * 1000 * 1000;
};

struct ConvertReport {
  int64_t bytes_in = 0, bytes_out = 0;  // of tensors
  int64_t tensors = 0;                  // parameters and copies written
};

// Weights that already have the wanted form are copied bit for bit. Tokenizer files and
// generation_config.json come along; config.json changes only where it describes the storage. A table
// that takes scales is stored once: MTP modules have no copy of it.
//
// Shards grow in TARGET.unfinished. Interrupted, or out of space, they wait there, and the same conversion
// goes on behind the last whole one; the target does not change before all of them are there.
ConvertReport convert_checkpoint(Context& ctx, const std::string& source_folder,
                                 const std::string& target_folder, const ConvertOptions& options);

}  // namespace hadal
