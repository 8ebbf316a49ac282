#pragma once
#include "tensor/math.h"
#include "tensor/real.h"

namespace bobbin {

/// A number as Precision::bfloat16 rounds it: the upper half of a float, that is its sign, its exponent and the first 7
/// bits of its mantissa. Only what products read is stored so, or what becomes that.
struct bfloat16 {
  std::uint16_t bits;
};

/// The nearest to x, the even one of two that are equally near. What rounds beyond the largest is infinite, and NaN
/// stays NaN. (A double becomes a float first.)
BOBBIN_HD inline bfloat16 to_bfloat16(float x) {
  const std::uint32_t bits = math::detail::to_bits(x);
  const std::uint32_t nearest = bits + 0x7fff + (bits >> 16 & 1), quiet_nan = bits | 0x400000;
  const std::uint32_t is_nan = (bits & 0x7fffffff) > 0x7f800000;  // chosen without a branch, for vector code
  return {static_cast<std::uint16_t>(((nearest & (is_nan - 1)) | (quiet_nan & -is_nan)) >> 16)};
}
BOBBIN_HD inline bfloat16 to_bfloat16(double x) { return to_bfloat16(static_cast<float>(x)); }

/// at = x, rounded where that is a bfloat16: for a kernel that stores either.
BOBBIN_HD inline void store(float& at, float x) { at = x; }
BOBBIN_HD inline void store(double& at, double x) { at = x; }
BOBBIN_HD inline void store(bfloat16& at, auto x) { at = to_bfloat16(x); }

/// The same number: none is lost.
BOBBIN_HD inline float to_float(bfloat16 x) { return math::detail::from_bits(std::uint32_t{x.bits} << 16); }

/// A number as `real`, for a kernel that reads either.
BOBBIN_HD inline real to_real(real x) { return x; }
BOBBIN_HD inline real to_real(bfloat16 x) { return to_float(x); }

/// Where a kernel writes numbers as they are, and where the same ones rounded, for the products that read them.
struct Both {
  real* exact;
  bfloat16* rounded;
};

}  // namespace bobbin
