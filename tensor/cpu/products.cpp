// Matrix products, by OpenBLAS: on the shapes of a transformer it runs at the processor's limit.
#include <cblas.h>
#include <omp.h>
#include <sys/mman.h>

#include <type_traits>

#include "tensor/check.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"

namespace bobbin::cpu {
namespace {

// While it lives, OpenBLAS stays on the thread that calls it. Otherwise it counts on as many as OpenMP has at most,
// and where these do not come (OMP_THREAD_LIMIT, OMP_DYNAMIC) it waits for them for ever.
class OnThisThread {
 public:
  OnThisThread() { omp_set_num_threads(1); }  // of this thread's regions, within a region too
  ~OnThisThread() { omp_set_num_threads(before_); }
  OnThisThread(const OnThisThread&) = delete;
  OnThisThread& operator=(const OnThisThread&) = delete;

 private:
  int before_ = omp_get_max_threads();
};

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
  const OnThisThread alone;
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  else
    cblas_dgemm(CblasRowMajor, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// One product. Each thread multiplies a part of its own: a range of C's rows, or of its columns. Left to itself
// OpenBLAS would share a product out in a finer way, in which threads wait for one another, and would keep one of few
// rows on a single thread; so a product of 37 rows takes a quarter less time here, one of 8 half, and large ones as
// much as there.
//
// A range of columns reads only its part of B, so a short A, that is a small batch, is multiplied that way. Where A is
// transposed the product is the gradient of a weight, and its sum over all tokens, k, is what takes long; then whole
// rows of C are written in one go.
void multiply(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  constexpr Index grain = 1 << 16;  // multiplications that are worth a thread
  const auto part = [=](Index rows, Index columns, const real* at_a, const real* at_b, real* at_c) {
    const auto flag = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
    const auto size = [](Index i) { return static_cast<blasint>(i); };
    blas_gemm(flag(a.transposed), flag(b.transposed), size(rows), size(columns), size(p.k), p.alpha, at_a, size(a.ld),
              at_b, size(b.ld), p.beta, at_c, size(c.ld));
  };
  if (a.transposed || p.m >= p.n)
    parallel_for(p.m, grain / (p.n * p.k) + 1, [=](Index begin, Index end) {
      part(end - begin, p.n, a.at + begin * (a.transposed ? 1 : a.ld), b.at, c.at + begin * c.ld);
    });
  else
    parallel_for(p.n, grain / (p.m * p.k) + 1, [=](Index begin, Index end) {
      part(p.m, end - begin, a.at, b.at + begin * (b.transposed ? b.ld : 1), c.at + begin);
    });
}

}  // namespace

void gemm(const Product& p, const Matrix& a, const Matrix& b, const ResultMatrix& c) {
  const auto products = [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      multiply(p, {a.at + i * a.stride, a.ld, a.transposed}, {b.at + i * b.stride, b.ld, b.transposed},
               {c.at + i * c.stride, c.ld});
  };
  [[maybe_unused]] static const bool there_is_room = (check_room_for_buffers(), true);
  // A large product keeps all threads busy by itself. Small ones do not repay waking them for each: they are shared out
  // whole.
  constexpr Index large = 1 << 22;
  if (p.m * p.n * p.k >= large)
    products(0, p.batch);
  else
    parallel_for(p.batch, 1, products);
}

}  // namespace bobbin::cpu
