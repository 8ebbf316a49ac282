#pragma once
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/files/fields.h"
#include "nn/layers.h"
#include "nn/models/check_images.h"

/// The Swin Transformer (Liu et al., 2021: "Swin Transformer: Hierarchical vision transformer using shifted windows"):
/// tokens attend within windows of a few places, so that the cost grows with the image and not with its square, and
/// every second block shifts the windows by half, so that what one of them found reaches its neighbours. Between stages
/// four neighbours become one token, as images become smaller and deeper in a convolutional network.
namespace bobbin {

/// Where two libraries differ, and whose names the parameters have. Maps that windows of the given size tile are the
/// same in both.
///
/// |                                    | timm                            | torchvision                |
/// |------------------------------------|---------------------------------|----------------------------|
/// | a map that windows do not tile     | shifted, then padded with zeros | padded, then shifted       |
/// | a window that the map is less than | becomes as small as the map,    | stays; the map is padded   |
/// |                                    | and so does its table of biases |                            |
/// | names                              | layers.0.blocks.1.mlp.fc1       | features.1.1.mlp.0         |
enum class SwinForm { timm, torchvision };

/// How a map of tokens is cut into windows, and put together again. Shifting, padding and cutting move tokens and
/// change none: all three are one list that says which token each place of each window shows.
struct SwinWindows {
  Size2 map, size;  ///< of the map, and of a window, in tokens
  Index count;      ///< windows in a map
  Labels token;     ///< (count·T): the token that a place shows; where it shows padding, the number behind the last
  Labels place;     ///< (map.height·map.width): the place that shows a token
  Tensor mask;      ///< (count, 1, T, T): -100 between tokens that only the shift brought together; undefined if none
  /// In which row of the table of biases each pair of tokens of a window finds its own, by how far the second lies
  /// above and to the left of the first: (T·T) numbers below (2·size.height - 1)·(2·size.width - 1).
  Labels relative_positions;

  SwinWindows(Size2 map, Size2 window, bool shifted, SwinForm form) : map(map), size(size_in(map, window, form)) {
    const Axis rows(map.height, size.height, shifted, form), cols(map.width, size.width, shifted, form);
    count = rows.padded / size.height * (cols.padded / size.width);
    const Index padding = map.height * map.width;
    place.resize(static_cast<std::size_t>(padding));
    std::vector<int> regions;
    for (Index top = 0; top < rows.padded; top += size.height)
      for (Index left = 0; left < cols.padded; left += size.width)
        for (Index y = top; y < top + size.height; ++y)
          for (Index x = left; x < left + size.width; ++x) {
            const Index row = rows.source(y), col = cols.source(x);
            const Index shown = row >= 0 && col >= 0 ? row * map.width + col : padding;
            if (shown < padding) place[static_cast<std::size_t>(shown)] = static_cast<int>(token.size());
            token.push_back(static_cast<int>(shown));
            regions.push_back(3 * rows.region(y) + cols.region(x));
          }
    find_relative_positions();
    if (rows.shift == 0 && cols.shift == 0) return;
    const auto T = static_cast<std::size_t>(tokens());
    std::vector<real> values;
    values.reserve(regions.size() * T);
    for (std::size_t window = 0; window < regions.size(); window += T)
      for (std::size_t a = window; a < window + T; ++a)
        for (std::size_t b = window; b < window + T; ++b) values.push_back(regions[a] == regions[b] ? 0 : real(-100));
    mask = Tensor({count, 1, tokens(), tokens()}, values);
  }

  /// T: the tokens that a window has.
  Index tokens() const { return size.height * size.width; }
  /// The size of windows in a map, which is the given one but for a map that is less.
  static Size2 size_in(Size2 map, Size2 window, SwinForm form) {
    if (form == SwinForm::torchvision) return window;
    return {std::min(map.height, window.height), std::min(map.width, window.width)};
  }
  /// The pairs of tokens within all windows of a map: the numbers of its mask.
  static Index pairs(Size2 map, Size2 window, SwinForm form) {
    const Size2 size = size_in(map, window, form);
    const Axis rows(map.height, size.height, false, form), cols(map.width, size.width, false, form);
    return rows.padded * cols.padded * size.height * size.width;
  }

  /// A map's tokens -> its windows': (B, map.height·map.width, C) -> (B·count, T, C).
  Var cut(Var X) const {
    const Index B = X.shape()[0], C = X.shape()[2];
    if (token.size() > place.size()) X = pad(X, 1, 0, 1);  // what the padding shows
    return reshape(index_select(X, 1, token), {B * count, tokens(), C});
  }
  /// And back; what became of the padding is left out.
  Var join(const Var& X) const {
    const Index B = X.shape()[0] / count, C = X.shape()[2];
    return index_select(reshape(X, {B, count * tokens(), C}), 1, place);
  }

 private:
  void find_relative_positions() {
    for (Index a = 0; a < tokens(); ++a)
      for (Index b = 0; b < tokens(); ++b) {
        const Index down = a / size.width - b / size.width, right = a % size.width - b % size.width;
        relative_positions.push_back(
            static_cast<int>((down + size.height - 1) * (2 * size.width - 1) + right + size.width - 1));
      }
  }

  // One side of the map.
  struct Axis {
    Index n, window, padded, shift;
    SwinForm form;

    Axis(Index n, Index window, bool shifted, SwinForm form)
        : n(n),
          window(window),
          padded((n + window - 1) / window * window),
          shift(shifted && padded > window ? window / 2 : 0),
          form(form) {}

    // What place i of the padded side shows; -1: padding.
    Index source(Index i) const {
      if (form == SwinForm::timm) return i < n ? (i + shift) % n : -1;
      const Index from = (i + shift) % padded;
      return from < n ? from : -1;
    }
    // Of three regions that are neighbours in the map, and in the last window are not: what lies before it, and what
    // the shift brought from the one end and from the other.
    int region(Index i) const { return shift == 0 || i < padded - window ? 0 : i < padded - shift ? 1 : 2; }
  };
};

/// softmax(Q·Kᵀ/√d + B)·V within each window, where B has a learned number for each head and each way from one token
/// to another.
struct WindowAttention {
  int num_heads;
  Var relative_position_bias_table;  // ((2·height - 1)·(2·width - 1), num_heads)
  Linear qkv, proj;

  WindowAttention(Index dim, int num_heads, const SwinWindows& windows, Rng& rng)
      : num_heads(num_heads),
        relative_position_bias_table(Var::parameter(
            rng.normal({(2 * windows.size.height - 1) * (2 * windows.size.width - 1), num_heads}, 0, real(0.02)))),
        qkv(dim, 3 * dim, rng),
        proj(dim, dim, rng) {}

  /// (B·windows, T, dim) -> the same shape. Their mask, if there is one, is added to the scores.
  Var operator()(const Var& X, const SwinWindows& windows) {
    const Index T = X.shape()[1];
    Var bias = reshape(transpose(index_select(relative_position_bias_table, 0, windows.relative_positions), 0, 1),
                       {1, num_heads, T, T});
    if (windows.mask.defined()) bias = std::move(bias) + Var(windows.mask);  // (windows, num_heads, T, T)
    return proj(biased_attention(qkv(X, ReadBy::products), num_heads, bias, ReadBy::products));
  }
  void visit(auto&& v) {
    v("relative_position_bias_table", relative_position_bias_table), v("qkv", qkv), v("proj", proj);
  }
};

/// Attention within windows, then the MLP for each token, both normalised before and added to what came in:
///
///     x ── norm1 ── windows, every second time shifted ── attention ── + ── norm2 ── fc1 ── gelu ── fc2 ── +
///     └──────────────────────────────────────────────────────────────┘ └─────────────────────────────────┘
struct SwinBlock {
  SwinForm form;
  std::shared_ptr<const SwinWindows> windows;  // which blocks of a stage share
  LayerNorm norm1;
  WindowAttention attn;
  DropPath drop_path1;
  LayerNorm norm2;
  Linear fc1, fc2;
  DropPath drop_path2;

  SwinBlock(Index dim, Index mlp_dim, int num_heads, const std::shared_ptr<const SwinWindows>& windows, real drop_path,
            SwinForm form, Rng& rng)
      : form(form),
        windows(windows),
        norm1(dim),
        attn(dim, num_heads, *windows, rng),
        drop_path1(drop_path, rng),
        norm2(dim),
        fc1(dim, mlp_dim, rng),
        fc2(mlp_dim, dim, rng),
        drop_path2(drop_path, rng) {}

  /// (B, map.height·map.width, dim) -> the same shape.
  Var operator()(const Var& X) {
    const Var Y = X + drop_path1(windows->join(attn(windows->cut(norm1(X)), *windows)));
    Var Z = gelu(fc1(norm2(Y, ReadBy::products)), 0, {}, ReadBy::products);
    return Y + drop_path2(fc2(std::move(Z)));
  }
  void visit(auto&& v) {
    const bool timm = form == SwinForm::timm;
    v("norm1", norm1), v("attn", attn), v("drop_path1", drop_path1), v("norm2", norm2);
    v(timm ? "mlp.fc1" : "mlp.0", fc1), v(timm ? "mlp.fc2" : "mlp.3", fc2), v("drop_path2", drop_path2);
  }
};

/// Four neighbours become one token of twice the width; what is odd is padded with zeros.
struct PatchMerging {
  Size2 map;  // before
  LayerNorm norm;
  Linear reduction;
  Labels corners;  // the four tokens of each: above left, below left, above right, below right

  PatchMerging(Index dim, Size2 map, Rng& rng)
      : map(map), norm(4 * dim), reduction(4 * dim, 2 * dim, rng, /*use_bias=*/false) {
    for (Index y = 0; y < map.height; y += 2)
      for (Index x = 0; x < map.width; x += 2)
        for (const auto& [row, col] : {std::pair(y, x), {y + 1, x}, {y, x + 1}, {y + 1, x + 1}})
          corners.push_back(
              static_cast<int>(row < map.height && col < map.width ? row * map.width + col : map.height * map.width));
  }

  /// (B, map.height·map.width, dim) -> (B, a quarter of them, 2·dim).
  Var operator()(Var X) {
    const Index B = X.shape()[0], C = X.shape()[2], n = static_cast<Index>(corners.size()) / 4;
    if (4 * n > map.height * map.width) X = pad(X, 1, 0, 1);  // what the padding shows
    return reduction(norm(reshape(index_select(X, 1, corners), {B, n, 4 * C}), ReadBy::products));
  }
  void visit(auto&& v) { v("norm", norm), v("reduction", reduction); }

  /// The size of the map behind it.
  static Size2 merged(Size2 map) { return {(map.height + 1) / 2, (map.width + 1) / 2}; }
};

/// Hyperparameters of a Swin Transformer, with timm's names. The defaults are Swin-T's.
struct SwinConfig {
  /// The model, what --model calls it and what people do, and the parameters that are its head, by how their names
  /// begin.
  using Model = struct Swin;
  static constexpr const char *name = "swin", *title = "Swin Transformer";
  static constexpr const char* heads[] = {"head."};
  static constexpr bool any_size = true;  ///< but for timm's windows, as far as they shrink

  SwinForm form = SwinForm::timm;
  Size2 img_size = 224, patch_size = 4;
  Index embed_dim = 96;
  std::vector<Index> depths{2, 2, 6, 2}, num_heads{3, 6, 12, 24};
  Size2 window_size = 7;
  real mlp_ratio = 4;
  real drop_path = 0;  ///< of the last block's two branches; of the first's 0, and between them it rises evenly
  Index num_classes = 10, num_channels = 1;

  void fields(Fields& f) {
    f("form", form,
      {.help = "timm: maps are shifted, then padded, and windows shrink to small maps; torchvision: maps are padded, "
               "then shifted, and windows stay; and so are the names of the weights",
       .choices = {"timm", "torchvision"},
       .fixed = true});
    f("img_size", img_size,
      {.help = "image size in pixels: N, or height and width", .low = 1, .high = 4096, .fixed = true});
    f("patch_size", patch_size,
      {.help = "patch size in pixels: N, or height and width", .low = 1, .high = 4096, .fixed = true});
    f("embed_dim", embed_dim,
      {.help = "dimension of a token in the first stage; each that follows has twice as much",
       .low = 1,
       .high = 65536,
       .fixed = true});
    f("depths", depths, {.help = "blocks of each stage", .low = 1, .high = 1000, .fixed = true});
    f("num_heads", num_heads,
      {.help = "attention heads of each stage; must divide its dimension", .low = 1, .high = 65536, .fixed = true});
    f("window_size", window_size,
      {.help = "size of the windows in tokens: N, or height and width", .low = 1, .high = 64, .fixed = true});
    f("mlp_ratio", mlp_ratio,
      {.help = "hidden units of a block's MLP for each of its dimension", .low = 0.01, .high = 1000, .fixed = true});
    f("drop_path", drop_path,
      {.help = "probability that an image passes by a branch of the last block (stochastic depth), rising evenly from "
               "0 in the first",
       .low = 0,
       .high = 0.9999,
       .in_file = false});
    f("num_classes", num_classes, {.low = 0, .high = 1 << 20, .flag = ""});  // 0: features, there is no head
    f("num_channels", num_channels, {.low = 1, .high = 1 << 20, .flag = ""});
  }

  /// Throws Error unless each stage has its heads, and these divide its dimension, an image has a patch, and the
  /// lists that say what windows show do not ask for gigabytes: a later stage's are no longer than the first's.
  const SwinConfig& checked() const {
    check(depths.size() == num_heads.size() && !depths.empty() && depths.size() <= 8, title, "there are ",
          depths.size(), " depths and ", num_heads.size(), " num_heads: both need a number for each stage, of 1 to 8");
    for (std::size_t i = 0; i < depths.size(); ++i)
      check(num_heads[i] >= 1 && dim(i) % num_heads[i] == 0, title, num_heads[i], " heads do not divide the dimension ",
            dim(i), " of stage ", i + 1);
    check(img_size.height >= patch_size.height && img_size.width >= patch_size.width, title, "an image of ",
          img_size.height, " x ", img_size.width, " is less than a patch of ", patch_size.height, " x ",
          patch_size.width);
    check(std::max(img_size.height, img_size.width) <= 4096, title, "images of ", img_size.height, " x ",
          img_size.width, " are too large: 4096 x 4096 at most");
    const auto [rows, cols] = grid();
    const Index pairs = SwinWindows::pairs(grid(), window_size, form), most = 1 << 27;
    check(pairs <= most, title, rows, " x ", cols, " tokens in windows of ", window_size.height, " x ",
          window_size.width, " are ", pairs, " pairs, of which there can be ", most,
          ": smaller images or windows, or larger patches, have fewer");
    return *this;
  }
  /// The width of a token, and of the MLP's hidden layer, in a stage.
  Index dim(std::size_t stage) const { return embed_dim << stage; }
  Index mlp_dim(std::size_t stage) const {
    return static_cast<Index>(static_cast<real>(dim(stage)) * mlp_ratio);  // cut off, as int() does
  }
  /// The tokens in a column and in a row, in the first stage. What does not fill a patch is left out.
  Size2 grid() const { return {img_size.height / patch_size.height, img_size.width / patch_size.width}; }
  /// About how many parameters there are.
  double weights() const {
    double D = static_cast<double>(embed_dim);
    double count = D * static_cast<double>(num_channels * patch_size.height * patch_size.width);
    Size2 map = grid();
    for (std::size_t i = 0; i < depths.size() && i < num_heads.size(); ++i, D *= 2, map = PatchMerging::merged(map)) {
      const auto [height, width] = SwinWindows::size_in(map, window_size, form);
      const auto table = static_cast<double>((2 * height - 1) * (2 * width - 1) * num_heads[i]);
      count += static_cast<double>(depths[i]) * (D * D * (4 + 2 * double{mlp_ratio}) + table);
      count += i > 0 ? 2 * D * D : 0;
    }
    return count + D / 2 * static_cast<double>(num_classes);
  }
};

/// Images (B, num_channels, H, W) -> logits (B, num_classes), or where there are no classes what a head would see:
///
///     patches ── linear ── norm ── blocks ── merging ── blocks ── ... ── norm ── mean over all tokens ── linear
struct Swin {
  /// Blocks that see maps of one size.
  struct Stage {
    std::optional<PatchMerging> merging;  // in front of all but the first
    std::vector<SwinBlock> blocks;
  };

  SwinConfig config;
  Conv2d proj;
  LayerNorm patch_norm;
  std::vector<Stage> stages;
  LayerNorm norm;
  Linear head;

  /// Throws Error where SwinConfig::checked() does.
  Swin(const SwinConfig& c, Rng& rng)
      : config(c.checked()),
        proj(c.num_channels, c.embed_dim, c.patch_size, rng, {.stride = c.patch_size}),
        patch_norm(c.embed_dim),
        norm(c.dim(c.depths.size() - 1)),
        head(c.dim(c.depths.size() - 1), c.num_classes, rng) {
    if (c.num_classes == 0) head.weight = head.bias = Var();
    Index blocks = 0, done = 0;
    for (const Index depth : c.depths) blocks += depth;
    Size2 map = c.grid();
    for (std::size_t i = 0; i < c.depths.size(); ++i) {
      Stage& stage = stages.emplace_back();
      if (i > 0) {
        stage.merging.emplace(c.dim(i - 1), map, rng);
        map = PatchMerging::merged(map);
      }
      std::shared_ptr<const SwinWindows> windows[2];  // plain, and shifted
      for (Index block = 0; block < c.depths[i]; ++block, ++done) {
        auto& shown = windows[block % 2];
        if (!shown) shown = std::make_shared<const SwinWindows>(map, c.window_size, block % 2 == 1, c.form);
        const real rate = blocks > 1 ? c.drop_path * static_cast<real>(done) / static_cast<real>(blocks - 1) : 0;
        stage.blocks.emplace_back(c.dim(i), c.mlp_dim(i), static_cast<int>(c.num_heads[i]), shown, rate, c.form, rng);
      }
    }
    for (auto& [name, parameter] : named_parameters(*this))  // but for the patches', as in both libraries
      if (parameter.rank() == 2)
        parameter.mutable_value().assign(rng.normal(parameter.shape(), 0, real(0.02)));
      else if (parameter.rank() == 1 && name.ends_with("bias") && !name.starts_with(patches_name()))
        parameter.mutable_value().assign(Tensor::zeros(parameter.shape()));
  }

  Var operator()(const Var& images) {
    const Var Z = features(images);
    return config.num_classes > 0 ? head(Z) : Z;
  }
  /// What the head sees: (B, num_channels, H, W) -> (B, dim of the last stage).
  Var features(const Var& images) {
    check_images(config.title, images, config);
    Var X = patch_norm(embed(images));  // (B, tokens, C)
    for (Stage& stage : stages) {
      if (stage.merging) X = (*stage.merging)(std::move(X));
      for (SwinBlock& block : stage.blocks) X = block(X);
    }
    return mean(norm(X), 1);
  }
  void visit(auto&& v) {
    const bool timm = config.form == SwinForm::timm;
    v(patches_name(), proj), v(timm ? "patch_embed.norm" : "features.0.2", patch_norm);
    for (std::size_t i = 0; i < stages.size(); ++i) {
      const std::string layer = "layers." + std::to_string(i);
      v(timm ? layer + ".downsample" : "features." + std::to_string(2 * i), stages[i].merging);
      v(timm ? layer + ".blocks" : "features." + std::to_string(2 * i + 1), stages[i].blocks);
    }
    v("norm", norm), v(timm ? "head.fc" : "head", head);
  }

 private:
  std::string patches_name() const { return config.form == SwinForm::timm ? "patch_embed.proj" : "features.0.0"; }

  // (B, num_channels, H, W) -> (B, tokens, embed_dim). As kernel = stride, the convolution is one product of the
  // patches with the kernels.
  Var embed(Var X) {
    const auto& [rows, cols] = config.grid();
    const Size2 patch = config.patch_size, whole = {rows * patch.height, cols * patch.width};
    if (whole.height < config.img_size.height) X = slice(X, 2, 0, whole.height);
    if (whole.width < config.img_size.width) X = slice(X, 3, 0, whole.width);
    return linear(patches(X, patch), flatten(proj.weight, 1), proj.bias);
  }
};

}  // namespace bobbin
