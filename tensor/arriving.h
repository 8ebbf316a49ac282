#pragma once
#include <cstddef>
#include <vector>

#include "tensor/device.h"
#include "tensor/tensor.h"

namespace bobbin {

/// Numbers of a tensor on their way to the program, which goes on meanwhile: a GPU sends them when its work comes to
/// them, and need not stand still until somebody has read them. On the processor they are there at once.
///
///     const Arriving loss(begin_training_step(...));
///     ...                                   // the next step
///     const real first = loss.values()[0];  // waits for what was begun before it, and not for the next step
class Arriving {
 public:
  explicit Arriving(const Tensor& x);
  /// Waits for them.
  std::vector<real> values() const;

 private:
  std::size_t size_;
  Sent sent_;
};

}  // namespace bobbin
