#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// (x³)' = 3x²
inline Var cube(const Var& x) {
  const Tensor X = x.value();
  return record("cube", X * X * X, {{x, [X](Tensor dY) { return 3 * (dY * X * X); }}});
}

}  // namespace solution
