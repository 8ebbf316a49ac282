// The C++ of README.md, compiled and run. What stands between the marks stands in the README, too, to the letter:
// the last test compares.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

// The README's own layout stays.
// clang-format off

// More than a test can wait for: compiled here, and run by train_vit.
#define main d2ls_program
// README: a program
#include <bobbin.h>

using namespace bobbin;

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const FashionMnist data = fashion_mnist({}, {.resize = 96});
    ViT model({.img_size = 96, .patch_size = 16, .num_hiddens = 512, .mlp_num_hiddens = 2048, .num_heads = 8,
               .num_blks = 2, .emb_dropout = 0.1, .blk_dropout = 0.1}, rng);
    SGD sgd(named_parameters(model));
    for (int epoch = 1; epoch <= 10; ++epoch) {
      train(model);                              // dropout is on
      for (auto [X, y] : batches(data.train, 128, rng)) {
        Tape tape;                               // recording starts here
        Var loss = cross_entropy(model(X), y);
        tape.backward(loss);                     // gradients land in the parameters
        sgd.step(0.1);                           // and move them
      }                                          // the tape ends: its memory is used again
      std::printf("epoch %d: accuracy %.3f\n", epoch, evaluate(model, data.test, 128).accuracy);
    }
  });
}
// README end
#undef main

namespace {

// README: add an op
/// swish(x) = x·σ(x), with σ(x) = 1 / (1 + exp(-x)) and σ' = σ·(1 - σ)  (Ramachandran et al., 2017).
Var swish(const Var& x) {
  const Tensor X = x.value(), S = 1 / (1 + exp(-X));
  return record("swish", X * S, {{x, [X, S](Tensor dY) { return std::move(dY) * (S + X * S * (1 - S)); }}});
}
// README end

// README: add a layer
/// (..., width) -> (..., width): a hidden layer in which one half opens and closes the other (Shazeer, 2020).
struct GatedMLP {
  Linear up, gate, down;

  GatedMLP(Index width, Index hidden, Rng& rng)
      : up(width, hidden, rng), gate(width, hidden, rng), down(hidden, width, rng) {}

  Var operator()(const Var& x) { return down(up(x) * swish(gate(x))); }
  void visit(auto&& v) { v("up", up), v("gate", gate), v("down", down); }
};
// README end

}  // namespace

TEST_CASE("readme: an op of one's own, checked") {
  // README: check an op
  gradcheck("swish", [](const std::vector<Var>& in) { return swish(in[0]); }, {{3, 5}});
  // README end
  CHECK(swish(Tensor({2}, {0, 100})).value().values() == std::vector<real>{0, 100});
}

TEST_CASE("readme: a layer of one's own, checked, named and trained") {
  Rng rng(1);
  // README: check a layer
  GatedMLP layer(7, 17, rng);
  const Tensor x = rng.normal({3, 7});
  gradcheck("GatedMLP", [&] { return layer(x); }, named_parameters(layer));
  // README end
  CHECK(named_parameters(layer)[2].first == "gate.weight");
  CHECK(state_of(layer).count_parameters() == 2 * (7 * 17 + 17) + 17 * 7 + 7);

  // It learns to swap the halves of its input.
  GatedMLP learner(2, 16, rng);
  SGD sgd(named_parameters(learner), {.momentum = real(0.9)});
  real first = 0, last = 0;
  for (int step = 0; step < 300; ++step) {
    const Tensor in = rng.normal({32, 2});
    Tape tape;
    const Var difference = learner(in) - concat({slice(in, 1, 1, 2), slice(in, 1, 0, 1)}, 1);
    const Var loss = mean(difference * difference);
    tape.backward(loss);
    sgd.step(0.05);
    last = loss.value().item();
    if (step == 0) first = last;
  }
  CHECK(first > real(0.5));
  CHECK(last < real(0.05));
}

TEST_CASE("readme: what it shows is what is compiled here") {
  const auto read = [](const char* path) {
    std::ifstream file(path);
    REQUIRE(file.good());
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  const std::string readme = read("README.md"), here = read("tests/readme_test.cpp");
  int shown = 0;
  const std::string begin_mark = "// README: ", end_mark = "// README end\n";
  for (std::size_t at = 0; (at = here.find(begin_mark, at)) < here.find("TEST_CASE(\"readme: what"); ++shown) {
    const std::size_t indent = at - here.rfind('\n', at) - 1;
    at = here.find('\n', at) + 1;
    const std::size_t end = here.rfind('\n', here.find(end_mark, at)) + 1;
    std::string block;  // without the indent, which the README has not
    while (at < end) {
      const std::size_t next = here.find('\n', at) + 1;
      const std::string line = here.substr(at, next - at);
      block += line.size() > indent ? line.substr(indent) : line;
      at = next;
    }
    CHECK_MESSAGE(readme.find("```cpp\n" + block + "```\n") != std::string::npos, block);
  }
  CHECK(shown == 5);
}
