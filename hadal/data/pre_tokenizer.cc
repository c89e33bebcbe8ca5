#include "hadal/data/pre_tokenizer.h"

#include "hadal/data/deepseek_scanner.h"

namespace hadal {

const char* const kDeepseekPatterns[3] = {
    R"(\p{N}{1,3})",
    "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
    // \r and \n stand in the file as JSON escapes, so as characters here.
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"};

bool is_deepseek_sequence(const std::vector<SplitStage>& stages) {
  return stages.size() == 3 && stages[0].pattern == kDeepseekPatterns[0] &&
         stages[1].pattern == kDeepseekPatterns[1] && stages[2].pattern == kDeepseekPatterns[2];
}

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const std::vector<SplitStage>& stages) {
  if (is_deepseek_sequence(stages)) return std::make_unique<DeepseekScanner>();
  return make_regex_splitter(stages);
}

}  // namespace hadal
