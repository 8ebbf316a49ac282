// MLP-Mixer (Tolstikhin et al., 2021), a model from a paper: patches, and perceptrons across them and within them. It
// learns whether two bright patches of an image are in one row.
//
//     c++ -O2 mixer.cpp $(pkg-config --cflags --libs bobbin) -o mixer && ./mixer
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

namespace {

struct MixerBlock {
  LayerNorm norm1, norm2;
  Sequential<Linear, GELU, Linear> tokens, channels;

  MixerBlock(Index patches, Index width, Rng& rng)
      : norm1(width),
        norm2(width),
        tokens(Linear(patches, 2 * patches, rng), GELU(), Linear(2 * patches, patches, rng)),
        channels(Linear(width, 2 * width, rng), GELU(), Linear(2 * width, width, rng)) {}
  Var operator()(const Var& x) {  // (B, T, C) -> (B, T, C)
    const Var y = x + transpose(tokens(transpose(norm1(x), 1, 2)), 1, 2);
    return y + channels(norm2(y));
  }
  void visit(auto&& v) { v("norm1", norm1), v("norm2", norm2), v("tokens", tokens), v("channels", channels); }
};

struct Mixer {
  Linear embed;
  std::vector<MixerBlock> blocks;
  LayerNorm norm;
  Linear head;

  explicit Mixer(Rng& rng)
      : embed(4, 24, rng), blocks{MixerBlock(16, 24, rng), MixerBlock(16, 24, rng)}, norm(24), head(24, 2, rng) {}
  Var operator()(const Var& images) {        // (B, 1, 8, 8) -> (B, 2)
    Var x = embed(patches(images, {2, 2}));  // (B, 16, 24)
    for (MixerBlock& block : blocks) x = block(x);
    return head(mean(norm(x), 1));
  }
  void visit(auto&& v) { v("embed", embed), v("blocks", blocks), v("norm", norm), v("head", head); }
};

// Images (B, 1, 8, 8) of 4 x 4 patches, two of them bright, and whether these are in one row.
std::pair<Tensor, Labels> draw(Index count, Rng& rng) {
  std::vector<real> pixels(static_cast<std::size_t>(count * 64), 0);
  Labels labels;
  for (Index i = 0; i < count; ++i) {
    const std::vector<Index> o = rng.permutation(16);
    const Index a = o[0], row = i % 2 ? a / 4 : (a / 4 + 1 + o[1] % 3) % 4, b = 4 * row + (a + 1 + o[2] % 3) % 4;
    for (const Index patch : {a, b})
      for (const Index at : {0, 1, 8, 9})
        pixels[static_cast<std::size_t>(i * 64 + patch / 4 * 16 + patch % 4 * 2 + at)] = 1;
    labels.push_back(row == a / 4);
  }
  return {Tensor({count, 1, 8, 8}, pixels), labels};
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    Mixer model(rng);
    AdamW adamw(named_parameters(model));
    for (int step = 0; step < 300; ++step) {
      const auto [images, labels] = draw(64, rng);
      Tape tape;
      tape.backward(cross_entropy(model(images), labels));
      adamw.step(real(0.003));
    }
    const auto [images, labels] = draw(500, rng);
    const Labels predicted = argmax(model(images).value(), 1);
    int right = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i];
    std::printf("accuracy %.3f\n", right / 500.0);
  });
}
