// A product C = A·B for which B is copied once, by panels of two vectors of columns, and stays in the cache; A is read
// where it lies. As many rows of C as the registers hold, of one panel, are summed up at a time (tensor/cpu/vectors.h).
// A row's numbers are sums along k in order, whatever the rows beside it.
//
// OpenBLAS copies parts of A, too, so that it can multiply matrices of any size, and has a few hundred instructions to
// go before it begins. Time of OpenBLAS 0.3.21 over this, on two cores with AVX2 (Zen 3), medians of 25 rounds and
// more, and GFLOP/s of this at its best, where the limit is 170 to 180:
//
//                                        B transposed, as forward    B as it is, as backward
//     25,088 rows, 48 to 48 columns             1.83, 132                 1.71, 127
//     25,088 rows, 96 to 96                     1.39, 127                 1.42, 129
//     25,088 rows, 96 to 384                    1.62, 143                 1.26, 138
//     25,088 rows, 384 to 96                    1.27, 119                 1.70, 130
//      6,272 rows, 128 to 128                   1.15, 119                 1.08, 133
//      6,272 rows, 192 to 192                   1.11, 132                 1.08, 142
//      6,272 rows, 192 to 768                   1.08, 134                 1.12, 142
//      1,568 rows, 384 to 384                   1.05, 135                 1.00, 137
//      4,736 rows, 512 to 512                   1.01, 140                  .99, 138
//
// The last three copies lie in the third cache, which other programs may fill, too: the last two vary from .9 on a busy
// machine to 1.1 on a quiet one. A head of attention, GFLOP/s of OpenBLAS and of this on one core:
//
//                                               Q·Kᵀ               A·V              Aᵀ·dY
//     10 tokens of 64 columns                  13, 17            14, 30            14, 28
//     49 tokens of 32 columns                  36, 39            39, 63            39, 56
//     197 tokens of 64 columns                 54, 67            62, 74            65, 73
//
// For the gradient of a weight, a sum over all rows, OpenBLAS is ahead: it copies what lies far apart. With other
// registers than AVX2's nothing of this was measured.
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
// Not unrolled, the loops would take the sums from memory.
#pragma GCC unroll 2
  for (int v = 0; v < vectors; ++v) {
    const Index first = col + v * lanes, count = p.n - first;
    const Vector bias = p.bias ? load(p.bias + first, count) : Vector{};
#pragma GCC unroll 16
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

// B's panels fit into a cache of the second level; then how many rows there are does not matter, so that no row depends
// on the others' number. With AVX2 they may also lie in the third, for so many rows that the copy is a few hundredths
// of the work; then a row's last bits do depend on it. Where A is transposed, a step along k is one to another row of
// A: few of them stay in the first cache.
bool suits(const Product& p, const Matrix& a) {
  constexpr Index near = 1 << 16, far = vector_bytes == 32 ? 1 << 18 : near, many = 1 << 10;
  const Index size = (p.n + panel - 1) / panel * panel * p.k;
  return a.transposed ? size <= near && p.k <= 256 : size <= (p.m < many ? near : far) && p.k <= 1024;
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
