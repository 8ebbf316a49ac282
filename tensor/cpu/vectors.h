#pragma once
#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "tensor/real.h"

/// Vectors of numbers as the processor's registers hold them, in the notation that g++ and clang++ share, and the
/// product of two small matrices whose result stays in registers. Small products are made of it, and convolutions,
/// whose matrices are never written down as such: each way says by two functions where the product finds their
/// elements.
namespace bobbin::cpu {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, registers = 32;
#elif defined(__AVX__)
constexpr int vector_bytes = 32, registers = 16;
#elif defined(__aarch64__)
constexpr int vector_bytes = 16, registers = 32;
#else
constexpr int vector_bytes = 16, registers = 16;
#endif
constexpr int lanes = vector_bytes / sizeof(real);
/// The channels that lie together where channels are the innermost axis, and columns of a matrix: two vectors.
constexpr int panel = 2 * lanes;
/// How many rows of two vectors are summed up at a time: with the two that they are made of they fill the registers.
constexpr int most_rows = registers == 32 ? 14 : 6;

using Vector = real __attribute__((vector_size(vector_bytes)));

/// From anywhere in memory, aligned or not.
inline Vector load(const real* x) {
  Vector v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
inline void store(Vector v, real* x) { std::memcpy(x, &v, sizeof v); }

/// The first `count` numbers alone; 0 for the others.
inline Vector load(const real* x, Index count) {
  if (count >= lanes) return load(x);
  alignas(vector_bytes) real all[lanes];
#pragma omp simd
  for (int i = 0; i < lanes; ++i) all[i] = i < count ? x[i] : 0;
  return load(all);
}
inline void store(Vector v, real* x, Index count) {
  if (count >= lanes) return store(v, x);
  alignas(vector_bytes) real all[lanes];
  store(v, all);
#pragma omp simd
  for (int i = 0; i < lanes; ++i)
    if (i < count) x[i] = all[i];
}

/// sum += A·B for `depth` x rows and depth x (vectors · lanes) matrices, transposed: a(k, row) is a number, b(k) points
/// to a row.
template <int rows, int vectors>
struct Sums {
  Vector at[rows][vectors];

  // With "= {}" g++ sets them to zero in memory before it loads them.
  Sums() {
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row)
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) at[row][v] = Vector{};
  }
  /// Go on with what store() has kept.
  explicit Sums(const real* kept) {
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row)
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) at[row][v] = load(kept + (row * vectors + v) * lanes);
  }
  void store(real* to) const {
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row)
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) cpu::store(at[row][v], to + (row * vectors + v) * lanes);
  }

  [[gnu::always_inline]] void add(Index depth, const auto& a, const auto& b) {
    for (Index k = 0; k < depth; ++k) {
      const real* const from = b(k);
      Vector x[vectors];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) x[v] = load(from + v * lanes);
#pragma GCC unroll 16
      for (int row = 0; row < rows; ++row) {
        const real y = a(k, row);
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) at[row][v] += y * x[v];
      }
    }
  }
};

/// Calls body with std::integral_constant<int, count>; 1 <= count <= most.
template <int most>
void with_constant(Index count, const auto& body) {
  if constexpr (most > 1)
    if (count < most) return with_constant<most - 1>(count, body);
  body(std::integral_constant<int, most>());
}

/// Calls body(first, std::integral_constant count) for parts of 0 ... n-1, as equal as can be, none larger than `most`.
template <int most>
void for_each_part(Index n, const auto& body) {
  const Index parts = (n + most - 1) / most;
  for (Index i = 0; i < parts; ++i) {
    const Index begin = n * i / parts, end = n * (i + 1) / parts;
    with_constant<most>(end - begin, [&](auto count) { body(begin, count); });
  }
}

/// Vectors as the rows of a matrix, transposed: log₂(lanes) times each goes where a perfect shuffle, that of two halves
/// of a pack of cards, would put it, together with the numbers within.
inline void transpose(Vector (&v)[lanes]) {
  const auto interleaved = []<int... i>(Vector a, Vector b, std::integer_sequence<int, i...>) {
    constexpr int half = lanes / 2;
    return std::pair{__builtin_shufflevector(a, b, (i / 2 + i % 2 * lanes)...),
                     __builtin_shufflevector(a, b, (half + i / 2 + i % 2 * lanes)...)};
  };
#pragma GCC unroll 4
  for (int step = 1; step < lanes; step *= 2) {
    Vector shuffled[lanes];
#pragma GCC unroll 16
    for (int i = 0; i < lanes / 2; ++i)
      std::tie(shuffled[2 * i], shuffled[2 * i + 1]) =
          interleaved(v[i], v[i + lanes / 2], std::make_integer_sequence<int, lanes>());
    std::copy_n(shuffled, lanes, v);
  }
}

/// So far ahead the next pixels of each plane are asked for: a processor that reads many planes in turn does not
/// foresee it, and waited for memory a quarter of the time.
constexpr Index ahead = 4 * lanes;

/// Walks from pixel to pixel of a panel in channels-last form; after each `cols` to the next row, `pitch` pixels after
/// the one before.
template <class T>
class Walk {
 public:
  explicit Walk(T* at, Index cols = 1, Index pitch = 1) : at_(at), cols_(cols), gap_((pitch - cols) * panel) {}
  T* operator*() const { return at_; }
  void operator++() {
    at_ += panel;
    if (++col_ == cols_) at_ += gap_, col_ = 0;
  }

 private:
  T* at_;
  Index cols_, gap_, col_ = 0;
};

/// Channels become the innermost axis: of `pixels` pixels in planes that lie `stride` apart, those of at most a panel
/// of channels are written side by side along the walk, with 0 for channels that there are not. from_panel() is the way
/// back.
inline void to_panel(const real* x, Index stride, Index channels, Index pixels, const Walk<real>& to) {
  for (Index c = 0; c < panel; c += lanes) {
    Walk<real> walk = to;
    for (Index p = 0; p < pixels; p += lanes) {
      const Index n = std::min<Index>(lanes, channels - c), count = std::min<Index>(lanes, pixels - p);
      Vector block[lanes] = {};
      for (Index i = 0; i < n; ++i) {
        const real* const from = x + (c + i) * stride + p;
        __builtin_prefetch(from + ahead);
        block[i] = load(from, count);
      }
      transpose(block);
      for (Index i = 0; i < count; ++i, ++walk) store(block[i], *walk + c);
    }
  }
}
inline void from_panel(const Walk<const real>& from, real* x, Index stride, Index channels, Index pixels) {
  for (Index c = 0; c < channels; c += lanes) {
    Walk<const real> walk = from;
    for (Index p = 0; p < pixels; p += lanes) {
      const Index n = std::min<Index>(lanes, channels - c), count = std::min<Index>(lanes, pixels - p);
      Vector block[lanes] = {};
      for (Index i = 0; i < count; ++i, ++walk) block[i] = load(*walk + c);
      transpose(block);
      for (Index i = 0; i < n; ++i) {
        real* const to = x + (c + i) * stride + p;
        __builtin_prefetch(to + ahead, 1);
        store(block[i], to, count);
      }
    }
  }
}

}  // namespace bobbin::cpu
