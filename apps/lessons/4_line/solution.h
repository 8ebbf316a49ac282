#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// d/dP (1/N) Σ (P - Y)² = 2 (P - Y) / N
inline Var mean_squared_error(const Var& P, const Tensor& Y) {
  const Tensor D = P.value() - Y;
  return record("mean_squared_error", mean(D * D),
                {{P, [D](Tensor dY) { return dY * D * (2 / static_cast<real>(D.size())); }}});
}

}  // namespace solution
