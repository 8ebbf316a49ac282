// One pass over memory each: read, compute, write.
#include <algorithm>
#include <tuple>

#include "tensor/formulas.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

constexpr Index grain = 1 << 13;  // elements a thread should have at least

}  // namespace

template <class F>
void unary(const F& f, const real* x, real* y, Index n) {
  parallel_for(n, grain, [=](Index begin, Index end) {
#pragma omp simd
    for (Index i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

namespace {

// body(offset in a, in b, in y, n) for each innermost run of the walk, all of one length, or for pieces of a single
// one. Only the first place of a thread is divided out; from there axes count on like the wheels of an odometer.
template <class Body>
void for_each_run(const Broadcast& walk, const Body& body) {
  const int inner = walk.rank - 1;
  const Index cols = walk.size[inner];
  if (inner == 0) {
    parallel_for(cols, grain, [&](Index begin, Index end) {
      body(begin * walk.stride_a[0], begin * walk.stride_b[0], begin, end - begin);
    });
    return;
  }
  Index rows = 1;
  for (int axis = 0; axis < inner; ++axis) rows *= walk.size[axis];
  parallel_for(rows, grain / cols + 1, [&](Index begin, Index end) {
    Index index[Shape::max_rank], at_a = 0, at_b = 0, rest = begin;
    for (int axis = inner - 1; axis >= 0; --axis) {
      index[axis] = rest % walk.size[axis];
      rest /= walk.size[axis];
      at_a += index[axis] * walk.stride_a[axis];
      at_b += index[axis] * walk.stride_b[axis];
    }
    for (Index row = begin; row < end; ++row) {
      body(at_a, at_b, row * cols, cols);
      for (int axis = inner - 1; axis >= 0; --axis) {
        at_a += walk.stride_a[axis];
        at_b += walk.stride_b[axis];
        if (++index[axis] < walk.size[axis]) break;
        index[axis] = 0;
        at_a -= walk.size[axis] * walk.stride_a[axis];
        at_b -= walk.size[axis] * walk.stride_b[axis];
      }
    }
  });
}

}  // namespace

// The innermost loop is one of three plain ones: no step is ever other than 0 or 1 there, and 0 and 0 cannot occur
// together.
template <class F>
void binary(const F& f, const Broadcast& walk, const real* a, const real* b, real* y) {
  const int inner = walk.rank - 1;
  const Index cols = walk.size[inner], step_a = walk.stride_a[inner], step_b = walk.stride_b[inner];
  const auto run = [=](const real* a, Index step_a, const real* b, Index step_b, real* y, Index n) {
    if (step_a == 0) {
#pragma omp simd
      for (Index i = 0; i < n; ++i) y[i] = f(*a, b[i]);
    } else if (step_b == 0) {
#pragma omp simd
      for (Index i = 0; i < n; ++i) y[i] = f(a[i], *b);
    } else {
#pragma omp simd
      for (Index i = 0; i < n; ++i) y[i] = f(a[i], b[i]);
    }
  };
  // A short row that comes again and again, such as the bias of a few channels, is written out to a long one.
  constexpr Index longer = 256;
  const bool repeats_a = walk.stride_a[0] == 0, repeats_b = walk.stride_b[0] == 0;
  if (walk.rank == 2 && cols < 16 && step_a == 1 && step_b == 1 && (repeats_a || repeats_b)) {
    const Index rows = walk.size[0], block = std::min(rows, longer / cols);
    real repeated[longer];
    for (Index r = 0; r < block; ++r) std::copy_n(repeats_a ? a : b, cols, repeated + r * cols);
    const real* const row = repeated;
    parallel_for(rows, grain / cols + 1, [=](Index begin, Index end) {
      for (Index r = begin; r < end; r += block)
        run(repeats_a ? row : a + r * cols, 1, repeats_a ? b + r * cols : row, 1, y + r * cols,
            std::min(block, end - r) * cols);
    });
    return;
  }
  for_each_run(walk,
               [=](Index at_a, Index at_b, Index at, Index n) { run(a + at_a, step_a, b + at_b, step_b, y + at, n); });
}

namespace {

// y = mask ? a : b, where a and b move by a step of 0 or 1.
template <Index step_a, Index step_b>
void choose(const real* mask, const real* a, const real* b, real* y, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) {
    const real u = a[i * step_a], v = b[i * step_b];
    y[i] = mask[i] != 0 ? u : v;
  }
}

}  // namespace

void where(const Broadcast& walk, const real* mask, const real* a, const real* b, real* y) {
  const bool moves_a = walk.stride_a[walk.rank - 1] != 0, moves_b = walk.stride_b[walk.rank - 1] != 0;
  const auto run = moves_a ? (moves_b ? choose<1, 1> : choose<1, 0>) : (moves_b ? choose<0, 1> : choose<0, 0>);
  for_each_run(walk, [=](Index at_a, Index at_b, Index at, Index n) { run(mask + at, a + at_a, b + at_b, y + at, n); });
}

template <class X, class Z>
void multiply_rounded(const X* x, const bfloat16* y, Z* z, Index n) {
  parallel_for(n, grain, [=](Index begin, Index end) {
#pragma omp simd
    for (Index i = begin; i < end; ++i) store(z[i], to_real(x[i]) * to_float(y[i]));
  });
}
template void multiply_rounded(const real*, const bfloat16*, real*, Index);
template void multiply_rounded(const real*, const bfloat16*, bfloat16*, Index);
template void multiply_rounded(const bfloat16*, const bfloat16*, real*, Index);
template void multiply_rounded(const bfloat16*, const bfloat16*, bfloat16*, Index);

namespace {

// Of a function whose address is taken there has to be code: so the list has all its kernels compiled.
template <class... U, class... B>
constexpr auto kernels(formula::List<U...>, formula::List<B...>) {
  return std::tuple{&unary<U>..., &binary<B>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Unary{}, formula::Binary{});

}  // namespace

}  // namespace bobbin::cpu
