#pragma once
#include <bobbin.h>

namespace solution {
using namespace bobbin;

/// The result changes by b with a, and by a with b.
inline Var product(const Var& a, const Var& b) {
  const Tensor A = a.value(), B = b.value();
  return record("product", A * B,
                {{a, [B](Tensor dY) { return std::move(dY) * B; }}, {b, [A](Tensor dY) { return std::move(dY) * A; }}});
}

}  // namespace solution
