// Matrix products, by OpenBLAS: on the shapes of a transformer it runs at the processor's limit.
#include <cblas.h>

#include <type_traits>

#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

// A template, so that only the one for `real` is made.
template <class T>
void blas_gemm(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m, blasint n, blasint k, T alpha, const T* a,
               blasint lda, const T* b, blasint ldb, T beta, T* c, blasint ldc) {
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else
    cblas_dgemm(CblasRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace

// Each thread multiplies a part of its own: a range of C's rows, or of its columns. Inside a parallel region OpenBLAS
// stays on its thread; left to itself it would share a product out
// in a finer way, in which threads wait for one another, and would keep one of few rows on a single thread; so a
// product of 37 rows takes a quarter less time here, one of 8 half, and large ones as much as there.
//
// A range of columns reads only its part of B, so a short A, that is a small batch, is multiplied that way. Where A is
// transposed the product is the gradient of a weight, and its sum over all tokens, k, is what takes long; then whole
// rows of C are written in one go.
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, real alpha, const real* a, Index lda, const real* b,
          Index ldb, real beta, real* c, Index ldc) {
  constexpr Index grain = 1 << 16;  // multiplications that are worth a thread
  const auto part = [=](Index rows, Index columns, const real* a, const real* b, real* c) {
    const auto flag = [](bool trans) { return trans ? CblasTrans : CblasNoTrans; };
    const auto size = [](Index i) { return static_cast<blasint>(i); };
    blas_gemm(flag(trans_a), flag(trans_b), size(rows), size(columns), size(k), alpha, a, size(lda), b, size(ldb), beta,
              c, size(ldc));
  };
  if (trans_a || m >= n)
    parallel_for(m, grain / (n * k) + 1, [=](Index begin, Index end) {
      part(end - begin, n, trans_a ? a + begin : a + begin * lda, b, c + begin * ldc);
    });
  else
    parallel_for(n, grain / (m * k) + 1, [=](Index begin, Index end) {
      part(m, end - begin, a, trans_b ? b + begin * ldb : b + begin, c + begin);
    });
}

void batched_gemm(Index batch, bool trans_a, bool trans_b, Index m, Index n, Index k, real alpha, const real* a,
                  Index lda, Index stride_a, const real* b, Index ldb, Index stride_b, real beta, real* c, Index ldc,
                  Index stride_c) {
  const auto products = [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      gemm(trans_a, trans_b, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta, c + i * stride_c, ldc);
  };
  // A large product keeps all threads busy by itself. Small ones do not repay waking them for each: they are shared out
  // whole.
  constexpr Index large = 1 << 22;
  if (m * n * k >= large)
    products(0, batch);
  else
    parallel_for(batch, 1, products);
}

}  // namespace bobbin::cpu
