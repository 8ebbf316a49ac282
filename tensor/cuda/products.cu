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
cublasStatus_t blas_gemm(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n, int k, T alpha, const T* a,
                         int lda, Index stride_a, const T* b, int ldb, Index stride_b, T beta, T* c, int ldc,
                         Index stride_c, int batch) {
  if constexpr (std::is_same_v<T, float>)
    return cublasSgemmStridedBatched(blas(), trans_a, trans_b, m, n, k, &alpha, a, lda, stride_a, b, ldb, stride_b,
                                     &beta, c, ldc, stride_c, batch);
  else
    return cublasDgemmStridedBatched(blas(), trans_a, trans_b, m, n, k, &alpha, a, lda, stride_a, b, ldb, stride_b,
                                     &beta, c, ldc, stride_c, batch);
}

}  // namespace

void gemm(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  const auto flag = [](const Matrix& x) { return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto size = [](Index i) { return static_cast<int>(i); };  // functions.h checks that they fit
  const bool tf32 = ProductsIn::current() == Precision::tf32;
  check_cublas(cublasSetMathMode(blas(), tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
  check_cublas(blas_gemm(flag(b), flag(a), size(p.n), size(p.m), size(p.k), p.alpha, b.at, size(b.ld), b.stride, a.at,
                         size(a.ld), a.stride, p.beta, c.at, size(c.ld), c.stride, size(p.batch)),
               "gemm");
}

}  // namespace bobbin::cuda
