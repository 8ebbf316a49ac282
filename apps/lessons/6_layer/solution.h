#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// (..., width) -> (..., width): x·σ(gate(x))
struct Gate {
  Linear gate;

  Gate(Index width, Rng& rng) : gate(width, width, rng) {}
  Var operator()(const Var& x) { return x * sigmoid(gate(x)); }
  void visit(auto&& v) { v("gate", gate); }
};

}  // namespace solution
