#include "hadal/comm/mpi_transport.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "hadal/core/clock.h"

namespace hadal {
namespace {

constexpr int kEnvelopeTag = 0;                    // elements have the tags above
constexpr int64_t kMostElementTags = 1 << 20;      // messages between two ranks at the same time
constexpr int64_t kMostInside = 1024;              // bytes that travel in the envelope
constexpr int64_t kPieceBytes = int64_t{1} << 24;  // counts of MPI end at 2 GiB
// Between two looks of the thread, while the rank computes; longer while nothing comes. Over TCP a look
// costs system calls: at 60 microseconds it took 15 % of what the rank computed with.
constexpr auto kBetweenLooks = std::chrono::microseconds(60);
constexpr auto kLongestBetweenLooks = std::chrono::microseconds(240);
// A look that took this long has copied elements, and MPI has more to copy: where it copies fragments
// (shared memory, vader without single copy), 8 MiB went at 0.8 to 4.3 GB/s with sleeps in between and at
// 8 without.
constexpr double kCopyingSeconds = 4e-6;

// Ranks may outnumber cores: whoever waits lets others compute.
void pause_before_look(int n_looks) {
  constexpr int kYields = 200;
  if (n_looks < kYields) return std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::microseconds(std::min(n_looks - kYields + 1, 100)));
}

int tag_of_elements(int64_t number, int64_t n_tags) {
  return static_cast<int>(1 + number % n_tags);
}

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommError(concat("MPI: ", call, ": ", std::string_view(text, static_cast<size_t>(length))));
}

class MpiTransport::Pending : public Receipt::Pending {
 public:
  Pending(MpiTransport& transport, const Ticket& ticket, std::shared_ptr<MpiTransfer> transfer)
      : transport_(transport), ticket_(ticket), transfer_(std::move(transfer)) {}
  ~Pending() override {  // what nobody waits for needs no memory any more
    const std::lock_guard lock(transport_.mutex_);
    // An even lane counts from 0 again: the ticket may be another's by now.
    const auto asked = transport_.asked_.find(ticket_);
    if (asked != transport_.asked_.end() && asked->second == transfer_) {
      transport_.asked_.erase(asked);
    }
  }

  bool arrived() override {
    const std::lock_guard lock(transport_.mutex_);
    if (!transfer_->there) transport_.poll();
    transport_.throw_if_failed();
    return transfer_->can_be_had();
  }

  Tensor wait() override {
    std::unique_lock lock(transport_.mutex_);
    if (!transport_.wait_until(lock, [&] { return transfer_->can_be_had(); })) {
      throw_silent({transport_.rank_, ticket_.from, ticket_.channel.tag}, transport_.place_,
                   transport_.patience_seconds_, "");
    }
    if (transfer_->refused) std::rethrow_exception(transfer_->refused);
    return std::move(transfer_->message);
  }

 private:
  MpiTransport& transport_;
  Ticket ticket_;
  std::shared_ptr<MpiTransfer> transfer_;
};

MpiTransport::MpiTransport(double patience_seconds, const SlowLink& link)
    : patience_seconds_(patience_seconds) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
  check_mpi(MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(world_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(world_, &n_ranks_), "MPI_Comm_size");
  int* most = nullptr;
  int known = 0;
  check_mpi(MPI_Comm_get_attr(world_, MPI_TAG_UB, static_cast<void*>(&most), &known), "MPI_TAG_UB");
  n_element_tags_ = std::min<int64_t>(known != 0 ? *most : 32767, kMostElementTags);
  n_sent_.resize(static_cast<size_t>(n_ranks_));
  links_.emplace(link, rank_, n_ranks_);
  mover_ = std::jthread([this] { move_while_computing(); });
}

MpiTransport::~MpiTransport() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  mover_.join();
  MPI_Comm_free(&world_);
}

void MpiTransport::send(int to, const Channel& channel, Tensor message) {
  MpiEnvelope envelope{.dtype = message.dtype(),
                       .channel = channel,
                       .shape = message.shape(),
                       .bytes = message.bytes()};
  const std::lock_guard lock(mutex_);
  if (to == rank_) return put(rank_, channel, {envelope, {}, std::move(message)});
  envelope.number = n_sent_[static_cast<size_t>(to)]++;
  envelope.not_before = links_->arrival(to, envelope.bytes).time_since_epoch().count();
  const auto transfer = std::make_shared<MpiTransfer>();
  if (envelope.bytes <= kMostInside) {
    const auto* elements = static_cast<const std::byte*>(std::as_const(message).raw());
    send_envelope(to, envelope, {elements, static_cast<size_t>(envelope.bytes)}, transfer);
  } else {
    transfer->message = std::move(message);
    send_envelope(to, envelope, {}, transfer);
    start_pieces(to, envelope.number, transfer);
  }
  wake_.notify_one();
}

Receipt MpiTransport::receive(int from, const Channel& channel, const MessageForm& form,
                              Arena& arena) {
  if (!arena.memory().on_host()) throw ShapeError("message: can only be received on the host");
  const auto transfer = std::make_shared<MpiTransfer>();
  transfer->sending = false;
  transfer->form = form;
  transfer->arena = &arena;
  const std::lock_guard lock(mutex_);
  const Ticket ticket = lanes_.ask(from, channel);
  if (lanes_.find(ticket) != nullptr) {
    start_receiving(transfer, ticket);
  } else {
    asked_.emplace(ticket, transfer);
  }
  wake_.notify_one();
  return Receipt(std::make_unique<Pending>(*this, ticket, transfer));
}

void MpiTransport::put(int from, const Channel& channel, MpiParcel parcel) {
  const Ticket ticket = lanes_.put(from, channel, std::move(parcel));
  if (const auto asked = asked_.extract(ticket)) start_receiving(asked.mapped(), ticket);
}

void MpiTransport::start_receiving(const std::shared_ptr<MpiTransfer>& transfer,
                                   const Ticket& ticket) {
  MpiParcel parcel = lanes_.take(ticket);
  const MpiEnvelope& envelope = parcel.envelope;
  transfer->not_before = LinkClock::time_point(LinkClock::duration(envelope.not_before));
  try {
    check_form({rank_, ticket.from, ticket.channel.tag}, envelope.dtype, envelope.shape,
               transfer->form);
  } catch (const CommError&) {
    transfer->refused = std::current_exception();
    transfer->there = true;
    return;
  }
  if (ticket.from == rank_) {
    transfer->message = std::move(parcel.own);
    transfer->there = true;
    return;
  }
  transfer->message = Tensor::empty(*transfer->arena, envelope.dtype, envelope.shape);
  if (envelope.bytes > kMostInside) return start_pieces(ticket.from, envelope.number, transfer);
  if (envelope.bytes > 0)
    std::ranges::copy(parcel.inside, static_cast<std::byte*>(transfer->message.raw()));
  transfer->there = true;
}

void MpiTransport::send_envelope(int to, const MpiEnvelope& envelope,
                                 std::span<const std::byte> inside,
                                 const std::shared_ptr<MpiTransfer>& transfer) {
  transfer->envelope.resize(sizeof(envelope) + inside.size());
  std::memcpy(transfer->envelope.data(), &envelope, sizeof(envelope));
  std::ranges::copy(inside, transfer->envelope.begin() + sizeof(envelope));
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Isend(transfer->envelope.data(), static_cast<int>(transfer->envelope.size()),
                      MPI_BYTE, to, kEnvelopeTag, world_, &request),
            "MPI_Isend");
  requests_.push_back(request);
  of_request_.push_back(transfer);
  ++transfer->n_open;
}

void MpiTransport::start_pieces(int other, int64_t number,
                                const std::shared_ptr<MpiTransfer>& transfer) {
  Tensor& message = transfer->message;
  const int tag = tag_of_elements(number, n_element_tags_);
  for (int64_t begin = 0; begin < message.bytes(); begin += kPieceBytes) {
    const int n = static_cast<int>(std::min(kPieceBytes, message.bytes() - begin));
    MPI_Request request = MPI_REQUEST_NULL;
    if (transfer->sending) {
      const auto* from = static_cast<const std::byte*>(std::as_const(message).raw()) + begin;
      check_mpi(MPI_Isend(from, n, MPI_BYTE, other, tag, world_, &request), "MPI_Isend");
    } else {
      auto* to = static_cast<std::byte*>(message.raw()) + begin;
      check_mpi(MPI_Irecv(to, n, MPI_BYTE, other, tag, world_, &request), "MPI_Irecv");
    }
    requests_.push_back(request);
    of_request_.push_back(transfer);
    ++transfer->n_open;
  }
}

bool MpiTransport::poll() {
  const double start = monotonic_seconds();
  take_envelopes();
  end_requests();
  return monotonic_seconds() - start > kCopyingSeconds;
}

void MpiTransport::take_envelopes() {
  for (;;) {
    int found = 0, n_bytes = 0;
    MPI_Message handle = MPI_MESSAGE_NULL;
    MPI_Status status;
    check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kEnvelopeTag, world_, &found, &handle, &status),
              "MPI_Improbe");
    if (found == 0) return;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &n_bytes), "MPI_Get_count");
    std::vector<std::byte> bytes(static_cast<size_t>(n_bytes));
    check_mpi(MPI_Mrecv(bytes.data(), n_bytes, MPI_BYTE, &handle, MPI_STATUS_IGNORE), "MPI_Mrecv");
    MpiParcel parcel;
    std::memcpy(&parcel.envelope, bytes.data(), sizeof(parcel.envelope));
    parcel.inside.assign(bytes.begin() + sizeof(parcel.envelope), bytes.end());
    if (parcel.envelope.kind == MpiEnvelope::kMessage) {
      put(status.MPI_SOURCE, parcel.envelope.channel, std::move(parcel));
    } else if (failure_.empty()) {
      failure_.assign(reinterpret_cast<const char*>(parcel.inside.data()), parcel.inside.size());
    }
  }
}

void MpiTransport::end_requests() {
  if (requests_.empty()) return;
  std::vector<int> ended(requests_.size());
  int n_ended = 0;
  check_mpi(MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &n_ended,
                         ended.data(), MPI_STATUSES_IGNORE),
            "MPI_Testsome");
  ended.resize(static_cast<size_t>(std::max(n_ended, 0)));
  std::ranges::sort(ended, std::greater<>());
  for (const int i : ended) {  // the last takes the place of each, from behind
    const auto at = static_cast<size_t>(i);
    const std::shared_ptr<MpiTransfer> transfer =
        std::exchange(of_request_[at], of_request_.back());
    requests_[at] = requests_.back();
    requests_.pop_back();
    of_request_.pop_back();
    if (--transfer->n_open > 0) continue;
    transfer->there = true;
  }
}

void MpiTransport::throw_if_failed() const {
  if (broken_) std::rethrow_exception(broken_);
  if (!failure_.empty()) throw CommError(failure_);
}

template <class Done>
bool MpiTransport::wait_until(std::unique_lock<std::mutex>& lock, const Done& done) {
  struct Waiting {  // meanwhile the thread sleeps
    explicit Waiting(MpiTransport& of) : transport(of) { transport.waiting_ = true; }
    ~Waiting() {
      transport.waiting_ = false;
      if (transport.has_work()) transport.wake_.notify_one();
    }
    MpiTransport& transport;
  } const waiting(*this);
  const double deadline = monotonic_seconds() + patience_seconds_;
  for (int n_looks = 0;; ++n_looks) {
    if (poll()) n_looks = 0;
    throw_if_failed();
    if (done()) return true;
    if (monotonic_seconds() > deadline) return false;
    lock.unlock();
    pause_before_look(n_looks);
    lock.lock();
  }
}

void MpiTransport::progress() {
  const std::lock_guard lock(mutex_);
  if (has_work()) poll();
}

void MpiTransport::finish_sends() {
  std::unique_lock lock(mutex_);
  if (wait_until(lock, [&] { return requests_.empty(); })) return;
  throw CommError(concat("rank ", rank_, " (", place_text(place_),
                         "): its messages are not asked for; waited ", patience_seconds_, " s"));
}

void MpiTransport::at(const RankPlace& place) {
  const std::lock_guard lock(mutex_);
  place_ = place;
}

std::string MpiTransport::place() const {
  const std::lock_guard lock(mutex_);
  return place_text(place_);
}

void MpiTransport::fail(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return;
  failure_ = concat("rank ", rank_, " (", place_text(place_), "): ", reason).substr(0, kMostInside);
  const auto* text = reinterpret_cast<const std::byte*>(failure_.data());
  for (int to = 0; to < n_ranks_; ++to) {
    if (to == rank_) continue;
    send_envelope(to, {.kind = MpiEnvelope::kFailure}, {text, failure_.size()},
                  std::make_shared<MpiTransfer>());
  }
  wake_.notify_one();
}

void MpiTransport::move_while_computing() {
  std::unique_lock lock(mutex_);
  std::chrono::microseconds pause = kBetweenLooks;
  try {
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || (has_work() && !waiting_); });
      if (ending_) return;
      const size_t n_before = requests_.size() + asked_.size();
      const bool is_copying = poll();
      const bool is_quiet = !is_copying && requests_.size() + asked_.size() == n_before;
      pause = is_quiet ? std::min(2 * pause, kLongestBetweenLooks) : kBetweenLooks;
      lock.unlock();
      if (is_copying) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(pause);
      }
      lock.lock();
    }
  } catch (...) {
    broken_ = std::current_exception();  // the next wait says so
  }
}

}  // namespace hadal
