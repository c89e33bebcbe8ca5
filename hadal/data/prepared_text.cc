#include "hadal/data/prepared_text.h"

#include "hadal/core/error.h"
#include "hadal/data/prepared_folder.h"

namespace hadal {

void for_each_training_text(const std::string& prepared_folder,
                            const std::function<void(std::string_view text)>& visit) {
  const Json manifest = read_manifest(prepared_folder);
  DataConfig config;
  std::string files_hash;
  try {
    config = config_of_manifest(manifest);
    files_hash = manifest.at("settings").at("files_hash").as_string();
  } catch (const FormatError& error) {
    throw FormatError(
        concat(prepared_folder, "/manifest.json: ", error.what(), "; prepare the data again"));
  }
  const auto files = list_source_files(config.paths);
  if (source_files_hash(files) != files_hash) {
    throw FormatError(concat(prepared_folder,
                             ": its sources have changed since (found other sizes or "
                             "times below ",
                             config.paths.front(), "); prepare the data again"));
  }
  Corpus::scan(files, config.corpus)
      .for_each(Split::kTrain,
                [&](const Document& document, const ContentHash&) { visit(document.text); });
}

}  // namespace hadal
