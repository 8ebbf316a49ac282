#include "autograd/plain.h"

#include <cmath>
#include <numbers>

#include "tensor/check.h"

namespace bobbin::plain {

Var linear(const Var& x, const Var& W, const Var& b) {
  Var Y = matmul(x, W, {.trans_b = true});
  return b.defined() ? Y + b : Y;
}

// 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
Var gelu_tanh(const Var& x, real p, Draw draw) {
  const real c = std::sqrt(2 * std::numbers::inv_pi_v<real>);
  return dropout(real(0.5) * x * (1 + tanh(c * (x + real(0.044715) * x * x * x))), p, draw);
}

Var layer_norm(const Var& x, const Var& gamma, const Var& beta, real eps) {
  const Shape column = x.shape().with(-1, 1);
  const Var centred = x - reshape(mean(x, -1), column);
  const Var variance = reshape(mean(centred * centred, -1), column);
  return centred / sqrt(variance + eps) * gamma + beta;
}

Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               real momentum, real eps) {
  const Shape& shape = x.shape();
  const Index C = shape[1], places = shape.product(2, shape.rank());
  const Var planes = reshape(x, {shape[0], C, places});
  const auto mean_of_channels = [](const Var& t) { return mean(mean(t, 2), 0); };
  const Var m = mean_of_channels(planes), centred = planes - reshape(m, {C, 1});
  const Var variance = mean_of_channels(centred * centred);
  const auto n = static_cast<real>(shape[0] * places);
  running_mean.assign(running_mean * (1 - momentum) + m.value() * momentum);
  running_var.assign(running_var * (1 - momentum) + variance.value() * (n / (n - 1)) * momentum);
  return reshape(centred / reshape(sqrt(variance + eps), {C, 1}) * reshape(gamma, {C, 1}) + reshape(beta, {C, 1}),
                 shape);
}

Var cross_entropy(const Var& logits, const Labels& labels, real label_smoothing) {
  const Var log_p = log_softmax(logits);
  return -((1 - label_smoothing) * mean(gather(log_p, labels)) + label_smoothing * mean(log_p));
}

namespace {

// (B, T, H·d) -> (B, H, T, d)
Var split_heads(const Var& x, int num_heads) {
  return transpose(reshape(x, {x.shape()[0], x.shape()[1], num_heads, x.shape()[2] / num_heads}), 1, 2);
}

}  // namespace

Var attention_weights(const Var& queries, const Var& keys, int num_heads, const std::vector<int>& valid_lens) {
  check(queries.rank() == 3 && num_heads >= 1 && queries.shape()[2] % num_heads == 0, "plain::attention", num_heads,
        " heads do not divide the columns of the queries ", queries.shape());
  const auto d = static_cast<real>(queries.shape()[2] / num_heads);
  const Var scores =
      matmul(split_heads(queries, num_heads), split_heads(keys, num_heads), {.trans_b = true}) / std::sqrt(d);

  std::vector<int> lens;  // for each row of the scores (B, H, Tq, Tk)
  if (!valid_lens.empty()) {
    const Index B = queries.shape()[0], T = queries.shape()[1];
    const bool by_query = static_cast<Index>(valid_lens.size()) == B * T;
    for (Index row = 0; row < B * num_heads * T; ++row) {
      const Index b = row / (num_heads * T), t = row % T;
      lens.push_back(valid_lens[static_cast<std::size_t>(by_query ? b * T + t : b)]);
    }
  }
  return masked_softmax(scores, lens);
}

Var attention(const Var& queries, const Var& keys, const Var& values, int num_heads, const std::vector<int>& valid_lens,
              real p, Draw draw) {
  const Var weights = dropout(attention_weights(queries, keys, num_heads, valid_lens), p, draw);
  return reshape(transpose(matmul(weights, split_heads(values, num_heads)), 1, 2),
                 queries.shape());  // heads side by side
}

Var biased_attention(const Var& qkv, int num_heads, const Var& bias) {
  const Shape &x = qkv.shape(), &b = bias.shape();
  check(x.rank() == 3 && num_heads >= 1 && x[2] % (Index{3} * num_heads) == 0, "biased_attention",
        "needs rows (B, T, 3·D) of which ", num_heads, " heads divide the D queries, got ", x);
  check(b.rank() == 4 && b[0] >= 1 && x[0] % b[0] == 0 && b == Shape{b[0], num_heads, x[1], x[1]}, "biased_attention",
        "needs a bias (G, ", num_heads, ", ", x[1], ", ", x[1], ") where G divides the ", x[0], " images, got ", b);
  const Index B = x[0], D = x[2] / 3, d = D / num_heads;
  const auto third = [&](Index i) { return split_heads(slice(qkv, 2, i * D, (i + 1) * D), num_heads); };
  const Var scores = matmul(third(0), third(1), {.trans_b = true}) / std::sqrt(static_cast<real>(d));  // (B, H, T, T)
  const Var weights = softmax(reshape(scores, {B / b[0], b[0], b[1], b[2], b[3]}) + bias);
  return reshape(transpose(matmul(reshape(weights, {B, b[1], b[2], b[3]}), third(2)), 1, 2), {B, x[1], D});
}

// What the kernel sees at each place becomes a column, and all places are one product.
Var conv2d(const Var& X, const Var& W, const Var& b, const Conv2dOptions& options) {
  const auto& [stride, padding, dilation, groups] = options;
  const Shape &x = X.shape(), &w = W.shape();
  check(X.rank() == 4 && W.rank() == 4 && groups >= 1 && w[0] % groups == 0, "plain::conv2d", "images ", x,
        " do not fit kernels ", w, " in ", groups, " groups");
  const Conv2dGeometry g{x[1],          x[2],         x[3],           w[2],          w[3],
                         stride.height, stride.width, padding.height, padding.width, dilation.height,
                         dilation.width};
  const Var kernels = flatten(W, 1), columns = im2col(X, g);  // (out, C/groups·h·w), (B, C·h·w, H'·W')
  const Index depth = kernels.shape()[1], width = w[0] / groups;
  std::vector<Var> parts;
  for (Index i = 0; i < groups; ++i)  // each group's kernels see their own channels only
    parts.push_back(
        matmul(slice(kernels, 0, i * width, (i + 1) * width), slice(columns, 1, i * depth, (i + 1) * depth)));
  const Var Y = reshape(concat(parts, 1), {x[0], w[0], g.out_h(), g.out_w()});
  return b.defined() ? Y + reshape(b, {w[0], 1, 1}) : Y;
}

}  // namespace bobbin::plain
