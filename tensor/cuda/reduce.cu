// Sums and the like. The blocks of a grid come in no order, so none can add to what another one has left. Instead
// numbers are cut into pieces of a fixed size, a warp reduces a piece, and what the pieces gave is reduced in the same
// way, until one number is left: the same result on every GPU. The errors of the additions grow with the logarithm of
// their count.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/cuda/columns.h"

namespace bobbin::cuda {

constexpr Index piece = 1024;  // numbers for a warp: 32 for each of its lanes
constexpr real infinity = std::numeric_limits<real>::infinity();

__host__ __device__ constexpr Index pieces_of(Index n) { return (n + piece - 1) / piece; }

// What a warp works on: a piece of one of `rows` rows of n numbers, the numbers begin ... end-1 of the row.
struct Piece {
  Index number, row, begin, end;

  __device__ explicit Piece(Index n)
      : number(warp_number()),
        row(number / pieces_of(n)),
        begin(number % pieces_of(n) * piece),
        end(min(begin + piece, n)) {}
};

struct Itself {
  template <class T>
  __device__ T operator()(T x) const {
    return x;
  }
  __device__ real operator()(bfloat16 x) const { return to_real(x); }
};
struct Square {
  __device__ double operator()(real x) const { return double{x} * x; }
};

// x (rows, n) -> y (rows, pieces): Σ f(x) of each piece.
template <class F, class In, class Out>
__global__ void sum_pieces_kernel(F f, const In* x, Out* y, Index rows, Index n) {
  const Piece p(n);
  if (p.row >= rows) return;  // the whole warp
  Out sum = 0;
  for (Index i = p.begin + threadIdx.x; i < p.end; i += warp_size) sum += f(x[p.row * n + i]);
  sum = warp_sum(sum);
  if (threadIdx.x == 0) y[p.number] = sum;
}

// x (outer, n, inner) -> y (outer, pieces, inner), where inner > 1. A block takes `column_piece` rows of a stripe of 32
// columns, or, with count = 4, of 32 times four.
constexpr Index column_piece = 128;

template <int count, class X>
__global__ void sum_columns_kernel(const X* x, real* y, Index n, Index inner, Index pieces, Index stripes) {
  const Index number = blockIdx.x / stripes, outer = number / pieces;  // of the piece, among those of all `outer`
  const Index column = (blockIdx.x % stripes * warp_size + threadIdx.x) * count;
  const Index begin = number % pieces * column_piece, end = column < inner ? min(begin + column_piece, n) : begin;
  x += outer * n * inner + column;
  const Neighbours<real, count> sum = sum_over_rows(begin, end, [=](Index row) {
    const Neighbours<X, count> numbers = read<count>(x + row * inner);
    Neighbours<real, count> terms;
    for (int j = 0; j < count; ++j) terms.at[j] = to_real(numbers.at[j]);
    return terms;
  });
  if (threadIdx.y == 0 && column < inner) write(y + number * inner + column, sum);
}

// A number and its column; before() says which of two argmax finds: the larger one, where NaN is larger than all, and
// of equal ones the first.
struct At {
  real x;
  Index column;

  __device__ bool before(const At& other) const {
    if (std::isnan(x)) return !std::isnan(other.x) || column < other.column;
    return x > other.x || (x == other.x && column < other.column);
  }
};

__global__ void argmax_kernel(const real* x, int* y, Index rows, Index cols) {
  const Index row = warp_number();
  if (row >= rows) return;
  x += row * cols;
  At largest{-infinity, cols};
  for (Index c = threadIdx.x; c < cols; c += warp_size)
    if (const At next{x[c], c}; next.before(largest)) largest = next;
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    const At other{__shfl_xor_sync(0xffffffff, largest.x, distance),
                   __shfl_xor_sync(0xffffffff, largest.column, distance)};
    if (other.before(largest)) largest = other;
  }
  if (threadIdx.x == 0) y[row] = static_cast<int>(largest.column);
}

struct RangeOfNumber {
  __device__ Range operator()(real x) const {
    if (std::isnan(x)) return {infinity, -infinity, 1, 0};
    if (std::isinf(x)) return {infinity, -infinity, 0, 1};
    return {x, x, 0, 0};
  }
};

__device__ Range both(const Range& a, const Range& b) {
  return {min(a.min, b.min), max(a.max, b.max), a.nan + b.nan, a.inf + b.inf};
}

// x (n) -> y (pieces): the range of f(x) over each piece.
template <class F, class In>
__global__ void range_kernel(F f, const In* x, Range* y, Index n) {
  const Piece p(n);
  if (p.row >= 1) return;
  Range range{infinity, -infinity, 0, 0};
  for (Index i = p.begin + threadIdx.x; i < p.end; i += warp_size) range = both(range, f(x[i]));
  for (int distance = warp_size / 2; distance > 0; distance /= 2)
    range = both(range,
                 {__shfl_xor_sync(0xffffffff, range.min, distance), __shfl_xor_sync(0xffffffff, range.max, distance),
                  __shfl_xor_sync(0xffffffff, range.nan, distance), __shfl_xor_sync(0xffffffff, range.inf, distance)});
  if (threadIdx.x == 0) y[p.number] = range;
}

namespace {

// x (rows, n) -> y (rows).
template <class F, class In, class Out>
void sum_rows(const F& f, const In* x, Out* y, Index rows, Index n) {
  const Index pieces = pieces_of(n);
  const auto partial = pieces > 1 ? scratch<Out>(rows * pieces) : nullptr;
  launch("sum", sum_pieces_kernel<F, In, Out>, blocks(rows * pieces, warps), block_of_warps, f, x,
         pieces > 1 ? partial.get() : y, rows, n);
  if (pieces > 1) sum_rows(Itself{}, partial.get(), y, rows, pieces);
}

template <class F, class In>
Range range_of(const F& f, const In* x, Index n) {
  const Index pieces = pieces_of(n);
  const auto parts = scratch<Range>(pieces);
  launch("range", range_kernel<F, In>, blocks(pieces, warps), block_of_warps, f, x, parts.get(), n);
  if (pieces > 1) return range_of(Itself{}, parts.get(), pieces);
  Range result;
  download(parts.get(), &result, 1);
  return result;
}

}  // namespace

template <class X>
void sum(const X* x, real* y, Index outer, Index n, Index inner) {
  if (inner == 1) return sum_rows(Itself{}, x, y, outer, n);
  const bool fours = inner % 4 == 0 && aligned(x) && aligned(y);
  const Index stripe = fours ? 4 * warp_size : warp_size, stripes = (inner + stripe - 1) / stripe;
  const Index pieces = (n + column_piece - 1) / column_piece;
  const auto partial = pieces > 1 ? scratch<real>(outer * pieces * inner) : nullptr;
  launch("sum", fours ? sum_columns_kernel<4, X> : sum_columns_kernel<1, X>, blocks(outer * pieces * stripes, 1),
         block_of_warps, x, pieces > 1 ? partial.get() : y, n, inner, pieces, stripes);
  if (pieces > 1) sum<real>(partial.get(), y, outer, pieces, inner);
}
template void sum(const real*, real*, Index, Index, Index);
template void sum(const bfloat16*, real*, Index, Index, Index);

void norms(const std::vector<const real*>& x, const std::vector<Index>& n, double* y) {
  const auto squares = scratch<double>(static_cast<Index>(x.size()));
  for (std::size_t k = 0; k < x.size(); ++k) sum_rows(Square{}, x[k], squares.get() + k, 1, n[k]);
  download(squares.get(), y, static_cast<Index>(x.size()));
  for (std::size_t k = 0; k < x.size(); ++k) y[k] = std::sqrt(y[k]);
}

void argmax(const real* x, int* y, Index rows, Index cols) {
  const auto columns = scratch<int>(rows);
  launch("argmax", argmax_kernel, blocks(rows, warps), block_of_warps, x, columns.get(), rows, cols);
  download(columns.get(), y, rows);
}

Range range(const real* x, Index n) { return range_of(RangeOfNumber{}, x, n); }

}  // namespace bobbin::cuda
