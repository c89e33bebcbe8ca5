// cli/cmd_data_ngram.cc: `hadal data ngram`
#include <algorithm>
#include <limits>

#include "hadal/cli/commands.h"
#include "hadal/core/error.h"
#include "hadal/data/prepared_folder.h"
#include "hadal/data/prepared_text.h"
#include "hadal/measure/byte_ngram.h"
#include "hadal/train/config.h"
#include "hadal/train/held_out.h"
#include "hadal/train/metrics.h"

namespace hadal::cli {
namespace {

struct NgramOptions {
  std::string run, prepared;
  std::string orders = "3,5";
};

void bind_ngram(Flags& flags, NgramOptions& o) {
  flags.example("hadal data ngram --run runs/first --orders 3,5",
                "byte models of the run's training text on the rows that its evaluations scored");
  flags.option("run", o.run, "folder of a training run");
  flags.option("prepared", o.prepared, "or a folder that `data pack` wrote: all held-out rows");
  flags.option("orders", o.orders, "bytes of context, a list: 3,5");
}

std::vector<int> parse_orders(const std::string& list) {
  std::vector<int> orders;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    const std::string item = list.substr(at, end - at);
    require(
        item.size() == 1 && item[0] >= '0' && item[0] <= '0' + ByteNgram::kMaxOrder,
        {.field = "--orders",
         .problem = "not a list of small numbers",
         .found = list,
         .expected = {"numbers from 0 to ", ByteNgram::kMaxOrder, " with commas between them"}});
    orders.push_back(item[0] - '0');
    at = end + 1;
  }
  return orders;
}

// What is scored, and by which other model it already was.
struct Question {
  PreparedData data;
  std::vector<HeldOutBatch> rows;
  Json model_bits_per_byte;  // of the run's last evaluation; null without one
};

Question question_of_run(const std::string& run, ThreadPool& pool) {
  TrainConfig config = read_train_config(run + "/run.toml", {});
  config.data.seq_len = config.train.seq_len;
  config.data.seed = static_cast<uint64_t>(config.train.seed);
  PreparedData data = prepare_data(config.data, pool);
  const ModelConfig shape = model_shape(config, data.tokenizer.vocab_size());
  auto rows = held_out_rows(data, shape, config.eval.sequences, config.train.seq_len);
  Json bits_per_byte;
  for (const Json& line : read_metrics(run, std::numeric_limits<int64_t>::max())) {
    if (const Json* found = line.find("val/bpb")) bits_per_byte = *found;
  }
  return {std::move(data), std::move(rows), std::move(bits_per_byte)};
}

Question question_of_folder(const std::string& folder) {
  PreparedData data = open_prepared_folder(folder, 0);
  Batch all = data.validation_batch(0, data.validation_rows());
  const int64_t bytes = data.target_bytes(all);
  std::vector<HeldOutBatch> rows;
  rows.push_back({std::move(all), bytes});
  return {std::move(data), std::move(rows), Json()};
}

Json result(const std::string& model, Json bits_per_byte) {
  Json json = Json::object();
  json["model"] = model;
  json["bits_per_byte"] = std::move(bits_per_byte);
  return json;
}

int run_ngram(const NgramOptions& o, const CommonOptions& common, Output& out) {
  require(o.run.empty() != o.prepared.empty(),
          {.field = "data ngram",
           .problem = "which text?",
           .found = {o.run.empty() ? "neither" : "both", " --run and --prepared"},
           .expected = "one of them"});
  const std::vector<int> orders = parse_orders(o.orders);
  ThreadPool pool(common.threads);
  const Question question =
      o.run.empty() ? question_of_folder(o.prepared) : question_of_run(o.run, pool);
  int64_t bytes = 0;
  for (const HeldOutBatch& rows : question.rows) bytes += rows.bytes;
  if (bytes == 0) {
    throw FormatError(concat(question.data.folder,
                             ": no held-out text to score; prepare it with a "
                             "validation_fraction above 0"));
  }
  Json results = Json::array();
  if (!question.model_bits_per_byte.is_null()) {
    results.push_back(result("this run", question.model_bits_per_byte));
  }
  for (const int order : orders) {
    ByteNgram model(order);
    for_each_training_text(question.data.folder, [&](std::string_view text) { model.add(text); });
    model.finish();
    double bits = 0.0;
    for (const HeldOutBatch& rows : question.rows) {
      bits += ngram_bits(model, question.data.tokenizer, rows.batch);
    }
    results.push_back(result(concat("bytes, order ", order), bits / static_cast<double>(bytes)));
  }
  Json report = Json::object();
  report["results"] = std::move(results);
  report["bytes"] = bytes;
  out.report(report);
  return 0;
}

}  // namespace

Command make_data_ngram_command() {
  return define_command<NgramOptions>(
      "data ngram", "score held-out text with byte models that only count", bind_ngram, run_ngram);
}

}  // namespace hadal::cli
