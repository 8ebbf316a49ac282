#include "apps/common/products_of_step.h"

#include "tensor/backend.h"
#include "tensor/common.h"
#include "tensor/parallel.h"

namespace bobbin {

ProductsOfStep::ProductsOfStep(const ViTConfig& c, Index batch) {
  const Index D = c.num_hiddens, M = c.mlp_num_hiddens;
  const Index pixels = c.patch_size.height * c.patch_size.width * c.num_channels;  // of a patch
  const Index patches = c.grid().height * c.grid().width, tokens = patches + 1;
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

// On the processor the products of tensor/cpu/attention.cpp: image by image on all threads, the heads of each as one
// batch. A GPU is told what to do by one thread, in as few calls as there can be: head by head, the images as one
// batch.
void ProductsOfStep::attention(const AttentionSizes& s) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d, n = Tq * Tk;
  const Operand Q = noise({s.batch, Tq, D}), K = noise({s.batch, Tk, D}), V = noise({s.batch, Tk, D}),
                A = noise({s.batch, s.heads, Tq, Tk}), dY = noise({s.batch, Tq, D});
  Tensor weights({s.batch, s.heads, Tq, Tk}), Y({s.batch, Tq, D});
  // A batch of products: where its first has its queries, its keys and its weights, and how far it is to the next
  // one's.
  struct Batch {
    Index count, query, key, weight, to_query, to_key, to_weight;
  };
  const auto for_each_batch = [=](const auto& products) {
    if (on_gpu) {
      for (Index h = 0; h < s.heads; ++h) products(Batch{s.batch, h * d, h * d, h * n, Tq * D, Tk * D, s.heads * n});
    } else {
      parallel_for(s.batch, 1, [&](Index begin, Index end) {
        for (Index b = begin; b < end; ++b) products(Batch{s.heads, b * Tq * D, b * Tk * D, b * s.heads * n, d, d, n});
      });
    }
  };
  forward_.push_back([=]() mutable {
    for_each_batch([&](const Batch& b) {
      multiply({Tq, Tk, d, 1, b.count}, {Q, D, false, b.to_query, b.query}, {K, D, true, b.to_key, b.key},
               {weights.data() + b.weight, Tk, b.to_weight});
      multiply({Tq, d, Tk, 1, b.count}, {A, Tk, false, b.to_weight, b.weight}, {V, D, false, b.to_key, b.key},
               {Y.data() + b.query, D, b.to_query});
    });
  });
  backward_.push_back([=]() mutable {
    Tensor dA(weights.shape()), dQ(Q.shape()), dK(K.shape()), dV(V.shape());
    for_each_batch([&](const Batch& b) {
      const Factor query{Q, D, false, b.to_query, b.query}, key{K, D, false, b.to_key, b.key},
          dy{dY, D, false, b.to_query, b.query}, weight{A, Tk, false, b.to_weight, b.weight},
          weight_t{A, Tk, true, b.to_weight, b.weight};
      multiply({Tq, Tk, d, 1, b.count}, dy, {V, D, true, b.to_key, b.key}, {dA.data() + b.weight, Tk, b.to_weight});
      multiply({Tk, d, Tq, 1, b.count}, weight_t, dy, {dV.data() + b.key, D, b.to_key});
      multiply({Tq, d, Tk, 1, b.count}, weight, key, {dQ.data() + b.query, D, b.to_query});
      multiply({Tk, d, Tq, 1, b.count}, weight_t, query, {dK.data() + b.key, D, b.to_key});
    });
  });
  flops_ += 12.0 * static_cast<double>(s.batch * s.heads * n * d);
}

// Small, so that products of products neither overflow nor vanish.
Operand ProductsOfStep::noise(const Shape& shape) { return Operand(rng_.uniform(shape, real(-0.1), real(0.1))); }

}  // namespace bobbin
