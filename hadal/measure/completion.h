// measure/completion.h: does a model write what stands in a text? For functions that were held out of a
// repository: given the file up to the body,
//
//   exact lines       the line that greedy decoding writes, all before it being the true text
//   exact functions   the same of all lines of the body
//   bits per byte     of the body: - sum log2 p / bytes
//
// Greedy decoding writes a line exactly when each of its tokens is the most probable one, so one reading
// of the true text gives all three.
#pragma once

#include <string>
#include <vector>

#include "hadal/infer/text_model.h"

namespace hadal {

struct HeldOutText {
  std::string name, prompt, text;
};
// A file that corpus/git_text.h wrote. FormatError.
std::vector<HeldOutText> read_held_out(const std::string& path);

struct CompletionScore {
  int64_t texts = 0, exact_texts = 0;
  int64_t lines = 0, exact_lines = 0;  // lines that hold more than white space
  int64_t bytes = 0;
  double nats = 0.0;
  double bits_per_byte() const;
};

// A prompt that is too long for the model's positions loses its beginning; a text that is, its end.
CompletionScore score_completions(TextModel& text_model, const std::vector<HeldOutText>& texts);

}  // namespace hadal
