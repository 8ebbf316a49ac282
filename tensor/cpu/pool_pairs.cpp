// Maximum pooling by windows of 2 x 2 side by side: no number is in two of them, so each is read once, in a vector
// register with those of the windows beside it, and no branch asks which is the largest:
//
//     upper row   a b a b a b a b        a a a a   b b b b        b_is = b > a, or b is NaN
//     lower row   c d c d c d c d   ->   c c c c   d d d d   ->   best = b_is ? b : a, and so on with c and d
#include "tensor/cpu/pool_pairs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tensor/parallel.h"

namespace bobbin::cpu::pairs {
namespace {

// So many windows at a time: of 16 bytes, a register that every processor has. Behind some layers images are small, and
// more would be too many.
constexpr int few = 16 / sizeof(real);
using Few = real __attribute__((vector_size(16)));

Few load(const real* x) {
  Few v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
void store(Few v, real* x) { std::memcpy(x, &v, sizeof v); }

// The left numbers of a row's pairs, and the right ones: of eight 0 2 4 6 and 1 3 5 7. And back.
std::pair<Few, Few> apart(const real* row) {
  return [ v = load(row), w = load(row + few) ]<int... i>(std::integer_sequence<int, i...>) {
    return std::pair{__builtin_shufflevector(v, w, (2 * i)...), __builtin_shufflevector(v, w, (2 * i + 1)...)};
  }
  (std::make_integer_sequence<int, few>());
}
void store_pairs(Few left, Few right, real* row) {
  [=]<int... i>(std::integer_sequence<int, i...>) {
    store(__builtin_shufflevector(left, right, (i / 2 + i % 2 * few)...), row);
    store(__builtin_shufflevector(left, right, (few / 2 + i / 2 + i % 2 * few)...), row + few);
  }
  (std::make_integer_sequence<int, few>());
}

// As in PyTorch, an equal number does not take the place of an earlier one, and NaN takes any.
auto is_larger(Few x, Few best) { return (x > best) | (x != x); }

void forward(const real* upper, const real* lower, real* y) {
  const auto [a, b] = apart(upper);
  const auto [c, d] = apart(lower);
  Few best = is_larger(b, a) ? b : a;
  best = is_larger(c, best) ? c : best;
  store(is_larger(d, best) ? d : best, y);
}

// dY goes to the largest, and 0 to the other three.
void backward(const real* upper, const real* lower, const real* dY, real* d_upper, real* d_lower) {
  const auto [a, b] = apart(upper);
  const auto [c, d] = apart(lower);
  const auto b_is = is_larger(b, a);
  const Few above = b_is ? b : a;
  const auto c_is = is_larger(c, above);
  const auto d_is = is_larger(d, c_is ? c : above);
  const Few none{}, dy = load(dY) + none;  // as a sum of its own: -0 becomes 0
  store_pairs((b_is | c_is | d_is) ? none : dy, (b_is & ~(c_is | d_is)) ? dy : none, d_upper);
  store_pairs((c_is & ~d_is) ? dy : none, d_is ? dy : none, d_lower);
}

// Calls row(first number of the upper row in x, first place in y, whether it is the last of a plane) for each row of
// windows.
void for_each_row(Index planes, const Conv2dGeometry& g, const auto& row) {
  constexpr Index grain = 1 << 15;  // numbers a thread should have at least
  const Index out_h = g.out_h(), out_w = g.out_w();
  parallel_for(planes, grain / (g.height * g.width) + 1, [=, &g, &row](Index begin, Index end) {
    for (Index plane = begin; plane < end; ++plane)
      for (Index py = 0; py < out_h; ++py)
        row((plane * g.height + 2 * py) * g.width, (plane * out_h + py) * out_w, py == out_h - 1);
  });
}

// Calls body(p) for windows p, ..., p + few - 1 of a row. The last ones may be some of those before once more, which
// come out the same.
void for_each_few(Index windows, const auto& body) {
  for (Index p = 0; p < windows; p += few) body(std::min(p, windows - few));
}

}  // namespace

bool fits(const Conv2dGeometry& g) {
  return g.kernel_h == 2 && g.kernel_w == 2 && g.stride_h == 2 && g.stride_w == 2 && g.padding_h == 0 &&
         g.padding_w == 0;
}

void max_pool2d(const real* x, real* y, Index batch, const Conv2dGeometry& g) {
  for_each_row(batch * g.channels, g, [=, width = g.width, windows = g.out_w()](Index first, Index place, bool) {
    const real *const upper = x + first, *const lower = upper + width;
    if (windows >= few)
      return for_each_few(windows, [&](Index p) { forward(upper + 2 * p, lower + 2 * p, y + place + p); });
    real rows[2][2 * few] = {}, result[few];
    std::copy_n(upper, 2 * windows, rows[0]);
    std::copy_n(lower, 2 * windows, rows[1]);
    forward(rows[0], rows[1], result);
    std::copy_n(result, windows, y + place);
  });
}

void max_pool2d_backward(const real* x, const real* dY, real* dX, Index batch, const Conv2dGeometry& g) {
  const Index height = g.height, width = g.width, windows = g.out_w();
  for_each_row(batch * g.channels, g, [=](Index first, Index place, bool is_last) {
    const real *const upper = x + first, *const lower = upper + width, *const dy = dY + place;
    real *const d_upper = dX + first, *const d_lower = d_upper + width;
    if (windows >= few) {
      for_each_few(windows,
                   [&](Index p) { backward(upper + 2 * p, lower + 2 * p, dy + p, d_upper + 2 * p, d_lower + 2 * p); });
    } else {
      real rows[2][2 * few] = {}, d_rows[2][2 * few], d_result[few] = {};
      std::copy_n(upper, 2 * windows, rows[0]);
      std::copy_n(lower, 2 * windows, rows[1]);
      std::copy_n(dy, windows, d_result);
      backward(rows[0], rows[1], d_result, d_rows[0], d_rows[1]);
      std::copy_n(d_rows[0], 2 * windows, d_upper);
      std::copy_n(d_rows[1], 2 * windows, d_lower);
    }
    if (width % 2 != 0) d_upper[width - 1] = d_lower[width - 1] = 0;
    if (is_last && height % 2 != 0) std::fill_n(d_lower + width, width, real{0});
  });
}

}  // namespace bobbin::cpu::pairs
