#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tensor/cuda/device.h"
#include "tests/helpers.h"

/// What the tests of the CUDA kernels need: each is run beside the processor's kernel of the same name.
namespace bobbin::test {

using Numbers = std::vector<real>;

constexpr real not_a_number = std::numeric_limits<real>::quiet_NaN();

/// Sizes around those of a warp and of a block.
constexpr Index some_sizes[] = {1, 31, 32, 33, 37, 65, 1003};
/// For kernels in which a thread has four numbers.
constexpr Index some_sizes_in_fours[] = {1, 3, 4, 5, 37, 127, 1023, 1024, 1029, 2051};

/// An array in the memory of the GPU that ends where its last number ends, and begins `offset` numbers behind an
/// aligned address. Not a Tensor, whose memory is rounded up: here nothing is to read or write behind the end.
template <class T>
class ArrayOnDevice {
 public:
  explicit ArrayOnDevice(const std::vector<T>& numbers, Index offset = 0)
      : size_(static_cast<Index>(numbers.size())),
        block_(static_cast<T*>(cuda::allocate(static_cast<std::size_t>(size_ + offset) * sizeof(T)))),
        begin_(block_ + offset) {
    const std::size_t bytes = numbers.size() * sizeof(T);
    const std::shared_ptr<real> host = cuda::host_block(static_cast<Index>(bytes / sizeof(real) + 1));
    std::memcpy(host.get(), numbers.data(), bytes);
    cuda::check_cuda(cudaMemcpyAsync(begin_, host.get(), bytes, cudaMemcpyHostToDevice, cuda::stream()),
                     "cudaMemcpyAsync");
    cuda::wait();
  }
  /// For a result: no number yet.
  explicit ArrayOnDevice(Index size, Index offset = 0)
      : ArrayOnDevice(std::vector<T>(static_cast<std::size_t>(size), nothing(T{})), offset) {}
  ~ArrayOnDevice() {
    cuda::wait();
    cuda::release(block_);
  }
  ArrayOnDevice(const ArrayOnDevice&) = delete;

  operator T*() { return begin_; }
  std::vector<T> values() const {
    std::vector<T> result(static_cast<std::size_t>(size_));
    cuda::download(begin_, result.data(), size_);
    return result;
  }

 private:
  static real nothing(real) { return not_a_number; }
  static bfloat16 nothing(bfloat16) { return to_bfloat16(not_a_number); }

  Index size_;
  T *block_, *begin_;
};
using OnDevice = ArrayOnDevice<real>;
using RoundedOnDevice = ArrayOnDevice<bfloat16>;

/// How far single precision may be off, in units of its last digit.
constexpr double epsilon = std::numeric_limits<real>::epsilon();

/// Whether each number agrees, NaN with NaN and an infinity with the same: a difference may be `tolerance` times the
/// number itself, and below `floor` times that.
inline void check_each(const Numbers& got, const Numbers& want, double tolerance,
                       double floor = std::numeric_limits<real>::min()) {
  REQUIRE(got.size() == want.size());
  constexpr double inf = std::numeric_limits<double>::infinity();
  double worst = 0;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    double error = std::abs(double{got[i]} - want[i]) / std::max(std::abs(double{want[i]}), floor);
    if (!std::isfinite(error)) error = inf;  // a NaN where none is wanted would lose every comparison
    if (error > worst) worst = error, wrong = i;
  }
  CAPTURE(wrong);
  CAPTURE(want.size());
  CHECK(worst <= tolerance);
}

/// Whether the numbers agree, NaN with NaN and an infinity with the same: a difference may be `tolerance` times the
/// largest number that is wanted, or times `scale` where that is more, since what went into a sum may be larger than
/// it.
inline void check_same(const Numbers& got, const Numbers& want, double tolerance, double scale = 0) {
  for (const real w : want)
    if (std::isfinite(w)) scale = std::max(scale, std::abs(double{w}));
  check_each(got, want, tolerance, std::max(scale, double{std::numeric_limits<real>::min()}));
}

}  // namespace bobbin::test
