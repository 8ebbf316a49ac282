#pragma once
#include "autograd/ops.h"

/// The fused ops, composed of single ops: to be read, and to be tested against. Each takes the same arguments and gives
/// the same values and gradients as the op of its name, only slower; shapes that do not fit throw Error.
namespace bobbin::plain {

/// The op of the same name in autograd/ops.h: shapes and what throws are said there.
Var linear(const Var& x, const Var& W, const Var& b);
Var gelu_tanh(const Var& x, real p, Draw draw);
Var layer_norm(const Var& x, const Var& gamma, const Var& beta, real eps = real(1e-5));
Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               real momentum = real(0.1), real eps = real(1e-5));
Var cross_entropy(const Var& logits, const Labels& labels, real label_smoothing = 0);
Var attention(const Var& queries, const Var& keys, const Var& values, int num_heads,
              const std::vector<int>& valid_lens = {}, real p = 0, Draw draw = {});
Var biased_attention(const Var& qkv, int num_heads, const Var& bias);
/// The attention weights of each query over the keys, which the fused op does not keep: (B, num_heads, Tq, Tk), rows of
/// sum 1.
Var attention_weights(const Var& queries, const Var& keys, int num_heads, const std::vector<int>& valid_lens = {});
Var conv2d(const Var& X, const Var& W, const Var& b, const Conv2dOptions& options = {});

}  // namespace bobbin::plain
