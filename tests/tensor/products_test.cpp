// Matrix products against plain loops in double.
#include "tensor/backend.h"
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).normal(shape, 0, real{0.5}); }

// A matrix in memory: element (i, j) of op(X).
struct View {
  const real* x;
  Index ld;
  bool trans;
  double operator()(Index i, Index j) const { return trans ? x[j * ld + i] : x[i * ld + j]; }
};

double dot(const View& a, const View& b, Index i, Index j, Index k) {
  double total = 0;
  for (Index l = 0; l < k; ++l) total += a(i, l) * b(l, j);
  return total;
}

// A tensor of NaN but for the first `cols` of each `ld` numbers in a row.
Tensor padded(Index rows, Index cols, Index ld, std::uint64_t seed) {
  Tensor x = Tensor::full({rows, ld}, not_a_number);
  if (cols == 0) return x;
  const Tensor numbers = random({rows, cols}, seed);
  for (Index i = 0; i < rows; ++i) std::copy_n(numbers.data() + i * cols, cols, x.data() + i * ld);
  return x;
}

// What gemm leaves in C (m, ldc), which is NaN behind the first n columns.
Doubles plain_gemm(const View& a, const View& b, Index m, Index n, Index k, double alpha, double beta, const real* c,
                   Index ldc) {
  Doubles want(c, c + m * ldc);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      double& w = want[static_cast<std::size_t>(i * ldc + j)];
      w = alpha * dot(a, b, i, j, k) + (beta == 0 ? 0 : beta * w);
    }
  return want;
}

struct Scales {
  double alpha, beta;
};
constexpr Scales scales[] = {{1, 0}, {0.5, 0}, {-2, 1}, {1, 0.5}};

// op(a)·op(b) of the matrices number i of a and b; an operand of rank 2 has one only.
Doubles plain_matmul(const Tensor& a, const Tensor& b, Transposed t, Index m, Index n, Index k, Index batch) {
  Doubles want;
  for (Index i = 0; i < batch; ++i) {
    const View va{a.data() + (a.rank() == 2 ? 0 : i * m * k), a.shape()[-1], t.trans_a};
    const View vb{b.data() + (b.rank() == 2 ? 0 : i * k * n), b.shape()[-1], t.trans_b};
    for (Index r = 0; r < m; ++r)
      for (Index c = 0; c < n; ++c) want.push_back(dot(va, vb, r, c, k));
  }
  return want;
}

}  // namespace

TEST_CASE("gemm agrees with a plain loop, for all flags, scales and leading dimensions") {
  double worst = 0;
  for (const Index m : {1, 3, 17, 37})
    for (const Index n : {1, 3, 17, 65})
      for (const Index k : {1, 3, 17, 37})
        for (int flags = 0; flags < 4; ++flags) {
          const bool trans_a = flags & 1, trans_b = flags & 2;
          const Scales scale = scales[(m + n + k) % 4];
          const Index lda = (trans_a ? m : k) + 2, ldb = (trans_b ? k : n) + 3, ldc = n + 1;
          const Tensor a = trans_a ? padded(k, m, lda, 1) : padded(m, k, lda, 1);
          const Tensor b = trans_b ? padded(n, k, ldb, 2) : padded(k, n, ldb, 2);
          Tensor c = padded(m, scale.beta == 0 ? 0 : n, ldc, 3);  // with beta = 0, NaN must be overwritten
          const Doubles want = plain_gemm({a.data(), lda, trans_a}, {b.data(), ldb, trans_b}, m, n, k, scale.alpha,
                                          scale.beta, c.data(), ldc);
          backend::gemm({m, n, k, static_cast<real>(scale.alpha), static_cast<real>(scale.beta)},
                        {a.data(), lda, trans_a}, {b.data(), ldb, trans_b}, {c.data(), ldc});
          worst = std::max(worst, error(c, want));
        }
  CHECK(worst <= 64 * epsilon);
}

TEST_CASE("products in a precision: the scope before holds again, and what the hardware does not have is refused") {
  CHECK(ProductsIn::current() == Precision::float32);
  const ProductsIn fp32(Precision::float32);
  CHECK(fails([] { const ProductsIn tf32(Precision::tf32); }, {"ProductsIn", "TF32", "CUDA=1"}));
  CHECK(ProductsIn::current() == Precision::float32);
}

TEST_CASE("gemm in parts, by rows and by columns, for any number of threads") {
  const Index sizes[][3] = {{129, 129, 129}, {5, 400, 130}, {400, 5, 130}, {300, 301, 3}};
  for (const auto& size : sizes)
    for (int flags = 0; flags < 4; ++flags) {
      const bool trans_a = flags & 1, trans_b = flags & 2;
      const Index m = size[0], n = size[1], k = size[2];  // clang 14 captures no structured binding
      CAPTURE(m);
      CAPTURE(flags);
      const Index lda = (trans_a ? m : k) + 2, ldb = (trans_b ? k : n) + 3, ldc = n + 1;
      const Tensor a = trans_a ? padded(k, m, lda, 4) : padded(m, k, lda, 4);
      const Tensor b = trans_b ? padded(n, k, ldb, 5) : padded(k, n, ldb, 5);
      const Tensor before = padded(m, 0, ldc, 6);
      const Doubles want =
          plain_gemm({a.data(), lda, trans_a}, {b.data(), ldb, trans_b}, m, n, k, 1, 0, before.data(), ldc);
      with_threads([&] {
        Tensor c = before.clone();
        backend::gemm({m, n, k}, {a.data(), lda, trans_a}, {b.data(), ldb, trans_b}, {c.data(), ldc});
        CHECK(error(c, want) <= 64 * epsilon);
      });
    }
}

TEST_CASE("gemm of a batch takes operands that lie apart by their strides") {
  const Index sizes[][4] = {{5, 1, 1, 1}, {5, 3, 17, 5}, {37, 17, 3, 37}, {7, 37, 17, 65}, {2, 162, 162, 161}};
  for (const auto& s : sizes) {  // the last one is so large that all threads share each product
    const Index batch = s[0], m = s[1], n = s[2], k = s[3];
    for (int flags = 0; flags < 4; ++flags) {
      const bool trans_a = flags & 1, trans_b = flags & 2;
      if (m > 100 && flags != 1) continue;
      CAPTURE(m);
      CAPTURE(flags);
      const Index lda = (trans_a ? m : k) + 1, ldb = trans_b ? k : n, ldc = n + 2;
      const Index stride_a = (trans_a ? k : m) * lda + 3, stride_c = m * ldc;
      const Tensor a = random({batch * stride_a}, 6), b = random({batch, k * n}, 7);
      for (const Index stride_b : {k * n, Index{0}}) {  // 0: the same matrix for all
        const Scales scale = scales[flags];
        const Tensor before = padded(batch * m, scale.beta == 0 ? 0 : n, ldc, 8);
        Doubles want;
        for (Index i = 0; i < batch; ++i) {
          const Doubles part =
              plain_gemm({a.data() + i * stride_a, lda, trans_a}, {b.data() + i * stride_b, ldb, trans_b}, m, n, k,
                         scale.alpha, scale.beta, before.data() + i * stride_c, ldc);
          want.insert(want.end(), part.begin(), part.end());
        }
        with_threads([&] {
          Tensor c = before.clone();
          backend::gemm({m, n, k, static_cast<real>(scale.alpha), static_cast<real>(scale.beta), batch},
                        {a.data(), lda, trans_a, stride_a}, {b.data(), ldb, trans_b, stride_b},
                        {c.data(), ldc, stride_c});
          CHECK(error(c, want) <= 128 * epsilon);
        });
      }
    }
  }
}

TEST_CASE("matmul for all ranks and transposes") {
  const Index sizes[][3] = {{1, 1, 1}, {3, 17, 5}, {17, 1, 37}, {37, 65, 3}};
  const Shape leads[] = {{1, 1}, {3, 1, 1}, {2, 3, 1, 1}, {2, 1, 2, 3, 1, 1}};
  for (const auto& [m, n, k] : sizes)
    for (int flags = 0; flags < 4; ++flags)
      for (const Shape& lead : leads)
        for (int flat = 0; flat < 3; ++flat) {  // 0: both have the leading axes, 1: b is one matrix, 2: a is
          const Transposed t{(flags & 1) != 0, (flags & 2) != 0};
          const Shape flat_shape{1, 1};
          const Shape sa = (flat == 2 ? flat_shape : lead).with(-2, t.trans_a ? k : m).with(-1, t.trans_a ? m : k);
          const Shape sb = (flat == 1 ? flat_shape : lead).with(-2, t.trans_b ? n : k).with(-1, t.trans_b ? k : n);
          CAPTURE(sa);
          CAPTURE(sb);
          CAPTURE(flags);
          const Tensor a = random(sa, 9), b = random(sb, 10), y = matmul(a, b, t);
          CHECK(y.shape() == lead.with(-2, m).with(-1, n));
          CHECK(error(y, plain_matmul(a, b, t, m, n, k, lead.size())) <= 64 * epsilon);
        }
}

TEST_CASE("a NaN in a product stays in its row or column") {
  Tensor a = random({3, 17}, 11);
  const Tensor b = random({17, 5}, 12);
  a.data()[17 + 4] = not_a_number;
  const Tensor y = matmul(a, b);
  for (Index i = 0; i < 15; ++i) CHECK(std::isnan(y.data()[i]) == (i / 5 == 1));
}

TEST_CASE("matmul refuses what does not fit") {
  const auto refuses = [](const Shape& a, const Shape& b, Transposed t, const std::string& sa, const std::string& sb) {
    return fails([&] { matmul(Tensor::ones(a), Tensor::ones(b), t); }, {"[matmul]", sa, sb});
  };
  CHECK(refuses({2, 3}, {4, 5}, {}, "(2, 3)", "(4, 5)"));
  CHECK(refuses({2, 3}, {3, 5}, {true, false}, "(2, 3)", "(3, 5)"));
  CHECK(refuses({2, 3}, {3, 5}, {false, true}, "(2, 3)", "(3, 5)"));
  CHECK(refuses({2, 3, 4}, {3, 4, 5}, {}, "(2, 3, 4)", "(3, 4, 5)"));
  CHECK(refuses({2, 2, 3, 4}, {2, 4, 5}, {}, "(2, 2, 3, 4)", "(2, 4, 5)"));
  CHECK(refuses({3}, {3, 5}, {}, "(3)", "(3, 5)"));
  CHECK(refuses({2, 3}, {3}, {}, "(2, 3)", "(3)"));
}

TEST_CASE("linear is x times the transposed weight, plus the bias") {
  for (const Shape& lead : {Shape{1}, Shape{3, 1}, Shape{65, 1}, Shape{2, 3, 1}, Shape{2, 3, 5, 1}})
    for (const auto& [in, out] : {std::pair<Index, Index>{1, 1}, {17, 37}, {37, 3}}) {
      const Tensor x = random(lead.with(-1, in), 13), W = random({out, in}, 14), b = random({out}, 15);
      Doubles want = plain_matmul(x.reshape({lead.size(), in}), W, {false, true}, lead.size(), out, in, 1);
      CHECK(linear(x, W, Tensor()).shape() == lead.with(-1, out));
      CHECK(error(linear(x, W, Tensor()), want) <= 64 * epsilon);
      for (std::size_t i = 0; i < want.size(); ++i) want[i] += b.data()[static_cast<Index>(i) % out];
      CHECK(linear(x, W, b).shape() == lead.with(-1, out));
      CHECK(error(linear(x, W, b), want) <= 64 * epsilon);
    }
  const Tensor x = Tensor::ones({2, 3}), W = Tensor::ones({5, 3});
  CHECK(fails([&] { linear(x, Tensor::ones({3, 5}), Tensor()); }, {"[linear]", "(2, 3)", "(3, 5)"}));
  CHECK(fails([&] { linear(x, Tensor::ones({3}), Tensor()); }, {"[linear]", "(2, 3)", "(3)"}));
  CHECK(fails([&] { linear(x, W, Tensor::ones({3})); }, {"[linear]", "(3)", "(5, 3)"}));
  CHECK(fails([&] { linear(Tensor::scalar(1), W, Tensor()); }, {"[linear]", "()", "(5, 3)"}));
}
