// tests/support/text_model_folder.h: a complete model folder (random weights, its own tokenizer
// with the family's control tokens, one MTP module), as generate, chat and score take it.
#pragma once

#include <string>

namespace hadal::test {

// Writes the folder once per process and returns its path. Its context is 128 tokens, and its
// embedding has 7 rows more than the tokenizer has ids.
const std::string& text_model_folder();

// The same weights without tokenizer.json.
const std::string& model_folder_without_tokenizer();

// A small tokenizer alone: a folder with tokenizer.json.
const std::string& tokenizer_folder();

}  // namespace hadal::test
