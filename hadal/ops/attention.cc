#include "hadal/ops/attention.h"

#include "hadal/kernels/attention.h"

namespace hadal {
namespace {

void check_operands(View<const float, 3> q, View<const float, 3> kv, View<const float, 2> k_rope,
                    const AttentionDims& dims) {
  expect_shape(q, {q.dim(0), dims.n_heads, dims.d_qk()}, "attention q");
  expect_shape(kv, {kv.dim(0), dims.n_heads, dims.d_nope + dims.d_v}, "attention kv");
  expect_shape(k_rope, {kv.dim(0), dims.d_rope}, "attention k_rope");
}

void check_tokens(const Sequences& sequences, int64_t q_rows, int64_t kv_rows) {
  if (sequences.tokens() != q_rows || q_rows != kv_rows) {
    throw ShapeError(concat("attention: sequences hold ", sequences.tokens(), " tokens, q ", q_rows,
                            ", kv ", kv_rows));
  }
}

}  // namespace

void attention_forward(Context& ctx, View<float, 3> o, View<float, 2> lse, View<const float, 3> q,
                       View<const float, 3> kv, View<const float, 2> k_rope,
                       const Sequences& sequences, const AttentionDims& dims, float scale) {
  check_operands(q, kv, k_rope, dims);
  check_tokens(sequences, q.dim(0), kv.dim(0));
  expect_shape(o, {q.dim(0), dims.n_heads, dims.d_v}, "attention o");
  expect_shape(lse, {q.dim(0), dims.n_heads}, "attention lse");
  switch (ctx.device) {
    case Device::kReference:
      return reference::attention_forward<float>(o, lse, q, kv, k_rope, sequences.offsets, scale);
    case Device::kCpu:
      return cpu::attention_forward(ctx.pool, o, lse, q, kv, k_rope, sequences.offsets, scale);
    case Device::kCuda:
      return cuda::attention_forward(*ctx.stream, o, lse, q, kv, k_rope, sequences.offsets, scale);
  }
}

void attention_backward(Context& ctx, View<float, 3> dq, View<float, 3> dkv, View<float, 2> dk_rope,
                        View<const float, 3> d_o, View<const float, 3> q, View<const float, 3> kv,
                        View<const float, 2> k_rope, View<const float, 3> o,
                        View<const float, 2> lse, const Sequences& sequences,
                        const AttentionDims& dims, float scale) {
  check_operands(q, kv, k_rope, dims);
  check_tokens(sequences, q.dim(0), kv.dim(0));
  expect_shape(dq, q.shape(), "attention dq");
  expect_shape(dkv, kv.shape(), "attention dkv");
  expect_shape(dk_rope, k_rope.shape(), "attention dk_rope");
  expect_shape(o, {q.dim(0), dims.n_heads, dims.d_v}, "attention o");
  expect_shape(d_o, o.shape(), "attention do");
  expect_shape(lse, {q.dim(0), dims.n_heads}, "attention lse");
  switch (ctx.device) {
    case Device::kReference:
      return reference::attention_backward<float>(dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse,
                                                  sequences.offsets, scale);
    case Device::kCpu: {
      Tensor head_dk_rope = ctx.empty({dims.n_heads, q.dim(0), dims.d_rope});
      return cpu::attention_backward(ctx.pool, dq, dkv, dk_rope, head_dk_rope.view<float, 3>(), d_o,
                                     q, kv, k_rope, o, lse, sequences.offsets, scale);
    }
    case Device::kCuda:
      return cuda::attention_backward(*ctx.stream, dq, dkv, dk_rope, d_o, q, kv, k_rope, o, lse,
                                      sequences.offsets, scale);
  }
}

void attention_forward_chunk(Context& ctx, View<float, 3> o, View<const float, 3> q,
                             View<const float, 3> kv, View<const float, 2> k_rope,
                             const AttentionDims& dims, float scale) {
  const View<float, 3> no_state(nullptr, {q.dim(0), q.dim(1), 2});
  attention_forward_part(ctx, o, no_state, q, kv, k_rope, {0, kv.dim(0)}, dims, scale);
}

void attention_forward_part(Context& ctx, View<float, 3> o, View<float, 3> state,
                            View<const float, 3> q, View<const float, 3> kv,
                            View<const float, 2> k_rope, KeyPart part, const AttentionDims& dims,
                            float scale) {
  check_operands(q, kv, k_rope, dims);
  expect_shape(o, {q.dim(0), dims.n_heads, dims.d_v}, "attention o");
  expect_shape(state, {q.dim(0), dims.n_heads, 2}, "attention state");
  if (part.n_all < q.dim(0) || part.first < 0 || part.first + kv.dim(0) > part.n_all) {
    throw ShapeError(concat("attention chunk: keys ", part.first, " to ", part.first + kv.dim(0),
                            " of ", part.n_all, " for ", q.dim(0), " queries"));
  }
  switch (ctx.device) {
    case Device::kReference:
      return reference::attention_forward_part(o, state, q, kv, k_rope, part, scale);
    case Device::kCpu:
      return cpu::attention_forward_part(ctx.pool, o, state, q, kv, k_rope, part, scale);
    case Device::kCuda:
      return cuda::attention_forward_part(*ctx.stream, o, state, q, kv, k_rope, part, scale);
  }
}

}  // namespace hadal
