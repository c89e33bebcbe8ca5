// measure/completion.h: does a model write what stands in a text? For functions that were held out of a
// repository: given the file up to the body,
//
//   exact lines       behind the true text before a line, greedy decoding writes that line and ends it
//   exact functions   greedy decoding writes the whole body, reading nothing but its own lines
//   bits per byte     of the body: - sum log2 p / bytes
//
// Lines and functions are compared as text: which tokens a model cuts them into is its own affair, and so
// is what follows the end of a line (a token may hold several line breaks). File and body are encoded as
// one text, as they were for training, and a model that writes a line begins where the last token ends
// that lies before it; if that token ends earlier, what is between belongs to what must be written.
#pragma once

#include <string>
#include <vector>

#include "hadal/infer/text_model.h"

namespace hadal {

struct HeldOutText {
  std::string name, prompt, text;
};
// A file that corpus/git_text.h wrote. FormatError names the line that is none of it.
std::vector<HeldOutText> read_held_out(const std::string& path);

struct CompletionScore {
  int64_t texts = 0, exact_texts = 0;
  int64_t lines = 0, exact_lines = 0;            // lines that hold more than white space
  int64_t word_lines = 0, exact_word_lines = 0;  // those with a letter or digit: no lone braces
  int64_t bytes = 0;
  double nats = 0.0;
  double bits_per_byte() const;
};

// `window`: tokens of prompt and text together, 0: the model's positions. A prompt that is too long loses
// its beginning. Where that does not do, a quarter of the window is the prompt's, and the text loses its
// end: the lines there are not counted, and the text is not exact. ConfigError for a window out of range.
CompletionScore score_completions(TextModel& text_model, const std::vector<HeldOutText>& texts,
                                  int64_t window = 0);

}  // namespace hadal
