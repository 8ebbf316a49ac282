#include <cblas.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cublasLt.h"
#include "memory.h"
#include "runtime.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
};

namespace emulator {
namespace {

void product(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n, int k, float alpha, const float* a,
             int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasColMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void product(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n, int k, double alpha, const double* a,
             int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasColMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// A bfloat16: the upper half of a float.
enum class Half : std::uint16_t {};

Half rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return Half(std::isnan(x) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Of operands that are written out as floats; of the columns of a matrix, only what belongs to it.
std::vector<float> widened(CBLAS_TRANSPOSE trans, int rows, int cols, const Half* x, int ld) {
  if (trans == CblasTrans) std::swap(rows, cols);
  std::vector<float> numbers;
  for (int col = 0; col < cols; ++col)
    for (int row = 0; row < rows; ++row)
      numbers.push_back(
          std::bit_cast<float>(static_cast<std::uint32_t>(x[static_cast<long long>(col) * ld + row]) << 16));
  return numbers;
}
void product(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n, int k, float alpha, const Half* a, int lda,
             const Half* b, int ldb, float beta, float* c, int ldc) {
  const std::vector<float> wide_a = widened(trans_a, m, k, a, lda), wide_b = widened(trans_b, k, n, b, ldb);
  product(trans_a, trans_b, m, n, k, alpha, wide_a.data(), std::max(1, trans_a == CblasTrans ? k : m), wide_b.data(),
          std::max(1, trans_b == CblasTrans ? n : k), beta, c, ldc);
}
// Nothing is read of C. The bias, of m numbers, or null, is added to the sums before these are rounded.
void product(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n, int k, float alpha, const Half* a, int lda,
             const Half* b, int ldb, float, Half* c, int ldc, const Half* bias) {
  std::vector<float> exact;
  for (int col = 0; col < n; ++col) {
    const std::vector<float> first = bias ? widened(CblasNoTrans, m, 1, bias, m) : std::vector<float>(std::size_t(m));
    exact.insert(exact.end(), first.begin(), first.end());
  }
  product(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, 1, exact.data(), m);
  for (int col = 0; col < n; ++col)
    for (int row = 0; row < m; ++row)
      c[static_cast<long long>(col) * ldc + row] =
          rounded(exact[static_cast<std::size_t>(col) * static_cast<std::size_t>(m) + static_cast<std::size_t>(row)]);
}

// `batch` matrices of rows x cols, by columns that lie `ld` apart.
template <class T>
struct Matrices {
  T* first;
  int rows, cols, ld;
  long long stride;

  bool possible() const { return rows >= 0 && cols >= 0 && ld >= std::max(1, rows); }

  // Lets the product touch them. They must not reach beyond an allocation; CBLAS would not notice.
  void open(memory::Access& access, const char* name, int batch, bool writable) const {
    if (rows == 0 || cols == 0) return;
    const long long numbers = stride * (batch - 1) + static_cast<long long>(ld) * (cols - 1) + rows;
    const memory::Allocation* const a = memory::find(first, static_cast<std::size_t>(numbers) * sizeof(T));
    if (!a)
      die(std::string("matrix ") + name + ", " + std::to_string(rows) + " x " + std::to_string(cols) +
              " with leading dimension " + std::to_string(ld) + ", does not lie inside an allocation of the device",
          access.user());
    access.open(*a, writable);
  }
};

// C = alpha · op(A)·op(B) + beta · C, and the bias.
struct Operand {
  const void* first;
  cudaDataType type;
  int ld;
  long long stride;
  bool turn;
};
struct Product {
  int m, n, k;
  const void* alpha;
  Operand a, b;
  const void* beta;
  void* c;
  cudaDataType type_c;
  int ldc;
  long long stride_c;
  int batch;
  cublasComputeType_t sums;
  const void* bias = nullptr;  // m numbers of C's type
};

template <class T, class Result, class Scale>
cublasStatus_t compute(const Product& p, cudaStream_t stream, const char* name) {
  const Matrices<const T> A{static_cast<const T*>(p.a.first), p.a.turn ? p.k : p.m, p.a.turn ? p.m : p.k, p.a.ld,
                            p.a.stride};
  const Matrices<const T> B{static_cast<const T*>(p.b.first), p.b.turn ? p.n : p.k, p.b.turn ? p.k : p.n, p.b.ld,
                            p.b.stride};
  const Matrices<Result> C{static_cast<Result*>(p.c), p.m, p.n, p.ldc, p.stride_c};
  if (!A.possible() || !B.possible() || !C.possible() || p.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
  if (p.m == 0 || p.n == 0 || p.batch == 0) return CUBLAS_STATUS_SUCCESS;
  work_in(stream, name);
  for (const void* const at : {p.a.first, p.b.first, static_cast<const void*>(p.c), p.bias}) use(at, name);
  do_queued_copies(stream);
  memory::Access access(name);
  A.open(access, "A", p.batch, false);
  B.open(access, "B", p.batch, false);
  C.open(access, "C", p.batch, true);
  const auto order = [](bool turn) { return turn ? CblasTrans : CblasNoTrans; };
  const Matrices<const Result> bias{static_cast<const Result*>(p.bias), p.m, 1, p.m, 0};
  if (p.bias) bias.open(access, "of the bias", 1, false);
  for (int i = 0; i < p.batch; ++i) {
    const auto multiply = [&](auto... bias) {
      product(order(p.a.turn), order(p.b.turn), p.m, p.n, p.k, *static_cast<const Scale*>(p.alpha),
              A.first + i * A.stride, A.ld, B.first + i * B.stride, B.ld, *static_cast<const Scale*>(p.beta),
              C.first + i * C.stride, C.ld, bias...);
    };
    if constexpr (std::is_same_v<Result, Half>)
      multiply(bias.first);
    else
      multiply();
  }
  if constexpr (std::is_same_v<Result, Scale>)
    if (p.bias) {
      for (int col = 0; col < p.n; ++col)
        for (int row = 0; row < p.m; ++row) C.first[static_cast<long long>(col) * C.ld + row] += bias.first[row];
    }
  return CUBLAS_STATUS_SUCCESS;
}

std::map<std::pair<cudaDataType, cublasComputeType_t>, unsigned long> products;

const char* name_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_32F:
      return "CUDA_R_32F";
    case CUDA_R_64F:
      return "CUDA_R_64F";
    case CUDA_R_16F:
      return "CUDA_R_16F";
    case CUDA_R_16BF:
      return "CUDA_R_16BF";
  }
  return "an unknown type";
}
const char* name_of(cublasComputeType_t type) {
  switch (type) {
    case CUBLAS_COMPUTE_16F:
      return "CUBLAS_COMPUTE_16F";
    case CUBLAS_COMPUTE_32F:
      return "CUBLAS_COMPUTE_32F";
    case CUBLAS_COMPUTE_64F:
      return "CUBLAS_COMPUTE_64F";
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return "CUBLAS_COMPUTE_32F_FAST_16BF";
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return "CUBLAS_COMPUTE_32F_FAST_TF32";
  }
  return "an unknown type";
}

// `exact_parts`: no part of a sum is rounded where the result is.
cublasStatus_t multiply(const Product& p, cudaStream_t stream, bool exact_parts, const char* name) {
  ++products[{p.a.type, p.sums}];
  const auto are = [&](cudaDataType operands, cudaDataType result) {
    return p.a.type == operands && p.b.type == operands && p.type_c == result;
  };
  const bool in_float = p.sums == CUBLAS_COMPUTE_32F;
  if (are(CUDA_R_64F, CUDA_R_64F) && p.sums == CUBLAS_COMPUTE_64F)
    return compute<double, double, double>(p, stream, name);
  if (are(CUDA_R_32F, CUDA_R_32F) && (in_float || p.sums == CUBLAS_COMPUTE_32F_FAST_TF32))
    return compute<float, float, float>(p, stream, name);
  if (are(CUDA_R_16BF, CUDA_R_32F) && in_float) return compute<Half, float, float>(p, stream, name);
  if (are(CUDA_R_16BF, CUDA_R_16BF) && in_float && *static_cast<const float*>(p.beta) == 0) {
    if (!exact_parts) die("parts of a sum may be rounded, since its result is", name);
    return compute<Half, Half, float>(p, stream, name);
  }
  die(std::string("a product of ") + name_of(p.a.type) + " and " + name_of(p.b.type) + " in " + name_of(p.type_c) +
          ", added up in " + name_of(p.sums) + ", is not emulated",
      name);
}

cublasStatus_t multiply(const char* name, cublasHandle_t handle, const Product& p) {
  const Call call(name);
  if (call.no_device() || !handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (call.must_fail()) return CUBLAS_STATUS_EXECUTION_FAILED;
  return multiply(p, handle->stream, handle->mode & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION, name);
}

}  // namespace

unsigned long products_of(cudaDataType operands, cublasComputeType_t sums) { return products[{operands, sums}]; }

}  // namespace emulator

using namespace emulator;

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  const Call call("cublasCreate");
  if (call.no_device() || call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  const Call call("cublasDestroy");
  if (!handle || call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  const Call call("cublasSetStream");
  if (!handle || call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  const Call call("cublasSetMathMode");
  if (!handle || call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t handle, int* version) {
  const Call call("cublasGetVersion");
  if (!handle || call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *version = 130000;
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown status";
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n,
                            int k, const void* alpha, const void* a, cudaDataType type_a, int lda, const void* b,
                            cudaDataType type_b, int ldb, const void* beta, void* c, cudaDataType type_c, int ldc,
                            cublasComputeType_t compute_type, cublasGemmAlgo_t) {
  return multiply("cublasGemmEx", handle,
                  {m,
                   n,
                   k,
                   alpha,
                   {a, type_a, lda, 0, trans_a == CUBLAS_OP_T},
                   {b, type_b, ldb, 0, trans_b == CUBLAS_OP_T},
                   beta,
                   c,
                   type_c,
                   ldc,
                   0,
                   1,
                   compute_type});
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b,
                                          int m, int n, int k, const void* alpha, const void* a, cudaDataType type_a,
                                          int lda, long long stride_a, const void* b, cudaDataType type_b, int ldb,
                                          long long stride_b, const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute_type,
                                          cublasGemmAlgo_t) {
  return multiply("cublasGemmStridedBatchedEx", handle,
                  {m,
                   n,
                   k,
                   alpha,
                   {a, type_a, lda, stride_a, trans_a == CUBLAS_OP_T},
                   {b, type_b, ldb, stride_b, trans_b == CUBLAS_OP_T},
                   beta,
                   c,
                   type_c,
                   ldc,
                   stride_c,
                   batch,
                   compute_type});
}

// --- cublasLt ---------------------------------------------------------------------------------------------

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t sums;
  cudaDataType scale;
  int trans_a = CUBLAS_OP_N, trans_b = CUBLAS_OP_N, epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType type;
  std::uint64_t rows, cols;
  std::int64_t ld;
};
struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
};

namespace {

constexpr std::uint64_t workspace_of_algorithm = 1024;  // where it may have as much

// What an algorithm is chosen for: the product and its matrices, but not where these lie.
std::uint64_t fingerprint(const cublasLtMatmulDescOpaque_t& p,
                          std::initializer_list<const cublasLtMatrixLayoutOpaque_t*> layouts) {
  std::string text;
  const auto add = [&](auto... numbers) { ((text += std::to_string(numbers) + ' '), ...); };
  add(static_cast<int>(p.sums), static_cast<int>(p.scale), p.trans_a, p.trans_b, p.epilogue);
  for (const auto* l : layouts) add(static_cast<int>(l->type), l->rows, l->cols, l->ld);
  return std::hash<std::string>{}(text);
}

std::uint64_t alignment_of(const void* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  return address & (~address + 1);  // its lowest bit
}

// The attribute, if `value` has its size.
cublasStatus_t assign(auto& attribute, const void* value, std::size_t bytes) {
  if (bytes != sizeof attribute) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&attribute, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
cublasStatus_t create(const char* name, T** handle, T value) {
  const Call call(name);
  if (call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new T(value);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t destroy(const auto* handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute_type,
                                        cudaDataType scale_type) {
  return create("cublasLtMatmulDescCreate", product, {compute_type, scale_type});
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t what,
                                              const void* value, std::size_t bytes) {
  const Call call("cublasLtMatmulDescSetAttribute");
  if (call.must_fail()) return CUBLAS_STATUS_INVALID_VALUE;
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return assign(product->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return assign(product->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return assign(product->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return assign(product->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) { return destroy(product); }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t cols, std::int64_t ld) {
  return create("cublasLtMatrixLayoutCreate", layout, {type, rows, cols, ld});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* wish) {
  return create("cublasLtMatmulPreferenceCreate", wish, {});
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t wish,
                                                    cublasLtMatmulPreferenceAttributes_t what, const void* value,
                                                    std::size_t bytes) {
  if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return assign(wish->workspace, value, bytes);
  if (what == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return assign(wish->reductions, value, bytes);
  return assign(wish->alignment[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t wish) { return destroy(wish); }

// Of an algorithm: what it is for, how aligned A, B, C, D and the bias must be, how much workspace it needs, how it may
// add up parts of a sum.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t layout_a, cublasLtMatrixLayout_t layout_b,
                                              cublasLtMatrixLayout_t layout_c, cublasLtMatrixLayout_t layout_d,
                                              cublasLtMatmulPreference_t wish, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  const Call call("cublasLtMatmulAlgoGetHeuristic");
  *found = 0;
  if (call.no_device() || !handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  if (call.must_fail()) return CUBLAS_STATUS_NOT_SUPPORTED;
  const std::uint64_t workspace = std::min(wish->workspace, workspace_of_algorithm);
  const std::uint32_t* const of = wish->alignment;
  *results = {{{fingerprint(*product, {layout_a, layout_b, layout_c, layout_d}), of[0], of[1], of[2], of[3],
                alignment_of(product->bias), workspace, wish->reductions}},
              workspace,
              CUBLAS_STATUS_SUCCESS,
              1,
              {}};
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t layout_a, const void* b, cublasLtMatrixLayout_t layout_b,
                              const void* beta, const void* c, cublasLtMatrixLayout_t layout_c, void* d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  const char* const name = "cublasLtMatmul";
  const Call call(name);
  if (call.no_device() || !handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (call.must_fail()) return CUBLAS_STATUS_EXECUTION_FAILED;
  const std::uint64_t* const chosen = algorithm->data;
  if (chosen[0] != fingerprint(*product, {layout_a, layout_b, layout_c, layout_d})) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (c != d || layout_c != layout_d || workspace_bytes < chosen[6]) return CUBLAS_STATUS_INVALID_VALUE;
  const void* const pointers[] = {a, b, c, d, product->bias};
  for (int i = 0; i < 5; ++i)
    if (reinterpret_cast<std::uintptr_t>(pointers[i]) % chosen[i + 1] != 0) return CUBLAS_STATUS_INVALID_VALUE;
  if (workspace_bytes > 0 && !memory::find(workspace, workspace_bytes))
    die("the workspace does not lie inside an allocation of the device", name);
  const bool turn_a = product->trans_a == CUBLAS_OP_T, turn_b = product->trans_b == CUBLAS_OP_T;
  const auto size = [](auto n) { return static_cast<int>(n); };
  const int m = size(layout_d->rows), n = size(layout_d->cols), k = size(turn_a ? layout_a->rows : layout_a->cols);
  if (size(turn_a ? layout_a->cols : layout_a->rows) != m || size(turn_b ? layout_b->cols : layout_b->rows) != k ||
      size(turn_b ? layout_b->rows : layout_b->cols) != n)
    return CUBLAS_STATUS_INVALID_VALUE;
  return multiply({m,
                   n,
                   k,
                   alpha,
                   {a, layout_a->type, size(layout_a->ld), 0, turn_a},
                   {b, layout_b->type, size(layout_b->ld), 0, turn_b},
                   beta,
                   d,
                   layout_d->type,
                   size(layout_d->ld),
                   0,
                   1,
                   product->sums,
                   product->epilogue == CUBLASLT_EPILOGUE_BIAS ? product->bias : nullptr},
                  stream, chosen[7] == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, name);
}
