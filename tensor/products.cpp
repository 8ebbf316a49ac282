// Matrix products.
#include <algorithm>
#include <limits>
#include <vector>

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
  if (a.x.only_rounded())
    multiply_rounded(p, a, b, c);
  else
    backend::gemm(p, matrix(a.x.exact().data(), a), matrix(b.x.exact().data(), b), c);
}

void multiply(const Product& p, const Factor& a, const Factor& b, const RoundedResultMatrix& c) {
  multiply_rounded(p, a, b, c);
}

// A vector is a row on the left and a column on the right, and its axis of size 1 goes away again.
Tensor matmul(Operand a, Operand b, Transposed transposed, ReadBy readers) {
  const bool trans_a = transposed.trans_a, trans_b = transposed.trans_b;
  const Shape sa = a.shape(), sb = b.shape();
  check(a.rank() >= 1 && b.rank() >= 1, "matmul", "both operands need an axis or more, got ", sa, " x ", sb);
  if (a.rank() == 1) {
    const Tensor y = matmul(a.reshape({1, a.size()}), b, {false, trans_b}, readers);
    return y.reshape(y.shape().without(b.rank() == 1 ? -1 : -2));
  }
  if (b.rank() == 1) {
    const Tensor y = matmul(a, b.reshape({b.size(), 1}), {trans_a, false}, readers);
    return y.reshape(y.shape().without(-1));
  }
  const Index m = trans_a ? sa[-1] : sa[-2], k = trans_a ? sa[-2] : sa[-1];
  const Index k_b = trans_b ? sb[-1] : sb[-2], n = trans_b ? sb[-2] : sb[-1];
  check(k == k_b, "matmul", "inner sizes differ, ", k, " and ", k_b, ": ", sa, trans_a ? "ᵀ" : "", " x ", sb,
        trans_b ? "ᵀ" : "");
  const Shape batch_a(sa.begin(), a.rank() - 2), batch_b(sb.begin(), b.rank() - 2);
  const Shape batch = broadcast("matmul", batch_a, batch_b, "leading axes");
  std::vector<Index> sizes(batch.begin(), batch.end());
  sizes.insert(sizes.end(), {m, n});
  const Shape shape(sizes.data(), batch.rank() + 2);
  if (shape.size() == 0 || k == 0) return Tensor::zeros(shape);
  check_countable("matmul", {a.size() / k, m, n, k});
  round_alike(a, b);
  Tensor y = result(shape, a.only_rounded() ? readers : ReadBy::anyone);
  const Timed timed("matmul", elements(a, b, y), 2 * static_cast<double>(y.size() * k));
  if (batch_b.size() == 1 && !trans_a) {  // one matrix for all rows: a single product
    write(y, [&](auto* at) { multiply({a.size() / k, n, k}, {a, k}, {b, sb[-1], trans_b}, {at, n}); });
    return y;
  }
  // As an elementwise function of the two would walk: the matrices of the innermost loop lie evenly.
  const Broadcast walk = plan(batch, batch_a, batch_b);
  const int inner = walk.rank - 1;
  const Index each = walk.size[inner];
  for (Index i = 0; i < batch.size() / each; ++i) {
    Index rest = i, at_a = 0, at_b = 0;
    for (int axis = inner - 1; axis >= 0; --axis) {
      at_a += rest % walk.size[axis] * walk.stride_a[axis];
      at_b += rest % walk.size[axis] * walk.stride_b[axis];
      rest /= walk.size[axis];
    }
    write(y, [&](auto* at) {
      multiply({.m = m, .n = n, .k = k, .batch = each},
               {a, sa[-1], trans_a, walk.stride_a[inner] * m * k, at_a * m * k},
               {b, sb[-1], trans_b, walk.stride_b[inner] * k * n, at_b * k * n}, {at + i * each * m * n, n, m * n});
    });
  }
  return y;
}

Tensor linear(Operand x, Operand W, const Tensor& b, ReadBy readers) {
  check(x.rank() >= 1 && W.rank() == 2 && x.shape()[-1] == W.shape()[1], "linear", "the input ", x.shape(),
        " does not fit the weight ", W.shape(), ": its last axis must be ", W.rank() == 2 ? W.shape()[1] : 0);
  check(!b.defined() || b.shape() == Shape{W.shape()[0]}, "linear", "the bias ", b.shape(), " does not fit the weight ",
        W.shape());
  const Index in = W.shape()[1], out = W.shape()[0];
  const Index rows = rows_of(x.shape());
  check_countable("linear", {rows, in, out});
  if (x.size() == 0 || out == 0) {
    const Tensor zeros = Tensor::zeros(x.shape().with(-1, out));
    return b.defined() ? zeros + b : zeros;
  }
  round_alike(x, W);
  Tensor y = result(x.shape().with(-1, out), x.only_rounded() ? readers : ReadBy::anyone);
  const Timed timed("linear", elements(x, W, y), 2 * static_cast<double>(y.size() * in));
  const Product p{.m = rows, .n = out, .k = in, .bias = b.defined() ? b.data() : nullptr};
  write(y, [&](auto* at) { multiply(p, {x, in}, {W, in, true}, {at, out}); });
  return y;
}

}  // namespace bobbin
