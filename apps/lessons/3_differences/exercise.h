// Exercise 3: the VJPs of X + b, where b is added to each row. `make lesson-3` checks them.
#pragma once
#include <bobbin.h>

namespace exercise {
using namespace bobbin;

/// X is (N, D) and b is (D), and so must their gradients be.
inline Var add_bias(const Var& X, const Var& b) {
  return record("add_bias", X.value() + b.value(),
                {{X, [](Tensor dY) -> Tensor { return dY; }},
                 {b, [](Tensor dY) -> Tensor { return Tensor::ones({dY.shape()[1]}); }}});  // yours: b was used N times
}

}  // namespace exercise
