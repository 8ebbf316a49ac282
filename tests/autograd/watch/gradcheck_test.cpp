// Every op's gradient against finite differences, on odd shapes. Sharp in double; in float a rough look.
#include "autograd/watch/gradcheck.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "autograd/ops.h"
#include "nn/encoder.h"
#include "nn/models/vit.h"
#include "tensor/backend.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

using Inputs = std::vector<Var>;
struct Case {
  const char* op;  // as it is recorded on the tape
  std::function<Var(const Inputs&)> f;
  std::vector<Shape> shapes;
};

Var batch_norm_in_training(const Inputs& x) {
  Tensor mean = Tensor::zeros({3}), variance = Tensor::ones({3});
  return batch_norm(x[0], x[1], x[2], mean, variance);
}
Var batch_norm_relu(const Inputs& x) {
  Tensor mean = Tensor::zeros({3}), variance = Tensor::ones({3});
  return batch_norm(x[0], x[1], x[2], mean, variance, real(0.1), real(0.1), Then::relu);
}
Var batch_norm_of_ranks(const Inputs& x) {
  Tensor mean = Tensor::zeros({3}), variance = Tensor::ones({3});
  return sync_batch_norm(x[0], x[1], x[2], mean, variance, true, real(0.1), real(0.1), Then::relu);
}

Conv2dGeometry geometry() { return {2, 7, 5, 3, 2, 2, 1, 1, 2, 2, 1}; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"add", [](const Inputs& x) { return x[0] + x[1]; }, {{3, 1, 5}, {7, 1}}},
      {"sub", [](const Inputs& x) { return x[0] - x[1]; }, {{5}, {3, 5}}},
      {"mul", [](const Inputs& x) { return x[0] * x[1]; }, {{3, 1, 5}, {1, 7, 1}}},
      {"mul", [](const Inputs& x) { return x[0] * x[0]; }, {{3, 5}}},
      {"div", [](const Inputs& x) { return x[0] / (x[1] * x[1] + real(1)); }, {{3, 5}, {3, 1}}},
      {"div", [](const Inputs& x) { return 2 / (x[0] * x[0] + real(1)); }, {{3, 5}}},
      {"scale", [](const Inputs& x) { return 3 - x[0] * real(1.5) / 7; }, {{3, 5}}},
      {"exp", [](const Inputs& x) { return exp(x[0]); }, {{3, 5}}},
      {"log", [](const Inputs& x) { return log(x[0] * x[0] + real(0.5)); }, {{3, 5}}},
      {"sqrt", [](const Inputs& x) { return sqrt(x[0] * x[0] + real(0.5)); }, {{3, 5}}},
      {"tanh", [](const Inputs& x) { return tanh(x[0]); }, {{3, 5}}},
      {"sigmoid", [](const Inputs& x) { return sigmoid(x[0]); }, {{3, 5}}},
      {"softplus", [](const Inputs& x) { return softplus(x[0]); }, {{3, 5}}},
      {"silu", [](const Inputs& x) { return silu(x[0] * 3); }, {{3, 5}}},
      {"relu", [](const Inputs& x) { return relu(x[0]); }, {{3, 5}}},
      {"erf", [](const Inputs& x) { return erf(x[0]); }, {{3, 5}}},
      {"rsqrt", [](const Inputs& x) { return rsqrt(x[0] * x[0] + real(0.5)); }, {{3, 5}}},
      {"abs", [](const Inputs& x) { return abs(x[0]); }, {{3, 5}}},
      {"sign", [](const Inputs& x) { return sign(x[0]); }, {{3, 5}}},
      {"clamp", [](const Inputs& x) { return clamp(x[0], real(-0.5), real(0.7)); }, {{3, 5}}},
      {"pow", [](const Inputs& x) { return pow(x[0] * x[0] + real(0.5), real(1.7)); }, {{3, 5}}},
      {"pow", [](const Inputs& x) { return pow(x[0] * x[0] + real(0.5), x[1]); }, {{3, 5}, {5}}},
      {"maximum", [](const Inputs& x) { return maximum(x[0], x[1]); }, {{3, 5}, {3, 1}}},
      {"minimum", [](const Inputs& x) { return minimum(x[0], x[1]); }, {{5}, {3, 5}}},
      {"where", [](const Inputs& x) { return where(Rng(3).normal(Shape{5}) > 0, x[0], x[1]); }, {{3, 1}, {2, 1, 1}}},
      {"gelu", [](const Inputs& x) { return gelu(x[0] * 2); }, {{3, 37}}},
      {"gelu_tanh", [](const Inputs& x) { return gelu_tanh(x[0] * 2); }, {{3, 37}}},
      {"gelu",
       [](const Inputs& x) {
         return gelu(x[0] * 2, real(0.3), {7, 5});
       },
       {{3, 37}}},
      {"dropout",
       [](const Inputs& x) {
         return dropout(x[0], real(0.3), {7, 5});
       },
       {{3, 37}}},
      {"reshape",
       [](const Inputs& x) {
         return reshape(x[0], {5, 3});
       },
       {{3, 5}}},
      {"avg_pool2d",
       [](const Inputs& x) {
         return avg_pool2d(x[0], {3, 2}, {2, 1});
       },
       {{2, 3, 8, 5}}},
      {"permute",
       [](const Inputs& x) {
         return permute(x[0], {2, 0, 3, 1});
       },
       {{2, 3, 5, 7}}},
      {"transpose", [](const Inputs& x) { return transpose(x[0], -1, 0); }, {{2, 3, 5}}},
      {"broadcast_to",
       [](const Inputs& x) {
         return broadcast_to(x[0], {2, 3, 5});
       },
       {{3, 1}}},
      {"concat",
       [](const Inputs& x) {
         return concat({x[0], x[1], x[0]}, 1);
       },
       {{2, 3, 5}, {2, 1, 5}}},
      {"slice", [](const Inputs& x) { return slice(x[0], 1, 1, 3); }, {{2, 5, 3}}},
      {"slice", [](const Inputs& x) { return select(x[0], -2, 2); }, {{2, 5, 3}}},
      {"pad", [](const Inputs& x) { return pad(x[0], -2, 2, 0); }, {{2, 5, 3}}},
      {"pad", [](const Inputs& x) { return pad(x[0], 1, -2, 1, 7); }, {{2, 5, 3}}},
      {"pad_reflect", [](const Inputs& x) { return pad_reflect(x[0], 1, 4, 2); }, {{2, 5, 3}}},
      {"gather",
       [](const Inputs& x) {
         return gather(x[0], {2, 0, 4});
       },
       {{3, 5}}},
      {"index_select",
       [](const Inputs& x) {
         return index_select(x[0], 1, {2, 0, 4, 2});
       },
       {{2, 5, 3}}},
      {"embedding",
       [](const Inputs& x) {
         return embedding(x[0], {2, 0, 4, 2});
       },
       {{5, 3}}},
      {"concat",
       [](const Inputs& x) {
         return stack({x[0], x[1]}, -1);
       },
       {{3, 5}, {3, 5}}},
      {"sum", [](const Inputs& x) { return sum(x[0]); }, {{3, 5}}},
      {"sum", [](const Inputs& x) { return mean(x[0]); }, {{3, 5}}},
      {"sum", [](const Inputs& x) { return sum(x[0], 1); }, {{3, 5, 7}}},
      {"sum", [](const Inputs& x) { return mean(x[0], -1); }, {{3, 5}}},
      {"sum",
       [](const Inputs& x) {
         return sum(x[0], {-1, 0}, true);
       },
       {{3, 5, 7}}},
      {"var",
       [](const Inputs& x) {
         return var(x[0], {0, -1}, 1, true);
       },
       {{3, 5, 7}}},
      {"var", [](const Inputs& x) { return var(x[0], 1, 0); }, {{3, 5, 7}}},
      {"amax",
       [](const Inputs& x) {
         return amax(x[0], {0, -1}, true);
       },
       {{3, 5, 7}}},
      {"amax", [](const Inputs& x) { return max(x[0]) + min(x[0]) + amin(x[0]); }, {{3, 5}}},
      {"gather", [](const Inputs& x) { return max(x[0], 1, true) - min(x[0], -2, true); }, {{3, 5, 2}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {{3, 5}, {5, 7}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1], {.trans_a = true}); }, {{2, 5, 3}, {2, 5, 7}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1], {.trans_b = true}); }, {{2, 3, 5}, {7, 5}}},
      {"matmul",
       [](const Inputs& x) {
         return matmul(x[0], x[1], {true, true});
       },
       {{5, 3}, {2, 7, 5}}},
      {"matmul",
       [](const Inputs& x) {
         return matmul(x[0], x[1], {true, false});
       },
       {{2, 5, 3}, {5, 7}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {{5, 3}, {2, 7, 3, 5}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1], {.trans_b = true}); }, {{5, 3}, {2, 7, 3}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {{2, 1, 5, 3}, {7, 3, 2}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {{3}, {2, 3, 5}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {{2, 5, 3}, {3}}},
      {"matmul", [](const Inputs& x) { return matmul(x[0], x[1]); }, {{3}, {3}}},
      {"linear", [](const Inputs& x) { return linear(x[0], x[1], x[2]); }, {{2, 3, 5}, {7, 5}, {7}}},
      {"linear", [](const Inputs& x) { return linear(x[0], x[1], Var()); }, {{5}, {7, 5}}},
      {"softmax", [](const Inputs& x) { return softmax(x[0]); }, {{3, 1, 7}}},
      {"softmax",
       [](const Inputs& x) {
         return masked_softmax(x[0], {5, 0, 9});
       },
       {{3, 7}}},
      {"log_softmax", [](const Inputs& x) { return log_softmax(x[0]); }, {{3, 1, 7}}},
      {"logsumexp", [](const Inputs& x) { return logsumexp(x[0], -1); }, {{3, 1, 7}}},
      {"logsumexp", [](const Inputs& x) { return logsumexp(x[0], 1); }, {{3, 5, 7}}},
      {"logsumexp", [](const Inputs& x) { return logsumexp(x[0], 0); }, {{5}}},
      {"logsumexp",
       [](const Inputs& x) {
         return logsumexp(x[0], {0, 2}, true);
       },
       {{3, 5, 7}}},
      {"softmax", [](const Inputs& x) { return softmax(x[0], 1); }, {{3, 5, 2}}},
      {"log_softmax", [](const Inputs& x) { return log_softmax(x[0], -3); }, {{3, 5, 2}}},
      {"cross_entropy",
       [](const Inputs& x) { return cross_entropy(x[0], softmax(Rng(3).normal(x[0].shape()))); },
       {{3, 5}}},
      {"cross_entropy",
       [](const Inputs& x) {
         return cross_entropy(x[0], {4, 0, 2});
       },
       {{3, 5}}},
      {"cross_entropy",
       [](const Inputs& x) {
         return cross_entropy(x[0], {4, 0, 2}, real(0.2)) * 3;
       },
       {{3, 5}}},
      {"cross_entropy",
       [](const Inputs& x) {
         const CrossEntropyOptions options{Tensor({5}, {1, 3, 0, 2, real(0.5)}), 0, real(0.2), Reduction::none};
         return cross_entropy(x[0], {4, 0, 1, 2}, options);
       },
       {{4, 5}}},
      {"cross_entropy",
       [](const Inputs& x) {
         return cross_entropy(x[0], Tensor({2, 3}, {1, 0, 2, 0, real(0.5), 0}), {.label_smoothing = real(0.3)});
       },
       {{2, 3}}},
      {"huber", [](const Inputs& x) { return huber_loss(x[0], x[1], real(0.8)); }, {{3, 5}, {3, 5}}},
      {"softplus",
       [](const Inputs& x) {
         return binary_cross_entropy_with_logits(x[0], Rng(3).uniform({3, 5}), {.pos_weight = Tensor({1}, {3})});
       },
       {{3, 5}}},
      {"gather",
       [](const Inputs& x) {
         return nll_loss(x[0], {4, 0, 2}, {.weight = Tensor({5}, {1, 3, 0, 2, real(0.5)}), .ignore_index = 2});
       },
       {{3, 5}}},
      {"rsqrt", [](const Inputs& x) { return rms_norm(x[0], x[1]); }, {{2, 3, 7}, {7}}},
      {"layer_norm", [](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); }, {{3, 5, 7}, {7}, {7}}},
      {"layer_norm", [](const Inputs& x) { return layer_norm(x[0], x[1], x[2], real(0.1)); }, {{65, 3}, {3}, {3}}},
      {"layer_norm", [](const Inputs& x) { return layer_norm(x[0], x[1], x[2]); }, {{3, 2, 5}, {2, 5}, {2, 5}}},
      {"layer_norm", [](const Inputs& x) { return group_norm(x[0], 2, x[1], x[2]); }, {{2, 6, 5, 3}, {6}, {6}}},
      {"batch_norm", batch_norm_in_training, {{5, 3}, {3}, {3}}},
      {"batch_norm", batch_norm_in_training, {{2, 3, 5, 7}, {3}, {3}}},
      {"batch_norm", batch_norm_relu, {{2, 3, 5, 7}, {3}, {3}}},
      {"sync_batch_norm", batch_norm_of_ranks, {{2, 3, 5, 7}, {3}, {3}}},
      {"batch_norm",
       [](const Inputs& x) {
         return batch_norm_by(x[0], x[1], x[2], Tensor({3}, {1, 0, -1}), Tensor({3}, {real(0.5), 1, 2}));
       },
       {{2, 3, 5, 7}, {3}, {3}}},
      {"max_pool2d",
       [](const Inputs& x) {
         return max_pool2d(x[0], {3, 2}, {2, 1}, 1);
       },
       {{2, 3, 8, 5}}},
      {"max_pool2d", [](const Inputs& x) { return max_pool2d(x[0], 3, 2, 1, true); }, {{3, 8, 6}}},
      {"avg_pool2d", [](const Inputs& x) { return avg_pool2d(x[0], 3, 2, 1); }, {{3, 8, 5}}},
      {"adaptive_avg_pool2d",
       [](const Inputs& x) {
         return adaptive_avg_pool2d(x[0], {3, 4});
       },
       {{2, 3, 7, 6}}},
      {"im2col", [](const Inputs& x) { return im2col(x[0], geometry()); }, {{3, 2, 7, 5}}},
      {"patches",
       [](const Inputs& x) {
         return patches(x[0], {3, 2});
       },
       {{2, 3, 6, 4}}},
      {"attention", [](const Inputs& x) { return attention(x[0], x[1], x[2], 3); }, {{2, 5, 9}, {2, 7, 9}, {2, 7, 9}}},
      {on_gpu ? "softmax" : "attention",  // with numbers added to its scores, a GPU composes it
       [](const Inputs& x) { return biased_attention(x[0], 3, x[1]); },
       {{4, 7, 27}, {2, 3, 7, 7}}},
      {"attention",
       [](const Inputs& x) {
         return attention(x[0], x[0], x[0], 1, {3, 0});
       },
       {{2, 5, 3}}},
      {"attention",
       [](const Inputs& x) {
         return attention(x[0], x[1], x[2], 2, {1, 5, 0, 9, 2, 3}, real(0.4), {3, 1});
       },
       {{2, 3, 6}, {2, 5, 6}, {2, 5, 6}}},
  };
  return all;
}

}  // namespace

TEST_CASE("gradcheck: every op") {
  for (const Case& c : cases()) {
    CAPTURE(c.op);
    CHECK(error_of([&] { gradcheck(c.op, c.f, c.shapes); }) == "");
    // The case does test that op.
    Rng rng(0);
    Inputs inputs;
    for (const Shape& shape : c.shapes) inputs.push_back(Var::parameter(rng.normal(shape)));
    Tape tape;
    c.f(inputs);
    const auto ops = tape.ops();
    CHECK(std::count(ops.begin(), ops.end(), c.op) >= 1);
  }
}

TEST_CASE("gradcheck: convolutions of every kind") {
  const auto check_conv = [](const Conv2dOptions& options, const std::vector<Shape>& shapes) {
    gradcheck(
        "conv2d", [&](const Inputs& x) { return conv2d(x[0], x[1], x.size() > 2 ? x[2] : Var(), options); }, shapes);
  };
  check_conv({}, {{2, 3, 5, 7}, {5, 3, 3, 2}, {5}});
  check_conv({.stride = {2, 3}, .padding = {1, 2}, .dilation = {2, 1}}, {{2, 3, 7, 5}, {5, 3, 3, 2}});
  check_conv({.padding = 1, .groups = 3}, {{1, 6, 5, 3}, {9, 2, 3, 3}, {9}});
  check_conv({.stride = {2, 3}}, {{2, 3, 4, 9}, {5, 3, 2, 3}, {5}});  // patches
  check_conv({.padding = 1}, {{2, 3, 5, 4}, {5, 3, 3, 3}, {5}});
  check_conv({.stride = 2}, {{2, 3, 4, 5}, {2, 3, 1, 1}, {2}});  // pixels that nothing sees
  check_conv({.stride = {1, 2}, .padding = {1, 3}, .groups = 3}, {{2, 3, 4, 5}, {6, 1, 3, 2}, {6}});  // depthwise
}

TEST_CASE("gradcheck: every layer, with respect to its input and its parameters") {
  Rng rng(2);
  const auto check_layer = [](const std::string& name, auto layer, const std::vector<Var>& inputs, const auto& f) {
    auto leaves = named_parameters(layer);
    for (const Var& input : inputs) leaves.emplace_back("input " + std::to_string(leaves.size()), input);
    CHECK(error_of([&] {
            gradcheck(
                name, [&] { return f(layer); }, leaves);
          }) == "");
  };
  const auto input = [&](const Shape& shape) { return Var::parameter(rng.normal(shape)); };
  const Var x = input({3, 5, 6}), keys = input({3, 7, 6}), values = input({3, 7, 6}), images = input({2, 4, 7, 5});
  const auto on_x = [&](auto& layer) { return layer(x); };
  check_layer("Linear", Linear(6, 5, rng), {x}, on_x);
  check_layer("Linear without bias", Linear(6, 5, rng, false), {x}, on_x);
  check_layer("LayerNorm", LayerNorm(6), {x}, on_x);
  check_layer("LayerNorm over two axes", LayerNorm(Shape{5, 6}), {x}, on_x);
  check_layer("GELU", GELU(), {x}, on_x);
  check_layer("ReLU", ReLU(), {x}, on_x);
  check_layer("Softmax", Softmax(), {x}, on_x);
  check_layer("Softmax along axis 1", Softmax{1}, {x}, on_x);
  check_layer("Flatten", Flatten(), {x}, on_x);
  check_layer("Sequential", Sequential(Linear(6, 7, rng), GELU(), LayerNorm(7)), {x}, on_x);
  check_layer("Dropout", Dropout(real(0.4), rng), {x}, [&](Dropout& layer) {
    layer.rng = Rng(5);
    return layer(x);
  });
  check_layer("Conv2d", Conv2d(4, 6, {3, 2}, rng, {.stride = {2, 1}, .padding = 1, .groups = 2}), {images},
              [&](Conv2d& layer) { return layer(images); });
  const auto on_images = [&](auto& layer) { return layer(images); };
  check_layer("SiLU", SiLU(), {x}, on_x);
  check_layer("RMSNorm", RMSNorm(6), {x}, on_x);
  check_layer("Embedding", Embedding(4, 6, rng), {}, [](Embedding& layer) { return layer(Labels{3, 0, 3}); });
  check_layer("Sigmoid", Sigmoid(), {x}, on_x);
  check_layer("GroupNorm", GroupNorm(2, 4), {images}, on_images);
  check_layer("BatchNorm2d", BatchNorm2d(4), {images}, on_images);
  BatchNorm2d frozen(4);
  frozen(images);  // has running statistics now
  eval(frozen);
  check_layer("BatchNorm2d in evaluation", frozen, {images}, on_images);
  check_layer("AvgPool2d", AvgPool2d(2, {1, 2}), {images}, on_images);
  check_layer("MaxPool2d", MaxPool2d(3, 2, 1), {images}, on_images);
  check_layer("AdaptiveAvgPool2d", AdaptiveAvgPool2d({2, 3}), {images}, on_images);
  for (const std::vector<int>& lens : {std::vector<int>{}, {7, 0, 3}})
    check_layer("MultiHeadAttention", MultiHeadAttention(6, 3, real(0.3), true, rng), {x, keys, values},
                [&](MultiHeadAttention& layer) {
                  layer.dropout.rng = Rng(5);
                  return layer(x, keys, values, lens);
                });
  check_layer("ViTMLP", ViTMLP(6, 9, 6, 0, rng), {x}, on_x);
  check_layer("ViTBlock", ViTBlock(6, 6, 9, 2, 0, true, rng), {x}, on_x);
  check_layer("ViTBlock, class token", ViTBlock(6, 6, 9, 2, 0, true, rng), {x},
              [&](ViTBlock& block) { return block.first_tokens(x, 1); });
  check_layer("ViTBlock, post-norm", ViTBlock(6, 6, 9, 2, 0, true, rng, real(1e-5), {}, 0, 0, Norm::post), {x}, on_x);
  if (sizeof(real) == 8)  // in single precision the finite differences cross the kinks of its ReLU
    check_layer("TransformerEncoderBlock", TransformerEncoderBlock(6, 9, 2, 0, true, rng), {x}, on_x);
  check_layer("LayerScale", LayerScale(6, real(0.3)), {x}, on_x);
  check_layer("DropPath", DropPath(real(0.4), rng), {x}, [&](DropPath& layer) {
    layer.dropout->rng = Rng(5);
    return layer(x);
  });
  check_layer("ViTBlock with LayerScale and DropPath",
              ViTBlock(6, 6, 9, 2, 0, true, rng, real(1e-5), {}, real(0.3), real(0.4)), {x}, [&](ViTBlock& block) {
                block.drop_path1.dropout->rng = block.drop_path2.dropout->rng = Rng(5);
                return block(x);
              });
  check_layer("PatchEmbedding", PatchEmbedding({6, 4}, {3, 2}, 5, 2, rng), {},
              [&, X = rng.normal({2, 2, 6, 4})](PatchEmbedding& embed) { return embed(X); });
}

TEST_CASE("gradcheck: the whole small ViT, and every op on its tape is in the table") {
  std::set<std::string> tested;
  for (const Case& c : cases()) tested.insert(c.op);
  const struct {
    Pool pool;
    bool distilled, whole_last_block;
  } heads[] = {{Pool::token, false, false}, {Pool::token, false, true}, {Pool::avg, false, false},
               {Pool::seq, false, false},   {Pool::token, true, false}, {Pool::token, true, true}};
  for (const auto& c : heads) {
    Rng rng(3);
    ViT model({.img_size = {6, 4},
               .patch_size = 2,
               .num_hiddens = 6,
               .mlp_num_hiddens = 10,
               .num_heads = 2,
               .num_blks = 2,
               .emb_dropout = real(0.1),
               .blk_dropout = real(0.2),
               .use_bias = true,
               .num_classes = 3,
               .num_channels = 2,
               .pool = c.pool,
               .distilled = c.distilled,
               .whole_last_block = c.whole_last_block},
              rng);
    Var images = Var::parameter(rng.normal({3, 2, 6, 4}));
    auto leaves = named_parameters(model);
    leaves.emplace_back("images", images);
    const auto loss = [&] {
      for (auto& [name, rng] : state_of(model).streams)  // the same dropout each time
        *rng = Rng(std::hash<std::string>()(name));
      return cross_entropy(model(images), {2, 0, 1}, real(0.1));
    };
    CHECK(error_of([&] { gradcheck("ViT", loss, leaves); }) == "");

    Tape tape;
    loss();
    REQUIRE(tape.ops().size() > 20);
    for (const std::string& op : tape.ops()) {
      CAPTURE(op);
      CHECK(tested.count(op) == 1);
    }
  }
}

TEST_CASE("gradcheck: a wrong gradient is found and named") {
  // y = x³ whose derivative is wrong in one place only.
  const auto crooked = [](const Inputs& in) {
    const Tensor x = in[0].value();
    return record("cube", x * x * x, {{in[0], [x](Tensor dY) {
                                         Tensor dX = dY * x * x * 3;
                                         set(dX, 7, dX.values()[7] * 3);
                                         return dX;
                                       }}});
  };
  const std::string error = error_of([&] { gradcheck("cube", crooked, {{3, 5}}); });
  CAPTURE(error);
  CHECK(error.find("cube") != std::string::npos);
  CHECK(error.find("input 0") != std::string::npos);
  CHECK(error.find("(1, 2)") != std::string::npos);
  CHECK(error.find("backward") != std::string::npos);
  CHECK(error.find("finite difference") != std::string::npos);
  CHECK(error.find("relative error") != std::string::npos);
}

TEST_CASE("gradcheck: a scaled softmax, which a cotangent of ones would not see") {
  const auto scaled = [](const Inputs& in) {
    const Tensor y = softmax(in[0].value());
    return record("softmax", y, {{in[0], [y](Tensor dY) { return softmax_backward(y, {}, dY) * 2; }}});
  };
  CHECK(error_of([&] { gradcheck("scaled", scaled, {{3, 5}}); }) != "");
}

TEST_CASE("gradcheck: NaN, missing gradients and changing results are errors") {
  const auto nan = [](const Inputs& in) {
    return record("nan", in[0].value(), {{in[0], [](Tensor dY) { return dY * real(NAN); }}});
  };
  CHECK(error_of([&] { gradcheck("nan", nan, {{3}}); }) != "");
  const auto constant = [](const Inputs& in) { return in[0] + Var(in[1].value()); };
  CHECK(error_of([&] { gradcheck("constant", constant, {{3}, {3}}); }).find("no gradient") != std::string::npos);
  Rng rng(0);
  const auto random = [&](const Inputs& in) { return dropout(in[0], real(0.5), rng.draw()); };
  CHECK(error_of([&] { gradcheck("random", random, {{37}}); }).find("different results") != std::string::npos);
}
