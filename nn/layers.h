#pragma once
#include <cmath>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/ops.h"
#include "nn/conv.h"
#include "nn/init.h"
#include "nn/module.h"
#include "nn/norm.h"
#include "nn/pool.h"
#include "tensor/check.h"

/// All layers, with PyTorch's names, initial values and meaning: convolution, normalisation and pooling in files of
/// their own, the others here.
namespace bobbin {

/// y = x·Wᵀ + b: (..., in) -> (..., out).
///
/// `readers` of a layer or an op: ReadBy::products where only matrix products read the result, which in bfloat16 is
/// then rounded at once (tensor/operand.h). Left out, nothing is wrong.
struct Linear {
  Var weight, bias;  // (out, in), (out)

  Linear(Index in, Index out, Rng& rng, bool use_bias = true)
      : weight(uniform_by_fan_in({out, in}, in, rng)), bias(use_bias ? uniform_by_fan_in({out}, in, rng) : Var()) {}

  Var operator()(Var x, ReadBy readers = ReadBy::anyone) { return linear(std::move(x), weight, bias, readers); }
  void visit(auto&& v) { v("weight", weight), v("bias", bias); }
};

/// A learned row for each of `count` words, tokens or whatever 0 ... count-1 stand for: PyTorch's nn.Embedding. Row
/// padding_idx, if there is one, is 0 and stays so.
struct Embedding {
  Var weight;  // (count, dim), of the normal distribution at first
  std::optional<int> padding_idx;

  Embedding(Index count, Index dim, Rng& rng, std::optional<int> padding_idx = {})
      : weight(Var::parameter(rng.normal({count, dim}))), padding_idx(padding_idx) {
    if (!padding_idx) return;
    check(*padding_idx >= 0 && *padding_idx < count, "Embedding", "padding_idx must be in 0 ... ", count - 1, ", got ",
          *padding_idx);
    Tensor row = weight.value()[*padding_idx];
    row.assign(Tensor::zeros({dim}));
  }

  /// N numbers -> (N, dim).
  Var operator()(const Labels& index) { return embedding(weight, index, padding_idx); }
  /// (...) -> (..., dim), of a tensor of whole numbers. Throws Error for a number that is none.
  Var operator()(const Var& index) {
    Labels rows;
    for (const real x : index.value().values()) {
      check(x >= 0 && x < static_cast<real>(weight.shape()[0]) && x == std::floor(x), "Embedding",
            "needs whole numbers 0 ... ", weight.shape()[0] - 1, ", got ", x);
      rows.push_back(static_cast<int>(x));
    }
    return reshape((*this)(rows), index.shape().unsqueezed(index.rank()).with(-1, weight.shape()[1]));
  }
  void visit(auto&& v) { v("weight", weight); }
};

/// In training each element is dropped with probability p; in evaluation nothing happens.
struct Dropout {
  real p;
  Rng rng;  // a stream of its own
  Training training;

  /// Throws Error unless 0 <= p <= 1.
  Dropout(real p, Rng& parent) : p(p), rng(parent.fork()) {
    check(p >= 0 && p <= 1, "Dropout", "the probability must be in [0, 1], got ", p);
  }

  /// Throws Error while a model is evaluated: see Evaluating.
  bool active() const {
    if (!training.on || p == 0) return false;
    check(!Evaluating::now(), "Dropout", "a dropout of probability ", p,
          " is in training mode while the model is evaluated: a visit() does not name it, so eval() cannot reach it");
    return true;
  }
  /// The next mask, of so many elements; on several ranks the part for the images of this one.
  Draw draw(Index elements) { return PartOfBatch::of(rng.draw(), elements, "Dropout"); }
  Var operator()(Var x) {
    if (!active()) return x;
    const Draw mask = draw(x.size());
    return dropout(std::move(x), p, mask);
  }
  void visit(auto&& v) { v("rng", rng), v("training", training); }
};

/// In training a whole branch of a residual network is left out with probability p, of each image by itself, and else
/// divided by 1 - p (stochastic depth, Huang et al., 2016): timm's DropPath. (B, ...) -> the same shape.
struct DropPath {
  std::optional<Dropout> dropout;  // of branches; none where p is 0, so that nothing is drawn

  /// Throws Error unless 0 <= p <= 1.
  DropPath(real p, Rng& parent) {
    if (p != 0) dropout.emplace(p, parent);
  }

  Var operator()(Var x) {
    if (!dropout || !dropout->active()) return x;
    std::vector<Index> one_each(static_cast<std::size_t>(x.rank()), 1);  // (B, 1, ..., 1)
    one_each[0] = x.shape()[0];
    return x * (*dropout)(Tensor::ones(Shape(one_each.data(), x.rank())));
  }
  void visit(auto&& v) {
    if (dropout) dropout->visit(v);
  }
};

/// x·gamma, a factor for each column that begins small, so that a deep network begins as a shallow one (Touvron et al.,
/// 2021: "Going deeper with image transformers"): timm's LayerScale. (..., width) -> the same shape.
struct LayerScale {
  Var gamma;  // (width); undefined where it begins at 0: then nothing is scaled

  LayerScale(Index width, real initial)
      : gamma(initial != 0 ? Var::parameter(Tensor::full({width}, initial)) : Var()) {}

  Var operator()(Var x) { return gamma.defined() ? x * gamma : x; }
  void visit(auto&& v) { v("gamma", gamma); }
};

/// x·Φ(x), the Gaussian error linear unit (Hendrycks and Gimpel, 2016), of each element.
struct GELU {
  bool by_tanh = false;  ///< PyTorch's approximate='tanh'
  bool quick = false;    ///< x·sigmoid(1.702·x), as in CLIP (Hendrycks and Gimpel, 2016)

  Var operator()(Var x) {
    if (quick) return x * sigmoid(x * real(1.702));
    return by_tanh ? gelu_tanh(std::move(x)) : gelu(std::move(x));
  }
  /// after(gelu(x)), in one pass.
  Var operator()(Var x, Dropout& after, ReadBy readers = ReadBy::anyone) {
    if (quick) return after((*this)(std::move(x)));
    const bool drops = after.active();
    const real p = drops ? after.p : 0;
    const Draw draw = drops ? after.draw(x.size()) : Draw();
    return by_tanh ? gelu_tanh(std::move(x), p, draw, readers) : gelu(std::move(x), p, draw, readers);
  }
};

/// max(x, 0) of each element.
struct ReLU {
  Var operator()(Var x) { return relu(std::move(x)); }
};

/// x·sigmoid(x) of each element, also called swish.
struct SiLU {
  Var operator()(const Var& x) { return silu(x); }
};

/// 1 / (1 + exp(-x)) of each element.
struct Sigmoid {
  Var operator()(Var x) { return sigmoid(std::move(x)); }
};

/// exp(x) / Σ exp(x) along one axis.
struct Softmax {
  int dim = -1;  ///< the axis

  Var operator()(const Var& x) { return softmax(x, dim); }
};

/// The axes start_dim ... end_dim made one; at first all but the first: (B, C, H, W) -> (B, C·H·W).
struct Flatten {
  int start_dim = 1, end_dim = -1;

  Var operator()(Var x) { return flatten(std::move(x), start_dim, end_dim); }
};

/// Layers one after the other, named "0", "1", ... Braces make the layers in this order, so that with one generator
/// they begin with the same numbers on every compiler:
///
///     Sequential net{Linear(784, 256, rng), ReLU(), Linear(256, 10, rng)};
///
/// A layer is whatever is called with one Var and returns one: a module, a lambda, a function.
template <class... Layers>
struct Sequential {
  static_assert((std::is_invocable_r_v<Var, Layers&, Var> && ...),
                "Sequential: each layer is called with one Var and returns one");
  std::tuple<Layers...> layers;

  explicit Sequential(Layers... layers) : layers(std::move(layers)...) {}

  Var operator()(Var x) {
    std::apply([&](auto&... layer) { ((x = layer(std::move(x))), ...); }, layers);
    return x;
  }
  void visit(auto&& v) {
    int i = 0;
    std::apply([&](auto&... layer) { (v(std::to_string(i++), layer), ...); }, layers);
  }
};

}  // namespace bobbin
