// A product C = A·B for which B is copied once, by panels of two vectors of columns, and stays in the cache; A is read
// where it lies. So many rows of C as the registers hold, of one panel, are summed up at a time (tensor/cpu/vectors.h).
//
// OpenBLAS copies parts of A, too, so that it can multiply matrices of any size, and has a few hundred instructions to
// go before it begins. GFLOP/s of OpenBLAS 0.3.21 and of this, on two cores with AVX2 (Zen 3), whose limit is 170 to
// 180:
//
//     25,088 rows, 96 to 96 columns     82 to 104 (a linear layer forward: B transposed),   81 to 109 (B as it is)
//     25,088 rows, 96 to 384            79 to 113,                                           96 to 120
//     25,088 rows, 384 to 96            98 to 122,                                           79 to 110
//      6,272 rows, 128 to 128          101 to 117,                                          109 to 119
//      6,272 rows, 192 to 192          112 to 118,                                          118 to 114
//
// and of a head of attention with 32 columns, on one of them:
//
//     49 tokens: Q·Kᵀ 34 to 33, A·V 38 to 56, Aᵀ·dY 39 to 56;     10 tokens: 10 to 15, 14 to 28, 14 to 29.
//
// For the gradient of a weight, a sum over all rows, OpenBLAS is ahead: it copies what lies far apart.
#include "tensor/cpu/small_products.h"

#include "tensor/cpu/vectors.h"
#include "tensor/cpu/workspace.h"

namespace bobbin::cpu::small {
namespace {

// The columns of C from `col` on that `vectors` vectors hold; element(row) says where a row of A finds its numbers.
template <int rows, int vectors>
void multiply_panel(const Product& p, Index row, Index col, const auto& element, const real* B, const ResultMatrix& c) {
  Sums<rows, vectors> sums;
  sums.add(p.k, element(row), [=](Index k) { return B + k * panel; });
  for (int v = 0; v < vectors; ++v) {
    const Index first = col + v * lanes, count = p.n - first;
    if (count <= 0) break;
    const Vector bias = p.bias ? load(p.bias + first, count) : Vector{};
    for (int r = 0; r < rows; ++r) store(p.alpha * sums.at[r][v] + bias, c.at + (row + r) * c.ld + first, count);
  }
}

void multiply_panels(const Product& p, const auto& element, const real* B, const ResultMatrix& c) {
  for_each_part<most_rows>(p.m, [&](Index row, auto count) {
    constexpr int rows = decltype(count)::value;
    for (Index col = 0; col < p.n; col += panel)
      if (p.n - col > lanes)
        multiply_panel<rows, 2>(p, row, col, element, B + col * p.k, c);
      else
        multiply_panel<rows, 1>(p, row, col, element, B + col * p.k, c);
  });
}

}  // namespace

// B fits into a cache of the second level, and is read often enough to repay its copy. Where A is transposed, a step
// along k is one to another row of A: few of them stay in the first cache.
bool suits(const Product& p, const Matrix& a) {
  constexpr Index largest = 1 << 16, tiny = 1 << 12;
  return p.k * p.n <= largest && (p.m >= 16 || p.k * p.n <= tiny) && (!a.transposed || p.k <= 256);
}

void multiply(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  thread_local Scratch<real> kept;
  real* const B = kept.resize((p.n + panel - 1) / panel * p.k * panel);  // its panels, (p.k, panel) each
  for (Index col = 0; col < p.n; col += panel) {
    const Index count = std::min<Index>(panel, p.n - col);
    real* const to = B + col * p.k;
    if (b.transposed)
      to_panel(b.at + col * b.ld, b.ld, count, p.k, Walk(to));
    else
      for (Index k = 0; k < p.k; ++k)
        for (int v = 0; v < panel; v += lanes)
          store(v < count ? load(b.at + k * b.ld + col + v, count - v) : Vector{}, to + k * panel + v);
  }
  const auto rows = [=](Index row) {
    return [at = a.at + row * a.ld, ld = a.ld](Index k, int r) { return at[r * ld + k]; };
  };
  const auto columns = [=](Index row) {
    return [at = a.at + row, ld = a.ld](Index k, int r) { return at[k * ld + r]; };
  };
  if (a.transposed)
    multiply_panels(p, columns, B, c);
  else
    multiply_panels(p, rows, B, c);
}

}  // namespace bobbin::cpu::small
