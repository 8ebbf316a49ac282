// Rounding to bfloat16, and what a tensor remembers of it.
#include "tensor/bfloat16.h"

#include "tensor/functions.h"
#include "tensor/kernels.h"
#include "tensor/profile.h"
#include "tensor/storage.h"
#include "tests/tensor/numbers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

// The nearest of all numbers of bfloat16, looked for one by one; of two the one whose last bit is 0.
float nearest_in_bfloat16(float x) {
  float best = 0;
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float y = math::detail::from_bits(bits << 16);
    if (!std::isfinite(y)) continue;
    const double off = std::abs(double{y} - double{x}), best_off = std::abs(double{best} - double{x});
    if (off < best_off || (off == best_off && bits % 2 == 0)) best = y;
  }
  return best;
}

std::vector<std::uint16_t> rounded_bits(const Tensor& x) {
  const auto rounded = x.rounded();
  std::vector<std::uint16_t> bits;
  for (Index i = 0; i < x.size(); ++i) bits.push_back(rounded.get()[i].bits);
  return bits;
}

}  // namespace

TEST_CASE("to_bfloat16 is the nearest number, the even one of two") {
  Rng rng(1);
  std::vector<float> numbers{0, 1, -1, 0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 0x1.00fffep0f, 1e-40f, -3e-39f, 0x1p-149f};
  for (int i = 0; i < 60; ++i)
    numbers.push_back(math::detail::from_bits(rng.draw().block(0)[0] & 0xbf7fffff));  // of any size, up to 1e38
  for (const float x : numbers) {
    CAPTURE(x);
    CHECK(to_float(to_bfloat16(x)) == nearest_in_bfloat16(x));
  }
  CHECK(to_bfloat16(0x1.01p0f).bits == 0x3f80);  // between 1 and 0x1.02p0: both are equally near
  CHECK(to_bfloat16(0x1.03p0f).bits == 0x3f82);
  CHECK(to_bfloat16(-0.0f).bits == 0x8000);
  constexpr float inf = std::numeric_limits<float>::infinity();
  CHECK(to_float(to_bfloat16(inf)) == inf);
  CHECK(to_float(to_bfloat16(-inf)) == -inf);
  CHECK(to_float(to_bfloat16(std::numeric_limits<float>::max())) == inf);
  CHECK(to_float(to_bfloat16(0x1.fep127f)) == 0x1.fep127f);  // the largest
  for (const std::uint32_t nan : {0x7f800001u, 0x7fffffffu, 0xff800001u, 0xffffffffu})
    CHECK(std::isnan(to_float(to_bfloat16(math::detail::from_bits(nan)))));
}

TEST_CASE("a tensor is rounded once, until its numbers change") {
  Tensor x({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto first = x.rounded();
  CHECK(x.rounded() == first);
  CHECK(x.reshape({3, 2}).rounded() == first);
  CHECK(x[1].rounded().get() == first.get() + 3);  // a part of the same
  const Tensor shares = x;

  x.data()[4] = 7;
  CHECK(rounded_bits(x) == rounded_bits(Tensor({2, 3}, {1, 2, 3, 4, 7, 6})));
  CHECK(rounded_bits(shares) == rounded_bits(x));
  x.assign(Tensor({2, 3}, {6, 5, 4, 3, 2, 1}));
  CHECK(rounded_bits(shares[0]) == rounded_bits(Tensor({3}, {6, 5, 4})));
  x[0].assign(Tensor({3}, {9, 9, 9}));
  CHECK(rounded_bits(shares) == rounded_bits(Tensor({2, 3}, {9, 9, 9, 3, 2, 1})));
  CHECK(rounded_bits(x.clone()) == rounded_bits(x));
  CHECK(first.get()[4].bits == to_bfloat16(5.f).bits);  // who holds the old ones keeps them

  Tensor y({3}, {1, 2, 3});
  y.rounded();
  y = std::move(y) + real{1};  // in place
  CHECK(rounded_bits(y) == rounded_bits(Tensor({3}, {2, 3, 4})));
  Tensor velocity;
  sgd(y, Tensor::ones({3}), velocity, {.lr = 1});
  CHECK(rounded_bits(y) == rounded_bits(Tensor({3}, {1, 2, 3})));
  Tensor m, v;
  adamw(y, Tensor::ones({3}), m, v, {1, 0, 0, 0, 0, 1});
  CHECK(rounded_bits(y) == rounded_bits(Tensor({3}, {0, 1, 2})));

  Tensor part = x[1];  // its step must not leave the rounded numbers of the rest behind
  const Tensor rest = x[0];
  rest.rounded();
  Tensor none;
  sgd(part, Tensor::ones({3}), none, {.lr = 1});
  CHECK(rounded_bits(part) == rounded_bits(part.clone()));
  CHECK(rounded_bits(rest) == rounded_bits(rest.clone()));
}

TEST_CASE("an optimizer's step rounds what was rounded before, in the same pass") {
  for (const Index n : {1, 7, 8191, 8193, 40001}) {
    Rng rng(1);
    Tensor w = rng.normal({n}), other = rng.normal({n}), velocity, m, v;
    const Tensor dW = rng.normal({n});
    auto before = w.rounded();
    sgd(w, dW, velocity, {.lr = real(0.1), .momentum = real(0.9)});
    const bfloat16* const after = w.rounded().get();
    CHECK(after != before.get());
    CHECK(rounded_bits(w) == rounded_bits(w.clone()));
    adamw(w, dW, m, v, {0.1, 0.9, 0.999, 1e-8, 0.01, 1});
    CHECK(rounded_bits(w) == rounded_bits(w.clone()));
    CHECK(before.get()[0].bits != after[0].bits);  // who holds the old ones keeps them
    CHECK(w.rounded().get() == after);             // and where nobody does there is no new memory
    adamw(other, dW, m, v, {0.1, 0.9, 0.999, 1e-8, 0.01, 1});
    CHECK(rounded_bits(other) == rounded_bits(other.clone()));
  }
}

TEST_CASE("mul by a rounded operand multiplies by its numbers, and rounds once, where only products read the result") {
  const ProductsIn products_in(Precision::bfloat16);
  Rng rng(3);
  for (const Index part : {-1, 0, 1})  // of a tensor that nobody else holds, or all of it
    for (const bool of_rounded : {false, true}) {
      Tensor x = rng.normal({2, 37});
      if (of_rounded) {
        const Tensor exact = x;
        x = Tensor::of_rounded(exact.shape());
        std::copy_n(exact.rounded().get(), exact.size(), x.rounded_data());
      }
      if (part >= 0) x = x[part];
      const Tensor other = rng.normal(x.shape());
      const std::vector<real> others = Operand(other).tensor().values();
      const Tensor rounded = mul(x, Operand(other), ReadBy::products);
      CHECK(rounded.only_rounded());
      CHECK(x.only_rounded() == of_rounded);  // nothing was written out
      const Tensor exact = mul(x, Operand(other), ReadBy::anyone);
      CHECK(!exact.only_rounded());
      const std::vector<real> xs = x.values();
      std::vector<real> want;
      for (std::size_t i = 0; i < xs.size(); ++i) want.push_back(xs[i] * others[i]);
      CHECK(exact.values() == want);
      CHECK(rounded_bits(rounded) == rounded_bits(Tensor(x.shape(), want)));
      CHECK(mul(std::move(x), Operand(other), ReadBy::anyone).values() == want);  // in its place
    }
}

TEST_CASE("the gradients of attention come with their rounded numbers, and so does a y of which both are kept") {
  if (sizeof(real) != 4) return;
  const ProductsIn products(Precision::bfloat16);
  Rng rng(1);
  const Tensor q = rng.normal({2, 5, 12}), k = rng.normal({2, 7, 12}), v = rng.normal({2, 7, 12});
  const Tensor dY = rng.normal({2, 5, 12});
  const Attended forward = attention(Operand(q), Operand(k), Operand(v), 3, {}, 0, {}, ReadBy::products);
  const auto [dQ, dK, dV] = attention_backward(Operand(q), Operand(k), Operand(v), 3, {}, 0, {}, forward, Operand(dY));
  for (const Tensor& x : {dQ, dK, dV}) {
    profile::start();
    const std::vector<std::uint16_t> bits = rounded_bits(x);
    profile::stop();
    CHECK(profile::rows().empty());  // they were there already
    CHECK(bits == rounded_bits(x.clone()));
  }
  // Where only products read them they are nothing else.
  const AttentionGradients rounded_only =
      attention_backward(Operand(q), Operand(k), Operand(v), 3, {}, 0, {}, forward, Operand(dY), ReadBy::products);
  CHECK(rounded_only.dqueries.only_rounded());
  CHECK(rounded_bits(rounded_only.dqueries) == rounded_bits(dQ));
  CHECK(rounded_bits(rounded_only.dkeys) == rounded_bits(dK));
  CHECK(rounded_bits(rounded_only.dvalues) == rounded_bits(dV));
  // So do those of queries, keys and values side by side.
  const Tensor qkv = rng.normal({2, 7, 36}), bias = rng.normal({2, 3, 7, 7}), dZ = rng.normal({2, 7, 12});
  const Attended biased = biased_attention(Operand(qkv), 3, bias, ReadBy::products);
  CHECK(biased.y.only_rounded());
  const BiasedAttentionGradients d = biased_attention_backward(Operand(qkv), 3, biased, Operand(dZ), bias),
                                 d_rounded = biased_attention_backward(Operand(qkv), 3, biased, Operand(dZ), bias,
                                                                       ReadBy::products);
  CHECK(rounded_bits(d.dqkv) == rounded_bits(d.dqkv.clone()));
  CHECK(d_rounded.dqkv.only_rounded());
  CHECK(rounded_bits(d_rounded.dqkv) == rounded_bits(d.dqkv));
  CHECK(d_rounded.dbias.values() == d.dbias.values());
  // The kernel writes exact numbers, rounded ones, or both, the same each time.
  const AttentionSizes s{2, 3, 5, 7, 4};
  Tensor weights(cpu::attention_keeps(s)), exact(q.shape()), both(q.shape()), rounded = Tensor::of_rounded(q.shape());
  const auto attend = [&](Both y) {
    cpu::attention_rounded(q.rounded().get(), k.rounded().get(), v.rounded().get(), nullptr, 0, {}, weights.data(), y,
                           s);
  };
  attend({exact.data(), nullptr});
  attend({nullptr, rounded.rounded_data()});
  attend(both.data_and_rounded());
  CHECK(both.values() == exact.values());
  CHECK(rounded_bits(both) == rounded_bits(exact));
  CHECK(rounded_bits(rounded) == rounded_bits(exact));
}

TEST_CASE("a tensor of rounded numbers alone gives them to products, and written out to anyone else") {
  Tensor x = Tensor::of_rounded({2, 3});
  for (int i = 0; i < 6; ++i) x.rounded_data()[i] = to_bfloat16(static_cast<float>(i) + 1);
  const Tensor part = x[1], turned = x.reshape({3, 2});
  const auto rounded = x.rounded();
  CHECK(x.only_rounded());
  CHECK(part.rounded().get() == rounded.get() + 3);
  CHECK(x.only_rounded());

  CHECK(turned.values() == std::vector<real>{1, 2, 3, 4, 5, 6});
  CHECK(!x.only_rounded());
  CHECK(std::as_const(x).data() + 3 == part.data());  // written out once, for all
  CHECK(x.rounded() == rounded);
  x.data()[4] = real{5.0078125};  // a number that a bfloat16 cannot hold
  CHECK(part.values() == std::vector<real>{4, real{5.0078125}, 6});
  CHECK(x.rounded() != rounded);

  Tensor y = Tensor::of_rounded({2});
  y.rounded_data()[0] = y.rounded_data()[1] = to_bfloat16(2.f);
  y.data()[0] = 3;  // written while there was nothing but rounded ones
  CHECK(y.values() == std::vector<real>{3, 2});
  CHECK(rounded_bits(y) == rounded_bits(Tensor({2}, {3, 2})));
}

TEST_CASE("what only products read is the result rounded, and in float32 the result") {
  Rng rng(1);
  const Tensor x = rng.normal({3, 5, 24}), W = rng.normal({16, 24}), b = rng.normal({16}), gamma = rng.normal({24}),
               beta = rng.normal({24}), k = rng.normal({3, 7, 24});
  const Draw draw{3, 4};
  const auto results = [&](ReadBy readers) {
    return std::vector<Tensor>{linear(Operand(x), Operand(W), b, readers),
                               linear(Operand(x), Operand(W), Tensor(), readers),
                               layer_norm(x, gamma, beta, real(1e-5), readers).y,
                               gelu(x, 0, {}, readers),
                               gelu(x, real(0.3), draw, readers),
                               gelu_tanh(x, real(0.3), draw, readers),
                               gelu_with_derivative(x, real(0.3), draw, readers).y,
                               gelu_tanh_with_derivative(x, 0, {}, readers).y,
                               attention(Operand(x), Operand(k), Operand(k), 3, {}, real(0.3), draw, readers).y,
                               matmul(Operand(x), Operand(W), {.trans_b = true}, readers),
                               matmul(Operand(x), Operand(k), {.trans_b = true}, readers),
                               matmul(Operand(x[0]), Operand(beta), {}, readers)};
  };
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const ProductsIn products_in(precision);
    const std::vector<Tensor> exact = results(ReadBy::anyone), got = results(ReadBy::products);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      CAPTURE(i);
      CHECK(!exact[i].only_rounded());
      // On a GPU attention keeps its result for the backward pass, and so keeps all of it.
      CHECK((got[i].only_rounded() || i == 8) == (precision == Precision::bfloat16 || i == 8));
      const std::vector<real> y = got[i].values(), want = exact[i].values();
      for (std::size_t j = 0; j < y.size(); ++j)
        if (precision == Precision::float32)
          CHECK(y[j] == want[j]);
        else  // the last bit may differ where a product adds up in another order
          CHECK(std::abs(y[j] - want[j]) <= std::abs(want[j]) * 0x1.02p-8 + 1e-6);
    }
  }
}

TEST_CASE("in float32 a product of operands reads the numbers themselves, though the tensor was made for products") {
  Tensor x;
  {
    const ProductsIn products_in(Precision::bfloat16);
    x = gelu(Tensor({2}, {1, 2}), 0, {}, ReadBy::products);
  }
  CHECK(x.only_rounded());
  const std::vector<real> y = matmul(x.reshape({1, 2}), x.reshape({2, 1})).values(), xs = x.values();
  CHECK(y[0] == xs[0] * xs[0] + xs[1] * xs[1]);
}
