// Cross-entropy as an object, of labels or of probabilities; a loss is whatever can be called so.
#pragma once
#include <functional>
#include <variant>

#include "autograd/ops.h"
#include "data/files/fields.h"

namespace bobbin {

/// Targets of a batch: a label for each image, or class probabilities (N, C).
using Targets = std::variant<Labels, Tensor>;

/// A loss: a scalar from logits (N, C) and targets. Any function of this signature is one.
using Loss = std::function<Var(const Var& logits, const Targets& targets)>;

/// The mean of -Σ q·log softmax(logits), as torch.nn.CrossEntropyLoss. For a label, q is 1 - label_smoothing at its
/// class plus label_smoothing/C everywhere (Szegedy et al., 2016); of probabilities p it is (1 - label_smoothing)·p
/// plus the same.
struct CrossEntropy {
  real label_smoothing = 0;

  void fields(Fields& f) {
    f("smoothing", label_smoothing,
      {.help = "label smoothing: share of each target that is spread over all classes", .low = 0, .high = 1});
  }

  Var operator()(const Var& logits, const Targets& targets) const {
    if (const auto* labels = std::get_if<Labels>(&targets)) return cross_entropy(logits, *labels, label_smoothing);
    const Tensor& p = std::get<Tensor>(targets);
    if (label_smoothing == 0 || p.rank() != 2) return cross_entropy(logits, p);
    return cross_entropy(logits, p * (1 - label_smoothing) + label_smoothing / static_cast<real>(p.shape()[1]));
  }
};

}  // namespace bobbin
