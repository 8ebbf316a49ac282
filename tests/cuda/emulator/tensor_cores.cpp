#include "tensor_cores.h"

#include <bit>
#include <cmath>
#include <string>

#include "engine.h"

namespace emulator {
namespace {

constexpr std::uint32_t unused_by_tf32 = (1u << 13) - 1;

float bf16_of(std::uint32_t word, int part) { return std::bit_cast<float>(word >> 16 * part << 16); }
float tf32_of(std::uint32_t word, int) { return std::bit_cast<float>(word & ~unused_by_tf32); }

/// C += A·B, of numbers of which `parts` are in a word: A (16, K), B (K, 8), with K = 8 · parts. The words of a lane
/// hold 4 · parts neighbouring k, spread over four lanes; and of a, also the rows of the upper and the lower half.
template <int parts, float number(std::uint32_t, int)>
void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], const char* site) {
  std::uint32_t as[4][32], bs[2][32];
  const auto exchange = [site](const std::uint32_t* two, std::uint32_t(*of_all)[32]) {
    const std::uint64_t* const values = sync_warp(0xffffffff, std::uint64_t{two[1]} << 32 | two[0], site, false);
    for (int l = 0; l < 32; ++l) {
      of_all[0][l] = static_cast<std::uint32_t>(values[l]);
      of_all[1][l] = static_cast<std::uint32_t>(values[l] >> 32);
    }
  };
  exchange(a, as);
  exchange(a + 2, as + 2);
  exchange(b, bs);
  const auto A = [&](int row, int k) {
    return number(as[row / 8 + k / (4 * parts) * 2][row % 8 * 4 + k / parts % 4], k % parts);
  };
  const auto B = [&](int k, int column) { return number(bs[k / (4 * parts)][column * 4 + k / parts % 4], k % parts); };

  const int g = static_cast<int>(lane()) / 4, t = static_cast<int>(lane()) % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    double sum = c[i];
    for (int k = 0; k < 8 * parts; ++k) sum += double{A(row, k)} * B(k, column);
    c[i] = static_cast<float>(sum);
  }
}

void check_tf32(std::uint32_t word, const char* site) {
  if ((word & unused_by_tf32) != 0 && !std::isnan(std::bit_cast<float>(word)))
    die("an operand of a product in TF32 is not rounded to that: " + std::to_string(std::bit_cast<float>(word)), site);
}

}  // namespace

void multiply_add_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], const char* site) {
  multiply_add<2, bf16_of>(c, a, b, site);
}

void multiply_add_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], const char* site) {
  for (const std::uint32_t word : a) check_tf32(word, site);
  for (const std::uint32_t word : b) check_tf32(word, site);
  multiply_add<1, tf32_of>(c, a, b, site);
}

std::uint32_t to_tf32(float x) {
  if (std::isnan(x)) return 0x7fffe000;
  return (std::bit_cast<std::uint32_t>(x) + (unused_by_tf32 + 1) / 2) & ~unused_by_tf32;
}

}  // namespace emulator
