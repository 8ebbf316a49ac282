// A Transformer encoder for sequences of any length: it sorts digits. Shorter ones are filled up with zeros, which
// could be digits, too: only valid_lens says that they are none.
//
//     c++ -O2 sort.cpp $(pkg-config --cflags --libs bobbin) -o sort && ./sort
#include <bobbin.h>

#include <algorithm>
#include <cstdio>

using namespace bobbin;

constexpr Index B = 64, T = 8, digits = 10, C = 32;  // sequences in a batch, the longest, the words, the width
constexpr int none = -1;                             // the label of a place behind the end

struct Exercises {
  Tensor words;           // (B, T)
  std::vector<int> lens;  // (B)
  Labels sorted;          // (B·T)

  explicit Exercises(Rng& rng) : sorted(static_cast<std::size_t>(B * T), none) {
    std::vector<real> drawn = rng.uniform({B * T}, 0, digits).values();
    const std::vector<real> lengths = rng.uniform({B}, 1, T + 1).values();
    for (Index b = 0; b < B; ++b) {
      lens.push_back(static_cast<int>(lengths[static_cast<std::size_t>(b)]));
      const auto begin = drawn.begin() + b * T, end = begin + lens.back();
      std::transform(begin, end, begin, [](real x) { return std::floor(x); });
      std::fill(end, begin + T, real{0});
      std::copy(begin, end, sorted.begin() + b * T);
      std::sort(sorted.begin() + b * T, sorted.begin() + b * T + lens.back());
    }
    words = Tensor({B, T}, drawn);
  }
};

struct Sorter {
  TransformerEncoder encoder;
  Linear head;

  explicit Sorter(Rng& rng) : encoder(digits, C, 4 * C, 4, 2, 0, true, rng), head(C, digits, rng) {}
  Var operator()(const Exercises& batch) {  // -> (B·T, digits): which digit comes to this place
    return reshape(head(encoder(batch.words, batch.lens)), {B * T, digits});
  }
  void visit(auto&& v) { v("encoder", encoder), v("head", head); }
};

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    Sorter model(rng);
    AdamW adamw(named_parameters(model));
    const int steps = 1000;
    for (int step = 1; step <= steps; ++step) {
      const Exercises batch(rng);
      // Blocks that normalise after each sum begin with small steps.
      const real lr =
          real(0.003) * std::min(real(1), static_cast<real>(step) / 100) * (step > steps * 3 / 4 ? real(0.1) : 1);
      const real loss =
          training_step([&] { return cross_entropy(model(batch), batch.sorted, {.ignore_index = none}); }, adamw, lr);
      if (step % 250 == 0) std::printf("step %4d, loss %.3f\n", step, loss);
    }
    const Exercises unseen(rng);
    const Labels said = argmax(model(unseen).value(), 1);
    int right = 0, all = 0;
    for (std::size_t i = 0; i < said.size(); ++i)
      if (unseen.sorted[i] != none) ++all, right += said[i] == unseen.sorted[i];
    for (int t = 0; t < unseen.lens[0]; ++t) std::printf("%.0f ", unseen.words.values()[static_cast<std::size_t>(t)]);
    std::printf("->");
    for (int t = 0; t < unseen.lens[0]; ++t) std::printf(" %d", said[static_cast<std::size_t>(t)]);
    std::printf("\naccuracy %.3f\n", right / double(all));
  });
}
