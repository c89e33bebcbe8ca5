#include "hadal/measure/completion.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/json.h"
#include "hadal/corpus/white_space.h"
#include "hadal/infer/sampler.h"
#include "hadal/infer/score.h"
#include "hadal/measure/sequence_reader.h"

namespace hadal {
namespace {

// Prompt and text as the tokens of one window: token i stands for bytes [begins[i], begins[i + 1]) of the
// text, counted from its first byte; those of the prompt lie below 0.
struct TextInWindow {
  std::vector<int32_t> ids;
  std::vector<int64_t> begins;  // one more than ids
  int64_t end = 0;              // of the text, or where the window ends

  // The last token that begins at or before `byte`.
  size_t token_at(int64_t byte) const {
    return static_cast<size_t>(std::upper_bound(begins.begin(), begins.end() - 1, byte) -
                               begins.begin()) -
           1;
  }
};

std::optional<TextInWindow> place(const TextModel& m, const HeldOutText& each, int64_t window) {
  const Tokenizer& tokenizer = m.need_tokenizer();
  TextInWindow placed;
  // What spells a mark is text in a file, in training too.
  placed.ids = tokenizer.encode(each.prompt + each.text, /*added_tokens=*/false);
  placed.begins = {-std::ssize(each.prompt)};
  for (const int32_t id : placed.ids) {
    placed.begins.push_back(placed.begins.back() + std::ssize(tokenizer.token_bytes(id)));
  }
  if (m.tokenizer->add_bos() && tokenizer.bos_id()) {
    placed.ids.insert(placed.ids.begin(), *tokenizer.bos_id());
    placed.begins.insert(placed.begins.begin(), placed.begins.front());
  }
  const int64_t n = std::ssize(placed.ids), first = static_cast<int64_t>(placed.token_at(0));
  if (first == 0) return {};  // nothing to go on from
  const int64_t n_text =
      std::min(n - first, window - std::min(first, std::max<int64_t>(1, window / 4)));
  const int64_t from = std::max<int64_t>(0, first + n_text - window), to = first + n_text;
  placed.ids = {placed.ids.begin() + from, placed.ids.begin() + to};
  placed.begins = {placed.begins.begin() + from, placed.begins.begin() + to + 1};
  placed.end = placed.begins.back();
  return placed;
}

// Greedy decoding of one text, from any place in it.
class GreedyWriter {
 public:
  GreedyWriter(TextModel& m, LatentPages& pages, const HeldOutText& text,
               const TextInWindow& placed, int64_t window)
      : m_(m),
        reader_(m, pages),
        stops_(m.stop_tokens()),
        text_(text),
        placed_(placed),
        window_(window) {
    reader_.read(placed_.ids);
  }

  // Whether it goes on behind the true text up to byte `begin` with the bytes up to `end`, and then ends
  // the line or, where nothing follows, the text. Must be asked from the end of the text to its beginning.
  bool writes(int64_t begin, int64_t end) {
    const size_t first = placed_.token_at(begin);
    const std::string wanted = bytes_between(placed_.begins[first], end);
    reader_.forget_from(static_cast<int64_t>(first) - 1);
    size_t written = 0;
    for (int32_t last = placed_.ids[first - 1]; reader_.length() < window_;) {
      last = next_behind(last);
      if (std::find(stops_.begin(), stops_.end(), last) != stops_.end()) {
        return written == wanted.size() && is_blank_from(end);
      }
      for (const char c : m_.need_tokenizer().token_bytes(last)) {
        if (written == wanted.size()) return c == '\n' || c == '\r';
        if (c != wanted[written++]) return false;
      }
    }
    return false;
  }

 private:
  int32_t next_behind(int32_t id) {
    const Tensor logits = reader_.read({&id, 1}).to_host();
    return argmax(std::as_const(logits).flat<float>(), m_.need_tokenizer().vocab_size());
  }
  // Bytes below 0 are the prompt's last.
  std::string bytes_between(int64_t begin, int64_t end) const {
    const std::string_view prompt = text_.prompt, text = text_.text;
    const auto before = static_cast<size_t>(std::max<int64_t>(0, -begin));
    return std::string(prompt.substr(prompt.size() - before)) +
           std::string(text.substr(static_cast<size_t>(std::max<int64_t>(0, begin)),
                                   static_cast<size_t>(end - std::max<int64_t>(0, begin))));
  }
  bool is_blank_from(int64_t at) const {
    return std::all_of(text_.text.begin() + at, text_.text.end(), is_space);
  }

  TextModel& m_;
  SequenceReader reader_;
  std::vector<int32_t> stops_;
  const HeldOutText& text_;
  const TextInWindow& placed_;
  int64_t window_;
};

struct LineSpan {
  int64_t begin = 0, end = 0;  // without the line break
  bool has_word = false;
};

// A letter or digit; beyond ASCII all that is written counts as letters.
bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Those that hold more than white space and end before byte `known`, or with the text.
std::vector<LineSpan> written_lines(const std::string& text, int64_t known) {
  std::vector<LineSpan> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t stop = std::min(text.find('\n', begin), text.size());
    const size_t end = stop > begin && text[stop - 1] == '\r' ? stop - 1 : stop;
    if (static_cast<int64_t>(end) > known) break;
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (!std::all_of(line.begin(), line.end(), is_space)) {
      lines.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(end),
                       std::any_of(line.begin(), line.end(), is_word)});
    }
    begin = stop + 1;
  }
  return lines;
}

void add_written(TextModel& m, LatentPages& pages, const HeldOutText& each,
                 const TextInWindow& placed, int64_t window, CompletionScore& score) {
  const std::vector<LineSpan> lines = written_lines(each.text, placed.end);
  const bool whole = placed.end == std::ssize(each.text);
  GreedyWriter writer(m, pages, each, placed, window);
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const int64_t exact = writer.writes(line->begin, line->end) ? 1 : 0;
    score.exact_lines += exact;
    if (line->has_word) score.exact_word_lines += exact;
    score.word_lines += line->has_word ? 1 : 0;
  }
  score.lines += std::ssize(lines);
  ++score.texts;
  score.exact_texts += whole && !lines.empty() && writer.writes(0, lines.back().end) ? 1 : 0;
}

void add_likelihood(TextModel& m, const TextInWindow& placed, CompletionScore& score) {
  const std::vector<double> logprobs = score_tokens(m.ctx, m.model, placed.ids);
  const size_t first = placed.token_at(0);
  for (size_t i = first; i < placed.ids.size(); ++i) score.nats -= logprobs[i - 1];
  score.bytes += placed.end - placed.begins[first];
}

constexpr const char* kHeldOutLine =
    R"(on each line an object with the strings "name", "prompt" and "text")";

const std::string& string_in(const Json& record, const char* key, const std::string& place) {
  const Json* value = record.find(key);
  if (!value || !value->is_string()) {
    throw FormatError(Complaint{.place = place,
                                .field = key,
                                .problem = "no string",
                                .found = value                ? value->type_name()
                                         : record.is_object() ? "an object without it"
                                                              : record.type_name(),
                                .expected = kHeldOutLine,
                                .advice = "give held_out.jsonl of hadal data repository"});
  }
  return value->as_string();
}

}  // namespace

std::vector<HeldOutText> read_held_out(const std::string& path) {
  std::vector<HeldOutText> texts;
  const std::string lines = read_text_file(path);
  int64_t number = 0;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string_view line = std::string_view(lines).substr(at, end - at);
    at = end + 1;
    ++number;
    if (std::all_of(line.begin(), line.end(), is_space)) continue;
    const std::string place = concat(path, ": line ", number);
    const Json record = parse_json(line, place);
    texts.push_back({string_in(record, "name", place), string_in(record, "prompt", place),
                     string_in(record, "text", place)});
  }
  if (texts.empty()) {
    throw FormatError(Complaint{.place = path,
                                .problem = "no held-out text in it",
                                .expected = kHeldOutLine,
                                .advice = "give held_out.jsonl of hadal data repository"});
  }
  return texts;
}

double CompletionScore::bits_per_byte() const {
  return bytes > 0 ? nats / std::log(2.0) / static_cast<double>(bytes) : 0.0;
}

CompletionScore score_completions(TextModel& m, const std::vector<HeldOutText>& texts,
                                  int64_t window) {
  const int64_t positions = m.model.config.max_position_embeddings;
  if (window == 0) window = positions;
  require(window >= 8 && window <= positions, {.field = "window",
                                               .problem = "out of range",
                                               .found = window,
                                               .expected = {"8 to ", positions, ", or 0 for all"},
                                               .advice = "the model has no more positions"});
  m.model.ensure_rope(m.arena, window);
  LatentPages pages(m.model.config, pages_for(window), 0, LatentForm::kF32, m.arena.memory());
  CompletionScore score;
  for (const HeldOutText& each : texts) {
    if (interrupted()) throw Interrupted("interrupted; nothing was measured");
    const std::optional<TextInWindow> placed = place(m, each, window);
    if (!placed || each.text.empty()) continue;
    add_likelihood(m, *placed, score);
    add_written(m, pages, each, *placed, window, score);
  }
  return score;
}

}  // namespace hadal
