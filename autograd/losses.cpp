// Losses that are made of other ops.
#include "autograd/ops.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

Var reduced(Var losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

// PyTorch broadcasts (N) and (N, 1) to (N, N), with a warning that this is hardly what is meant.
Var difference(const char* op, const Var& x, const Var& y) {
  check(x.shape() == y.shape(), op, "needs as many targets as predictions, got the shapes ", x.shape(), " and ",
        y.shape());
  return x - y;
}

}  // namespace

Var mse_loss(const Var& x, const Var& y, Reduction reduction) {
  return reduced(square(difference("mse_loss", x, y)), reduction);
}

Var l1_loss(const Var& x, const Var& y, Reduction reduction) {
  return reduced(abs(difference("l1_loss", x, y)), reduction);
}

// With c, the difference d clamped to ±delta: c·(d - c/2) is d²/2 within, delta·(|d| - delta/2) beyond, and its
// derivative is c.
Var huber_loss(const Var& x, const Var& y, real delta, Reduction reduction) {
  check(delta > 0, "huber_loss", "delta must be above 0, got ", delta);
  const Var d = difference("huber_loss", x, y);
  const Tensor c = clamp(d.value(), -delta, delta);
  return reduced(record("huber", c * (d.value() - c / 2), {{d, [c](Tensor dY) { return std::move(dY) * c; }}}),
                 reduction);
}

Var smooth_l1_loss(const Var& x, const Var& y, real beta, Reduction reduction) {
  check(beta >= 0, "smooth_l1_loss", "beta must not be below 0, got ", beta);
  return beta == 0 ? l1_loss(x, y, reduction) : huber_loss(x, y, beta, reduction) / beta;
}

// With 1 - σ(x) = σ(-x) and log σ(x) = -softplus(-x) = x - softplus(x): (1 - y)·x + (1 + (p - 1)·y)·softplus(-x).
Var binary_cross_entropy_with_logits(const Var& x, const Tensor& y, const BCEOptions& options) {
  check(x.shape() == y.shape(), "binary_cross_entropy_with_logits", "needs as many targets as logits, got the shapes ",
        x.shape(), " and ", y.shape());
  const Tensor p = options.pos_weight.defined() ? (options.pos_weight - 1) * y + 1 : Tensor::scalar(1);
  const Var losses = Var(1 - y) * x + Var(p) * softplus(-x);
  return reduced(options.weight.defined() ? losses * Var(options.weight) : losses, options.reduction);
}

// Each row is -w·x at its label, which stands in `at`, with a w of 0 where the label is ignored.
Var nll_loss(const Var& x, const Labels& labels, const CrossEntropyOptions& options) {
  check(options.label_smoothing == 0, "nll_loss", "has no label smoothing");
  const Index rows = static_cast<Index>(labels.size());
  Labels at = labels;
  std::vector<real> counts;
  for (int& label : at) {
    counts.push_back(label != options.ignore_index);
    if (counts.back() == 0) label = 0;
  }
  Var picked = gather(x, at);  // checks the labels
  Tensor w({rows}, counts);
  if (options.weight.defined()) {
    check(options.weight.shape() == Shape{x.shape()[1]}, "nll_loss", "needs a weight for each of the ", x.shape()[1],
          " classes, got ", options.weight.shape());
    w = w * index_select(options.weight, 0, at);
  }
  const Var losses = where(eq(Tensor({rows}, counts), 0), Var(Tensor::scalar(0)), picked * Var(-w));
  if (options.reduction == Reduction::none) return losses;
  return options.reduction == Reduction::sum ? sum(losses) : sum(losses) / Var(sum(w));
}

}  // namespace bobbin
