// A GPT on characters: embeddings, causal attention, and sampling from what it has learned.
//
//     c++ -O2 gpt.cpp $(pkg-config --cflags --libs bobbin) -o gpt && ./gpt
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

const std::string text =
    "Twinkle, twinkle, little star,\nHow I wonder what you are!\n"
    "Up above the world so high,\nLike a diamond in the sky.\n";
constexpr Index T = 24, C = 32, V = 128;  // letters at a time, the width, the letters there are (ASCII)

struct Block {
  LayerNorm norm1{C}, norm2{C};
  MultiHeadAttention attention;
  Sequential<Linear, GELU, Linear> mlp;

  explicit Block(Rng& rng) : attention(C, 4, 0, true, rng), mlp(Linear(C, 4 * C, rng), GELU(), Linear(4 * C, C, rng)) {
    attention.causal = true;  // a letter sees those before it, and itself
  }
  Var operator()(const Var& x) {  // (B, T, C)
    const Var z = norm1(x), y = x + attention(z, z, z);
    return y + mlp(norm2(y));
  }
  void visit(auto&& v) { v("norm1", norm1), v("norm2", norm2), v("attention", attention), v("mlp", mlp); }
};

struct GPT {
  Embedding tokens, positions;
  std::vector<Block> blocks;
  Linear head;

  explicit GPT(Rng& rng) : tokens(V, C, rng), positions(T, C, rng), blocks{Block(rng), Block(rng)}, head(C, V, rng) {}
  Var operator()(const Labels& letters, Index length) {  // (B·length) -> (B·length, V): what comes next
    const auto count = static_cast<Index>(letters.size());
    Var x = reshape(tokens(letters), {count / length, length, C}) + slice(positions.weight, 0, 0, length);
    for (Block& block : blocks) x = block(x);
    return reshape(head(x), {count, V});
  }
  void visit(auto&& v) { v("tokens", tokens), v("positions", positions), v("blocks", blocks), v("head", head); }
};

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    GPT model(rng);
    AdamW adamw(named_parameters(model));
    real last = 0;
    for (int step = 0; step < 300; ++step) {
      std::string now, next;
      for (const real start : rng.uniform({16}, 0, static_cast<real>(text.size() - T - 1)).values()) {
        now += text.substr(static_cast<std::size_t>(start), T);
        next += text.substr(static_cast<std::size_t>(start) + 1, T);
      }
      const Labels ids(now.begin(), now.end()), wanted(next.begin(), next.end());
      last = training_step([&] { return cross_entropy(model(ids, T), wanted); }, adamw, real(0.003));
    }
    std::string said = "T";
    while (said.size() < text.size()) {
      const Labels ids(said.end() - std::min<Index>(said.size(), T), said.end());
      const std::vector<real> p = softmax(select(model(ids, ids.size()), 0, ids.size() - 1)).value().values();
      real left = rng.uniform({1}).item();  // a letter is drawn by its probability
      for (char letter = 0; left > 0 && letter < V - 1; ++letter)
        if ((left -= p[static_cast<std::size_t>(letter)]) <= 0) said += letter;
    }
    std::printf("%s\nloss %.4f\n", said.c_str(), last);
  });
}
