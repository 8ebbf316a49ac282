// C (m, n) = A (m, k)·B (k, n), by rows. Each rung computes the same 2·m·n·k operations; what changes is how often a
// number of A or B is fetched, from how far, and how many multiplications it then serves.
#include "tensor/cuda/ladder/ladder.h"
#include "tensor/cuda/launch.h"
#include "tensor/cuda/mma.h"

namespace bobbin::cuda::ladder {

// 1. A thread computes an element of C. Two numbers are fetched for each multiplication: one of A, the same for the
// whole warp, and one of B, next to its neighbour's.
__global__ void product_naive_kernel(const real* A, const real* B, real* C, int m, int n, int k) {
  const int row = blockIdx.y * 8 + threadIdx.y, col = blockIdx.x * 32 + threadIdx.x;
  if (row >= m || col >= n) return;
  real sum = 0;
  for (int i = 0; i < k; ++i) sum += A[row * k + i] * B[i * n + col];
  C[row * n + col] = sum;
}

// 2. A block computes 32 x 32 elements, and its threads fetch what they all need, 32 columns of A and 32 rows of B at a
// time, into memory that they share: each number is fetched from afar once for 32 multiplications. Beyond the edges
// are zeros. But still each multiplication reads two numbers, of shared memory.
__global__ void __launch_bounds__(1024)
    product_tiled_kernel(const real* A, const real* B, real* C, int m, int n, int k) {
  SHARED(real[32][32], a);
  SHARED(real[32][32], b);
  const int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 32 + y, col = blockIdx.x * 32 + x;
  real sum = 0;
  for (int begin = 0; begin < k; begin += 32) {
    a[y][x] = row < m && begin + x < k ? A[row * k + begin + x] : 0;
    b[y][x] = begin + y < k && col < n ? B[(begin + y) * n + col] : 0;
    __syncthreads();  // nobody multiplies before all is there
    for (int i = 0; i < 32; ++i) sum += a[y][i] * b[i][x];
    __syncthreads();  // nobody fetches the next before all have multiplied
  }
  if (row < m && col < n) C[row * n + col] = sum;
}

// For both rungs below: a block of 256 threads computes `side` x `side` elements of C.
constexpr int side = 128;

// Rows of shared memory, each beginning at a multiple of 16 bytes, so that four numbers can be read at once.
template <class T, int rows, int cols>
struct alignas(16) Tile {
  T at[rows][cols];
};

// Four numbers, 16 bytes, that are read or written at once.
template <class T>
struct alignas(16) Four {
  T at[4];
};
template <class T>
__device__ const Four<T>& four(const T* x) {
  return *reinterpret_cast<const Four<T>*>(x);
}
template <class T>
__device__ Four<T>& four(T* x) {
  return *reinterpret_cast<Four<T>*>(x);
}

// 3. A thread computes 8 x 8 elements, which stay in its registers, and for each i reads 8 numbers of A's column and 8
// of B's row: 16 numbers for 64 multiplications, four at a time.
//
//                      columns 4·tx ... +3      64 + 4·tx ... +3        thread 16·ty + tx has four squares of 4 x 4:
//     rows 4·ty ... +3     c[0..3][0]             c[0..3][1]            so neighbours read neighbouring fours of B,
//     64 + 4·ty ... +3     c[4..7][0]             c[4..7][1]            and no two lanes wait for one bank
//
// While they multiply, the next tiles are on their way to registers, a four of A and one of B for each thread.
__global__ void __launch_bounds__(256, 2)
    product_in_registers_kernel(const real* A, const real* B, real* C, int n, int k) {
  constexpr int step = 8;
  using TileA = Tile<real, step, side + 4>;  // A's columns as rows; 4 more keep writers in different banks
  using TileB = Tile<real, step, side>;
  SHARED(TileA, a);
  SHARED(TileB, b);
  const int thread = threadIdx.x, tx = thread % 16, ty = thread / 16;
  const int a_row = thread / 2, a_col = thread % 2 * 4;  // the four that this thread fetches
  const int b_row = thread / 32, b_col = thread % 32 * 4;
  A += (blockIdx.y * side + a_row) * k + a_col;
  B += b_row * n + blockIdx.x * side + b_col;

  Four<real> c[8][2] = {};
  Four<real> next_a = four(A), next_b = four(B);
  for (int begin = 0; begin < k; begin += step) {
#pragma unroll
    for (int j = 0; j < 4; ++j) a.at[a_col + j][a_row] = next_a.at[j];
    four(&b.at[b_row][b_col]) = next_b;
    __syncthreads();
    if (begin + step < k) next_a = four(A += step), next_b = four(B += step * n);
#pragma unroll
    for (int i = 0; i < step; ++i) {
      const Four<real> x[] = {four(&a.at[i][4 * ty]), four(&a.at[i][64 + 4 * ty])};
      const Four<real> y[] = {four(&b.at[i][4 * tx]), four(&b.at[i][64 + 4 * tx])};
#pragma unroll
      for (int r = 0; r < 8; ++r)
#pragma unroll
        for (int col = 0; col < 8; ++col) c[r][col / 4].at[col % 4] += x[r / 4].at[r % 4] * y[col / 4].at[col % 4];
    }
    __syncthreads();
  }

  C += (blockIdx.y * side + 4 * ty) * n + blockIdx.x * side + 4 * tx;
#pragma unroll
  for (int r = 0; r < 8; ++r) {
    real* const row = C + (r / 4 * 64 + r % 4) * n;
    four(row) = c[r][0];
    four(row + 64) = c[r][1];
  }
}

// 4. The tensor cores multiply: a warp computes 64 x 32 elements as 4 x 4 products of 16 x 8, in TF32. Who holds what
// of these says mma.h: lane 4·g + t has rows g and g + 8, columns 2t and 2t + 1 of C. The eight warps stand 2 x 4 in
// the block's square. Numbers are rounded to TF32 as they come into shared memory, whose rows are longer than what is
// in them: so the 32 words that a warp reads at once, of 8 rows and 4 columns of A and 4 rows and 8 columns of B, lie
// in 32 different banks (20·g + t and 136·t + g, modulo 32, are different for all lanes).
__global__ void __launch_bounds__(256, 2)
    product_on_tensor_cores_kernel(const real* A, const real* B, real* C, int n, int k) {
  constexpr int step = 16;
  using TileA = Tile<std::uint32_t, side, step + 4>;
  using TileB = Tile<std::uint32_t, step, side + 8>;
  SHARED(TileA, a);
  SHARED(TileB, b);
  const int thread = threadIdx.x, warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
  const int first_row = warp / 4 * 64, first_col = warp % 4 * 32;
  const int a_row = thread / 4, a_col = thread % 4 * 4;    // fetches two fours of A, 64 rows apart,
  const int b_row = thread / 32, b_col = thread % 32 * 4;  // and two of B, 8 rows apart
  A += (blockIdx.y * side + a_row) * k + a_col;
  B += b_row * n + blockIdx.x * side + b_col;
  const auto put = [](std::uint32_t* to, const Four<real>& x) {
    four(to) = {to_tf32(x.at[0]), to_tf32(x.at[1]), to_tf32(x.at[2]), to_tf32(x.at[3])};
  };

  float c[4][4][4] = {};
  Four<real> next_a[] = {four(A), four(A + 64 * k)}, next_b[] = {four(B), four(B + 8 * n)};
  for (int begin = 0; begin < k; begin += step) {
    put(&a.at[a_row][a_col], next_a[0]), put(&a.at[a_row + 64][a_col], next_a[1]);
    put(&b.at[b_row][b_col], next_b[0]), put(&b.at[b_row + 8][b_col], next_b[1]);
    __syncthreads();
    if (begin + step < k) {
      A += step, B += step * n;
      next_a[0] = four(A), next_a[1] = four(A + 64 * k);
      next_b[0] = four(B), next_b[1] = four(B + 8 * n);
    }
#pragma unroll
    for (int i = 0; i < step; i += 8) {
      std::uint32_t x[4][4], y[4][2];
#pragma unroll
      for (int r = 0; r < 4; ++r)
#pragma unroll
        for (int j = 0; j < 4; ++j) x[r][j] = a.at[first_row + 16 * r + g + j % 2 * 8][i + t + j / 2 * 4];
#pragma unroll
      for (int col = 0; col < 4; ++col)
#pragma unroll
        for (int j = 0; j < 2; ++j) y[col][j] = b.at[i + t + j * 4][first_col + 8 * col + g];
#pragma unroll
      for (int r = 0; r < 4; ++r)
#pragma unroll
        for (int col = 0; col < 4; ++col) multiply_add_tf32(c[r][col], x[r], y[col]);
    }
    __syncthreads();
  }

  C += (blockIdx.y * side + first_row + g) * n + blockIdx.x * side + first_col + 2 * t;
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int col = 0; col < 4; ++col) {
      real* const at = C + 16 * r * n + 8 * col;
      at[0] = c[r][col][0], at[1] = c[r][col][1];
      at[8 * n] = c[r][col][2], at[8 * n + 1] = c[r][col][3];
    }
}

namespace {

// A block for each rows x cols elements of C.
dim3 grid(const ProductSizes& s, Index rows, Index cols) { return {blocks(s.n, cols), blocks(s.m, rows)}; }

int narrow(Index i) { return static_cast<int>(i); }

void check_whole(const ProductSizes& s) {
  check(whole_tiles(s), "ladder", "this kernel computes products of multiples of 128 x 16 x 128, got ", s.m, " x ", s.k,
        " x ", s.n);
}

}  // namespace

bool whole_tiles(const ProductSizes& s) { return s.m % side == 0 && s.n % side == 0 && s.k % 16 == 0; }

void product_naive(const real* A, const real* B, real* C, const ProductSizes& s) {
  launch("product_naive", product_naive_kernel, grid(s, 8, 32), dim3{32, 8}, A, B, C, narrow(s.m), narrow(s.n),
         narrow(s.k));
}
void product_tiled(const real* A, const real* B, real* C, const ProductSizes& s) {
  launch("product_tiled", product_tiled_kernel, grid(s, 32, 32), dim3{32, 32}, A, B, C, narrow(s.m), narrow(s.n),
         narrow(s.k));
}
void product_in_registers(const real* A, const real* B, real* C, const ProductSizes& s) {
  check_whole(s);
  launch("product_in_registers", product_in_registers_kernel, grid(s, side, side), 256, A, B, C, narrow(s.n),
         narrow(s.k));
}
void product_on_tensor_cores(const real* A, const real* B, real* C, const ProductSizes& s) {
  check_whole(s);
  launch("product_on_tensor_cores", product_on_tensor_cores_kernel, grid(s, side, side), 256, A, B, C, narrow(s.n),
         narrow(s.k));
}

}  // namespace bobbin::cuda::ladder
