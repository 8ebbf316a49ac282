// LibTorch's side of bench_peers.py: the chapter's Vision Transformer in PyTorch's C++ library, and a step of it for
// each line on stdin. A line is "train" or "eval"; the answer is the step's seconds. The first line on stdout names the
// peer.
//
//     peer_libtorch float32|autocast THREADS BATCH_SIZE whole|class-token
//
// The model is tests/golden/chapter.py's, with its names; attention is the library's own, for it is the faster.
// bench_peers.py compiles this; make does not.
#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

namespace nn = torch::nn;
using torch::Tensor;
using torch::indexing::Slice;

struct MultiHeadAttentionImpl : nn::Module {
  int64_t num_heads;
  double dropout;
  nn::Linear W_q, W_k, W_v, W_o;

  MultiHeadAttentionImpl(int64_t num_hiddens, int64_t num_heads, double dropout)
      : num_heads(num_heads),
        dropout(dropout),
        W_q(nn::LinearOptions(num_hiddens, num_hiddens).bias(false)),
        W_k(nn::LinearOptions(num_hiddens, num_hiddens).bias(false)),
        W_v(nn::LinearOptions(num_hiddens, num_hiddens).bias(false)),
        W_o(nn::LinearOptions(num_hiddens, num_hiddens).bias(false)) {
    register_module("W_q", W_q), register_module("W_k", W_k), register_module("W_v", W_v), register_module("W_o", W_o);
  }
  Tensor forward(const Tensor& queries, const Tensor& keys, const Tensor& values) {
    const auto heads = [&](const Tensor& X) {  // (B, T, C) -> (B, heads, T, C / heads)
      return X.view({X.size(0), X.size(1), num_heads, -1}).transpose(1, 2);
    };
    const Tensor Y = at::scaled_dot_product_attention(heads(W_q(queries)), heads(W_k(keys)), heads(W_v(values)), {},
                                                      is_training() ? dropout : 0);
    return W_o(Y.transpose(1, 2).flatten(2));  // (B, T, C)
  }
};
TORCH_MODULE(MultiHeadAttention);

struct ViTMLPImpl : nn::Module {
  nn::Linear dense1, dense2;
  nn::Dropout dropout1, dropout2;

  ViTMLPImpl(int64_t num_hiddens, int64_t mlp_num_hiddens, double dropout)
      : dense1(num_hiddens, mlp_num_hiddens),
        dense2(mlp_num_hiddens, num_hiddens),
        dropout1(dropout),
        dropout2(dropout) {
    register_module("dense1", dense1), register_module("dense2", dense2);
    register_module("dropout1", dropout1), register_module("dropout2", dropout2);
  }
  Tensor forward(const Tensor& X) { return dropout2(dense2(dropout1(torch::gelu(dense1(X))))); }
};
TORCH_MODULE(ViTMLP);

struct ViTBlockImpl : nn::Module {
  nn::LayerNorm ln1, ln2;
  MultiHeadAttention attention;
  ViTMLP mlp;

  ViTBlockImpl(int64_t num_hiddens, int64_t mlp_num_hiddens, int64_t num_heads, double dropout)
      : ln1(nn::LayerNormOptions({num_hiddens})),
        ln2(nn::LayerNormOptions({num_hiddens})),
        attention(num_hiddens, num_heads, dropout),
        mlp(num_hiddens, mlp_num_hiddens, dropout) {
    register_module("ln1", ln1), register_module("attention", attention);
    register_module("ln2", ln2), register_module("mlp", mlp);
  }
  // Of these tokens the result; all are keys and values.
  Tensor forward(const Tensor& X, const Slice& tokens) {
    const Tensor Z = ln1(X);
    const Tensor Y = X.index({Slice(), tokens}) + attention(Z.index({Slice(), tokens}), Z, Z);
    return Y + mlp(ln2(Y));
  }
};
TORCH_MODULE(ViTBlock);

// d2l's model: images (B, 1, 96, 96) -> logits (B, 10).
struct ViTImpl : nn::Module {
  static constexpr int64_t img_size = 96, patch_size = 16, num_hiddens = 512, mlp_num_hiddens = 2048, num_heads = 8,
                           num_blks = 2, num_classes = 10;
  static constexpr double p = 0.1;
  static constexpr int64_t num_steps = (img_size / patch_size) * (img_size / patch_size) + 1;

  bool whole_last_block;
  nn::Conv2d conv;
  Tensor cls_token, pos_embedding;
  nn::Dropout dropout;
  std::vector<ViTBlock> blks;
  nn::Sequential head;

  explicit ViTImpl(bool whole_last_block)
      : whole_last_block(whole_last_block),
        conv(nn::Conv2dOptions(1, num_hiddens, patch_size).stride(patch_size)),
        dropout(p),
        head(nn::LayerNorm(nn::LayerNormOptions({num_hiddens})), nn::Linear(num_hiddens, num_classes)) {
    register_module("conv", conv);
    cls_token = register_parameter("cls_token", torch::zeros({1, 1, num_hiddens}));
    pos_embedding = register_parameter("pos_embedding", torch::randn({1, num_steps, num_hiddens}));
    register_module("dropout", dropout);
    for (int64_t i = 0; i < num_blks; ++i)
      blks.push_back(register_module("blk" + std::to_string(i), ViTBlock(num_hiddens, mlp_num_hiddens, num_heads, p)));
    register_module("head", head);
  }
  Tensor forward(const Tensor& images) {
    Tensor X = conv(images).flatten(2).transpose(1, 2);
    X = torch::cat({cls_token.expand({X.size(0), -1, -1}), X}, 1);
    X = dropout(X + pos_embedding);
    for (ViTBlock& blk : blks) X = blk(X, blk.ptr() == blks.back().ptr() && !whole_last_block ? Slice(0, 1) : Slice());
    return head->forward(X.select(1, 0));
  }
};
TORCH_MODULE(ViT);

// torch.autocast('cpu', torch.bfloat16, enabled): as long as it lives, products are in bfloat16.
class Autocast {
 public:
  explicit Autocast(bool enabled) {
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
};

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("peer_libtorch: float32|autocast THREADS BATCH_SIZE whole|class-token\n", stderr);
    return 2;
  }
  const bool autocast = argv[1] == std::string("autocast"), whole = argv[4] == std::string("whole");
  const int64_t batch_size = std::stol(argv[3]);
  torch::set_num_threads(std::stoi(argv[2]));
  torch::manual_seed(0);
  ViT model(whole);
  torch::optim::SGD optimizer(model->parameters(), 0.001);
  const Tensor X = torch::rand({batch_size, 1, 96, 96}), y = torch::arange(batch_size) % 10;

  const auto train = [&] {
    model->train();
    optimizer.zero_grad();
    Tensor loss;
    {
      const Autocast here(autocast);
      loss = nn::functional::cross_entropy(model(X), y);
    }
    loss.backward();
    optimizer.step();
  };
  const auto evaluate = [&] {
    model->eval();
    const torch::NoGradGuard no_grad;
    const Autocast here(autocast);
    model(X);
  };
  std::printf("LibTorch %s%s\n", TORCH_VERSION, autocast ? ", autocast" : "");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    line == "eval" ? evaluate() : train();
    std::printf("%.6f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    std::fflush(stdout);
  }
}
