#pragma once
#include <functional>
#include <vector>

#include "nn/models/vit.h"

namespace bobbin {

/// The matrix products of one training step of a ViT and nothing else: the time that is left when everything around
/// them costs nothing. The same shapes, in the same order, on the same threads, but that a GPU gets those of attention
/// in batches (its attention is one kernel, which has no products of its own); every activation, and the gradient of
/// every parameter, has memory of its own, as in the step. In the precision in which it is made, the operands rounded
/// already.
class ProductsOfStep {
 public:
  ProductsOfStep(const ViTConfig& c, Index batch);

  void run() const;
  /// The floating-point operations of run(): two for a multiplication and its addition.
  double flops() const { return flops_; }

 private:
  void linear(Index rows, Index in, Index out, ReadBy readers = ReadBy::anyone, bool input_is_data = false);
  void attention(const AttentionSizes& s);
  Operand noise(const Shape& shape);

  Rng rng_{0};
  std::vector<std::function<void()>> forward_, backward_;
  double flops_ = 0;
};

}  // namespace bobbin
