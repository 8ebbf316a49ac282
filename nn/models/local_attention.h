#pragma once
#include <optional>
#include <vector>

#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/check_images.h"

/// Attention in place of convolution (Ramachandran, Parmar, Vaswani, Bello, Levskaya, Shlens, 2019: "Stand-alone
/// self-attention in vision models"): a pixel looks at its neighbours, as a kernel does, but weighs them by what they
/// are. Composed of other operations: plain, not fast.
namespace bobbin {

/// Each pixel asks the k x k pixels around it. With q, k and v what 1x1 convolutions make of x, and r a vector for each
/// offset, one half of it for the row and one for the column,
///
///     y_ij = Σ softmax(q_ij·k_ab + q_ij·r_(a-i, b-j)) v_ab   over the neighbours ab of ij,
///
/// for each head in its own channels. Around the image are zeros, which are neighbours like all others.
struct LocalAttention {
  Index kernel_size;
  int num_heads;
  Conv2d W_q, W_k, W_v;
  Var rows, columns;  // (num_heads, d/2, kernel_size) for d channels of a head

  /// Throws Error unless the kernel size is odd and each head has an even number of the channels.
  LocalAttention(Index in, Index out, Index kernel_size, int num_heads, Rng& rng)
      : kernel_size(kernel_size),
        num_heads(num_heads),
        W_q(in, out, 1, rng, {}, false),
        W_k(in, out, 1, rng, {}, false),
        W_v(in, out, 1, rng, {}, false) {
    check(kernel_size % 2 == 1 && num_heads >= 1 && out % (2 * num_heads) == 0, "LocalAttention",
          "needs a kernel of an odd size and two halves for each head, got ", kernel_size, " and ", out,
          " channels for ", num_heads, " heads");
    const Shape shape{num_heads, out / num_heads / 2, kernel_size};
    rows = Var::parameter(rng.normal(shape));
    columns = Var::parameter(rng.normal(shape));
  }

  /// (B, in, H, W) -> (B, out, H, W).
  Var operator()(const Var& X) {
    const Var Q = W_q(X);  // (B, N·d, H, W)
    const Index B = Q.shape()[0], N = num_heads, d = Q.shape()[1] / N, H = Q.shape()[2], W = Q.shape()[3],
                k = kernel_size;
    const Conv2dGeometry around{N * d, H, W, k, k, 1, 1, k / 2, k / 2, 1, 1};
    const auto neighbours = [&](const Var& Z) { return reshape(im2col(Z, around), {B, N, d, k * k, H * W}); };

    const Var places = concat(
        {broadcast_to(unsqueeze(rows, 3), {N, d / 2, k, k}), broadcast_to(unsqueeze(columns, 2), {N, d / 2, k, k})},
        1);  // (N, d, k, k)
    const Var by_place = matmul(reshape(places, {N, d, k * k}), reshape(Q, {B, N, d, H * W}), {.trans_a = true});
    const Var by_content = sum(neighbours(W_k(X)) * reshape(Q, {B, N, d, 1, H * W}), 2);  // (B, N, k·k, H·W)
    const Var weights = softmax(by_content + by_place, 2);
    const Var Y = sum(neighbours(W_v(X)) * unsqueeze(weights, 2), 3);  // (B, N, d, H·W)
    return reshape(Y, {B, N * d, H, W});
  }
  void visit(auto&& v) { v("W_q", W_q), v("W_k", W_k), v("W_v", W_v), v("rows", rows), v("columns", columns); }
};

/// The residual block of a ResNet, whose 3x3 convolutions have become attention. Where it halves the image, mean
/// pooling does it:
///
///     x ── attention ── [pool] ── norm ── relu ── attention ── norm ── + ── relu
///     └─────────────────── [pool ── 1x1 convolution] ──────────────────┘
///
/// (B, in, H, W) -> (B, out, H, W), or half as high and wide, rounded down.
struct AttentionResidual {
  LocalAttention attention1;
  BatchNorm2d bn1;
  LocalAttention attention2;
  BatchNorm2d bn2;
  std::optional<Conv2d> shortcut;
  bool halves;

  AttentionResidual(Index in, Index out, Index kernel_size, int num_heads, bool halves, Rng& rng)
      : attention1(in, out, kernel_size, num_heads, rng),
        bn1(out),
        attention2(out, out, kernel_size, num_heads, rng),
        bn2(out),
        halves(halves) {
    if (in != out) shortcut.emplace(in, out, 1, rng, Conv2dOptions{}, false);
  }

  Var operator()(const Var& X) {
    const auto pooled = [&](const Var& Z) { return halves ? avg_pool2d(Z, 2) : Z; };
    const Var Y = bn2(attention2(bn1(pooled(attention1(X)), Then::relu)));
    const Var Z = pooled(X);
    return relu(Y + (shortcut ? (*shortcut)(Z) : Z));
  }
  void visit(auto&& v) {
    v("attention1", attention1), v("bn1", bn1), v("attention2", attention2), v("bn2", bn2), v("shortcut", shortcut);
  }
};

/// Hyperparameters of an AttentionResNet, for images of 28 to 32 pixels.
struct AttentionResNetConfig {
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = struct AttentionResNet;
  static constexpr const char *name = "attention-resnet", *title = "AttentionResNet";
  static constexpr const char* heads[] = {"head."};

  Size2 img_size = 28;
  Index width = 32, kernel_size = 3;
  int num_heads = 4;
  Index num_classes = 10, num_channels = 1;

  void fields(Fields& f) {
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 8, .high = 4096, .fixed = true});
    f("width", width,
      {.help = "channels of the first stage; each of the two that follow has twice as many",
       .low = 2,
       .high = 4096,
       .fixed = true});
    f("kernel_size", kernel_size,
      {.help = "a pixel attends to as many rows and columns around it; odd", .low = 1, .high = 31, .fixed = true});
    f("num_heads", num_heads,
      {.help = "attention heads; twice as many must divide --width", .low = 1, .high = 2048, .fixed = true});
    f("num_classes", num_classes, {.low = 1, .high = 1 << 20, .flag = ""});
    f("num_channels", num_channels, {.low = 1, .high = 1 << 20, .flag = ""});
  }
  /// The number of weights, about.
  double weights() const {
    const auto w = static_cast<double>(width);
    return 9 * w * static_cast<double>(num_channels) + 3 * w * w * (2 + 6 + 24) + 10 * w * w +
           4 * w * static_cast<double>(num_classes);
  }
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes): a 3x3 convolution with stride 2, since attention is weak
/// on bare pixels, three blocks, the mean over all places, linear.
struct AttentionResNet {
  AttentionResNetConfig config;
  Conv2d conv1;
  BatchNorm2d bn1;
  std::vector<AttentionResidual> blocks;
  Linear head;

  AttentionResNet(const AttentionResNetConfig& c, Rng& rng)
      : config(c),
        conv1(c.num_channels, c.width, 3, rng, {.stride = 2, .padding = 1}, false),
        bn1(c.width),
        head(4 * c.width, c.num_classes, rng) {
    Index in = c.width;
    for (const Index out : {c.width, 2 * c.width, 4 * c.width}) {
      blocks.emplace_back(in, out, c.kernel_size, c.num_heads, out != in, rng);
      in = out;
    }
  }

  Var operator()(const Var& images) {
    check_images("AttentionResNet", images, config);
    Var X = bn1(conv1(images), Then::relu);
    for (AttentionResidual& block : blocks) X = block(X);
    return head(mean(X, {2, 3}));
  }
  void visit(auto&& v) { v("conv1", conv1), v("bn1", bn1), v("blocks", blocks), v("head", head); }
};

}  // namespace bobbin
