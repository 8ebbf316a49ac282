#pragma once
#include <algorithm>
#include <cmath>
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

/// An array in the memory of the GPU that ends where its last number ends, and begins `offset` numbers behind an
/// aligned address. Not a Tensor, whose memory is rounded up: here nothing is to read or write behind the end.
class OnDevice {
 public:
  explicit OnDevice(const Numbers& numbers, Index offset = 0)
      : size_(static_cast<Index>(numbers.size())),
        block_(static_cast<real*>(cuda::allocate(static_cast<std::size_t>(size_ + offset) * sizeof(real)))),
        begin_(block_ + offset) {
    const std::shared_ptr<real> host = cuda::host_block(size_);
    std::copy(numbers.begin(), numbers.end(), host.get());
    cuda::check_cuda(
        cudaMemcpyAsync(begin_, host.get(), numbers.size() * sizeof(real), cudaMemcpyHostToDevice, cuda::stream()),
        "cudaMemcpyAsync");
    cuda::wait();
  }
  /// For a result: no number yet.
  explicit OnDevice(Index size, Index offset = 0)
      : OnDevice(Numbers(static_cast<std::size_t>(size), not_a_number), offset) {}
  ~OnDevice() {
    cuda::wait();
    cuda::release(block_);
  }
  OnDevice(const OnDevice&) = delete;

  operator real*() { return begin_; }
  Numbers values() const {
    Numbers result(static_cast<std::size_t>(size_));
    cuda::to_host(begin_, result.data(), size_);
    return result;
  }

 private:
  Index size_;
  real *block_, *begin_;
};

/// How far single precision may be off, in units of its last digit.
constexpr double epsilon = std::numeric_limits<real>::epsilon();

/// Whether the numbers agree: NaN with NaN, an infinity with the same, and the others to `tolerance` times the largest,
/// or times `scale`, if that is larger: how large the terms are of which they are what is left.
inline void check_same(const Numbers& got, const Numbers& want, double tolerance, double scale = 0) {
  REQUIRE(got.size() == want.size());
  double largest = scale, difference = 0;
  Index wrong = -1;
  for (std::size_t i = 0; i < want.size(); ++i)
    if (std::isfinite(want[i])) largest = std::max(largest, std::abs(double{want[i]}));
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    const double d = std::abs(double{got[i]} - want[i]);
    if (!(d <= difference)) difference = d, wrong = static_cast<Index>(i);
  }
  CAPTURE(wrong);
  CAPTURE(want.size());
  CHECK(difference <= tolerance * largest);
}

}  // namespace bobbin::test
