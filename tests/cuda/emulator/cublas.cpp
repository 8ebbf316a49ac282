#include <cblas.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "cublas_v2.h"
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

template <class T, class Result>
cublasStatus_t gemm(const char* name, cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b,
                    int m, int n, int k, const Result* alpha, const T* a, int lda, long long stride_a, const T* b,
                    int ldb, long long stride_b, const Result* beta, Result* c, int ldc, long long stride_c,
                    int batch) {
  const Call call(name);
  if (call.no_device() || !handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (call.must_fail()) return CUBLAS_STATUS_EXECUTION_FAILED;
  const bool turn_a = trans_a == CUBLAS_OP_T, turn_b = trans_b == CUBLAS_OP_T;
  const Matrices<const T> A{a, turn_a ? k : m, turn_a ? m : k, lda, stride_a};
  const Matrices<const T> B{b, turn_b ? n : k, turn_b ? k : n, ldb, stride_b};
  const Matrices<Result> C{c, m, n, ldc, stride_c};
  if (!A.possible() || !B.possible() || !C.possible() || batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0 || batch == 0) return CUBLAS_STATUS_SUCCESS;
  work_in(handle->stream, name);
  do_queued_copies();
  memory::Access access(name);
  A.open(access, "A", batch, false);
  B.open(access, "B", batch, false);
  C.open(access, "C", batch, true);
  const auto order = [](bool turn) { return turn ? CblasTrans : CblasNoTrans; };
  for (int i = 0; i < batch; ++i)
    product(order(turn_a), order(turn_b), m, n, k, *alpha, a + i * stride_a, lda, b + i * stride_b, ldb, *beta,
            c + i * stride_c, ldc);
  return CUBLAS_STATUS_SUCCESS;
}

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
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return "CUBLAS_COMPUTE_32F_FAST_16BF";
  }
  return "an unknown type";
}

}  // namespace
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

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  const Call call("cublasGetMathMode");
  if (!handle || call.must_fail()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *mode = handle->mode;
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
  }
  return "unknown status";
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n,
                           int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                           const float* beta, float* c, int ldc) {
  return gemm("cublasSgemm", handle, trans_a, trans_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

cublasStatus_t cublasDgemm(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n,
                           int k, const double* alpha, const double* a, int lda, const double* b, int ldb,
                           const double* beta, double* c, int ldc) {
  return gemm("cublasDgemm", handle, trans_a, trans_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b,
                                         int m, int n, int k, const float* alpha, const float* a, int lda,
                                         long long stride_a, const float* b, int ldb, long long stride_b,
                                         const float* beta, float* c, int ldc, long long stride_c, int batch) {
  return gemm("cublasSgemmStridedBatched", handle, trans_a, trans_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b,
              beta, c, ldc, stride_c, batch);
}

cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b,
                                         int m, int n, int k, const double* alpha, const double* a, int lda,
                                         long long stride_a, const double* b, int ldb, long long stride_b,
                                         const double* beta, double* c, int ldc, long long stride_c, int batch) {
  return gemm("cublasDgemmStridedBatched", handle, trans_a, trans_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b,
              beta, c, ldc, stride_c, batch);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b,
                                          int m, int n, int k, const void* alpha, const void* a, cudaDataType type_a,
                                          int lda, long long stride_a, const void* b, cudaDataType type_b, int ldb,
                                          long long stride_b, const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute_type,
                                          cublasGemmAlgo_t) {
  const char* const call = "cublasGemmStridedBatchedEx";
  if (type_a != CUDA_R_16BF || type_b != CUDA_R_16BF || type_c != CUDA_R_32F || compute_type != CUBLAS_COMPUTE_32F)
    die(std::string("a product of ") + name_of(type_a) + " and " + name_of(type_b) + " in " + name_of(type_c) +
            ", added up in " + name_of(compute_type) + ", is not emulated",
        call);
  return gemm(call, handle, trans_a, trans_b, m, n, k, static_cast<const float*>(alpha), static_cast<const Half*>(a),
              lda, stride_a, static_cast<const Half*>(b), ldb, stride_b, static_cast<const float*>(beta),
              static_cast<float*>(c), ldc, stride_c, batch);
}
