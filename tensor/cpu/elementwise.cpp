// One pass over memory each: read, compute, write.
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

// The innermost loop is one of three plain ones: no step is ever other than 0 or 1 there, and 0 and 0 cannot occur
// together.
template <class F>
void binary(const F& f, const Broadcast& walk, const real* a, const real* b, real* y) {
  const int inner = walk.rank - 1;
  const Index cols = walk.size[inner];
  const auto row = [=, step_a = walk.stride_a[inner], step_b = walk.stride_b[inner]](const real* a, const real* b,
                                                                                     real* y, Index n) {
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

  if (inner == 0) {
    parallel_for(cols, grain, [&](Index begin, Index end) {
      row(a + begin * walk.stride_a[0], b + begin * walk.stride_b[0], y + begin, end - begin);
    });
    return;
  }
  Index rows = 1;
  for (int axis = 0; axis < inner; ++axis) rows *= walk.size[axis];
  parallel_for(rows, grain / cols + 1, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      Index rest = r, at_a = 0, at_b = 0;
      for (int axis = inner - 1; axis >= 0; --axis) {
        const Index i = rest % walk.size[axis];
        rest /= walk.size[axis];
        at_a += i * walk.stride_a[axis];
        at_b += i * walk.stride_b[axis];
      }
      row(a + at_a, b + at_b, y + r * cols, cols);
    }
  });
}

void multiply_rounded(const real* x, const bfloat16* y, real* z, Index n) {
  parallel_for(n, grain, [=](Index begin, Index end) {
#pragma omp simd
    for (Index i = begin; i < end; ++i) z[i] = x[i] * to_float(y[i]);
  });
}

namespace {

// Of a function whose address is taken there has to be code: so the list has all its kernels compiled.
template <class... U, class... B>
constexpr auto kernels(formula::List<U...>, formula::List<B...>) {
  return std::tuple{&unary<U>..., &binary<B>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Unary{}, formula::Binary{});

}  // namespace

}  // namespace bobbin::cpu
