// data/trained_tokenizer_json.h: a trained vocabulary in the words of tokenizer.json.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hadal/data/bpe_trainer.h"

namespace hadal {

int64_t n_family_tokens();  // added tokens of the family: begin, end, pad, FIM, roles, tools

// `merges` are pairs of byte strings in the order of their ranks.
TrainedTokenizer trained_tokenizer_json(
    const std::vector<std::pair<std::string, std::string>>& merges);

}  // namespace hadal
