// Attention against a plain loop in double.
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

Tensor random(const Shape& shape, std::uint64_t seed) { return Rng(seed).normal(shape, 0, real{0.5}); }

struct Case {
  Index batch, heads, queries, keys, head_size;
};

double unchanged(double x) { return x; }
double in_bfloat16(double x) { return to_float(to_bfloat16(x)); }

// Attention, one number at a time, whose products read their operands through `read`.
struct PlainAttention {
  Doubles y, weights, dQ, dK, dV;

  PlainAttention(const Case& s, const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<int>& lens,
                 double p, Draw draw, const Tensor& dy, double (*read)(double) = unchanged) {
    const Doubles Q = map(q, read), K = map(k, read), V = map(v, read), dY = map(dy, read);
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
            for (Index c = 0; c < d; ++c) score += Q[at(query(c))] * K[at(key(u, c))];
            total += w[at(u)] = std::exp(score / std::sqrt(d));
          }
          for (Index u = 0; u < len; ++u) w[at(u)] /= total;
          double sum = 0;
          for (Index u = 0; u < Tk; ++u) {
            const Index i = static_cast<Index>(weights.size());  // in (B, H, Tq, Tk)
            const bool stays = draw.block(static_cast<std::uint64_t>(i / 4))[at(i % 4)] >= std::ldexp(p, 32);
            const double scale = stays ? 1 / (1 - p) : 0;
            weights.push_back(w[at(u)]);
            const double A = read(scale * w[at(u)]);
            double dP = 0;
            for (Index c = 0; c < d; ++c) {
              y[at(query(c))] += A * V[at(key(u, c))];
              dV[at(key(u, c))] += A * dY[at(query(c))];
              dP += scale * V[at(key(u, c))] * dY[at(query(c))];
            }
            dS[at(u)] = dP;
            sum += w[at(u)] * dP;
          }
          for (Index u = 0; u < len; ++u) {
            const double g = read(w[at(u)] * (dS[at(u)] - sum)) / std::sqrt(d);
            for (Index c = 0; c < d; ++c) {
              dQ[at(query(c))] += g * K[at(key(u, c))];
              dK[at(key(u, c))] += g * Q[at(query(c))];
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

TEST_CASE("attention and its gradient agree with a plain loop") {
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

// A weight that lies between two numbers of bfloat16 may be rounded to either, so a number here and there is off by as
// much as if nothing were rounded; on the average they are not.
TEST_CASE("in bfloat16 attention rounds its operands, its weights and dS where they are multiplied, and nothing else") {
  const auto mean_error = [](const Tensor& got, const Doubles& want) {
    double sum = 0;
    const std::vector<real> values = got.values();
    for (std::size_t i = 0; i < want.size(); ++i) sum += std::abs(values[i] - want[i]);
    return sum / static_cast<double>(want.size());
  };
  for (const Case& s : {Case{1, 1, 37, 37, 64}, Case{3, 4, 17, 37, 8}, Case{5, 2, 1, 65, 5}}) {
    const auto& [B, H, Tq, Tk, d] = s;
    const Tensor Q = random({B, Tq, H * d}, 1) * real{2}, K = random({B, Tk, H * d}, 2) * real{2};
    const Tensor V = random({B, Tk, H * d}, 3), dY = random({B, Tq, H * d}, 4);
    std::vector<int> lens;
    for (Index i = 0; i < B * Tq; ++i) lens.push_back(static_cast<int>(i * 3 % (Tk + 4) - 1));
    const int heads = static_cast<int>(H);
    for (const double p : {0.0, 0.1}) {
      const Draw draw = Rng(5).draw();
      const PlainAttention want(s, Q, K, V, lens, real(p), draw, dY, in_bfloat16),
          exact(s, Q, K, V, lens, real(p), draw, dY);
      with_threads([&] {
        const ProductsIn precision(Precision::bfloat16);
        const Attended got = attention(Q, K, V, heads, lens, real(p), draw);
        const AttentionGradients back = attention_backward(Q, K, V, heads, lens, real(p), draw, got, dY);
        const auto check = [&](const Tensor& got, const Doubles& want, const Doubles& exact) {
          CHECK(mean_error(got, want) <= 0.05 * mean_error(got, exact));
          CHECK(error(got, want) <= 0.02);
        };
        CHECK(error(got.kept, want.weights) <= 64 * epsilon);
        check(got.y, want.y, exact.y);
        check(back.dqueries, want.dQ, exact.dQ);
        check(back.dkeys, want.dK, exact.dK);
        check(back.dvalues, want.dV, exact.dV);
      });
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
  CHECK(refuses(Q, K, K, 2, none, 2, {"[0, 1]"}));

  const Attended forward = attention(Q, K, K, 2, {}, 0, {});
  const auto backward_refuses = [](const Tensor& q, const Tensor& k, const Attended& forward, const Tensor& dY,
                                   const std::vector<int>& lens, std::vector<std::string> parts) {
    parts.emplace_back("[attention_backward]");
    return fails([&] { attention_backward(q, k, k, 2, lens, 0, {}, forward, dY); }, parts);
  };
  CHECK(backward_refuses(Q, K, forward, K, none, {"(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(
      backward_refuses(Q, K, {Q, Tensor::ones({2, 2, 5, 3}), Q}, Q, none, {"(2, 2, 5, 3)", "(2, 3, 4)", "(2, 5, 4)"}));
  CHECK(backward_refuses(Q, K, {Q, forward.kept[0], Q}, Q, none, {"does not fit", "(2, 5, 4)"}));
  CHECK(backward_refuses(Q, wrong, forward, Q, none, {"(2, 3, 4)", "(2, 5, 6)"}));
  CHECK(backward_refuses(Q, K, forward, Q, {1, 2, 3}, {"valid_lens", "got 3"}));
}
