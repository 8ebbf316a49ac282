// Matrix products: large ones by OpenBLAS, which runs at the processor's limit, small ones by small_products.h. Of
// rounded operands by oneDNN, or where that gains nothing written out as `real`.
#include <cblas.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "tensor/check.h"
#include "tensor/cpu/on_this_thread.h"
#include "tensor/cpu/onednn.h"
#include "tensor/cpu/small_products.h"
#include "tensor/cpu/workspace.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

// OpenBLAS takes a buffer for each thread that calls it, and where there is no memory for it asks again for ever. So
// whether there is, is asked first.
void check_room_for_buffers() {
  constexpr std::size_t buffer = std::size_t{128} << 20;
  const std::size_t all = static_cast<std::size_t>(omp_get_max_threads()) * buffer;
  void* const room = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(room != MAP_FAILED, "gemm", "out of memory: OpenBLAS wants ", buffer >> 20, " MB for each of the ",
        omp_get_max_threads(), " threads, more than the limits of this process leave; fewer threads would fit");
  munmap(room, all);
}

// A template, so that only the one for `real` is made.
template <class T>
void blas_gemm(CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint m, blasint n, blasint k, T alpha, const T* a,
               blasint lda, const T* b, blasint ldb, T beta, T* c, blasint ldc) {
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else
    cblas_dgemm(CblasRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// The products i ... i + count-1 of a batch.
template <class T, class R>
void with_part_of_batch(Index i, Index count, Product p, MatrixOf<T> a, MatrixOf<T> b, ResultMatrixOf<R> c,
                        const auto& body) {
  p.batch = count;
  a.at += i * a.stride;
  b.at += i * b.stride;
  c.at += i * c.stride;
  body(p, a, b, c);
}

// Whether small_products.h multiplies. A part of a product goes the way of the whole: so what the parts are, which
// depends on the number of threads, does not tell.
bool by_ourselves(const Product& p, const Matrix& a) { return small::suits(p, a); }
bool by_ourselves(const Product&, const RoundedMatrix&) { return false; }

// On this thread. A product that overwrites begins with zeros and adds to them: beginning with the bias costs nothing
// more.
void on_this_thread(bool ourselves, const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  if (ourselves) {
    for (Index i = 0; i < p.batch; ++i) with_part_of_batch(i, 1, p, a, b, c, small::multiply);
    return;
  }
  const auto flag = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
  const auto size = [](Index i) { return static_cast<blasint>(i); };
  for (Index i = 0; i < p.batch; ++i) {
    real* const at = c.at + i * c.stride;
    if (p.bias)
      for (Index row = 0; row < p.m; ++row) std::copy_n(p.bias, p.n, at + row * c.ld);
    blas_gemm(flag(a.transposed), flag(b.transposed), size(p.m), size(p.n), size(p.k), p.alpha, a.at + i * a.stride,
              size(a.ld), b.at + i * b.stride, size(b.ld), p.bias ? real{1} : real{0}, at, size(c.ld));
  }
}

// The numbers of a rounded matrix, rows x cols as it is stored, or of a batch of them, written out in `to`.
Matrix widened(const RoundedMatrix& x, Index rows, Index cols, Index batch, std::vector<real>& to) {
  const Index count = x.stride == 0 ? 1 : batch;
  to.resize(static_cast<std::size_t>(count * rows * cols));
  parallel_for(count * rows, (1 << 13) / cols + 1, [&, out = to.data()](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const bfloat16* from = x.at + r / rows * x.stride + r % rows * x.ld;
#pragma omp simd
      for (Index col = 0; col < cols; ++col) out[r * cols + col] = to_float(from[col]);
    }
  });
  return {to.data(), cols, x.transposed, x.stride == 0 ? 0 : rows * cols};
}

// gemm(p, a, b) of rounded operands, written out for OpenBLAS.
void widen(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const auto& gemm) {
  thread_local std::vector<real> wide_a, wide_b;  // kept for the next call
  gemm(p, widened(a, a.transposed ? p.k : p.m, a.transposed ? p.m : p.k, p.batch, wide_a),
       widened(b, b.transposed ? p.n : p.k, b.transposed ? p.k : p.n, p.batch, wide_b));
}

// multiply(exact result), which is then rounded into c.
void round_result(const Product& p, const RoundedResultMatrix& c, const auto& multiply) {
  thread_local std::vector<real> exact;
  exact.resize(static_cast<std::size_t>(p.batch * p.m * p.n));
  multiply(ResultMatrix{exact.data(), p.n, p.m * p.n});
  parallel_for(p.batch * p.m, (1 << 14) / p.n + 1, [&, from = exact.data()](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      round_to_bfloat16(from + row * p.n, c.at + row / p.m * c.stride + row % p.m * c.ld, p.n);
  });
}

void on_this_thread(bool, const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c) {
  if (!onednn::multiply(p, a, b, c))
    widen(p, a, b, [&](const Product& p, const Matrix& a, const Matrix& b) { on_this_thread(false, p, a, b, c); });
}
void on_this_thread(bool, const Product& p, const RoundedMatrix& a, const RoundedMatrix& b,
                    const RoundedResultMatrix& c) {
  if (!onednn::multiply(p, a, b, c))
    round_result(p, c, [&](const ResultMatrix& exact) { on_this_thread(false, p, a, b, exact); });
}

constexpr Index worth_a_thread = 1 << 16;  // multiplications that repay waking it

// The gradient of a narrow layer's weight: A is transposed, and C small, but the sum over all tokens long. A thread
// that had a range of C's rows would copy all of B for it; here each has a range of the tokens. With 25,088 tokens of
// 96 columns this is 1.2 times as fast, with 6,272 of 192 columns 1.1 times; with a C of more numbers it gains nothing.
bool tokens_are_shared_out(const Product& p, const Matrix& a) {
  constexpr Index small = 1 << 16, many = 1 << 10;
  const int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
  return a.transposed && p.m * p.n <= small && threads > 1 && p.k / threads >= many &&
         p.k / threads * p.m * p.n >= worth_a_thread;
}

void multiply_by_tokens(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  const Index parts = omp_get_max_threads(), size = p.m * p.n;
  thread_local Scratch<real> kept;
  real* const sums = kept.resize(parts * size);
  parallel_for(parts, 1, [=](Index begin, Index end) {
    const OnThisThread alone;
    for (Index i = begin; i < end; ++i) {
      const Index from = p.k * i / parts;
      const Product part{p.m, p.n, p.k * (i + 1) / parts - from, p.alpha};
      on_this_thread(false, part, {a.at + from * a.ld, a.ld, true},
                     {b.at + from * (b.transposed ? 1 : b.ld), b.ld, b.transposed}, {sums + i * size, p.n});
    }
  });
  parallel_for(p.m, (1 << 13) / (parts * p.n) + 1, [=](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      for (Index col = 0; col < p.n; ++col) {
        real sum = p.bias ? p.bias[col] : 0;
        for (Index i = 0; i < parts; ++i) sum += sums[i * size + row * p.n + col];
        c.at[row * c.ld + col] = sum;
      }
  });
}

// One product. Each thread multiplies a part of its own: a range of C's rows, or of its columns, or as above. Left to
// itself OpenBLAS would share a product out in a finer way, in which threads wait for one another, and would keep one
// of few rows on a single thread; so a product of 37 rows takes a quarter less time here, one of 8 half, and large ones
// as much as there. oneDNN, too, is no faster with threads of its own, and takes up to a third longer for a gradient of
// a weight.
//
// A range of columns reads only its part of B, so a short A, that is a small batch, is multiplied that way. Where A is
// transposed the product is the gradient of a weight, and its sum over all tokens, k, is what takes long; then whole
// rows of C are written in one go.
template <class T, class R>
void multiply(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrixOf<R>& c) {
  if constexpr (std::is_same_v<T, real>)
    if (tokens_are_shared_out(p, a)) return multiply_by_tokens(p, a, b, c);
  const bool by_rows = a.transposed || p.m >= p.n, ourselves = by_ourselves(p, a);
  parallel_for(by_rows ? p.m : p.n, worth_a_thread / ((by_rows ? p.n : p.m) * p.k) + 1, [=](Index begin, Index end) {
    const OnThisThread alone;
    Product part = p;
    MatrixOf<T> part_a = a, part_b = b;
    ResultMatrixOf<R> part_c = c;
    if (by_rows) {
      part.m = end - begin;
      part_a.at += begin * (a.transposed ? 1 : a.ld);
      part_c.at += begin * c.ld;
    } else {
      part.n = end - begin;
      part_b.at += begin * (b.transposed ? b.ld : 1);
      part_c.at += begin;
      if (p.bias) part.bias += begin;
    }
    on_this_thread(ourselves, part, part_a, part_b, part_c);
  });
}

template <class T, class R>
void multiply_batch(const Product& p, const MatrixOf<T>& a, const MatrixOf<T>& b, const ResultMatrixOf<R>& c) {
  // A large product keeps all threads busy by itself, and a single one has them all. Small ones do not repay waking
  // them for each: they are shared out whole.
  constexpr Index large = 1 << 22;
  if (p.batch == 1 || p.m * p.n * p.k >= large)
    for (Index i = 0; i < p.batch; ++i) with_part_of_batch(i, 1, p, a, b, c, multiply<T, R>);
  else
    parallel_for(p.batch, 1, [&](Index begin, Index end) {
      const OnThisThread alone;
      with_part_of_batch(begin, end - begin, p, a, b, c,
                         [&](const auto&... all) { on_this_thread(by_ourselves(p, a), all...); });
    });
}

}  // namespace

void gemm(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  [[maybe_unused]] static const bool there_is_room = (check_room_for_buffers(), true);
  multiply_batch(p, a, b, c);
}

void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c) {
  if (onednn::multiplies())
    multiply_batch(p, a, b, c);
  else
    widen(p, a, b, [&](const Product& p, const Matrix& a, const Matrix& b) { gemm(p, a, b, c); });
}

void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c) {
  if (onednn::multiplies())
    multiply_batch(p, a, b, c);
  else
    round_result(p, c, [&](const ResultMatrix& exact) { gemm_rounded(p, a, b, exact); });
}

void round_to_bfloat16(const real* x, bfloat16* y, Index n) {
  parallel_for(n, 1 << 14, [=](Index begin, Index end) {
#pragma omp simd
    for (Index i = begin; i < end; ++i) y[i] = to_bfloat16(x[i]);
  });
}

void widen(const bfloat16* x, real* y, Index n) {
  parallel_for(n, 1 << 14, [=](Index begin, Index end) {
#pragma omp simd
    for (Index i = begin; i < end; ++i) y[i] = to_float(x[i]);
  });
}

}  // namespace bobbin::cpu
