// model/checkpoint_reader.h: a checkpoint folder, mapped and checked against its config.json.
// Nothing is read but headers: load_model, convert and inspect take from here what they need.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hadal/core/function_ref.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/stored_weight.h"

namespace hadal {

struct OpenCheckpoint {
  ModelConfig stored_config;  // as config.json says, corrected by the weights (found_config.h)
  ModelConfig config;         // the same; without MTP modules if they were not wanted
  TensorSource source;
  std::optional<StoredForms> forms;  // where config.json names them for every weight
};
// FormatError unless the folder holds at least as many tensors as its config.json asks for.
// `path`: such a folder, or a run's.
OpenCheckpoint open_checkpoint(const std::string& path, bool with_mtp);

// Where every parameter lies. FormatError if one is missing, unfit or stored in another form than
// config.json says, or if a tensor is left over
// that is neither a known copy nor ignorable.
std::vector<StoredWeight> find_all_stored(const OpenCheckpoint& checkpoint,
                                          const std::vector<NamedParam>& params);
// The same of all, and then only those that `held` holds. Calls before_values(these) when only the
// scales' values of these are left to check.
std::vector<StoredWeight> find_all_stored(
    const OpenCheckpoint& checkpoint, const std::vector<NamedParam>& params, const HeldPart& held,
    FunctionRef<void(std::span<const StoredWeight>)> before_values);

}  // namespace hadal
