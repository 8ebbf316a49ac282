#include "apps/common/products_of_step.h"

#include "tensor/common.h"
#include "tensor/parallel.h"

namespace bobbin {

ProductsOfStep::ProductsOfStep(const ViTConfig& c, Index batch) {
  const Index D = c.num_hiddens, M = c.mlp_num_hiddens;
  const Index pixels = c.patch_size.height * c.patch_size.width * c.num_channels;  // of a patch
  const Index patches = c.img_size.height * c.img_size.width * c.num_channels / pixels, tokens = patches + 1;
  linear(batch * patches, pixels, D, ReadBy::anyone, /*input_is_data=*/true);
  for (int i = 0; i < c.num_blks; ++i) {
    const bool only_class_token = i + 1 == c.num_blks && c.pool == Pool::token && !c.whole_last_block;
    const Index queries = only_class_token ? 1 : tokens;
    linear(batch * queries, D, D, ReadBy::products);  // W_q
    linear(batch * tokens, D, D, ReadBy::products);   // W_k
    linear(batch * tokens, D, D, ReadBy::products);   // W_v
    attention({batch, c.num_heads, queries, tokens, D / c.num_heads});
    linear(batch * queries, D, D);  // W_o
    linear(batch * queries, D, M);
    linear(batch * queries, M, D);
  }
  linear(batch, D, c.num_classes);
}

void ProductsOfStep::run() const {
  for (const auto& products : forward_) products();
  for (auto products = backward_.rbegin(); products != backward_.rend(); ++products) (*products)();
}

// Y = X·Wᵀ, and back: dX = dY·W, dW = dYᵀ·X.
void ProductsOfStep::linear(Index rows, Index in, Index out, ReadBy readers, bool input_is_data) {
  const Operand X = noise({rows, in}), W = noise({out, in}), dY = noise({rows, out});
  forward_.push_back([=, Y = Tensor()]() mutable { Y = bobbin::linear(X, W, Tensor(), readers); });
  backward_.push_back([=, dW = Tensor()]() mutable {
    if (!input_is_data) matmul(dY, W);
    dW = matmul(dY, X, {.trans_a = true});
  });
  flops_ += (input_is_data ? 4.0 : 6.0) * static_cast<double>(rows * in * out);
}

// The products of tensor/cpu/attention.cpp, image by image on all threads.
void ProductsOfStep::attention(const AttentionSizes& s) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d, n = Tq * Tk;
  const Operand Q = noise({s.batch, Tq, D}), K = noise({s.batch, Tk, D}), V = noise({s.batch, Tk, D}),
                A = noise({s.batch, s.heads, Tq, Tk}), dY = noise({s.batch, Tq, D});
  Tensor weights({s.batch, s.heads, Tq, Tk}), Y({s.batch, Tq, D});
  const auto for_each_image = [batch = s.batch](const auto& products) {
    parallel_for(batch, 1, [&](Index begin, Index end) {
      for (Index b = begin; b < end; ++b) products(b);
    });
  };
  forward_.push_back([=]() mutable {
    for_each_image([&](Index b) {
      multiply({Tq, Tk, d, 1, s.heads}, {Q, D, false, d, b * Tq * D}, {K, D, true, d, b * Tk * D},
               {weights.data() + b * s.heads * n, Tk, n});
      multiply({Tq, d, Tk, 1, s.heads}, {A, Tk, false, n, b * s.heads * n}, {V, D, false, d, b * Tk * D},
               {Y.data() + b * Tq * D, D, d});
    });
  });
  backward_.push_back([=]() mutable {
    Tensor dA(weights.shape()), dQ(Q.shape()), dK(K.shape()), dV(V.shape());
    for_each_image([&](Index b) {
      const Index query = b * Tq * D, key = b * Tk * D, first = b * s.heads * n;
      multiply({Tq, Tk, d, 1, s.heads}, {dY, D, false, d, query}, {V, D, true, d, key}, {dA.data() + first, Tk, n});
      multiply({Tk, d, Tq, 1, s.heads}, {A, Tk, true, n, first}, {dY, D, false, d, query}, {dV.data() + key, D, d});
      multiply({Tq, d, Tk, 1, s.heads}, {A, Tk, false, n, first}, {K, D, false, d, key}, {dQ.data() + query, D, d});
      multiply({Tk, d, Tq, 1, s.heads}, {A, Tk, true, n, first}, {Q, D, false, d, query}, {dK.data() + key, D, d});
    });
  });
  flops_ += 12.0 * static_cast<double>(s.batch * s.heads * n * d);
}

// Small, so that products of products neither overflow nor vanish.
Operand ProductsOfStep::noise(const Shape& shape) { return Operand(rng_.uniform(shape, real(-0.1), real(0.1))); }

}  // namespace bobbin
