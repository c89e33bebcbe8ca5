// io/model_files.h: the paths and files that people give for a model, and what each of them is.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

// The folder of a run stands for its newest checkpoint, RUN/latest; ORG/NAME, where no such path exists,
// for what the Hugging Face cache holds of that model (HF_HUB_CACHE, HF_HOME/hub or
// ~/.cache/huggingface/hub); every other path for itself. FormatError if the run has no checkpoint yet, or
// the cache no whole download.
std::string model_folder(const std::string& path);

// Which model lies in a folder: a hash of the name, size and time of change of config.json and of every
// weight file. It changes when a file does; a copy of the folder may have another.
std::string model_identity(const std::string& folder);

// FormatError if a file begins as GGUF, PyTorch's archives, a Git LFS pointer or a web page do: what
// is often given, or found, in place of `wanted` ("safetensors").
void refuse_foreign_format(std::string_view file, const std::string& path, std::string_view wanted);
void refuse_foreign_file(const std::string& path, std::string_view wanted);  // by its first bytes

// Files of a folder that hold weights in a form hadal does not read: "pytorch_model.bin and 3 more"
// and the way out. REQUIRES a folder without model.safetensors and its index.
struct UnreadWeights {
  std::string found, advice;  // empty: there are none
};
UnreadWeights unread_weights(const std::string& folder);

}  // namespace hadal
