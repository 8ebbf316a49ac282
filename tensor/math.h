#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/host_device.h"

#if defined(__FAST_MATH__)
#error "math.h rounds on purpose and lets NaN pass: -ffast-math (and -Ofast) would break it"
#endif

/// exp, log, erf, tanh and GELU as plain arithmetic.
///
/// libm's functions handle one number at a time, and with erff a GELU costs more than the matrix
/// products around it. The functions here have no branch, no table and no call, so a compiler turns
///
///     #pragma omp simd
///     for (Index i = 0; i < n; ++i) y[i] = math::gelu(x[i]);
///
/// into vector code by itself (g++ wants -fno-math-errno -fno-trapping-math, which change no
/// result). They build on one another: exp and erf and tanh on one polynomial, GELU on exp. Only log has its own.
///
/// Errors are in ulp, the distance of two neighbouring floats at the true value. Each bound was measured over all 2^32
/// floats against double precision, with and without fused multiply-add, and tests/tensor/math_test.cpp samples it. The
/// polynomials have the smallest maximal error, found by Remez's exchange in 40 digits; then the coefficients were
/// rounded to floats, each so that it makes up for the rounding of the others.
///
/// The double overloads are libm's. They serve the build in which gradients are checked.
namespace bobbin::math {

namespace detail {

BOBBIN_HD inline std::uint32_t to_bits(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);  // the one cast the language allows; compiles to nothing
  return bits;
}

BOBBIN_HD inline float from_bits(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

/// The smaller or larger of two numbers. A NaN in x stays: every comparison with it is false.
template <class T>
BOBBIN_HD inline T at_most(T x, T limit) {
  return x > limit ? limit : x;
}
template <class T>
BOBBIN_HD inline T at_least(T x, T limit) {
  return x < limit ? limit : x;
}

/// 1 / x, rounded, for an x in the middle of the range of floats. On a GPU that is an approximation and a step of
/// Newton's, in which the difference is exact; nvcc makes the same of 1 / x, and a branch for x at the ends.
BOBBIN_HD inline float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return fmaf(y, fmaf(-x, y, 1.0f), y);
#else
  return 1.0f / x;
#endif
}

/// c0 + c1 x + c2 x² + ..., by Horner's rule.
BOBBIN_HD inline float polynomial(float, float c0) { return c0; }
template <class... Rest>
BOBBIN_HD inline float polynomial(float x, float c0, float c1, Rest... rest) {
  return c0 + x * polynomial(x, c1, rest...);
}

// ---- e^x = 2^n e^r -------------------------------------------------------------------------------

/// x = n ln 2 + r with n whole and |r| <= ln(2)/2, so that e^x = 2^n e^r (Cody and Waite, 1980).
///
/// n is found without any conversion: floats between 2^23 and 2^24 are whole numbers, so adding
/// 1.5 * 2^23 rounds x / ln 2 to the nearest one, and leaves it in the low bits of the sum. We add
/// 254 more, and thus find n + 254 there, which is never negative for n >= -254.
struct Reduced {
  float r;
  std::uint32_t n_plus_254;  // in the low 9 bits; a constant is above them
};

/// For -176 <= x <= 89, thus -254 <= n <= 128.
BOBBIN_HD inline Reduced reduce(float x) {
  const float shift = 12582912.0f + 254.0f;
  // ln 2 in two parts. The first has 15 bits, so that its product with n is exact; and x minus that
  // product, two numbers close together, is exact as well. Only the small rest is rounded.
  const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  const float shifted = x * 1.44269504f + shift;
  const float n = shifted - shift;
  return {(x - n * ln2_high) - n * ln2_low, to_bits(shifted)};
}

/// y * 2^n, rounded once. A float's exponent field holds n + 127; those of n = -150, where numbers
/// fade away below the denormals, or of n = 128 do not fit. Half of n always does, so we multiply
/// by two powers of two; only the second product can round. At n = -254 both factors have an
/// exponent field of 0 and are themselves 0: far below, the result is 0 at no cost, while a
/// product that underflows makes many processors stumble for a hundred cycles.
BOBBIN_HD inline float times_power_of_two(float y, std::uint32_t n_plus_254) {
  const std::uint32_t half = n_plus_254 >> 1, other_half = n_plus_254 - half;
  return y * from_bits(half << 23) * from_bits(other_half << 23);  // << 23 drops all but 9 bits
}

/// e^r - 1 = r + r² q(r), close to r = 0 too, where e^r itself would round r away.
/// Fitted on [-0.405, 0.35] to relative error 2^-25.4. That is a little wider than ln(2)/2 = 0.347
/// on the left: normal() below adds a small negative number to r.
BOBBIN_HD inline float expm1_of_reduced(float r) {
  return r + r * r * polynomial(r, 0.499999911f, 0.166665062f, 0.0416704416f, 0.00837085955f, 0.00136323296f);
}

/// e^x - 1 for -20 <= x <= 0, with small relative error near 0 too: 2^n (e^r - 1) + (2^n - 1).
BOBBIN_HD inline float expm1_of_negative(float x) {
  const Reduced e = reduce(x);
  const float power = from_bits((e.n_plus_254 - 127) << 23);  // 2^n: n + 127 is the exponent field
  return power * expm1_of_reduced(e.r) + (power - 1.0f);
}

}  // namespace detail

/// e^x. Error up to 1.10 ulp. Overflows to inf, underflows through the denormals to 0.
BOBBIN_HD inline float exp(float x) {
  const detail::Reduced e = detail::reduce(detail::at_most(detail::at_least(x, -176.0f), 89.0f));
  return detail::times_power_of_two(1.0f + detail::expm1_of_reduced(e.r), e.n_plus_254);
}

/// ln x = n ln 2 + ln(1 + f), where x = 2^n (1 + f) and √1/2 <= 1 + f < √2; and ln(1 + f) = f - f²/2 + f³ p(f), with p
/// fitted to relative error 2^-27.3 in ln. Error up to 0.95 ulp. -inf at 0, NaN below.
///
/// The bits of √1/2 taken off, what is left in the exponent field is n. A denormal is scaled up first.
BOBBIN_HD inline float log(float x) {
  const bool denormal = x < 0x1p-126f;
  const std::uint32_t root = 0x3f3504f3u, bits = detail::to_bits(denormal ? x * 0x1p25f : x) - root;
  const float n = static_cast<float>(static_cast<std::int32_t>(bits) >> 23) - (denormal ? 25.0f : 0.0f);
  const float f = detail::from_bits((bits & 0x007fffffu) + root) - 1.0f;
  const float p = detail::polynomial(f, 0.333333313f, -0.250008225f, 0.200012609f, -0.166233495f, 0.142009079f,
                                     -0.131563693f, 0.127503842f, -0.0762008578f);
  const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;  // as in reduce(): n ln2_high is exact
  const float y = n * ln2_high + (f + (f * f * (f * p - 0.5f) + n * ln2_low));
  const float inf = HUGE_VALF;
  return x > 0.0f ? (x < inf ? y : x) : x == 0.0f ? -inf : NAN;
}

/// tanh x = (1 - e^-2t) / (1 + e^-2t) with t = |x|, and the sign of x. Error up to 2.50 ulp.
/// From t = 8.5 on the result is 1.
BOBBIN_HD inline float tanh(float x) {
  const float t = detail::at_most(std::fabs(x), 10.0f);
  const float m = detail::expm1_of_negative(-2.0f * t);
  return std::copysign(m / (2.0f + m), x);
}

/// erf x = 2/√π ∫₀ˣ e^-s² ds. Error up to 1.95 ulp.
///
/// One formula for all x: with t = |x|, 1 - erf t = e^-g(t), where g(t) = -ln(1 - erf t) is smooth,
/// begins as 2/√π t and grows as t². We write g(t) = t + t p(t), since 1 needs no rounding and the
/// 0.128 that is left of 2/√π is rounded eight times finer than 1.128. p is fitted on [0, 4] to
/// relative error 2^-27.8 in erf, which asks little of p at large t. From t = 3.88 on the result is 1.
BOBBIN_HD inline float erf(float x) {
  const float t = detail::at_most(std::fabs(x), 4.0f);
  const float p = detail::polynomial(t, 0.128379166f, 0.636619568f, 0.102776304f, -0.0191478264f, -0.00016948425f,
                                     0.00167563814f, -0.000637330115f, 0.000118847951f, -9.38596168e-06f);
  return std::copysign(detail::expm1_of_negative(-(t + t * p)), x);
}

/// The same in double, by the standard library.
BOBBIN_HD inline double exp(double x) { return std::exp(x); }
BOBBIN_HD inline double log(double x) { return std::log(x); }
BOBBIN_HD inline double tanh(double x) { return std::tanh(x); }
BOBBIN_HD inline double erf(double x) { return std::erf(x); }

// ---- GELU ------------------------------------------------------------------------------------------

/// The standard normal distribution at x: density φ(x) = e^(-x²/2) / √(2π), and its integral from
/// -∞ to x, Φ(x) = (1 + erf(x/√2)) / 2. Together, because both need the same exponential.
template <class T>
struct Normal {
  T pdf, cdf;
};

/// In double, by the standard library.
BOBBIN_HD inline Normal<double> normal(double x) {
  return {0.39894228040143268 * std::exp(-0.5 * x * x), 0.5 * std::erfc(-0.70710678118654752 * x)};
}

/// Error up to 2.25 ulp for φ; up to 5.00 ulp for Φ, and 7.00 ulp at x < -5.
///
/// By erf, Φ(-5) would be (1 - 0.9999994) / 2: nearly all digits cancel. So we compute the tail Φ(-t) = e^(-t²/2) M(t),
/// where t = |x|, and take 1 minus it for x > 0. M, but for a factor Mills' ratio, falls gently: from 1/2 at 0, later
/// as 1/t. Thus M(t) = p(w) / (t + k), where w = t / (t + k) takes [0, ∞) to [0, 1), and p is fitted to relative error
/// 2^-25.4 for t <= 14.4, beyond which Φ(-t) is 0. Of the k that we tried, 27/8 gave the smallest error.
BOBBIN_HD inline Normal<float> normal(float x) {
  const float t = detail::at_most(std::fabs(x), 18.75f);  // there n = -254 and the exponential is 0

  // One ulp of t²/2 = 50 is 2^-18, and so much relative error in the exponential would be 32 ulp or
  // more. So we split t = a + b, where a has the leading 12 bits: t²/2 = a²/2 + b (t + a)/2. The
  // first part is exact, and the second so small that its rounding does not matter.
  const float a = detail::from_bits(detail::to_bits(t) & 0xfffff000u);
  detail::Reduced e = detail::reduce(-0.5f * a * a);
  e.r -= 0.5f * (t - a) * (t + a);
  const float exponential = detail::times_power_of_two(1.0f + detail::expm1_of_reduced(e.r), e.n_plus_254);

  const float u = detail::reciprocal(t + 3.375f), w = t * u;
  const float p = detail::polynomial(w, 1.6875f, -2.85670161f, 2.20990872f, -0.365808368f, -0.476113886f, 0.100115269f,
                                     0.0679175332f, 0.193450317f, -0.229910493f, 0.0686084107f);
  const float tail = exponential * (p * u);
  return {0.398942280f * exponential, x > 0.0f ? 1.0f - tail : tail};
}

/// The logistic curve close to Φ that "GELU by tanh" takes: s = (1 + tanh u) / 2 = 1 / (1 + e^-2u), where u = √(2/π) (x
/// + 0.044715 x³), and its derivative s (1 - s) 2u'. Written by e = e^-|2u|, no exponential overflows and nothing
/// cancels: s is 1 / (1 + e) or e / (1 + e), s (1 - s) is e / (1 + e)².
/// The density wants |x| < 1e18.
template <class T>
BOBBIN_HD inline Normal<T> normal_by_tanh(T x) {
  const T two_u = x * (T(1.5957691216057308) + T(0.071354816272600249) * (x * x));
  const T two_du = T(1.5957691216057308) + T(0.21406444881780075) * (x * x);
  const T e = exp(-std::fabs(two_u)), v = T(1) / (T(1) + e);
  return {e * v * v * two_du, x < T(0) ? e * v : v};
}

/// GELU (Hendrycks and Gimpel, 2016): x Φ(x), PyTorch's nn.GELU().
/// Error up to 5.50 ulp; up to 8.10 ulp at x < -5; and below x = -12.9, where Φ is a denormal, up to 13 denormals.
///
/// gelu(-inf) is NaN, as it is in PyTorch. The limit would be 0, but an activation of -inf comes from an overflow,
/// which is better seen than covered up.
template <class T>
BOBBIN_HD inline T gelu(T x) {
  return x * normal(x).cdf;
}

/// A function and its derivative, together for little more than the price of one.
template <class T>
struct WithDerivative {
  T value, derivative;
};

/// GELU and its derivative Φ(x) + x φ(x), because Φ' = φ. The two cancel around the zero at x = -0.75, so the
/// error is up to 6.50 ulp where the result is 1/8 or more, and as many times 2^-26 (1 ulp of 1/8) elsewhere.
///
/// 0 and 1 are reached well before |x| = 40, in double precision too, and we look no further: so
/// this is right at ±inf, where PyTorch has inf * 0 = NaN.
template <class T>
BOBBIN_HD inline WithDerivative<T> gelu_with_derivative(T x) {
  const T z = detail::at_most(detail::at_least(x, T(-40)), T(40));
  const Normal<T> at = normal(z);
  return {x * at.cdf, at.cdf + z * at.pdf};
}

/// The same pair for PyTorch's nn.GELU(approximate='tanh'); gelu_tanh(-inf) is NaN there as well.
/// Errors up to 3.70 and 6.30 ulp where the result is 1/8 or more, and as many times 2^-26 elsewhere.
template <class T>
BOBBIN_HD inline T gelu_tanh(T x) {
  return x * normal_by_tanh(x).cdf;
}
template <class T>
BOBBIN_HD inline WithDerivative<T> gelu_tanh_with_derivative(T x) {
  const T z = detail::at_most(detail::at_least(x, T(-40)), T(40));
  const Normal<T> at = normal_by_tanh(z);
  return {x * at.cdf, at.cdf + z * at.pdf};
}

}  // namespace bobbin::math
