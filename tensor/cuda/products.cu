// Matrix products, by cuBLAS.
//
// cuBLAS stores matrices by columns, we by rows; so it takes our A (m x k) for its Aᵀ (k x m). It is therefore asked
// for Cᵀ = op(B)ᵀ·op(A)ᵀ, with operands and sizes exchanged, and what it writes is our C.
#include <type_traits>

#include "tensor/cuda/launch.h"
#include "tensor/cuda/products.h"
#include "tensor/cuda/four.h"

namespace bobbin::cuda {

__global__ void round_kernel(const real* x, bfloat16* y, Index n) {
  const Index i = four_of_thread();
  if (i >= n) return;
  const Four<real> four = load4(x + i, n - i);
  Four<bfloat16> rounded;
#pragma unroll
  for (int j = 0; j < 4; ++j) rounded.at[j] = to_bfloat16(four.at[j]);
  store4(y + i, rounded, n - i);
}

__global__ void widen_kernel(const bfloat16* x, real* y, Index n) {
  const Index i = four_of_thread();
  if (i >= n) return;
  const Four<bfloat16> four = load4(x + i, n - i);
  Four<real> wide;
#pragma unroll
  for (int j = 0; j < 4; ++j) wide.at[j] = to_float(four.at[j]);
  store4(y + i, wide, n - i);
}

// x (batch, m, n) into matrices of m x n.
__global__ void round_result_kernel(const real* x, bfloat16* y, Index ld, Index stride, Index m, Index n, Index batch) {
  const Index i = thread_number(), row = i / n;
  if (row < batch * m) y[row / m * stride + row % m * ld + i % n] = to_bfloat16(x[i]);
}

namespace {

// Of operands of type T: `real`, of which only the one is made, or bfloat16. What is rounded is added up and written as
// float, which no mode of cuBLAS makes less exact: CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION would only concern
// results that are themselves rounded.
template <class T>
cublasStatus_t blas_gemm(cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n, int k, real alpha,
                         const T* a, int lda, Index stride_a, const T* b, int ldb, Index stride_b, real beta, real* c,
                         int ldc, Index stride_c, int batch) {
  if constexpr (std::is_same_v<T, float>)
    return cublasSgemmStridedBatched(blas(), trans_a, trans_b, m, n, k, &alpha, a, lda, stride_a, b, ldb, stride_b,
                                     &beta, c, ldc, stride_c, batch);
  else if constexpr (std::is_same_v<T, double>)
    return cublasDgemmStridedBatched(blas(), trans_a, trans_b, m, n, k, &alpha, a, lda, stride_a, b, ldb, stride_b,
                                     &beta, c, ldc, stride_c, batch);
  else
    return cublasGemmStridedBatchedEx(blas(), trans_a, trans_b, m, n, k, &alpha, a, CUDA_R_16BF, lda, stride_a, b,
                                      CUDA_R_16BF, ldb, stride_b, &beta, c, CUDA_R_32F, ldc, stride_c, batch,
                                      CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

// A product that is added to the bias has it in all rows of C before.
template <class T>
void multiply_by_blas(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrix& c, bool add) {
  const auto flag = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto size = [](Index i) { return static_cast<int>(i); };  // functions.h checks that they fit
  if (p.bias)
    for (Index i = 0; i < p.batch; ++i) copy_rows(p.bias, 0, c.at + i * c.stride, c.ld, p.m, p.n);
  check_cublas(blas_gemm(flag(b.transposed), flag(a.transposed), size(p.n), size(p.m), size(p.k), p.alpha, b.at,
                         size(b.ld), b.stride, a.at, size(a.ld), a.stride, p.bias || add ? real{1} : real{0}, c.at,
                         size(c.ld), c.stride, size(p.batch)),
               "gemm");
}

// A rounded matrix, rows x cols as it is stored, or a batch of them, as `real`; with what is between the rows.
struct Widened {
  std::shared_ptr<real> numbers;
  Matrix matrix;

  Widened(const RoundedMatrix& x, Index rows, Index cols, Index batch) {
    const Index n = (batch - 1) * x.stride + (rows - 1) * x.ld + cols;
    numbers = scratch<real>(n);
    widen(x.at, numbers.get(), n);
    matrix = {numbers.get(), x.ld, x.transposed, x.stride};
  }
};

}  // namespace

void multiply(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c, bool add) {
  const bool tf32 = ProductsIn::current() == Precision::tf32;
  check_cublas(cublasSetMathMode(blas(), tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
  multiply_by_blas(p, a, b, c, add);
}

void multiply(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c, bool add) {
  if (std::is_same_v<real, float>) return multiply_by_blas(p, a, b, c, add);
  // cuBLAS adds such products up as float. In double it gets the same numbers as double.
  const Widened wide_a(a, a.transposed ? p.k : p.m, a.transposed ? p.m : p.k, p.batch);
  const Widened wide_b(b, b.transposed ? p.n : p.k, b.transposed ? p.k : p.n, p.batch);
  multiply(p, wide_a.matrix, wide_b.matrix, c, add);
}

void gemm(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) { multiply(p, a, b, c); }

void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c) {
  multiply(p, a, b, c);
}

// cuBLAS could round the result itself, but would round the bias, to which it adds, before.
void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c) {
  const Index n = p.batch * p.m * p.n;
  const auto exact = scratch<real>(n);
  gemm_rounded(p, a, b, ResultMatrix{exact.get(), p.n, p.m * p.n});
  launch("round_result", round_result_kernel, blocks(n, block_size), block_size, exact.get(), c.at, c.ld, c.stride, p.m,
         p.n, p.batch);
}

void round_to_bfloat16(const real* x, bfloat16* y, Index n) {
  launch("round_to_bfloat16", round_kernel, blocks_of_fours(n), block_size, x, y, n);
}

void widen(const bfloat16* x, real* y, Index n) {
  launch("widen", widen_kernel, blocks_of_fours(n), block_size, x, y, n);
}

}  // namespace bobbin::cuda
