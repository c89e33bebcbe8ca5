#include "hadal/spread/state_bytes.h"

#include <cstring>
#include <type_traits>

#include "hadal/comm/communicator.h"

namespace hadal {
namespace {

class Writer {
 public:
  template <class T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(T));
  }
  // Of each element, what `each` says.
  template <class T, class Each>
  void list(const std::vector<T>& values, const Each& each) {
    value(std::ssize(values));
    for (const T& one : values) each(one);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <class T>
  void value(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    require(sizeof(T));
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
  }
  template <class T, class Each>
  void list(std::vector<T>& values, const Each& each) {
    std::ptrdiff_t n = 0;
    value(n);
    require(static_cast<size_t>(n));  // an element has a byte or more
    values.resize(static_cast<size_t>(n));
    for (T& one : values) each(one);
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  void require(size_t n) const {
    if (n > bytes_.size()) {
      throw CommError(concat("a request handed over is cut short (found ", bytes_.size(),
                             " bytes, expected ", n, " more)"));
    }
  }
  std::span<const std::byte> bytes_;
};

// In one order for both directions.
template <class Stream, class Request, class Forms>
void each_field(Stream& s, Request& request, Forms& forms) {
  const auto plain = [&](auto& value) { s.value(value); };
  const auto plain_list = [&](auto& values) { s.list(values, plain); };
  s.value(request.number);
  s.value(request.prefill_seconds);
  auto& state = request.state;
  plain_list(state.request.prompt);
  auto& options = state.request.options;
  s.value(options.max_tokens);
  plain_list(options.stop_tokens);
  s.value(options.draft_tokens);
  s.value(options.draft_from);
  s.value(options.drop_slow_drafts);
  s.value(options.record);
  s.value(options.top_logprobs);
  auto& sampling = options.sampling;
  s.value(sampling.temperature);
  s.value(sampling.top_k);
  s.value(sampling.top_p);
  s.value(sampling.min_p);
  s.value(sampling.repetition_penalty);
  s.value(sampling.presence_penalty);
  s.value(sampling.frequency_penalty);
  s.value(sampling.seed);
  s.value(sampling.n_usable_ids);
  plain_list(sampling.suppressed_ids);
  plain_list(state.tokens);
  plain_list(state.lengths);
  s.list(state.waiting, [&](auto& waiting) { s.value(waiting.first); });
  s.value(state.n_read);
  s.list(state.logprobs, [&](auto& logprobs) {
    s.value(logprobs.token);
    s.value(logprobs.logprob);
    plain_list(logprobs.top);
  });
  s.value(state.record.n_layers);
  s.value(state.record.top_k);
  plain_list(state.record.experts);
  plain_list(state.record.mask_offsets);
  plain_list(state.record.mask_ids);
  s.value(state.counts);
  plain_list(forms);
}

}  // namespace

std::vector<std::byte> bytes_of(const HandedOver& request) {
  const Tensor& pages = request.state.pages;
  std::vector<RowsForm> forms = {{pages.dim(0), pages.dim(1)}};
  for (const auto& [first, rows] : request.state.waiting) {
    forms.push_back(rows.has_data() ? RowsForm{rows.dim(0), rows.dim(1)} : RowsForm{0, 0});
  }
  Writer writer;
  each_field(writer, request, forms);
  return writer.take();
}

HandedOver request_from(std::span<const std::byte> bytes, std::vector<RowsForm>& forms) {
  HandedOver request;
  Reader reader(bytes);
  each_field(reader, request, forms);
  if (!reader.at_end() || forms.size() != request.state.waiting.size() + 1) {
    throw CommError("a request handed over is of another form; the ranks must be of one build");
  }
  return request;
}

}  // namespace hadal
