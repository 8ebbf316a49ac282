// Matrix products, by cuBLAS.
//
// cuBLAS stores matrices by columns, we by rows; so it takes our A (m x k) for its Aᵀ (k x m). It is therefore asked
// for Cᵀ = op(B)ᵀ·op(A)ᵀ, with operands and sizes exchanged, and what it writes is our C.
#include <type_traits>

#include "tensor/cuda/device.h"

namespace bobbin::cuda {
namespace {

// A template, so that only the one for `real` is made.
template <class T>
cublasStatus_t gemm(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n, int k, T alpha, const T* a,
                    int lda, Index stride_a, const T* b, int ldb, Index stride_b, T beta, T* c, int ldc, Index stride_c,
                    int batch) {
  if constexpr (std::is_same_v<T, float>)
    return cublasSgemmStridedBatched(blas(), trans_a, trans_b, m, n, k, &alpha, a, lda, stride_a, b, ldb, stride_b,
                                     &beta, c, ldc, stride_c, batch);
  else
    return cublasDgemmStridedBatched(blas(), trans_a, trans_b, m, n, k, &alpha, a, lda, stride_a, b, ldb, stride_b,
                                     &beta, c, ldc, stride_c, batch);
}

}  // namespace

void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, real alpha, const real* a, Index lda, const real* b,
          Index ldb, real beta, real* c, Index ldc) {
  batched_gemm(1, trans_a, trans_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0);
}

void batched_gemm(Index batch, bool trans_a, bool trans_b, Index m, Index n, Index k, real alpha, const real* a,
                  Index lda, Index stride_a, const real* b, Index ldb, Index stride_b, real beta, real* c, Index ldc,
                  Index stride_c) {
  const auto flag = [](bool trans) { return trans ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto size = [](Index i) { return static_cast<int>(i); };  // functions.h checks that they fit
  const bool tf32 = ProductsIn::current() == Precision::tf32;
  check_cublas(cublasSetMathMode(blas(), tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
  check_cublas(gemm(flag(trans_b), flag(trans_a), size(n), size(m), size(k), alpha, b, size(ldb), stride_b, a,
                    size(lda), stride_a, beta, c, size(ldc), stride_c, size(batch)),
               "gemm");
}

}  // namespace bobbin::cuda
