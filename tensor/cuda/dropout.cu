// Dropout, alone and behind the functions that fuse it, in one pass: the same elements as on the processor, as the mask
// is a function of the draw alone. A thread has the four elements of a block of random words.
#include "tensor/cuda/dropout.h"

#include <tuple>

#include "tensor/cuda/four.h"

namespace bobbin::cuda {

template <class F, class Y, class D>
__global__ void dropout_kernel(F f, const real* x, Y* y, D* derivative, Index n, formula::Dropout dropout) {
  const Index i = four_of_thread();
  if (i >= n) return;
  const Four<real> four = load4(x + i, n - i);
  const std::array<std::uint32_t, 4> word = words(dropout, i / 4);
  Four<Y> values;
  if (derivative) {
    Four<D> derivatives;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const auto at = f.with_derivative(four.at[j]);
      store(values.at[j], dropout(word[j], at.value));
      store(derivatives.at[j], dropout(word[j], at.derivative));
    }
    store4(derivative + i, derivatives, n - i);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) store(values.at[j], dropout(word[j], f(four.at[j])));
  }
  store4(y + i, values, n - i);
}

template <class Y, class D, class F>
void dropout(const F& f, const real* x, Y* y, D* derivative, Index n, real p, Draw draw) {
  launch(F::name, dropout_kernel<F, Y, D>, blocks_of_fours(n), block_size, f, x, y, derivative, n,
         formula::Dropout(p, draw));
}

namespace {

// As in tensor/cpu/elementwise.cpp: a kernel for each formula of the list.
template <class... F>
constexpr auto kernels(formula::List<F...>) {
  return std::tuple{&dropout<real, real, F>..., &dropout<real, bfloat16, F>..., &dropout<bfloat16, bfloat16, F>...};
}
[[gnu::used, maybe_unused]] constexpr auto compiled = kernels(formula::Dropped{});

}  // namespace

}  // namespace bobbin::cuda
