// Matrix products, by cuBLAS.
//
// cuBLAS stores matrices by columns, we by rows; so it takes our A (m x k) for its Aᵀ (k x m). It is therefore asked
// for Cᵀ = op(B)ᵀ·op(A)ᵀ, with operands and sizes exchanged, and what it writes is our C.
#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <map>
#include <type_traits>

#include "tensor/cuda/four.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/products.h"

namespace bobbin::cuda {

template <class X, class Y>
__global__ void convert_kernel(const X* x, Y* y, Index n) {
  const Index i = four_of_thread();
  if (i >= n) return;
  const Four<X> from = load4(x + i, n - i);
  Four<Y> to;
#pragma unroll
  for (int j = 0; j < 4; ++j) store(to.at[j], to_real(from.at[j]));
  store4(y + i, to, n - i);
}

// x (batch, m, n) into matrices of m x n.
__global__ void round_result_kernel(const real* x, bfloat16* y, Index ld, Index stride, Index m, Index n, Index batch) {
  const Index i = thread_number(), row = i / n;
  if (row < batch * m) y[row / m * stride + row % m * ld + i % n] = to_bfloat16(x[i]);
}

namespace {

template <class T>
constexpr cudaDataType type_of = std::is_same_v<T, float>    ? CUDA_R_32F
                                 : std::is_same_v<T, double> ? CUDA_R_64F
                                                             : CUDA_R_16BF;

// How products of operands of type T are added up.
template <class T>
cublasComputeType_t sums_of() {
  if (std::is_same_v<T, double>) return CUBLAS_COMPUTE_64F;
  const bool tf32 = std::is_same_v<T, float> && ProductsIn::current() == Precision::tf32;
  return tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

cublasOperation_t flag(bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; }

// --- cuBLAS -----------------------------------------------------------------------------------------------

// C = alpha · op(A)·op(B) + beta · C, of operands of type T, `real` or bfloat16, and a result of type Result, likewise.
// A single product has a call of its own, since cuBLAS has more kernels for it than for a batch.
template <class T, class Result>
void blas_gemm(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, real beta,
               const ResultMatrixOf<Result>& c) {
  const auto size = [](Index i) { return static_cast<int>(i); };  // functions.h checks that they fit
  const cublasOperation_t trans_a = flag(a.transposed), trans_b = flag(b.transposed);
  const int m = size(p.m), n = size(p.n), k = size(p.k), lda = size(a.ld), ldb = size(b.ld), ldc = size(c.ld);
  if (p.batch == 1)
    check_cublas(cublasGemmEx(blas(), trans_b, trans_a, n, m, k, &p.alpha, b.at, type_of<T>, ldb, a.at, type_of<T>, lda,
                              &beta, c.at, type_of<Result>, ldc, sums_of<T>(), CUBLAS_GEMM_DEFAULT),
                 "gemm");
  else
    check_cublas(cublasGemmStridedBatchedEx(blas(), trans_b, trans_a, n, m, k, &p.alpha, b.at, type_of<T>, ldb,
                                            b.stride, a.at, type_of<T>, lda, a.stride, &beta, c.at, type_of<Result>,
                                            ldc, c.stride, size(p.batch), sums_of<T>(), CUBLAS_GEMM_DEFAULT),
                 "gemm");
}

// --- cublasLt, where there is a bias ----------------------------------------------------------------------
// It adds the bias to the sums before it writes them, a number for each of its rows, that is our columns. By cuBLAS
// alone C would hold the bias before, and be written and read once more.

constexpr std::size_t workspace_bytes = 32 << 20;  // as NVIDIA advises for Hopper
// Shared by all products, since one follows the other. Null where the GPU has no such memory left.
void* workspace() {
  static void* const block = allocate(workspace_bytes);
  return block;
}

// What pointers are multiples of, so that an algorithm suits all that come: a thread reads 16 bytes at most at once,
// and tensors begin at multiples of 64.
constexpr std::uint32_t alignment = 16;
bool is_aligned(const void* at) { return reinterpret_cast<std::uintptr_t>(at) % alignment == 0; }

// A product of these sizes as cublasLt knows it. To describe it and to choose an algorithm takes longer than to start
// it, so this is kept; and the same algorithm gives the same bits.
class BiasedProduct {
 public:
  template <class T, class Result>
  BiasedProduct(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrixOf<Result>& c) {
    check_cublas(cublasLtMatmulDescCreate(&product_, sums_of<T>(), type_of<real>), "cublasLtMatmulDescCreate");
    set(CUBLASLT_MATMUL_DESC_TRANSA, flag(b.transposed));
    set(CUBLASLT_MATMUL_DESC_TRANSB, flag(a.transposed));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    // Only its alignment is looked at for now.
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, reinterpret_cast<const void*>(std::uintptr_t{alignment}));
    a_ = stored<T>(a.transposed ? p.k : p.m, a.transposed ? p.m : p.k, a.ld);
    b_ = stored<T>(b.transposed ? p.n : p.k, b.transposed ? p.k : p.n, b.ld);
    c_ = stored<Result>(p.m, p.n, c.ld);
    choose_algorithm();
  }

  // False if cublasLt has no algorithm for it. The bias is of the result's type.
  bool run(const Product& p, const void* a, const void* b, const void* bias, void* c) const {
    if (!possible_) return false;
    const real zero = 0;
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    check_cublas(cublasLtMatmul(handle(), product_, &p.alpha, b, b_, a, a_, &zero, c, c_, c, c_, &algorithm_,
                                workspace(), workspace() ? workspace_bytes : 0, stream()),
                 "cublasLtMatmul");
    return true;
  }

 private:
  // NVIDIA lets the one stand for the other.
  static cublasLtHandle_t handle() { return reinterpret_cast<cublasLtHandle_t>(blas()); }

  void set(cublasLtMatmulDescAttributes_t what, const auto& value) const {
    check_cublas(cublasLtMatmulDescSetAttribute(product_, what, &value, sizeof value),
                 "cublasLtMatmulDescSetAttribute");
  }
  // A matrix of ours; its rows are cublasLt's columns.
  template <class T>
  static cublasLtMatrixLayout_t stored(Index rows, Index cols, Index ld) {
    cublasLtMatrixLayout_t layout{};
    check_cublas(cublasLtMatrixLayoutCreate(&layout, type_of<T>, static_cast<std::uint64_t>(cols),
                                            static_cast<std::uint64_t>(rows), ld),
                 "cublasLtMatrixLayoutCreate");
    return layout;
  }
  void choose_algorithm() {
    cublasLtMatmulPreference_t wish{};
    check_cublas(cublasLtMatmulPreferenceCreate(&wish), "cublasLtMatmulPreferenceCreate");
    const auto want = [wish](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      check_cublas(cublasLtMatmulPreferenceSetAttribute(wish, what, &value, sizeof value),
                   "cublasLtMatmulPreferenceSetAttribute");
    };
    want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace() ? workspace_bytes : 0});
    for (const auto matrix : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      want(matrix, alignment);
    // Parts of a sum are added up as they are: of a result that is rounded none of them may be.
    want(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle(), product_, b_, a_, c_, c_, wish, 1, &best, &found);
    check_cublas(cublasLtMatmulPreferenceDestroy(wish), "cublasLtMatmulPreferenceDestroy");
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) check_cublas(status, "cublasLtMatmulAlgoGetHeuristic");
    possible_ = status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS;
    algorithm_ = best.algo;
  }

  cublasLtMatmulDesc_t product_{};
  cublasLtMatrixLayout_t a_{}, b_{}, c_{};
  cublasLtMatmulAlgo_t algorithm_{};
  bool possible_ = false;
};

// False if cublasLt cannot do it.
template <class T, class Result>
bool multiply_with_bias(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const Result* bias,
                        const ResultMatrixOf<Result>& c) {
  if (p.batch > 1 || !is_aligned(a.at) || !is_aligned(b.at) || !is_aligned(c.at) || !is_aligned(bias)) return false;
  using Key = std::array<Index, 9>;
  static auto& products = *new std::map<Key, const BiasedProduct>;  // of these types; never destroyed
  const Key key{p.m, p.n, p.k, a.ld, a.transposed, b.ld, b.transposed, c.ld, sums_of<T>()};
  return products.try_emplace(key, p, a, b, c).first->second.run(p, a.at, b.at, bias, c.at);
}

template <class T>
void multiply_by_blas(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrix& c, bool add) {
  if (p.bias && !add && multiply_with_bias(p, a, b, p.bias, c)) return;
  if (p.bias)
    for (Index i = 0; i < p.batch; ++i) copy_rows(p.bias, 0, c.at + i * c.stride, c.ld, p.m, p.n);
  blas_gemm(p, a, b, p.bias || add ? real{1} : real{0}, c);
}

// --- rounded operands -------------------------------------------------------------------------------------

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

// cuBLAS rounds the sums as it writes them. A bias is of the result's type there, so it is rounded before it is added.
// What cuBLAS cannot do, as in double, is rounded afterwards.
void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c) {
  if constexpr (std::is_same_v<real, float>) {
    if (!p.bias) return blas_gemm(p, a, b, real{0}, c);
    if (p.batch == 1) {
      const auto bias = scratch<bfloat16>(p.n);
      round_to_bfloat16(p.bias, bias.get(), p.n);
      if (multiply_with_bias(p, a, b, bias.get(), c)) return;
    }
  }
  const Index n = p.batch * p.m * p.n;
  const auto exact = scratch<real>(n);
  gemm_rounded(p, a, b, ResultMatrix{exact.get(), p.n, p.m * p.n});
  if (c.ld == p.n && (p.batch == 1 || c.stride == p.m * p.n)) return round_to_bfloat16(exact.get(), c.at, n);
  launch("round_result", round_result_kernel, blocks(n, block_size), block_size, exact.get(), c.at, c.ld, c.stride, p.m,
         p.n, p.batch);
}

void round_to_bfloat16(const real* x, bfloat16* y, Index n) {
  launch("round_to_bfloat16", convert_kernel<real, bfloat16>, blocks_of_fours(n), block_size, x, y, n);
}

void widen(const bfloat16* x, real* y, Index n) {
  launch("widen", convert_kernel<bfloat16, real>, blocks_of_fours(n), block_size, x, y, n);
}

}  // namespace bobbin::cuda
