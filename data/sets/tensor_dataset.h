#pragma once
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {

/// Examples as two tensors, x and y, the first axis of which counts them: torch.utils.data.TensorDataset. A Dataset,
/// for batches() and the Trainer.
///
///     const TensorDataset data(x, y);  // (N, 3) and (N, 1)
///     for (auto [X, Y] : batches(data, 32, rng)) ...
class TensorDataset {
 public:
  /// Some of the examples.
  struct Batch {
    Tensor x, y;  ///< (B, ...)
  };

  /// Throws Error unless both have the same number of examples.
  TensorDataset(Tensor x, Tensor y) : x_(std::move(x)), y_(std::move(y)) {
    check(x_.rank() >= 1 && y_.rank() >= 1 && x_.shape()[0] == y_.shape()[0], "TensorDataset", "x ", x_.shape(),
          " and y ", y_.shape(), " do not have as many examples on their first axis");
  }

  /// The number of examples, and those of these numbers.
  Index count() const { return x_.shape()[0]; }
  Batch batch(const std::vector<Index>& which) const { return {rows(x_, which), rows(y_, which)}; }
  /// All of them as one.
  Batch all() const { return {x_, y_}; }

 private:
  static Tensor rows(const Tensor& all, const std::vector<Index>& which) {
    std::vector<Tensor> parts;
    for (const Index i : which) parts.push_back(slice(all, 0, i, i + 1));
    return concat(parts, 0);
  }

  Tensor x_, y_;
};

}  // namespace bobbin
