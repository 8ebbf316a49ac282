#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "tensor/host_device.h"
#include "tensor/tensor.h"

namespace bobbin {

/// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011):
/// a block cipher turned random generator. The n-th block of four random words is a pure function of
/// n and the key: no state moves from one to the next. So any number of threads can compute any part
/// of a sequence and get the same numbers, and backward can draw a dropout mask again instead of
/// keeping it.
BOBBIN_HD inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::uint32_t key0,
                                                     std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9;  // the golden ratio
    key1 += 0xBB67AE85;  // the square root of 3, less 1
  }
  return counter;
}

/// One use of a generator: an endless sequence of random words, of which element i of a tensor takes
/// word i % 4 of block i / 4. Whoever keeps the Draw can make the same numbers again.
struct Draw {
  std::uint64_t key = 0, number = 0;

  BOBBIN_HD std::array<std::uint32_t, 4> block(std::uint64_t i) const {
    return philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32),
                   static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32)},
                  static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32));
  }
};

/// A stream of random numbers. The same seed gives the same numbers on every machine, for any
/// number of threads. Each use (initialisation, shuffling, every dropout layer) forks a stream of
/// its own, so that one more number here changes nothing there.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : key_(seed) {}
  /// The stream that goes on with this sequence: what peek() of another has returned.
  explicit Rng(const Draw& next) : key_(next.key), number_(next.number) {}

  /// The next sequence of this stream.
  Draw draw() { return {key_, number_++}; }
  /// The same without taking it: all there is to know of a stream, to be kept in a checkpoint.
  Draw peek() const { return {key_, number_}; }
  /// A new stream, independent of this one and of every other fork.
  Rng fork();

  /// Numbers evenly distributed in [low, high).
  Tensor uniform(const Shape& shape, real low = 0, real high = 1);
  /// Numbers of the normal distribution, by Box and Muller's method.
  Tensor normal(const Shape& shape, real mean = 0, real stddev = 1);
  /// 0 ... n-1 in random order, each order equally likely (Fisher and Yates). Throws Error if n < 0.
  std::vector<Index> permutation(Index n);

 private:
  std::uint64_t key_, number_ = 0;
};

}  // namespace bobbin
