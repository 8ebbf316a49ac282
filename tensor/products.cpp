// Matrix products.
#include <algorithm>
#include <limits>

#include "tensor/backend.h"
#include "tensor/common.h"

namespace bobbin {
namespace {

// OpenBLAS counts rows and columns in 32 bits.
void check_countable(const char* op, std::initializer_list<Index> sizes) {
  for (const Index n : sizes)
    check(n <= std::numeric_limits<int>::max(), op, "a matrix of ", n, " rows or columns is more than BLAS can count");
}

template <class T>
MatrixOf<T> matrix(const T* numbers, const Factor& f) {
  return {numbers + f.at, f.ld, f.transposed, f.stride};
}

void multiply_rounded(const Product& p, const Factor& a, const Factor& b, const auto& c) {
  backend::gemm_rounded(p, matrix(a.x.rounded(), a), matrix(b.x.rounded(), b), c);
}

}  // namespace

void multiply(const Product& p, const Factor& a, const Factor& b, const ResultMatrix& c) {
  if (a.x.is_rounded())
    multiply_rounded(p, a, b, c);
  else
    backend::gemm(p, matrix(a.x.exact().data(), a), matrix(b.x.exact().data(), b), c);
}

void multiply(const Product& p, const Factor& a, const Factor& b, const RoundedResultMatrix& c) {
  multiply_rounded(p, a, b, c);
}

Tensor matmul(Operand a, Operand b, Transposed transposed) {
  const auto [trans_a, trans_b] = transposed;
  const Shape sa = a.shape(), sb = b.shape();
  check(a.rank() >= 2 && b.rank() >= 2, "matmul", "both operands need two axes or more, got ", sa, " x ", sb);
  const Index m = trans_a ? sa[-1] : sa[-2], k = trans_a ? sa[-2] : sa[-1];
  const Index k_b = trans_b ? sb[-1] : sb[-2], n = trans_b ? sb[-2] : sb[-1];
  check(k == k_b, "matmul", "inner sizes differ, ", k, " and ", k_b, ": ", sa, trans_a ? "ᵀ" : "", " x ", sb,
        trans_b ? "ᵀ" : "");
  check(a.rank() == 2 || b.rank() == 2 || (a.rank() == b.rank() && std::equal(sa.begin(), sa.end() - 2, sb.begin())),
        "matmul", "the leading axes differ: ", sa, " x ", sb);
  check_countable("matmul", {a.size() / k, m, n, k});
  round_alike(a, b);
  Tensor y((a.rank() == 2 ? sb : sa).with(-2, m).with(-1, n));
  const Timed timed("matmul", elements(a, b, y), 2 * elements(y) * static_cast<double>(k));
  if (b.rank() == 2 && !trans_a)  // one matrix for all rows: a single product
    multiply({a.size() / k, n, k}, {a, k}, {b, sb[-1], trans_b}, {y.data(), n});
  else
    multiply({.m = m, .n = n, .k = k, .batch = y.size() / (m * n)}, {a, sa[-1], trans_a, a.rank() == 2 ? 0 : m * k},
             {b, sb[-1], trans_b, b.rank() == 2 ? 0 : k * n}, {y.data(), n, m * n});
  return y;
}

Tensor linear(Operand x, Operand W, const Tensor& b, ReadBy readers) {
  check(x.rank() >= 1 && W.rank() == 2 && x.shape()[-1] == W.shape()[1], "linear", "the input ", x.shape(),
        " does not fit the weight ", W.shape(), ": its last axis must be ", W.rank() == 2 ? W.shape()[1] : 0);
  check(!b.defined() || b.shape() == Shape{W.shape()[0]}, "linear", "the bias ", b.shape(), " does not fit the weight ",
        W.shape());
  const Index in = W.shape()[1], out = W.shape()[0];
  const Index rows = x.size() / in;
  check_countable("linear", {rows, in, out});
  round_alike(x, W);
  Tensor y = result(x.shape().with(-1, out), x.is_rounded() ? readers : ReadBy::anyone);
  const Timed timed("linear", elements(x, W, y), 2 * static_cast<double>(y.size() * in));
  const Product p{.m = rows, .n = out, .k = in, .bias = b.defined() ? b.data() : nullptr};
  write(y, [&](auto* at) { multiply(p, {x, in}, {W, in, true}, {at, out}); });
  return y;
}

}  // namespace bobbin
