// tests/support/text_model_folder.h: a complete model folder (random weights, its own tokenizer
// with the family's control tokens, one MTP module), as generate, chat and score take it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace hadal::test {

// Writes the folder once per process and returns its path. Its context is 128 tokens, and its
// embedding has 7 rows more than the tokenizer has ids.
const std::string& text_model_folder();

// The same weights without tokenizer.json.
const std::string& model_folder_without_tokenizer();

// A model that knows its lines: behind the first token of a pair it writes the second, token for token,
// and ends, at temperature 0. Its tokenizer is tokenizer_with_all_marks(). REQUIRES that no token of the
// lines is followed by two different ones.
using Lines = std::vector<std::pair<std::string, std::string>>;
void write_reciting_model(const std::string& folder, const Lines& lines);
// The same beside a tokenizer.json that is there: behind each id of a sequence it writes the next.
void write_reciting_weights(const std::string& folder,
                            const std::vector<std::vector<int32_t>>& sequences);

// A small tokenizer alone: a folder with tokenizer.json.
const std::string& tokenizer_folder();

}  // namespace hadal::test
