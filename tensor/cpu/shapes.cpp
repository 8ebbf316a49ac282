// Numbers moved, none changed.
#include <algorithm>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 13;  // elements a thread should have at least
constexpr Index together = 8;     // rows of a transpose, as many as a cache keeps apart

}  // namespace

void fill(real* y, real value, Index n) { std::fill_n(y, n, value); }

void permute(const real* x, real* y, int rank, const Index* sizes, const Index* strides) {
  const Index cols = sizes[rank - 1], step = strides[rank - 1];
  Index rows = 1;
  for (int axis = 0; axis < rank - 1; ++axis) rows *= sizes[axis];
  // Rows whose numbers lie side by side in x share its cache lines, and are written together.
  const Index side_by_side = rank > 1 && step != 1 && strides[rank - 2] == 1 ? sizes[rank - 2] : 1;
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin, count = 1; row < end; row += count) {
      Index rest = row, from = 0;
      for (int axis = rank - 2; axis >= 0; --axis) {
        from += rest % sizes[axis] * strides[axis];
        rest /= sizes[axis];
      }
      count = std::min({end - row, side_by_side - row % side_by_side, together});
      if (step == 1)
        std::copy_n(x + from, cols, y + row * cols);
      else
        for (Index c = 0; c < cols; ++c)
          for (Index r = 0; r < count; ++r) y[(row + r) * cols + c] = x[from + r + c * step];
    }
  });
}

void copy_rows(const real* x, Index ldx, real* y, Index ldy, Index rows, Index cols) {
  parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) std::copy_n(x + row * ldx, cols, y + row * ldy);
  });
}

void pad_reflect(const real* x, real* y, const Reflection& r) {
  parallel_for(r.outer, grain / (r.padded() * r.inner) + 1, [=](Index begin, Index end) {
    for (Index o = begin; o < end; ++o)
      for (Index i = 0; i < r.padded(); ++i)
        std::copy_n(x + (o * r.n + r.source(i)) * r.inner, r.inner, y + (o * r.padded() + i) * r.inner);
  });
}

void pad_reflect_backward(const real* dY, real* dX, const Reflection& r) {
  parallel_for(r.outer, grain / (r.padded() * r.inner) + 1, [=](Index begin, Index end) {
    std::fill(dX + begin * r.n * r.inner, dX + end * r.n * r.inner, real{0});
    for (Index o = begin; o < end; ++o)
      for (Index i = 0; i < r.padded(); ++i) {
        const real* const dy = dY + (o * r.padded() + i) * r.inner;
        real* const dx = dX + (o * r.n + r.source(i)) * r.inner;
        for (Index k = 0; k < r.inner; ++k) dx[k] += dy[k];
      }
  });
}

void gather(const real* x, const int* index, real* y, Index rows, Index cols) {
  for (Index row = 0; row < rows; ++row) y[row] = x[row * cols + index[row]];
}

void gather_backward(const real* dY, const int* index, real* dX, Index rows, Index cols) {
  std::fill_n(dX, rows * cols, real{0});
  for (Index row = 0; row < rows; ++row) dX[row * cols + index[row]] = dY[row];
}

void index_select(const real* x, const int* index, real* y, const Selection& s) {
  parallel_for(s.outer * s.count, grain / s.inner + 1, [=](Index begin, Index end) {
    const real* from = x + begin / s.count * s.n * s.inner;
    for (Index i = begin, j = begin % s.count; i < end; ++i) {
      if (s.inner == 1)
        y[i] = from[index[j]];
      else
        std::copy_n(from + index[j] * s.inner, s.inner, y + i * s.inner);
      if (++j == s.count) j = 0, from += s.n * s.inner;
    }
  });
}

// Each thread has some of the n rows, goes through all indices and adds up those that are its own: in the order of the
// indices, however many threads there are.
void index_select_backward(const real* dY, const int* index, real* dX, const Selection& s) {
  parallel_for(s.n, grain / s.inner + 1, [=](Index begin, Index end) {
    for (Index o = 0; o < s.outer; ++o) {
      real* const dx = dX + o * s.n * s.inner;
      std::fill(dx + begin * s.inner, dx + end * s.inner, real{0});
      for (Index i = 0; i < s.count; ++i) {
        if (index[i] < begin || index[i] >= end) continue;
        const real* const from = dY + (o * s.count + i) * s.inner;
        real* const to = dx + index[i] * s.inner;
#pragma omp simd
        for (Index k = 0; k < s.inner; ++k) to[k] += from[k];
      }
    }
  });
}

}  // namespace bobbin::cpu
