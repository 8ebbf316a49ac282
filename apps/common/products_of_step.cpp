#include "apps/common/products_of_step.h"

#include "tensor/backend.h"
#include "tensor/parallel.h"

namespace bobbin {

ProductsOfStep::ProductsOfStep(const ViTConfig& c, Index batch) {
  const Index D = c.num_hiddens, M = c.mlp_num_hiddens;
  const Index pixels = c.patch_size.height * c.patch_size.width * c.num_channels;  // of a patch
  const Index patches = c.img_size.height * c.img_size.width * c.num_channels / pixels, tokens = patches + 1;
  linear(batch * patches, pixels, D, /*input_is_data=*/true);
  for (int i = 0; i < c.num_blks; ++i) {
    const bool only_class_token = i + 1 == c.num_blks && c.pool == Pool::token && !c.whole_last_block;
    const Index queries = only_class_token ? 1 : tokens;
    linear(batch * queries, D, D);  // W_q
    linear(batch * tokens, D, D);   // W_k
    linear(batch * tokens, D, D);   // W_v
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

// Y = X·Wᵀ, and back: dX = dY·W, dW = dYᵀ·X. Y's numbers serve as dY's.
void ProductsOfStep::linear(Index rows, Index in, Index out, bool input_is_data) {
  const Tensor X = noise({rows, in}), W = noise({out, in});
  Tensor Y({rows, out}), dW({out, in});
  forward_.push_back([=]() mutable {
    backend::gemm({rows, out, in}, {X.data(), in}, {W.data(), in, true}, {Y.data(), out});
  });
  backward_.push_back([=]() mutable {
    if (!input_is_data) {
      Tensor dX({rows, in});
      backend::gemm({rows, in, out}, {Y.data(), out}, {W.data(), in}, {dX.data(), in});
    }
    backend::gemm({out, in, rows}, {Y.data(), out, true}, {X.data(), in}, {dW.data(), in});
  });
  flops_ += (input_is_data ? 4.0 : 6.0) * static_cast<double>(rows * in * out);
}

// The products of tensor/cpu/attention.cpp, head by head on all threads.
void ProductsOfStep::attention(const AttentionSizes& s) {
  const Index Tq = s.queries, Tk = s.keys, d = s.head_size, D = s.heads * d;
  const Tensor Q = noise({s.batch, Tq, D}), K = noise({s.batch, Tk, D}), V = noise({s.batch, Tk, D});
  Tensor weights({s.batch, s.heads, Tq, Tk}), Y({s.batch, Tq, D});
  const auto for_each_head = [=](const auto& products) {
    parallel_for(s.batch * s.heads, 1, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const Index column = i % s.heads * d, b = i / s.heads;
        products(b * Tq * D + column, b * Tk * D + column, i * Tq * Tk);
      }
    });
  };
  forward_.push_back([=]() mutable {
    for_each_head([&](Index query, Index key, Index w) {
      real* const A = weights.data() + w;
      backend::gemm({Tq, Tk, d}, {Q.data() + query, D}, {K.data() + key, D, true}, {A, Tk});
      backend::gemm({Tq, d, Tk}, {A, Tk}, {V.data() + key, D}, {Y.data() + query, D});
    });
  });
  backward_.push_back([=]() mutable {
    Tensor dQ(Q.shape()), dK(K.shape()), dV(V.shape());
    for_each_head([&](Index query, Index key, Index w) {
      real* const A = weights.data() + w;
      real* const dY = Y.data() + query;
      backend::gemm({Tq, Tk, d}, {dY, D}, {V.data() + key, D, true}, {A, Tk});
      backend::gemm({Tk, d, Tq}, {A, Tk, true}, {dY, D}, {dV.data() + key, D});
      backend::gemm({Tq, d, Tk}, {A, Tk}, {K.data() + key, D}, {dQ.data() + query, D});
      backend::gemm({Tk, d, Tq}, {A, Tk, true}, {Q.data() + query, D}, {dK.data() + key, D});
    });
  });
  flops_ += 12.0 * static_cast<double>(s.batch * s.heads * Tq * Tk * d);
}

// Small, so that products of products neither overflow nor vanish.
Tensor ProductsOfStep::noise(const Shape& shape) { return rng_.uniform(shape, real(-0.1), real(0.1)); }

}  // namespace bobbin
