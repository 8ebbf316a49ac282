// Matrix products and attention against plain loops in double.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "tensor/backend.h"
#include "tensor/functions.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Limits = std::numeric_limits<real>;
using Doubles = std::vector<double>;
constexpr double epsilon = Limits::epsilon();
constexpr real not_a_number = Limits::quiet_NaN();

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

struct Case {
  Index batch, heads, queries, keys, head_size;
};

// Attention, one number at a time.
struct PlainAttention {
  Doubles y, weights, dQ, dK, dV;

  PlainAttention(const Case& s, const Tensor& Q, const Tensor& K, const Tensor& V, const std::vector<int>& lens,
                 double p, Draw draw, const Tensor& dY) {
    const auto& [B, H, Tq, Tk, d] = s;
    const Index D = H * d;
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    y.resize(at(B * Tq * D));
    dQ.resize(y.size());
    dK.resize(at(B * Tk * D));
    dV.resize(dK.size());
    for (Index b = 0; b < B; ++b)
      for (Index h = 0; h < H; ++h)
        for (Index t = 0; t < Tq; ++t) {
          const auto query = [&, b = b, h = h, Tq = Tq, d = d](Index c) { return (b * Tq + t) * D + h * d + c; };
          const auto key = [&, b = b, h = h, Tk = Tk, d = d](Index u, Index c) { return (b * Tk + u) * D + h * d + c; };
          Index len = Tk;
          if (!lens.empty()) len = static_cast<Index>(lens.size()) == B ? lens[at(b)] : lens[at(b * Tq + t)];
          len = std::min(len, Tk);
          Doubles w(at(Tk), len <= 0 ? 1. / static_cast<double>(Tk) : 0.), dS(at(Tk));
          double total = 0;
          for (Index u = 0; u < len; ++u) {
            double score = 0;
            for (Index c = 0; c < d; ++c) score += double{Q.data()[query(c)]} * K.data()[key(u, c)];
            total += w[at(u)] = std::exp(score / std::sqrt(d));
          }
          for (Index u = 0; u < len; ++u) w[at(u)] /= total;
          double sum = 0;
          for (Index u = 0; u < Tk; ++u) {
            const Index i = static_cast<Index>(weights.size());  // in (B, H, Tq, Tk)
            const bool stays = draw.block(static_cast<std::uint64_t>(i / 4))[at(i % 4)] >= std::ldexp(p, 32);
            const double scale = stays ? 1 / (1 - p) : 0;
            weights.push_back(w[at(u)]);
            double dP = 0;
            for (Index c = 0; c < d; ++c) {
              y[at(query(c))] += scale * w[at(u)] * V.data()[key(u, c)];
              dV[at(key(u, c))] += scale * w[at(u)] * dY.data()[query(c)];
              dP += scale * V.data()[key(u, c)] * dY.data()[query(c)];
            }
            dS[at(u)] = dP;
            sum += w[at(u)] * dP;
          }
          for (Index u = 0; u < len; ++u) {
            const double g = w[at(u)] * (dS[at(u)] - sum) / std::sqrt(d);
            for (Index c = 0; c < d; ++c) {
              dQ[at(query(c))] += g * K.data()[key(u, c)];
              dK[at(key(u, c))] += g * Q.data()[query(c)];
            }
          }
        }
  }
};

void check_attention(const Case& s, const std::vector<int>& lens, double wanted_p) {
  const auto& [B, H, Tq, Tk, d] = s;
  const Tensor Q = random({B, Tq, H * d}, 1) * real{2}, K = random({B, Tk, H * d}, 2) * real{2};
  const Tensor V = random({B, Tk, H * d}, 3), dY = random({B, Tq, H * d}, 4);
  const real p = static_cast<real>(wanted_p);
  const Draw draw = Rng(5).draw();
  const PlainAttention want(s, Q, K, V, lens, p, draw, dY);
  const int heads = static_cast<int>(H);
  with_threads([&, B = B, H = H, Tq = Tq, Tk = Tk] {
    const Attended got = attention(Q, K, V, heads, lens, p, draw);
    CHECK(got.y.shape() == Q.shape());
    if (got.kept.shape() == Shape{B, H, Tq, Tk}) CHECK(error(got.kept, want.weights) <= 16 * epsilon);
    CHECK(error(got.y, want.y) <= 64 * epsilon);
    const AttentionGradients back = attention_backward(Q, K, V, heads, lens, p, draw, got, dY);
    CHECK(back.dqueries.shape() == Q.shape());
    CHECK(back.dkeys.shape() == K.shape());
    CHECK(back.dvalues.shape() == V.shape());
    CHECK(error(back.dqueries, want.dQ) <= 128 * epsilon);
    CHECK(error(back.dkeys, want.dK) <= 128 * epsilon);
    CHECK(error(back.dvalues, want.dV) <= 128 * epsilon);
  });
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
  CHECK(ProductsIn::current() == Precision::fp32);
  const ProductsIn fp32(Precision::fp32);
  CHECK(fails([] { const ProductsIn tf32(Precision::tf32); }, {"ProductsIn", "TF32", "CUDA=1"}));
  CHECK(ProductsIn::current() == Precision::fp32);
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

TEST_CASE("attention and its way back agree with a plain loop") {
  const Case cases[] = {{1, 1, 1, 1, 1},    {2, 3, 5, 5, 4},  {3, 2, 5, 7, 3}, {2, 4, 17, 3, 8},
                        {1, 3, 37, 65, 17}, {5, 1, 1, 17, 2}, {3, 3, 3, 3, 1}};
  for (const Case& s : cases) {
    CAPTURE(s.batch);
    CAPTURE(s.queries);
    CAPTURE(s.keys);
    std::vector<int> images, queries;  // zero, negative, and beyond the keys: all occur
    for (Index b = 0; b < s.batch; ++b) images.push_back(static_cast<int>((b + 1) * 2 % (s.keys + 3)));
    for (Index i = 0; i < s.batch * s.queries; ++i) queries.push_back(static_cast<int>(i * 3 % (s.keys + 4) - 1));
    // With p > 0 the masks of most heads do not start at a whole block of four words.
    for (const double p : {0.0, 0.1, 0.7}) {
      CAPTURE(p);
      check_attention(s, {}, p);
      check_attention(s, images, p);
      check_attention(s, queries, p);
      check_attention(s, std::vector<int>(static_cast<std::size_t>(s.batch), 0), p);
    }
  }
}

TEST_CASE("attention's heads see their own columns only, and masked keys do not matter") {
  const Tensor Q = random({2, 5, 6}, 16), V = random({2, 5, 6}, 17);
  Tensor K = random({2, 5, 6}, 18);
  const Tensor before = attention(Q, K, V, 3, {3, 5}, 0, {}).y.clone();
  for (Index c = 0; c < 6; ++c) K.data()[3 * 6 + c] = 100;  // the fourth key of the first image
  CHECK(attention(Q, K, V, 3, {3, 5}, 0, {}).y.values() == before.values());
  K.data()[0] = 100;  // the first head of the first image
  const Tensor after = attention(Q, K, V, 3, {3, 5}, 0, {}).y;
  for (Index i = 0; i < after.size(); ++i)
    if (i >= 30 || i % 6 >= 2) CHECK(after.data()[i] == before.data()[i]);
  // Scores far beyond the range of exp.
  const Tensor large = attention(Q * real{1e4}, K * real{1e4}, V, 3, {}, 0, {}).y;
  for (const real value : large.values()) CHECK(std::abs(value) <= 1);
  K.data()[0] = not_a_number;
  const Tensor bad = attention(Q, K, V, 3, {}, 0, {}).y;
  for (Index i = 0; i < bad.size(); ++i) CHECK(std::isnan(bad.data()[i]) == (i < 30 && i % 6 < 2));
}

TEST_CASE("attention refuses what does not fit") {
  const Tensor Q = Tensor::ones({2, 3, 4}), K = Tensor::ones({2, 5, 4}), wrong = Tensor::ones({2, 5, 6});
  const std::vector<int> none;
  const auto refuses = [](const Tensor& q, const Tensor& k, const Tensor& v, int heads, const std::vector<int>& lens,
                          real p, std::vector<std::string> parts) {
    parts.emplace_back("[attention]");
    return fails([&] { attention(q, k, v, heads, lens, p, {}); }, parts);
  };
  CHECK(refuses(Q, K, wrong, 2, none, 0, {"(2, 3, 4)", "(2, 5, 4)", "(2, 5, 6)"}));
  CHECK(refuses(Q, wrong, wrong, 2, none, 0, {"(2, 3, 4)", "(2, 5, 6)"}));
  CHECK(refuses(Q, Tensor::ones({3, 5, 4}), Tensor::ones({3, 5, 4}), 2, none, 0, {"(2, 3, 4)", "(3, 5, 4)"}));
  CHECK(refuses(Q[0], K[0], K[0], 2, none, 0, {"(3, 4)", "(5, 4)"}));
  CHECK(refuses(Q, K, K, 3, none, 0, {"3 heads", "(2, 3, 4)"}));
  CHECK(refuses(Q, K, K, 0, none, 0, {"0 heads", "(2, 3, 4)"}));
  CHECK(refuses(Q, K, K, 2, {1, 2, 3}, 0, {"valid_lens", "2", "6", "got 3"}));
  CHECK(refuses(Q, K, K, 2, none, 1, {"[0, 1)"}));

  const Attended forward = attention(Q, K, K, 2, {}, 0, {});
  const auto backward_refuses = [](const Tensor& q, const Tensor& k, const Attended& forward, const Tensor& dY,
                                   const std::vector<int>& lens, std::vector<std::string> parts) {
    parts.emplace_back("[attention_backward]");
    return fails([&] { attention_backward(q, k, k, 2, lens, 0, {}, forward, dY); }, parts);
  };
  CHECK(backward_refuses(Q, K, forward, K, none, {"(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(backward_refuses(Q, K, {Q, Tensor::ones({2, 2, 5, 3})}, Q, none, {"(2, 2, 5, 3)", "(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(backward_refuses(Q, K, {Q, forward.kept[0]}, Q, none, {"does not fit", "(2, 5, 4)"}));
  CHECK(backward_refuses(Q, K, {K, forward.kept}, Q, none, {"y (2, 5, 4)", "(2, 3, 4)"}));
  CHECK(backward_refuses(Q, wrong, forward, Q, none, {"(2, 3, 4)", "(2, 5, 6)"}));
  CHECK(backward_refuses(Q, K, forward, Q, {1, 2, 3}, {"valid_lens", "got 3"}));
}
