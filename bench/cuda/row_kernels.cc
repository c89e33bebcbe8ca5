// Kernels of rows and elements on the card: GB/s at DeepSeek-V3's shapes, 4096 tokens, beside the rate of a
// device's copy (read plus write, one H100). Each operand is larger than the L2, or as large as the model makes it;
// bytes are what the formula must read and write, once. Uploads of host indices are part of an op. Prints
// one table; about three seconds.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "bench/cuda/event_times.h"
#include "hadal/core/rng.h"
#include "hadal/kernels/adamw_update.h"
#include "hadal/kernels/argmax.h"
#include "hadal/kernels/convert.h"
#include "hadal/kernels/copy.h"
#include "hadal/kernels/cross_entropy.h"
#include "hadal/kernels/cuda/stream.h"
#include "hadal/kernels/embedding.h"
#include "hadal/kernels/latent_rows.h"
#include "hadal/kernels/permute.h"
#include "hadal/kernels/quantize_q8_q4.h"
#include "hadal/kernels/rmsnorm.h"
#include "hadal/kernels/rope.h"
#include "hadal/kernels/swiglu.h"

namespace hadal {
namespace {

constexpr double kCopyGBs = 2980;
constexpr float kNoLimit = std::numeric_limits<float>::infinity();  // of swiglu
constexpr int64_t T = 4096, kModel = 7168, kExpert = 2048, kVocab = 129280, kTopK = 8;

class Bench {
 public:
  Bench() : stream_(cuda::Stream::open()), arena_(stream_->memory()) {
    Rng rng(1);
    for (int i = 0; i < 1'000'003; ++i) pattern_.push_back(static_cast<float>(rng.normal()));
    std::printf("%-44s %8s %8s %6s\n", "kernel", "ms", "GB/s", "% copy");
  }

  cuda::Stream& stream() { return *stream_; }
  // F32, filled with a pattern that is no multiple of a row.
  Tensor random(Tensor::Shape shape) {
    Tensor x = Tensor::empty(arena_, DType::kF32, std::move(shape));
    float* const to = x.flat<float>().data();
    const auto period = std::min(x.size(), static_cast<int64_t>(pattern_.size()));
    for (int64_t at = 0; at < x.size(); at += period) {
      const int64_t bytes = std::min(x.size() - at, period) * int64_t{sizeof(float)};
      stream_->memory().copy(to + at, at == 0 ? pattern_.data() : to, bytes);
    }
    return x;
  }
  Tensor zeros(Tensor::Shape shape, DType dtype = DType::kF32) {
    return Tensor::zeros(arena_, dtype, std::move(shape));
  }

  // The median of ten calls; `bytes` read and written by one.
  template <class Call>
  void row(const char* name, double bytes, const Call& call) {
    const double ms = 1e3 *
                      median_seconds(cuda::own(*stream_).handle(), 3, 10, [&](int) { call(); }),
                 rate = bytes / ms / 1e6;
    std::printf("%-44s %8.3f %8.0f %6.0f\n", name, ms, rate, 100.0 * rate / kCopyGBs);
    std::fflush(stdout);
  }

 private:
  std::unique_ptr<cuda::Stream> stream_;
  Arena arena_;
  std::vector<float> pattern_;
};

// Elements of f32 that are read or written, in bytes.
double f32(int64_t elements) { return 4.0 * static_cast<double>(elements); }

void model_rows(Bench& b) {
  const Tensor x = b.random({T, kModel}), dy = b.random({T, kModel}), w = b.random({kModel});
  Tensor y = b.random({T, kModel}), r = b.random({T}), dw = b.zeros({kModel});
  const int64_t n = T * kModel;
  b.row("copy_rows 4096 x 7168", f32(2 * n), [&] { copy_rows(b.stream(), y.mat(), x.mat()); });
  b.row("rmsnorm_forward 7168", f32(2 * n),
        [&] { rmsnorm_forward(b.stream(), y.mat(), r.vec(), x.mat(), w.vec(), 1e-6F); });
  b.row("rmsnorm_backward_input 7168, beta 1", f32(4 * n), [&] {
    rmsnorm_backward_input(b.stream(), y.mat(), dy.mat(), x.mat(), w.vec(), std::as_const(r).vec(),
                           1.0F);
  });
  b.row("rmsnorm_backward_weight 7168", f32(2 * n), [&] {
    rmsnorm_backward_weight(b.stream(), dw.vec(), dy.mat(), x.mat(), std::as_const(r).vec());
  });
  const Tensor latent = b.random({T, 576}), narrow = b.random({512});
  Tensor kv = b.random({T, 512});
  b.row("rmsnorm_forward 512 of 576", f32(2 * T * 512), [&] {
    rmsnorm_forward(b.stream(), kv.mat(), r.vec(), latent.mat().columns(0, 512), narrow.vec(),
                    1e-6F);
  });
  const Tensor table = b.random({kVocab, kModel});
  Tensor dtable = b.zeros({kVocab, kModel});
  std::vector<int32_t> ids;
  Rng rng(2);
  for (int64_t t = 0; t < T; ++t) {  // one token in sixteen is the same
    ids.push_back(t % 16 == 0 ? 5 : static_cast<int32_t>(rng.uniform_below(kVocab)));
  }
  b.row("embedding_forward F32", f32(2 * n),
        [&] { embedding_forward(b.stream(), y.mat(), WeightView(table.mat()), ids); });
  b.row("embedding_backward_weight", f32(3 * n),
        [&] { embedding_backward_weight(b.stream(), dtable.mat(), dy.mat(), ids); });
  for (const LatentForm form : {LatentForm::kBF16, LatentForm::kFp8}) {
    const LatentLayout layout{form, 512, 64};
    Tensor bytes = b.zeros({T * layout.row_bytes()}, DType::kU8);
    const LatentRows rows{layout, static_cast<std::byte*>(bytes.raw()), T};
    Tensor back = b.random({T, 576});
    const double moved = f32(T * 576) + static_cast<double>(bytes.bytes());
    const std::string name(latent_form_name(form));
    b.row(("store_latent_rows " + name).c_str(), moved,
          [&] { store_latent_rows(b.stream(), rows, latent.mat()); });
    b.row(("load_latent_rows " + name).c_str(), moved,
          [&] { load_latent_rows(b.stream(), back.mat(), rows); });
  }
}

// 4096 tokens with 8 experts each, of 256.
void expert_rows(Bench& b) {
  const int64_t R = T * kTopK;
  std::vector<int32_t> row_of(static_cast<size_t>(R)), token_of(row_of.size());
  Rng rng(3);
  for (size_t i = 0; i < row_of.size(); ++i) row_of[i] = static_cast<int32_t>(i);
  for (size_t i = row_of.size(); i-- > 1;) std::swap(row_of[i], row_of[rng.uniform_below(i + 1)]);
  for (size_t i = 0; i < row_of.size(); ++i) {
    token_of[static_cast<size_t>(row_of[i])] = static_cast<int32_t>(i / kTopK);
  }
  const Tensor x = b.random({T, kModel}), gates = b.random({T, kTopK});
  Tensor rows = b.random({R, kModel}), y = b.zeros({T, kModel}), factors = b.random({R});
  b.row("gather_rows 32768 x 7168", f32((T + R) * kModel),
        [&] { gather_rows(b.stream(), rows.mat(), x.mat(), token_of); });
  b.row("combine_rows", f32((2 * T + R) * kModel),
        [&] { combine_rows(b.stream(), y.mat(), std::as_const(rows).mat(), gates.mat(), row_of); });
  b.row("gather_rows_backward", f32((2 * T + R) * kModel),
        [&] { gather_rows_backward(b.stream(), y.mat(), std::as_const(rows).mat(), row_of); });
  const Tensor gate = b.random({R, kExpert}), up = b.random({R, kExpert});
  Tensor h = b.random({R, kExpert}), dh = b.random({R, kExpert});
  b.row("swiglu_forward 32768 x 2048", f32(3 * R * kExpert),
        [&] { swiglu_forward(b.stream(), h.mat(), gate.mat(), up.mat(), kNoLimit); });
  b.row("swiglu_backward", f32(5 * R * kExpert), [&] {
    swiglu_backward(b.stream(), h.mat(), dh.mat(), std::as_const(h).mat(), gate.mat(), up.mat(),
                    kNoLimit);
  });
  b.row("gate_backward", f32(3 * R * kExpert), [&] {
    gate_backward(b.stream(), factors.vec(), dh.mat(), std::as_const(h).mat(),
                  gates.reshaped({R}).vec());
  });
  b.row("scale_rows", f32(2 * R * kExpert),
        [&] { scale_rows(b.stream(), dh.mat(), std::as_const(factors).vec()); });
}

void heads_and_logits(Bench& b) {
  Tensor q = b.random({T, 128 * 192}), cos = b.random({T, 32}), sin = b.random({T, 32});
  std::vector<int32_t> positions(T), targets(T);
  for (int64_t t = 0; t < T; ++t) positions[static_cast<size_t>(t)] = static_cast<int32_t>(t);
  const View<float, 3> turned(q.flat<float>().data() + 128, {T, 128, 64}, {128 * 192, 192, 1});
  b.row("rope_turn 128 heads", f32(2 * turned.size()), [&] {
    rope_turn(b.stream(), turned, std::as_const(cos).mat(), std::as_const(sin).mat(), positions, 1);
  });
  const int64_t rows = 1024, n = rows * kVocab;
  targets.resize(rows);
  Tensor logits = b.random({rows, kVocab}), loss = b.random({rows});
  std::vector<int64_t> best(rows);
  b.row("argmax_rows 1024 x 129280", f32(n),
        [&] { argmax_rows(b.stream(), best, std::as_const(logits).mat()); });
  b.row("cross_entropy_forward", f32(n), [&] {
    cross_entropy_forward(b.stream(), loss.vec(), std::as_const(logits).mat(), targets);
  });
  b.row("cross_entropy_forward_backward", f32(2 * n), [&] {
    cross_entropy_forward_backward(b.stream(), loss.vec(), logits.mat(), targets, 1.0F);
  });
}

void weights(Bench& b) {
  const int64_t n = int64_t{1} << 27;
  Tensor value = b.random({n}), m = b.zeros({n}), v = b.zeros({n});
  const Tensor grad = b.random({n});
  const AdamwStep step{.lr = 1e-4F, .bias1 = 0.1, .bias2 = 0.05};
  b.row("adamw_update F32, 134M", f32(7 * n), [&] {
    adamw_update(b.stream(), value.flat<float>(), m.flat<float>(), v.flat<float>(),
                 grad.flat<float>(), step);
  });
  Tensor m16 = b.zeros({n}, DType::kBF16), v16 = b.zeros({n}, DType::kBF16);
  b.row("adamw_update BF16 moments", f32(5 * n), [&] {
    adamw_update(b.stream(), value.flat<float>(), m16.flat<bf16>(), v16.flat<bf16>(),
                 grad.flat<float>(), step);
  });
  b.row("convert F32 to BF16", 6.0 * static_cast<double>(n),
        [&] { convert(b.stream(), m16, value); });
  b.row("convert BF16 to F32", 6.0 * static_cast<double>(n),
        [&] { convert(b.stream(), value, m16); });
  const Tensor w = b.random({kExpert * 8, kModel});
  Tensor codes = b.zeros({w.dim(0), kModel / 2}, DType::kU8);
  Tensor scales = b.zeros({w.dim(0), kModel / kQuantBlock}, DType::kBF16);
  b.row(
      "quantize_q4 (bound by arithmetic)", f32(w.size()) + 0.5625 * static_cast<double>(w.size()),
      [&] { quantize_q4(b.stream(), codes.view<uint8_t, 2>(), scales.view<bf16, 2>(), w.mat()); });
}

}  // namespace
}  // namespace hadal

int main() {
  hadal::Bench bench;
  hadal::model_rows(bench);
  hadal::expert_rows(bench);
  hadal::heads_and_logits(bench);
  hadal::weights(bench);
}
