// Cross-entropy as an object, of labels or of probabilities; a loss is whatever can be called so.
#pragma once
#include <functional>
#include <variant>

#include "autograd/ops.h"
#include "data/files/fields.h"

namespace bobbin {

/// What a model should say of a batch: the class of each image, or how probable each class is, (N, C).
using Targets = std::variant<Labels, Tensor>;

/// How far logits (N, C) are from their targets: a scalar to be made small. Whatever can be called so is a loss.
using Loss = std::function<Var(const Var& logits, const Targets& targets)>;

/// The mean of -Σ q·log softmax(logits), as torch.nn.CrossEntropyLoss. For a label, q is 1 - label_smoothing at its
/// class plus label_smoothing/C everywhere (Szegedy et al., 2016); probabilities are taken as they are.
struct CrossEntropy {
  real label_smoothing = 0;

  void fields(Fields& f) {
    f("smoothing", label_smoothing,
      {.help = "label smoothing: the part of a label that is spread over all classes", .low = 0, .high = 1});
  }

  Var operator()(const Var& logits, const Targets& targets) const {
    if (const auto* labels = std::get_if<Labels>(&targets)) return cross_entropy(logits, *labels, label_smoothing);
    return cross_entropy(logits, std::get<Tensor>(targets));
  }
};

}  // namespace bobbin
