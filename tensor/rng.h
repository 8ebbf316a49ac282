#pragma once
#include <cstdint>
#include <vector>

#include "tensor/draw.h"
#include "tensor/tensor.h"

namespace bobbin {

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
