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

// The numbers of rounded operands, written out.
Tensor widened(const bfloat16* x, const Shape& shape) {
  Tensor result(shape);
  for (Index i = 0; i < shape.size(); ++i) result.data()[i] = to_float(x[i]);
  return result;
}

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

// What gemm leaves in C (m, ldc), which is NaN behind the first n columns: alpha · op(A)·op(B) + bias.
Doubles plain_gemm(const View& a, const View& b, Index m, Index n, Index k, double alpha, const real* bias, Index ldc) {
  Doubles want(static_cast<std::size_t>(m * ldc), not_a_number);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      want[static_cast<std::size_t>(i * ldc + j)] = alpha * dot(a, b, i, j, k) + (bias ? bias[j] : real{0});
  return want;
}

struct Scales {
  real alpha;
  bool bias;
};
constexpr Scales scales[] = {{1, false}, {real{0.5}, false}, {-2, true}, {1, true}};

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

// Whether these are the numbers wanted, rounded once: NaN, which no product writes, stays what it was.
void check_rounded(const Tensor& got, const Doubles& want, double tolerance) {
  const std::shared_ptr<const bfloat16> numbers = got.rounded();
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double x = to_float(numbers.get()[i]);
    CHECK((std::isnan(x) ? std::isnan(want[i]) : std::abs(x - want[i]) <= std::abs(want[i]) * 0x1p-8 + tolerance));
  }
}

// gemm and gemm_rounded of the same matrices, for all numbers of threads, against the plain loop. The operands of the
// second are those of the first rounded: it makes no other errors than of sums. Its result may be rounded, too. Of a
// long sum what is small by chance has no smaller an error than the others: about as large as the deviation of all are.
void check_gemm(const Product& p, const Tensor& a, Matrix lies_a, const Tensor& b, Matrix lies_b, Index ldc,
                double tolerance) {
  const double floor = p.k > 1000 ? std::sqrt(static_cast<double>(p.k)) / 4 * std::abs(double{p.alpha}) : 1;
  for (const bool rounded : {false, true}) {
    CAPTURE(rounded);
    Tensor A = a, B = b;
    if (rounded) {
      A = widened(a.rounded().get(), a.shape());
      B = widened(b.rounded().get(), b.shape());
    }
    Doubles want;
    for (Index i = 0; i < p.batch; ++i) {
      const Doubles part = plain_gemm({std::as_const(A).data() + i * lies_a.stride, lies_a.ld, lies_a.transposed},
                                      {std::as_const(B).data() + i * lies_b.stride, lies_b.ld, lies_b.transposed}, p.m,
                                      p.n, p.k, double{p.alpha}, p.bias, ldc);
      want.insert(want.end(), part.begin(), part.end());
    }
    with_threads([&] {
      Tensor c = Tensor::full({p.batch * p.m, ldc}, not_a_number);
      const ResultMatrix result{c.data(), ldc, p.m * ldc};
      if (rounded)
        backend::gemm_rounded(p, {a.rounded().get(), lies_a.ld, lies_a.transposed, lies_a.stride},
                              {b.rounded().get(), lies_b.ld, lies_b.transposed, lies_b.stride}, result);
      else
        backend::gemm(p, {std::as_const(a).data(), lies_a.ld, lies_a.transposed, lies_a.stride},
                      {std::as_const(b).data(), lies_b.ld, lies_b.transposed, lies_b.stride}, result);
      CHECK(error(c, want, floor) <= tolerance);
      if (!rounded) return;
      Tensor half = Tensor::of_rounded(c.shape());
      std::fill_n(half.rounded_data(), half.size(), to_bfloat16(not_a_number));
      backend::gemm_rounded(p, {a.rounded().get(), lies_a.ld, lies_a.transposed, lies_a.stride},
                            {b.rounded().get(), lies_b.ld, lies_b.transposed, lies_b.stride},
                            RoundedResultMatrix{half.rounded_data(), ldc, p.m * ldc});
      check_rounded(half, want, tolerance * floor);
    });
  }
}

}  // namespace

TEST_CASE("gemm agrees with a plain loop, for all flags, scales, leading dimensions and numbers of threads") {
  const Tensor bias = random({500}, 3);
  const auto check_size = [&](Index m, Index n, Index k) {
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    for (int flags = 0; flags < 4; ++flags) {
      CAPTURE(flags);
      const bool trans_a = flags & 1, trans_b = flags & 2;
      if (m > 1000 && trans_a) continue;  // {300, 490, 140} goes the same way, in less time
      const Scales scale = scales[(m + n + k + flags) % 4];
      const Index lda = (trans_a ? m : k) + 2, ldb = (trans_b ? k : n) + 3;
      const Tensor a = trans_a ? padded(k, m, lda, 1) : padded(m, k, lda, 1);
      const Tensor b = trans_b ? padded(n, k, ldb, 2) : padded(k, n, ldb, 2);
      check_gemm({.m = m, .n = n, .k = k, .alpha = scale.alpha, .bias = scale.bias ? bias.data() : nullptr}, a,
                 {nullptr, lda, trans_a}, b, {nullptr, ldb, trans_b}, n + 1, 64 * epsilon);
    }
  };
  for (const Index m : {1, 3, 17, 37})
    for (const Index n : {1, 3, 17, 65})
      for (const Index k : {1, 3, 17, 37}) check_size(m, n, k);
  const Index in_parts[][3] = {{129, 129, 129}, {5, 400, 130},   {400, 5, 130},    {300, 301, 3},
                               {300, 490, 140}, {230, 480, 137}, {1025, 490, 140}, {21, 13, 5003}};
  for (const auto& size : in_parts) check_size(size[0], size[1], size[2]);
}

TEST_CASE("gemm of a batch takes operands that lie apart by their strides") {
  const Tensor bias = random({500}, 3);
  const Index sizes[][4] = {{5, 1, 1, 1},       {5, 3, 17, 5},      {37, 17, 3, 37},  {7, 37, 17, 65},
                            {2, 162, 162, 161}, {2, 160, 470, 141}, {2, 40, 43, 2503}};
  for (const auto& s : sizes) {  // the last three are so large that all threads share each product
    const Index batch = s[0], m = s[1], n = s[2], k = s[3];
    for (int flags = 0; flags < 4; ++flags) {
      const bool trans_a = flags & 1, trans_b = flags & 2;
      if (m * k > 20'000 && flags != 1) continue;
      CAPTURE(m);
      CAPTURE(flags);
      const Index lda = (trans_a ? m : k) + 1, ldb = trans_b ? k : n;
      const Index stride_a = (trans_a ? k : m) * lda + 3;
      const Tensor a = random({batch * stride_a}, 6), b = random({batch, k * n}, 7);
      for (const Index stride_b : {k * n, Index{0}})  // 0: the same matrix for all
        check_gemm({m, n, k, scales[flags].alpha, batch, scales[flags].bias ? bias.data() : nullptr}, a,
                   {nullptr, lda, trans_a, stride_a}, b, {nullptr, ldb, trans_b, stride_b}, n + 2, 128 * epsilon);
    }
  }
}

TEST_CASE("gemm_rounded of attention's heads, which lie side by side in the rows of all") {
  for (const Index heads : {1, 3, 8})
    for (const Index d : {1, 5, 64}) {
      const Index T = 37, D = heads * d;
      const Tensor q = random({T, D}, 1), k = random({T, D}, 2);
      const Tensor Q = widened(q.rounded().get(), q.shape()), K = widened(k.rounded().get(), k.shape());
      Tensor scores({heads, T, T}), back({T, D});
      backend::gemm_rounded({T, T, d, real{0.125}, heads}, {q.rounded().get(), D, false, d},
                            {k.rounded().get(), D, true, d}, {scores.data(), T, T * T});
      backend::gemm_rounded({T, d, T, 1, heads}, {scores.rounded().get(), T, true, T * T},
                            {q.rounded().get(), D, false, d}, {back.data(), D, d});
      const Tensor S = widened(scores.rounded().get(), scores.shape());
      Doubles want, want_back(static_cast<std::size_t>(T * D));
      for (Index h = 0; h < heads; ++h) {
        const Doubles part = plain_gemm({std::as_const(Q).data() + h * d, D, false},
                                        {std::as_const(K).data() + h * d, D, true}, T, T, d, 0.125, nullptr, T);
        want.insert(want.end(), part.begin(), part.end());
        for (Index t = 0; t < T; ++t)
          for (Index c = 0; c < d; ++c)
            want_back[static_cast<std::size_t>(t * D + h * d + c)] = dot(
                {std::as_const(S).data() + h * T * T, T, true}, {std::as_const(Q).data() + h * d, D, false}, t, c, T);
      }
      CHECK(error(scores, want) <= 64 * epsilon);
      CHECK(error(back, want_back) <= 64 * epsilon);
    }
}

TEST_CASE("products in a precision: the scope before holds again, and what the hardware does not have is refused") {
  CHECK(ProductsIn::current() == Precision::float32);
  {
    const ProductsIn bfloat16(Precision::bfloat16);
    const ProductsIn float32(Precision::float32);
    CHECK(fails([] { const ProductsIn tf32(Precision::tf32); }, {"ProductsIn", "TF32", "CUDA=1"}));
    CHECK(ProductsIn::current() == Precision::float32);
  }
  CHECK(ProductsIn::current() == Precision::float32);
}

TEST_CASE("in bfloat16 products read their operands rounded, and nothing else is") {
  const Tensor x = random({5, 17}, 1), W = random({3, 17}, 2), b = random({3}, 3);
  const Tensor X = widened(x.rounded().get(), x.shape()), Wr = widened(W.rounded().get(), W.shape());
  const Doubles want_product = plain_matmul(X, Wr, {false, true}, 5, 3, 17, 1);
  Doubles want = want_product;
  for (std::size_t i = 0; i < want.size(); ++i) want[i] += std::as_const(b).data()[static_cast<Index>(i) % 3];
  const Operand recorded = [&] {
    const ProductsIn precision(Precision::bfloat16);
    CHECK(error(linear(x, W, b), want) <= 64 * epsilon);
    CHECK(error(matmul(x, W, {false, true}), want_product) <= 64 * epsilon);
    return Operand(x);
  }();
  CHECK(recorded.only_rounded());
  CHECK_FALSE(Operand(x).only_rounded());
  CHECK(error(matmul(recorded, Operand(W), {false, true}), want_product) <=
        64 * epsilon);                                             // a rounded factor rounds both
  CHECK(error(matmul(x, W, {false, true}), want_product) > 1e-4);  // float32 again
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
  CHECK(refuses({2, 3, 4}, {3, 4, 5}, {}, "leading axes (2) and (3)", "2 against 3"));
  CHECK(refuses({4}, {3, 5}, {}, "4 and 3", "(3, 5)"));
  CHECK(refuses({2, 3}, {2}, {}, "3 and 2", "(2, 3)"));
  CHECK(refuses({}, {2}, {}, "an axis or more", "() x (2)"));
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
