// Cross-entropy as an object, of labels or of probabilities; a loss is whatever can be called so.
#pragma once
#include <functional>
#include <variant>
#include <vector>

#include "autograd/ops.h"
#include "data/files/fields.h"
#include "nn/state.h"
#include "tensor/check.h"
#include "tensor/comm.h"

namespace bobbin {

/// Targets of a batch: a label for each image, or class probabilities (N, C).
using Targets = std::variant<Labels, Tensor>;

/// A loss: a scalar from logits (N, C) and targets. Any function of this signature is one.
using Loss = std::function<Var(const Var& logits, const Targets& targets)>;

/// The mean of -Σ q·log softmax(logits), as torch.nn.CrossEntropyLoss. For a label, q is 1 - label_smoothing at its
/// class plus label_smoothing/C everywhere (Szegedy et al., 2016); of probabilities p it is (1 - label_smoothing)·p
/// plus the same.
///
/// With a weight for each class: the sum over the images of -Σ w·q·log softmax(logits), divided by the sum of their
/// labels' weights; of probabilities, by the number of images. On several ranks the images are those of all: see
/// PartOfBatch.
struct CrossEntropy {
  real label_smoothing = 0;
  std::vector<real> class_weights{};  ///< (C), or empty: all are 1

  void fields(Fields& f) {
    f("smoothing", label_smoothing,
      {.help = "label smoothing: share of each target that is spread over all classes", .low = 0, .high = 1});
  }

  Var operator()(const Var& logits, const Targets& targets) const {
    CrossEntropyOptions options{.label_smoothing = label_smoothing};
    if (!class_weights.empty()) options.weight = Tensor({static_cast<Index>(class_weights.size())}, class_weights);
    const Labels* const labels = std::get_if<Labels>(&targets);
    if (labels && !class_weights.empty() && PartOfBatch::now() && comm::size() > 1)
      return part_of_mean(logits, *labels, options, PartOfBatch::now()->images);
    return std::visit([&](const auto& t) { return cross_entropy(logits, t, options); }, targets);
  }

 private:
  // Of several ranks, each of whose losses counts by its share of the images: the sum over its own, divided by the
  // weights of all ranks' and by that share.
  Var part_of_mean(const Var& logits, const Labels& labels, CrossEntropyOptions options,
                   const PartOfBatch::Images& images) const {
    options.reduction = Reduction::sum;
    const Var sum = cross_entropy(logits, labels, options);
    double weight = 0;
    if (images.counted > 0)
      for (const int label : labels) weight += double{class_weights[static_cast<std::size_t>(label)]};
    weight = comm::sum_of_all_ranks({weight})[0];
    const double share = static_cast<double>(images.count) / static_cast<double>(images.of);
    return sum * static_cast<real>(1 / (weight * share));
  }
};

/// Weights that make up for classes of few images: N / (C·N_c), scikit-learn's class_weight="balanced". Throws Error
/// for a class without an image.
inline std::vector<real> balanced_class_weights(const Labels& labels, Index num_classes) {
  std::vector<Index> counts(static_cast<std::size_t>(num_classes));
  for (const int label : labels) ++counts.at(static_cast<std::size_t>(label));
  std::vector<real> weights;
  for (const Index count : counts) {
    check(count > 0, "balanced_class_weights", "class ", weights.size(), " has no image");
    weights.push_back(static_cast<real>(static_cast<double>(labels.size()) / static_cast<double>(num_classes * count)));
  }
  return weights;
}

}  // namespace bobbin
