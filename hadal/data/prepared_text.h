// data/prepared_text.h: the text behind a prepared data folder, for what compares itself with a
// model trained on it: exactly the same documents on either side of the split.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace hadal {

// Reads the sources again and visits the training split. FormatError if they are not what the
// folder was prepared from.
void for_each_training_text(const std::string& prepared_folder,
                            const std::function<void(std::string_view text)>& visit);

}  // namespace hadal
