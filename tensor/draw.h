// Random words that are a function of a counter, the same for any number of threads.
#pragma once
#include <array>
#include <cstdint>

#include "tensor/host_device.h"

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
/// word i % 4 of block first + i / 4. Whoever keeps the Draw can make the same numbers again.
struct Draw {
  std::uint64_t key = 0, number = 0;
  std::uint64_t first = 0;

  /// Block i: four random words.
  BOBBIN_HD std::array<std::uint32_t, 4> block(std::uint64_t i) const {
    i += first;
    return philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32),
                   static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32)},
                  static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32));
  }
};

}  // namespace bobbin
