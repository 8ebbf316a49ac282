#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// ∂y_j/∂x_i = y_j (1[i = j] - y_i), so dx_i = Σ_j dY_j y_j (1[i = j] - y_i) = y_i (dY_i - Σ_j dY_j y_j).
inline Var softmax(const Var& x) {
  const Tensor Y = bobbin::softmax(x.value());
  return record("softmax", Y, {{x, [Y](Tensor dY) { return Y * (dY - sum(dY * Y, {1}, /*keepdim=*/true)); }}});
}

}  // namespace solution
