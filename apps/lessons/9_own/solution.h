#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// (x / (1 + x))' = ((1 + x) - x) / (1 + x)² = 1 / (1 + x)², and the same on the other side of 0.
inline Var softsign(const Var& x) {
  const Tensor X = x.value(), D = 1 + abs(X);
  return record("softsign", X / D, {{x, [D](Tensor dY) { return std::move(dY) / (D * D); }}});
}

/// (..., width) -> (..., width): x·softsign(gate(x))
struct Gate {
  Linear gate;

  Gate(Index width, Rng& rng) : gate(width, width, rng) {}
  Var operator()(const Var& x) { return x * softsign(gate(x)); }
  void visit(auto&& v) { v("gate", gate); }
};

}  // namespace solution
