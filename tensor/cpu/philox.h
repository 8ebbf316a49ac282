#pragma once
#include <cstring>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "tensor/draw.h"
#include "tensor/real.h"

namespace bobbin::cpu {

/// The blocks first ... first + count-1 of a draw, to 4·count words in order; count is a multiple of 8.
///
/// A dropout needs a word for each element, tens of millions in a training step, so this is Philox once more (see
/// draw.h), for eight blocks at a time. Each word of the counter stands in the low half of a 64-bit lane. There a
/// product of two words has its room, and as it is taken from low halves alone, whatever rubbish is left in the upper
/// ones does no harm: a round is two products, two shifts and four xors.
inline void philox_blocks(const Draw& draw, std::uint64_t first, Index count, std::uint32_t* words) {
  using Lanes = std::uint64_t __attribute__((vector_size(32)));
  // The compilers do not find this instruction by themselves, and without it a dropout takes three times as long.
  const auto product = [](Lanes& result, const Lanes& a, const Lanes& b) {
#ifdef __AVX2__
    result = reinterpret_cast<Lanes>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
    result = (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
#endif
  };

  constexpr int groups = 2;  // of four blocks: while one waits for a product, the other goes on
  const Lanes m0 = Lanes{} + std::uint64_t{0xD2511F53}, m1 = Lanes{} + std::uint64_t{0xCD9E8D57};
  const Lanes number_low = Lanes{} + (draw.number & 0xFFFFFFFF), number_high = Lanes{} + (draw.number >> 32);
  first += draw.first;
  for (Index i = 0; i < count; i += 4 * groups) {
    Lanes c0[groups], c1[groups], c2[groups], c3[groups];
    for (int g = 0; g < groups; ++g) {
      c0[g] = Lanes{0, 1, 2, 3} + (first + static_cast<std::uint64_t>(i + 4 * g));
      c1[g] = c0[g] >> 32;
      c2[g] = number_low;
      c3[g] = number_high;
    }
    auto key0 = static_cast<std::uint32_t>(draw.key), key1 = static_cast<std::uint32_t>(draw.key >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9, key1 += 0xBB67AE85)
      for (int g = 0; g < groups; ++g) {
        Lanes product0, product1;
        product(product0, c0[g], m0);
        product(product1, c2[g], m1);
        c0[g] = (product1 >> 32) ^ c1[g] ^ key0;
        c1[g] = product1;
        c2[g] = (product0 >> 32) ^ c3[g] ^ key1;
        c3[g] = product0;
      }
    for (int g = 0; g < groups; ++g) {  // from lanes to blocks: words 0 and 1 side by side, and 2 and 3
      const Lanes front = (c0[g] & 0xFFFFFFFF) | c1[g] << 32, back = (c2[g] & 0xFFFFFFFF) | c3[g] << 32;
      for (int b = 0; b < 4; ++b, words += 4) {
        const std::uint64_t block[2] = {front[b], back[b]};
        std::memcpy(words, block, sizeof block);
      }
    }
  }
}

}  // namespace bobbin::cpu
