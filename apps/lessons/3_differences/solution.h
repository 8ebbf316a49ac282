#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// Each number of b was used in N rows, so what arrives from them adds up.
inline Var add_bias(const Var& X, const Var& b) {
  return record("add_bias", X.value() + b.value(),
                {{X, [](Tensor dY) { return dY; }}, {b, [](Tensor dY) { return sum(dY, {0}); }}});
}

}  // namespace solution
