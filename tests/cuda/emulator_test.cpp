// The emulator that the tests run CUDA kernels on must notice what a GPU would not forgive. Here are kernels with such
// faults, and the sentences that they die with.
#include <cublasLt.h>
#include <cuda_runtime.h>
#include <doctest/doctest.h>
#include <nccl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "runtime.h"
#include "sanitizers.h"
#include "tensor/cuda/mma.h"

// --- kernels ----------------------------------------------------------------------------------------------
// All have external linkage, so that error messages can say their names.
namespace emulator_test {

__global__ void increment(float* y, const float* x, int n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < static_cast<unsigned>(n)) y[i] = x[i] + 1;
}

__global__ void note_position(unsigned* y) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  y[block * blockDim.x * blockDim.y * blockDim.z + thread] =
      blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z + 1000 * threadIdx.x + 10000 * threadIdx.y + 100000 * threadIdx.z;
}

// Each thread takes the number of the next one, which another warp may have written.
__global__ void rotate(float* y, const float* x) {
  SHARED(float[128], row);
  row[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = row[(threadIdx.x + 1) % 128];
}
__global__ void rotate_without_barrier(float* y, const float* x) {
  SHARED(float[128], row);
  row[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = row[(threadIdx.x + 1) % 128];
}

// Sums over the block, twice. Without the barrier at the end of the first, a fast warp overwrites what a slow one
// reads.
template <bool second_barrier>
__device__ float block_sum(float x) {
  SHARED(float[4], of_warp);
  for (unsigned distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffff, x, distance);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  x = of_warp[0] + of_warp[1] + of_warp[2] + of_warp[3];
  if (second_barrier) __syncthreads();
  return x;
}
template <bool second_barrier>
__global__ void two_sums(float* y, const float* x) {
  const float sum = block_sum<second_barrier>(x[threadIdx.x]);
  const float square = block_sum<second_barrier>(x[threadIdx.x] * x[threadIdx.x]);
  y[threadIdx.x] = sum + square;
}

__global__ void exchange(unsigned* y) {
  unsigned* const row = y + threadIdx.x * 5;
  row[0] = __shfl_sync(0xffffffff, threadIdx.x, 7);
  row[1] = __shfl_xor_sync(0xffffffff, threadIdx.x, 5);
  row[2] = __shfl_down_sync(0xffffffff, threadIdx.x, 3);
  row[3] = __ballot_sync(0xffffffff, threadIdx.x % 3 == 0);
  row[4] = threadIdx.x < 16 ? __shfl_sync(0x0000ffff, threadIdx.x, 2) : __shfl_sync(0xffff0000, threadIdx.x, 31);
}

__global__ void through_warp(float* y, const float* x) {
  SHARED(float[32], row);
  row[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  y[threadIdx.x] = row[31 - threadIdx.x];
}

// C += A·B of tensor cores. A (16, K) and B (K, 8) come as float and are rounded; all are stored by rows.
__device__ std::uint32_t two_bfloat16(float low, float high) {
  return bobbin::to_bfloat16(low).bits | std::uint32_t{bobbin::to_bfloat16(high).bits} << 16;
}
__device__ void load_sums(float (&c)[4], const float* C) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (unsigned i = 0; i < 4; ++i) c[i] = C[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
}
__device__ void store_sums(const float (&c)[4], float* C) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  for (unsigned i = 0; i < 4; ++i) C[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = c[i];
}
__global__ void product_of_bfloat16(float* C, const float* A, const float* B) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  const auto two_of_a = [&](unsigned row, unsigned k) { return two_bfloat16(A[row * 16 + k], A[row * 16 + k + 1]); };
  const auto two_of_b = [&](unsigned k) { return two_bfloat16(B[k * 8 + g], B[(k + 1) * 8 + g]); };
  float c[4];
  load_sums(c, C);
  bobbin::cuda::multiply_add_bfloat16(
      c, {two_of_a(g, 2 * t), two_of_a(g + 8, 2 * t), two_of_a(g, 2 * t + 8), two_of_a(g + 8, 2 * t + 8)},
      {two_of_b(2 * t), two_of_b(2 * t + 8)});
  store_sums(c, C);
}
__global__ void product_of_tf32(float* C, const float* A, const float* B) {
  const unsigned g = threadIdx.x / 4, t = threadIdx.x % 4;
  using bobbin::cuda::to_tf32;
  float c[4];
  load_sums(c, C);
  bobbin::cuda::multiply_add_tf32(
      c,
      {to_tf32(A[g * 8 + t]), to_tf32(A[(g + 8) * 8 + t]), to_tf32(A[g * 8 + t + 4]), to_tf32(A[(g + 8) * 8 + t + 4])},
      {to_tf32(B[t * 8 + g]), to_tf32(B[(t + 4) * 8 + g])});
  store_sums(c, C);
}
__global__ void round_to_tf32(std::uint32_t* y, const float* x) {
  y[threadIdx.x] = bobbin::cuda::to_tf32(x[threadIdx.x]);
}
__global__ void product_without_lane(float* y) {
  float c[4] = {};
  if (threadIdx.x != 9) bobbin::cuda::multiply_add_bfloat16(c, {}, {});
  y[threadIdx.x] = c[0];
}
__global__ void product_in_two_orders(float* y) {
  float c[4] = {};
  if (threadIdx.x < 16) bobbin::cuda::multiply_add_bfloat16(c, {}, {});
  bobbin::cuda::multiply_add_tf32(c, {}, {});
  if (threadIdx.x >= 16) bobbin::cuda::multiply_add_bfloat16(c, {}, {});
  y[threadIdx.x] = c[0];
}
__global__ void product_not_rounded(float* y) {
  float c[4] = {};
  bobbin::cuda::multiply_add_tf32(c, {0, 0, 0x3f800001, 0}, {});
  y[threadIdx.x] = c[0];
}

__global__ void divergent_barrier(float* y) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 0;
}
__global__ void return_before_barrier(float* y) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  y[threadIdx.x] = 0;
}
__global__ void not_in_mask(unsigned* y) { y[threadIdx.x] = __shfl_sync(0x0000ffff, threadIdx.x, 0); }
__global__ void beyond_mask(unsigned* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0x0000ffff, threadIdx.x, 20);
}
__global__ void lane_returned(unsigned* y) {
  if (threadIdx.x == 3) return;
  y[threadIdx.x] = __shfl_sync(0xffffffff, threadIdx.x, 0);
}
__global__ void two_sites(unsigned* y) {
  if (threadIdx.x < 16)
    y[threadIdx.x] = __shfl_sync(0xffffffff, threadIdx.x, 0);
  else
    y[threadIdx.x] = __shfl_sync(0xffffffff, threadIdx.x, 1);
}
__global__ void two_masks(unsigned* y) {
  y[threadIdx.x] = __shfl_sync(threadIdx.x < 16 ? 0xffffffff : 0xffff0001, threadIdx.x, 31);
}
__global__ void blocks_add(float* y) {
  if (threadIdx.x == 0) y[0] += 1;
}
__global__ void neighbours_overlap(float* y) { y[blockIdx.x * 32 + threadIdx.x] = static_cast<float>(blockIdx.x); }
// A bfloat16 each, of which two neighbours' lie in four bytes; or, with a stride of 0, all of them in the same two.
__global__ void write_half(std::uint16_t* y, unsigned stride) {
  if (threadIdx.x == 0) y[blockIdx.x * stride] = static_cast<std::uint16_t>(blockIdx.x + 1);
}
__global__ void read_beyond(float* y, const float* x) { y[0] = x[4096 / sizeof(float)]; }
__global__ void write_beyond(float* y, int i) { y[i] = 0; }
__global__ void move_beyond(float* y, const float* x, int i) { y[i] = x[i]; }
__global__ void write_to_const(const float* x) { *const_cast<float*>(x) = 0; }
struct Hidden {
  float* pointer;
};
__global__ void hidden_pointer(Hidden y) { *y.pointer = 0; }
__global__ void shared_overrun(float* y, int n) {
  SHARED(float[32], row);
  float* const first = row;
  first[n] = 0;
  y[0] = first[0];
}
__global__ void too_much_shared(float* y) {
  SHARED(float[12289], row);
  y[0] = row[0];
}
__global__ void deep(float* y, int n) {
  volatile char large[16384];
  large[0] = static_cast<char>(n);
  if (n > 0) deep(y, n - 1);
  y[0] = large[0];
}

}  // namespace emulator_test
using namespace emulator_test;

// --- helpers ----------------------------------------------------------------------------------------------
namespace {

cudaStream_t stream() {
  static cudaStream_t s = [] {
    cudaStream_t fresh{};
    cudaStreamCreateWithFlags(&fresh, cudaStreamNonBlocking);
    return fresh;
  }();
  return s;
}

template <class T>
struct DeviceArray {
  T* data = nullptr;
  std::size_t n;

  explicit DeviceArray(std::size_t n) : n(n) { REQUIRE(cudaMalloc(&data, n * sizeof(T)) == cudaSuccess); }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    T* pinned = nullptr;
    REQUIRE(cudaMallocHost(&pinned, n * sizeof(T)) == cudaSuccess);
    std::copy(values.begin(), values.end(), pinned);
    CHECK(cudaMemcpyAsync(data, pinned, n * sizeof(T), cudaMemcpyHostToDevice, stream()) == cudaSuccess);
    CHECK(cudaFreeHost(pinned) == cudaSuccess);
  }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data); }

  std::vector<T> values() const {
    std::vector<T> result(n);
    CHECK(cudaMemcpyAsync(result.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost, stream()) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream()) == cudaSuccess);
    return result;
  }
};

template <class... P>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, std::type_identity_t<P>... args) {
  void* pointers[] = {&args..., nullptr};
  return cudaLaunchKernel(kernel, grid, block, pointers, 0, stream());
}

std::vector<float> one_to(std::size_t n) {
  std::vector<float> x(n);
  std::iota(x.begin(), x.end(), 1.0F);
  return x;
}

// What f says on stderr before it ends the program; "" if it does not. It runs in a process of its own.
template <class F>
std::string last_words(const F& f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);  // not doctest's handler, which would go on with the tests
    dup2(ends[1], STDERR_FILENO);
    f();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : text;
}

// Of sentences of which AddressSanitizer may have one of its own, for it sees some things first.
bool says(const std::string& text, const std::string& sentence) {
#ifdef EMULATOR_ASAN
  if (text.find("AddressSanitizer: ") != std::string::npos) return true;
#endif
  if (text.find(sentence) != std::string::npos) return true;
  MESSAGE("it says: " << text);
  return false;
}

// An environment variable, for a while.
struct Setting {
  const char* name;
  std::string before;
  bool was_set;

  Setting(const char* name, const std::string& value) : name(name), was_set(std::getenv(name) != nullptr) {
    if (was_set) before = std::getenv(name);
    setenv(name, value.c_str(), 1);
  }
  ~Setting() {
    if (was_set)
      setenv(name, before.c_str(), 1);
    else
      unsetenv(name);
  }
};

template <class F>
void for_each_seed(const F& f) {
  for (int seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    const Setting order("CUDA_EMULATOR_SEED", std::to_string(seed));
    f();
  }
}

}  // namespace

// --- what works -------------------------------------------------------------------------------------------

TEST_CASE("emulator: each thread of each block runs once and knows its place") {
  for_each_seed([] {
    DeviceArray<unsigned> y(3 * 2 * 4 * 5 * 3 * 2);
    REQUIRE(launch(note_position, dim3(3, 2, 4), dim3(5, 3, 2), y.data) == cudaSuccess);
    const std::vector<unsigned> values = y.values();
    std::size_t i = 0, wrong = 0;
    for (unsigned block = 0; block < 24; ++block)
      for (unsigned thread = 0; thread < 30; ++thread)
        wrong += values[i++] != block % 3 + 10 * (block / 3 % 2) + 100 * (block / 6) + 1000 * (thread % 5) +
                                    10000 * (thread / 5 % 3) + 100000 * (thread / 15);
    CHECK(wrong == 0);
  });
}

TEST_CASE("emulator: barriers, shared memory, shuffles and votes do what the programming guide says") {
  for_each_seed([] {
    const DeviceArray<float> x(one_to(128));
    DeviceArray<float> y(128);
    REQUIRE(launch(rotate, 1, 128, y.data, x.data) == cudaSuccess);
    const std::vector<float> rotated = y.values();
    CHECK(rotated[0] == 2);
    CHECK(rotated[63] == 65);
    CHECK(rotated[127] == 1);
    REQUIRE(launch(two_sums<true>, 1, 128, y.data, x.data) == cudaSuccess);
    for (const float sum : y.values()) CHECK(sum == 128 * 129 / 2 + 128 * 129 * 257 / 6);

    DeviceArray<unsigned> exchanged(32 * 5);
    REQUIRE(launch(exchange, 1, 32, exchanged.data) == cudaSuccess);
    const std::vector<unsigned> e = exchanged.values();
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned* const row = &e[lane * 5];
      CHECK(row[0] == 7);
      CHECK(row[1] == (lane ^ 5));
      CHECK(row[2] == (lane + 3 < 32 ? lane + 3 : lane));
      CHECK(row[3] == 0x49249249);
      CHECK(row[4] == (lane < 16 ? 2 : 31));
    }

    const DeviceArray<float> row(one_to(32));
    DeviceArray<float> reversed(32);
    REQUIRE(launch(through_warp, 1, 32, reversed.data, row.data) == cudaSuccess);
    CHECK(reversed.values()[0] == 32);
  });
}

TEST_CASE("emulator: a product of tensor cores is that of the matrices") {
  struct Kind {
    std::string name;
    void (*kernel)(float*, const float*, const float*);
    std::size_t k;
    float (*round)(float);
  };
  const Kind kinds[] = {
      {"bfloat16", product_of_bfloat16, 16, [](float x) { return bobbin::to_float(bobbin::to_bfloat16(x)); }},
      // To 11 digits, halves away from zero.
      {"TF32", product_of_tf32, 8, [](float x) {
         int exponent = 0;
         const double digits = std::round(std::ldexp(std::frexp(double{x}, &exponent), 11));
         return static_cast<float>(std::ldexp(digits, exponent - 11));
       }}};
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto numbers = [&](std::size_t n) {
    std::vector<float> x(n);
    for (float& v : x) v = normal(random);
    return x;
  };
  const auto in_device = [](const Kind& kind, const std::vector<float>& C, const std::vector<float>& A,
                            const std::vector<float>& B) {
    const DeviceArray<float> c(C), a(A), b(B);
    REQUIRE(launch(kind.kernel, 1, 32, c.data, a.data, b.data) == cudaSuccess);
    return c.values();
  };
  for (const Kind& kind : kinds) {
    CAPTURE(kind.name);
    for_each_seed([&] {
      const std::vector<float> A = numbers(16 * kind.k), B = numbers(kind.k * 8), C = numbers(16 * 8);
      const std::vector<float> product = in_device(kind, C, A, B);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < 16; ++i)
        for (std::size_t j = 0; j < 8; ++j) {
          double sum = C[i * 8 + j];
          for (std::size_t k = 0; k < kind.k; ++k)
            sum += double{kind.round(A[i * kind.k + k])} * kind.round(B[k * 8 + j]);
          wrong += product[i * 8 + j] != static_cast<float>(sum);
        }
      CHECK(wrong == 0);
    });
    // A NaN of A is in one row of C, a NaN of B in one column, and nowhere else.
    const std::vector<float> A = numbers(16 * kind.k), B = numbers(kind.k * 8), C = numbers(16 * 8);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::size_t wrong = 0;
    for (std::size_t at = 0; at < A.size(); ++at) {
      std::vector<float> with_nan = A;
      with_nan[at] = nan;
      const std::vector<float> product = in_device(kind, C, with_nan, B);
      for (std::size_t i = 0; i < product.size(); ++i) wrong += std::isnan(product[i]) != (i / 8 == at / kind.k);
    }
    CHECK(wrong == 0);
    for (std::size_t at = 0; at < B.size(); ++at) {
      std::vector<float> with_nan = B;
      with_nan[at] = nan;
      const std::vector<float> product = in_device(kind, C, A, with_nan);
      for (std::size_t i = 0; i < product.size(); ++i) wrong += std::isnan(product[i]) != (i % 8 == at % 8);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("emulator: a number in TF32 is the nearest, and halves go away from zero") {
  const float infinity = std::numeric_limits<float>::infinity();
  const DeviceArray<float> x({1, 1 + 0x1p-11F, 1 + 0x1.ffcp-12F, -1 - 0x1p-11F, 2 - 0x1p-23F, 0x1p-127F, -0.0F,
                              infinity, std::numeric_limits<float>::max(), std::numeric_limits<float>::quiet_NaN()});
  DeviceArray<std::uint32_t> y(10);
  REQUIRE(launch(round_to_tf32, 1, 10, y.data, x.data) == cudaSuccess);
  const std::vector<std::uint32_t> bits = y.values();
  const float rounded[] = {1, 1 + 0x1p-10F, 1, -1 - 0x1p-10F, 2, 0x1p-127F, -0.0F, infinity, infinity};
  for (std::size_t i = 0; i < 9; ++i) CHECK(bits[i] == std::bit_cast<std::uint32_t>(rounded[i]));
  CHECK(std::isnan(std::bit_cast<float>(bits[9])));
  CHECK((bits[9] & 0x1fff) == 0);
}

TEST_CASE("emulator: memory that nothing was written to is NaN") {
  const DeviceArray<float> x(3);
  for (const float value : x.values()) CHECK(std::isnan(value));
}

TEST_CASE("emulator: products of cuBLAS, by columns") {
  cublasHandle_t blas{};
  REQUIRE(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cublasSetStream(blas, stream()) == CUBLAS_STATUS_SUCCESS);
  const auto n = CUBLAS_OP_N, t = CUBLAS_OP_T;
  const double one = 1, zero = 0;
  const DeviceArray<double> a({1, 2, 3, 4, 5, 6}), b({1, 0, 2, 1, 1, 1});  // (2, 3), (3, 2)
  DeviceArray<double> c(4);
  const auto in_double = [&](cublasOperation_t trans, int lda, int ldb, const double& beta) {
    return cublasGemmEx(blas, trans, trans, 2, 2, 3, &one, a.data, CUDA_R_64F, lda, b.data, CUDA_R_64F, ldb, &beta,
                        c.data, CUDA_R_64F, 2, CUBLAS_COMPUTE_64F, CUBLAS_GEMM_DEFAULT);
  };
  REQUIRE(in_double(n, 2, 3, zero) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values() == std::vector<double>{11, 14, 9, 12});
  REQUIRE(in_double(t, 3, 2, one) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values() == std::vector<double>{11 + 8, 14 + 20, 9 + 5, 12 + 11});
  CHECK(in_double(n, 1, 3, zero) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(says(last_words([&] { in_double(n, 3, 3, zero); }),
             "matrix A, 2 x 3 with leading dimension 3, does not lie inside an allocation"));

  // Two products at once; the second A is the first but for a number.
  const float onef = 1, zerof = 0;
  const DeviceArray<float> x({1, 2, 3, 4, 5}), y({1, 0, 0, 1, 1, 0, 1, 1});
  DeviceArray<float> z(8);
  const auto in_float = [&](long long stride_a) {
    return cublasGemmStridedBatchedEx(blas, n, n, 2, 2, 2, &onef, x.data, CUDA_R_32F, 2, stride_a, y.data, CUDA_R_32F,
                                      2, 4, &zerof, z.data, CUDA_R_32F, 2, 4, 2, CUBLAS_COMPUTE_32F_FAST_TF32,
                                      CUBLAS_GEMM_DEFAULT);
  };
  const unsigned long in_tf32 = emulator::products_of(CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32);
  REQUIRE(in_float(1) == CUBLAS_STATUS_SUCCESS);
  CHECK(z.values() == std::vector<float>{1, 2, 3, 4, 2, 3, 6, 8});
  CHECK(emulator::products_of(CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32) == in_tf32 + 1);
  CHECK(says(last_words([&] { in_float(2); }),
             "matrix A, 2 x 2 with leading dimension 2, does not lie inside an allocation"));

  // The same of bfloat16, the upper halves of floats, and with what C holds before. Then transposed.
  const DeviceArray<std::uint16_t> u({0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0}), v({0x3f80, 0, 0, 0x3f80, 0x3f80, 0,  //
                                                                                   0x3f80, 0x3f80});
  DeviceArray<float> w(std::vector<float>(8, 0.5F));
  const auto multiply = [&](cublasOperation_t trans, cudaDataType type, cublasComputeType_t compute, int ld = 2,
                            long long stride_a = 1) {
    return cublasGemmStridedBatchedEx(blas, trans, trans, 2, 2, 2, &onef, u.data, CUDA_R_16BF, ld, stride_a, v.data,
                                      type, 2, 4, &onef, w.data, CUDA_R_32F, 2, 4, 2, compute, CUBLAS_GEMM_DEFAULT);
  };
  REQUIRE(multiply(n, CUDA_R_16BF, CUBLAS_COMPUTE_32F) == CUBLAS_STATUS_SUCCESS);
  CHECK(w.values() == std::vector<float>{1.5, 2.5, 3.5, 4.5, 2.5, 3.5, 6.5, 8.5});
  REQUIRE(multiply(t, CUDA_R_16BF, CUBLAS_COMPUTE_32F) == CUBLAS_STATUS_SUCCESS);
  CHECK(w.values() == std::vector<float>{2.5, 5.5, 5.5, 8.5, 7.5, 12.5, 9.5, 13.5});
  CHECK(multiply(n, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 1) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(says(last_words([&] { multiply(n, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 2, 2); }),
             "matrix A, 2 x 2 with leading dimension 2, does not lie inside an allocation"));
  CHECK(says(last_words([&] { multiply(n, CUDA_R_16BF, CUBLAS_COMPUTE_16F); }),
             "CUDA_R_16BF and CUDA_R_16BF in CUDA_R_32F, added up in CUBLAS_COMPUTE_16F, is not emulated"));
  CHECK(says(last_words([&] { multiply(n, CUDA_R_16F, CUBLAS_COMPUTE_32F); }),
             "CUDA_R_16BF and CUDA_R_16F in CUDA_R_32F, added up in CUBLAS_COMPUTE_32F, is not emulated"));

  // A result that is rounded: 256 + 1, 256 + 3 and 256 + 1.5 to the nearest of every second number, the even one.
  const DeviceArray<std::uint16_t> row({0x4380, 0x3f80}), columns({0x3f80, 0x3f80, 0x3f80, 0x4040, 0x3f80, 0x3fc0});
  DeviceArray<std::uint16_t> sums(3);
  const auto rounded = [&] {
    return cublasGemmEx(blas, n, n, 1, 3, 2, &onef, row.data, CUDA_R_16BF, 1, columns.data, CUDA_R_16BF, 2, &zerof,
                        sums.data, CUDA_R_16BF, 1, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  };
  CHECK(says(last_words(rounded), "parts of a sum may be rounded, since its result is (cublasGemmEx)"));
  REQUIRE(cublasSetMathMode(blas, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(rounded() == CUBLAS_STATUS_SUCCESS);
  CHECK(sums.values() == std::vector<std::uint16_t>{0x4380, 0x4382, 0x4381});
  CHECK(cublasDestroy(blas) == CUBLAS_STATUS_SUCCESS);
}

TEST_CASE("emulator: products of cublasLt with a bias, and what their algorithms are not for") {
  cublasHandle_t blas{};
  REQUIRE(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS);
  const auto lt = reinterpret_cast<cublasLtHandle_t>(blas);
  const DeviceArray<float> a({1, 2, 3, 4, 5, 6, 0, 0}), b({1, 0, 2, 1, 1, 1}), bias({10, 20, 30, 40, 50, 60});
  DeviceArray<float> c(8);
  const DeviceArray<char> workspace(4096);
  cublasLtMatmulDesc_t product{};
  REQUIRE(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS);
  const auto set = [&](cublasLtMatmulDescAttributes_t what, auto value) {
    return cublasLtMatmulDescSetAttribute(product, what, &value, sizeof value);
  };
  CHECK(set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS) == CUBLAS_STATUS_SUCCESS);
  CHECK(set(CUBLASLT_MATMUL_DESC_EPILOGUE, 'x') == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias.data)) == CUBLAS_STATUS_SUCCESS);
  cublasLtMatrixLayout_t A{}, B{}, C{}, wide{};
  REQUIRE(cublasLtMatrixLayoutCreate(&A, CUDA_R_32F, 2, 3, 2) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cublasLtMatrixLayoutCreate(&B, CUDA_R_32F, 3, 2, 3) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cublasLtMatrixLayoutCreate(&C, CUDA_R_32F, 2, 2, 3) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cublasLtMatrixLayoutCreate(&wide, CUDA_R_32F, 2, 2, 4) == CUBLAS_STATUS_SUCCESS);
  cublasLtMatmulPreference_t wish{};
  REQUIRE(cublasLtMatmulPreferenceCreate(&wish) == CUBLAS_STATUS_SUCCESS);
  const auto want = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
    return cublasLtMatmulPreferenceSetAttribute(wish, what, &value, sizeof value);
  };
  REQUIRE(want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{4096}) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::uint32_t{16}) == CUBLAS_STATUS_SUCCESS);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  REQUIRE(cublasLtMatmulAlgoGetHeuristic(lt, product, A, B, C, C, wish, 1, &best, &found) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(found == 1);
  const float one = 1, zero = 0;
  const auto multiply = [&](cublasLtMatrixLayout_t layout, const float* x, const float* y, const void* space,
                            std::size_t bytes) {
    return cublasLtMatmul(lt, product, &one, x, A, y, B, &zero, c.data, layout, c.data, layout, &best.algo,
                          const_cast<void*>(space), bytes, stream());
  };
  REQUIRE(multiply(C, a.data, b.data, workspace.data, 4096) == CUBLAS_STATUS_SUCCESS);
  const std::vector<float> numbers = c.values();
  CHECK(numbers[0] == 11 + 10);
  CHECK(numbers[1] == 14 + 20);
  CHECK(std::isnan(numbers[2]));
  CHECK(numbers[3] == 9 + 10);
  CHECK(numbers[4] == 12 + 20);
  CHECK(multiply(wide, a.data, b.data, workspace.data, 4096) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(multiply(C, a.data + 1, b.data, workspace.data, 4096) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(multiply(C, a.data, b.data + 2, workspace.data, 4096) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(multiply(C, a.data, b.data, workspace.data, 16) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(says(last_words([&] { multiply(C, a.data, b.data, &one, 4096); }), "the workspace does not lie inside"));
  CHECK(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias.data + 1)) == CUBLAS_STATUS_SUCCESS);
  CHECK(multiply(C, a.data, b.data, workspace.data, 4096) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(nullptr)) == CUBLAS_STATUS_SUCCESS);
  for (const auto layout : {A, B, C, wide}) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulPreferenceDestroy(wish);
  cublasLtMatmulDescDestroy(product);
  CHECK(cublasDestroy(blas) == CUBLAS_STATUS_SUCCESS);
}

TEST_CASE("emulator: impossible launches are errors, which are kept for cudaGetLastError") {
  DeviceArray<float> y(4096);
  CHECK(launch(increment, 1, 1025, y.data, y.data, 1) == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(launch(increment, 1, dim3(32, 33), y.data, y.data, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(increment, 0, 32, y.data, y.data, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(increment, dim3(1, 65536), 32, y.data, y.data, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(increment, 1, dim3(1, 1, 65), y.data, y.data, 1) == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(launch(increment, 4, 1024, y.data, y.data, 1) == cudaSuccess);
  CHECK(launch(increment, 1, 32, y.data, nullptr, 0) == cudaSuccess);
}

TEST_CASE("emulator: more memory than the device has is refused") {
  std::size_t free = 0, total = 0;
  REQUIRE(cudaMemGetInfo(&free, &total) == cudaSuccess);
  void* memory = nullptr;
  CHECK(cudaMalloc(&memory, free + 1) == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  std::size_t now = 0;
  {
    const DeviceArray<float> some(1000);
    REQUIRE(cudaMemGetInfo(&now, &total) == cudaSuccess);
    CHECK(now == free - 4000);
  }
  REQUIRE(cudaMemGetInfo(&now, &total) == cudaSuccess);
  CHECK(now == free);
}

TEST_CASE("emulator: a device can be absent, and a call can fail") {
  {
    const Setting none("CUDA_EMULATOR_DEVICES", "0");
    int count = 77;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
    CHECK(count == 77);
    void* memory = nullptr;
    CHECK(cudaMalloc(&memory, 1) == cudaErrorNoDevice);
    cublasHandle_t blas{};
    CHECK(cublasCreate(&blas) == CUBLAS_STATUS_NOT_INITIALIZED);
  }
  CHECK(cudaGetLastError() == cudaErrorNoDevice);
  for (const int which : {2, 1}) {
    const Setting plan("CUDA_EMULATOR_FAIL", "cudaMalloc:" + std::to_string(which));
    for (int i = 1; i <= 3; ++i) {
      void* memory = nullptr;
      CHECK(cudaMalloc(&memory, 1) == (i == which ? cudaErrorMemoryAllocation : cudaSuccess));
      CHECK(cudaFree(memory) == cudaSuccess);
    }
  }
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
}

TEST_CASE("emulator: copies take place as late as they may") {
  float* pinned = nullptr;
  REQUIRE(cudaMallocHost(&pinned, 4) == cudaSuccess);
  DeviceArray<float> x(1), y(1);
  *pinned = 1;
  CHECK(cudaMemcpyAsync(x.data, pinned, 4, cudaMemcpyHostToDevice, stream()) == cudaSuccess);
  *pinned = 2;  // too early
  CHECK(x.values()[0] == 2);

  cudaEvent_t event{};
  REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  CHECK(cudaEventQuery(event) == cudaSuccess);  // never recorded
  CHECK(cudaMemcpyAsync(x.data, pinned, 4, cudaMemcpyHostToDevice, stream()) == cudaSuccess);
  CHECK(cudaEventRecord(event, stream()) == cudaSuccess);
  CHECK(cudaEventQuery(event) == cudaErrorNotReady);
  CHECK(cudaEventQuery(event) == cudaSuccess);
  *pinned = 3;
  CHECK(x.values()[0] == 2);
  CHECK(cudaEventRecord(event, stream()) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream()) == cudaSuccess);
  CHECK(cudaEventQuery(event) == cudaSuccess);

  // An event stands for what came before it.
  *pinned = 4;
  CHECK(cudaEventRecord(event, stream()) == cudaSuccess);
  CHECK(cudaMemcpyAsync(x.data, pinned, 4, cudaMemcpyHostToDevice, stream()) == cudaSuccess);
  CHECK(cudaEventQuery(event) == cudaErrorNotReady);
  CHECK(cudaEventQuery(event) == cudaSuccess);
  *pinned = 5;
  CHECK(x.values()[0] == 5);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  cudaGetLastError();

  *pinned = 10;
  CHECK(cudaMemcpyAsync(x.data, pinned, 4, cudaMemcpyHostToDevice, stream()) == cudaSuccess);
  REQUIRE(launch(increment, 1, 32, y.data, x.data, 1) == cudaSuccess);
  CHECK(cudaMemcpyAsync(pinned, y.data, 4, cudaMemcpyDeviceToHost, stream()) == cudaSuccess);
  CHECK(*pinned == 10);  // not there yet
  REQUIRE(launch(increment, 1, 32, y.data, y.data, 1) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream()) == cudaSuccess);
  CHECK(*pinned == 11);  // y as it was when the copy was asked for
  CHECK(y.values()[0] == 12);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);

  std::vector<float> pageable(1);
  CHECK(says(last_words([&] { cudaMemcpyAsync(x.data, pageable.data(), 4, cudaMemcpyHostToDevice, stream()); }),
             "the source of an asynchronous copy is not in pinned memory"));
  CHECK(says(last_words([&] { cudaMemcpyAsync(pageable.data(), x.data, 8, cudaMemcpyDeviceToHost, stream()); }),
             "the source of 8 bytes does not lie inside an allocation of the device"));
  CHECK(says(last_words([&] { cudaMemcpyAsync(x.data, y.data, 4, cudaMemcpyHostToDevice, stream()); }),
             "the source is on the device, and not in the program"));
}

TEST_CASE("emulator: a sum over ranks in a stream of its own, and who waits for whom") {
  ncclUniqueId id{};
  ncclComm_t alone{};
  cudaStream_t sums{};
  cudaEvent_t filled{}, summed{};
  REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  REQUIRE(ncclCommInitRank(&alone, 1, id, 0) == ncclSuccess);
  REQUIRE(cudaStreamCreateWithFlags(&sums, cudaStreamNonBlocking) == cudaSuccess);
  for (cudaEvent_t* event : {&filled, &summed})
    REQUIRE(cudaEventCreateWithFlags(event, cudaEventDisableTiming) == cudaSuccess);
  DeviceArray<float> x(std::vector<float>{1, 2});
  const auto increment_x = [&] { REQUIRE(launch(increment, 1, 32, x.data, x.data, 2) == cudaSuccess); };
  const auto sum = [&] { ncclAllReduce(x.data, x.data, 2, ncclFloat32, ncclSum, alone, sums); };
  const auto wait_until_filled = [&] {
    CHECK(cudaEventRecord(filled, stream()) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(sums, filled) == cudaSuccess);
  };
  increment_x();
  CHECK(says(last_words(sum), "a sum in another stream does not wait for the work in this one that comes before it"));
  wait_until_filled();
  sum();
  CHECK(cudaEventRecord(summed, sums) == cudaSuccess);
  CHECK(says(last_words(increment_x), "numbers are touched that are being summed in another stream"));
  CHECK(says(last_words([&] { x.values(); }), "numbers are touched that are being summed in another stream"));
  CHECK(cudaStreamWaitEvent(stream(), summed) == cudaSuccess);
  CHECK(x.values() == std::vector<float>{2, 3});
  increment_x();
  wait_until_filled();
  increment_x();  // after the event
  CHECK(says(last_words(sum), "a sum in another stream does not wait for the work in this one that comes before it"));
  wait_until_filled();
  sum();
  CHECK(cudaStreamSynchronize(sums) == cudaSuccess);
  CHECK(x.values() == std::vector<float>{4, 5});
  CHECK(says(last_words([&] { ncclAllReduce(x.data, x.data, 3, ncclFloat32, ncclSum, alone, sums); }),
             "12 bytes to be summed do not lie inside an allocation of the device"));
  for (const cudaEvent_t event : {filled, summed}) CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(ncclCommDestroy(alone) == ncclSuccess);
}

TEST_CASE("emulator: work in two streams") {
  DeviceArray<float> x(1), y(1);
  REQUIRE(launch(increment, 1, 32, y.data, x.data, 1) == cudaSuccess);
  float number = 0;
  CHECK(says(last_words([&] { cudaMemcpyAsync(&number, y.data, 4, cudaMemcpyDeviceToHost, nullptr); }),
             "work is put into one stream while there is some in another (cudaMemcpyAsync)"));
  cublasHandle_t blas{};
  REQUIRE(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS);
  const float one = 1;
  CHECK(says(last_words([&] {
               cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, x.data, CUDA_R_32F, 1, x.data, CUDA_R_32F, 1,
                            &one, y.data, CUDA_R_32F, 1, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
             }),
             "work is put into one stream while there is some in another (cublasGemmEx)"));
  REQUIRE(cublasDestroy(blas) == CUBLAS_STATUS_SUCCESS);
  CHECK(cudaStreamSynchronize(stream()) == cudaSuccess);
  CHECK(cudaMemcpyAsync(&number, y.data, 4, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
  CHECK(cudaStreamSynchronize(nullptr) == cudaSuccess);
}

TEST_CASE("emulator: copies in a stream of their own") {
  float* pinned = nullptr;
  REQUIRE(cudaMallocHost(&pinned, 4) == cudaSuccess);
  cudaStream_t copies{};
  REQUIRE(cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking) == cudaSuccess);
  cudaEvent_t event{};
  REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  DeviceArray<float> x(1), y(1);
  REQUIRE(cudaStreamSynchronize(stream()) == cudaSuccess);
  const auto copy = [&] { CHECK(cudaMemcpyAsync(x.data, pinned, 4, cudaMemcpyHostToDevice, copies) == cudaSuccess); };
  const auto increment_x = [&] { REQUIRE(launch(increment, 1, 32, y.data, x.data, 1) == cudaSuccess); };
  *pinned = 1;
  copy();
  CHECK(says(last_words(increment_x),
             "memory is used to which a copy is under way in another stream, and no event was waited for"));
  CHECK(cudaEventRecord(event, copies) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(stream(), event, 0) == cudaSuccess);
  *pinned = 2;  // too early: it is made when it has to be
  increment_x();
  *pinned = 3;
  CHECK(y.values()[0] == 3);

  increment_x();
  const char* const too_early = "a copy is to overwrite what work in another stream may still use";
  CHECK(says(last_words(copy), too_early));
  CHECK(cudaEventRecord(event, stream()) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(copies, event, 0) == cudaSuccess);
  copy();
  CHECK(emulator::works_beside_last_copy() == 0);
  CHECK(cudaStreamSynchronize(copies) == cudaSuccess);
  *pinned = 4;
  CHECK(cudaStreamWaitEvent(stream(), event, 0) == cudaSuccess);
  increment_x();                             // the program has waited, and the stream need not
  CHECK(says(last_words(copy), too_early));  // the event was before
  CHECK(y.values()[0] == 4);
  copy();  // and now nothing is left that could use it
  CHECK(cudaStreamSynchronize(copies) == cudaSuccess);
  CHECK(x.values()[0] == 4);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

// --- what a GPU would not forgive -------------------------------------------------------------------------

// ThreadSanitizer would report these two, and end the program.
TEST_CASE("emulator: a missing barrier gives other results" * doctest::skip(emulator::finds_races)) {
  int wrong_rotations = 0, wrong_sums = 0;
  for_each_seed([&] {
    const DeviceArray<float> x(one_to(128));
    DeviceArray<float> y(128);
    launch(rotate_without_barrier, 1, 128, y.data, x.data);
    const std::vector<float> rotated = y.values();
    bool right = true;
    for (std::size_t i = 0; i < 128; ++i) right = right && rotated[i] == static_cast<float>((i + 1) % 128 + 1);
    wrong_rotations += !right;
    // Forward, a thread comes before the one whose number it takes; backward, behind it.
    const std::string seed = std::getenv("CUDA_EMULATOR_SEED");
    if (seed == "0") CHECK(std::isnan(rotated[0]));
    if (seed == "1") CHECK(rotated[0] == 2);
    launch(two_sums<false>, 1, 128, y.data, x.data);
    right = true;
    for (const float sum : y.values()) right = right && sum == 128 * 129 / 2 + 128 * 129 * 257 / 6;
    wrong_sums += !right;
  });
  CHECK(wrong_rotations == 6);
  CHECK(wrong_sums >= 3);  // the odd ones, in which some warps run ahead
}

// What ThreadSanitizer says in a process of its own, which begins anew: in one that was forked it sees nothing.
TEST_CASE("emulator: a race is reported by ThreadSanitizer" * doctest::skip(!emulator::finds_races)) {
  const char* const wanted = std::getenv("EMULATOR_TEST_RACE");
  if (!wanted) {
    const auto races_in = [](const std::string& kernel) {
      const Setting race("EMULATOR_TEST_RACE", kernel);
      const std::string program = std::filesystem::read_symlink("/proc/self/exe");
      std::FILE* const child = popen((program + " --test-case='emulator: a race*' 2>&1").c_str(), "r");
      std::string text;
      for (int c; (c = std::fgetc(child)) != EOF;) text += static_cast<char>(c);
      pclose(child);
      return text.find("WARNING: ThreadSanitizer: data race") != std::string::npos;
    };
    CHECK(races_in("no barrier"));
    CHECK(races_in("no second barrier"));
    CHECK(races_in("the same by two blocks"));
    CHECK(!races_in("none"));
    return;
  }
  const DeviceArray<float> x(one_to(128));
  DeviceArray<float> y(128);
  if (std::string(wanted) == "no barrier") launch(rotate_without_barrier, 1, 128, y.data, x.data);
  if (std::string(wanted) == "no second barrier") launch(two_sums<false>, 1, 128, y.data, x.data);
  if (std::string(wanted) == "the same by two blocks") launch(rotate, 2, 128, y.data, x.data);
  launch(rotate, 1, 128, y.data, x.data);
  launch(two_sums<true>, 1, 128, y.data, x.data);
}

TEST_CASE("emulator: not all threads at one barrier, not all lanes at one exchange") {
  DeviceArray<float> y(64);
  DeviceArray<unsigned> u(32);
  const auto words = [&](auto kernel, unsigned threads, auto* result) {
    return last_words([&] { launch(kernel, 1, threads, result); });
  };
  CHECK(says(words(divergent_barrier, 64, y.data), "not all threads come to the same barrier"));
  CHECK(says(words(return_before_barrier, 64, y.data), "not all threads come to the same barrier"));
  CHECK(says(words(not_in_mask, 32, u.data), "a thread is not in the mask that it names"));
  CHECK(says(words(beyond_mask, 32, u.data), "a shuffle reads lane 20, which is not in its mask"));
  CHECK(says(words(two_sites, 32, u.data), "not all threads come to the same barrier or exchange"));
  const Setting backward("CUDA_EMULATOR_SEED", "1");  // lane 0, which is in both masks, comes last
  CHECK(says(words(two_masks, 32, u.data), "not all threads come to the same barrier or exchange"));
  CHECK(says(words(lane_returned, 32, u.data), "not all threads come to the same barrier or exchange"));
  CHECK(says(words(lane_returned, 20, u.data), "a mask names lanes that the warp does not have"));
}

TEST_CASE("emulator: products of tensor cores that not all lanes come to, or that are not rounded") {
  DeviceArray<float> y(32);
  const auto words = [&](auto kernel, unsigned threads) {
    return last_words([&] { launch(kernel, 1, threads, y.data); });
  };
  CHECK(says(words(product_without_lane, 32), "not all threads come to the same barrier or exchange"));
  CHECK(says(words(product_in_two_orders, 32), "not all threads come to the same barrier or exchange"));
  CHECK(says(words(product_without_lane, 31), "a mask names lanes that the warp does not have"));
  CHECK(says(words(product_not_rounded, 32), "an operand of a product in TF32 is not rounded"));
}

TEST_CASE("emulator: two blocks that write the same word") {
  DeviceArray<float> y(std::vector<float>(32 * 31 + 1, 0.5F));
  // Of 1.5 and 2.5 the upper halves differ.
  CHECK(says(last_words([&] { launch(blocks_add, 2, 32, y.data); }), "two blocks write the same word, byte 2"));
  CHECK(says(last_words([&] { launch(blocks_add, 20000, 32, y.data); }), "two blocks write the same word, byte 2"));
  CHECK(says(last_words([&] { launch(neighbours_overlap, 31, 33, y.data); }), "two blocks write the same word"));
  CHECK(last_words([&] { launch(neighbours_overlap, 31, 32, y.data); }) == "");
  DeviceArray<std::uint16_t> halves(8);
  CHECK(last_words([&] { launch(write_half, 8, 32, halves.data, 1); }) == "");
  CHECK(says(last_words([&] { launch(write_half, 8, 32, halves.data, 0); }), "two blocks write the same word, byte 0"));
}

TEST_CASE("emulator: memory that a kernel or the program may not touch") {
  DeviceArray<float> y(4), page(1024);
  float host = 0;
  CHECK(says(last_words([&] { launch(increment, 1, 32, &host, page.data, 1); }),
             "pointer 1 of the arguments does not point to device memory"));
  CHECK(says(last_words([&] { launch(read_beyond, 1, 1, y.data, page.data); }), "is touched, which is not allocated"));
  CHECK(
      says(last_words([&] { launch(write_beyond, 1, 1, y.data, 4); }), "beyond the end of an allocation of 16 bytes"));
  CHECK(says(last_words([&] { launch(write_beyond, 1, 1, page.data, 1024); }), "is touched, which is not allocated"));
  DeviceArray<float> z(4);
  CHECK(says(last_words([&] { launch(move_beyond, 1, 1, y.data, z.data, 4); }),
             "beyond the end of an allocation of 16 bytes"));
  CHECK(says(last_words([&] { launch(write_to_const, 1, 1, y.data); }), "reached through pointers to const"));
  CHECK(
      says(last_words([&] { launch(hidden_pointer, 1, 1, Hidden{y.data}); }), "no pointer among the arguments points"));
  CHECK(says(last_words([&] { launch(shared_overrun, 1, 1, y.data, 32); }), "beyond the end of a shared array of 128"));
  CHECK(says(last_words([&] { launch(too_much_shared, 1, 1, y.data); }), "more than 48 KB of shared memory"));
  REQUIRE(launch(increment, 1, 32, y.data, page.data, 1) == cudaSuccess);
  CHECK(says(last_words([&] { host = page.data[1]; }), "the program itself reads or writes device memory"));
  CHECK(says(last_words([&] { host = y.data[1]; }), "the program itself reads or writes device memory"));
  CHECK(says(last_words([&] { y.data[1] = host; }), "the program itself reads or writes device memory"));
  CHECK(says(last_words([&] {
               cudaFree(y.data);
               launch(increment, 1, 32, y.data, y.data, 1);
             }),
             "pointer 1 of the arguments does not point to device memory"));
  CHECK(says(last_words([&] {
               cudaFree(y.data);
               cudaFree(y.data);
             }),
             "was freed before"));
}

TEST_CASE("emulator: a stack that overflows" * doctest::skip(emulator::finds_races)) {
  DeviceArray<float> y(1);
  CHECK(last_words([&] { launch(deep, 1, 1, y.data, 2); }) == "");
  CHECK(says(last_words([&] { launch(deep, 1, 1, y.data, 100); }), "more than its stack of 128 KB"));
}

TEST_CASE("emulator: messages say which kernel, block and thread") {
  const Setting order("CUDA_EMULATOR_SEED", "0");
  DeviceArray<float> y(4);
  const std::string text = last_words([&] { launch(write_beyond, dim3(2), dim3(2), y.data, 1024); });
  CHECK(says(text, "emulator_test::write_beyond(float*, int), block (0, 0, 0), thread (0, 0, 0)"));
}
