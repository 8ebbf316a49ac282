// A GAN, d2l's of section 20.1: two networks, two optimizers, two losses on two tapes, in one Trainer.
//
//     c++ -O2 gan.cpp $(pkg-config --cflags --libs bobbin) -o gan && ./gan
#include <bobbin.h>

#include <cstdio>

using namespace bobbin;

namespace {

struct Tanh {
  Var operator()(const Var& x) { return tanh(x); }
};

// All that is saved and resumed: both networks, and the stream that the noise is from.
struct GAN {
  Linear generator;
  Sequential<Linear, Tanh, Linear, Tanh, Linear> discriminator;
  Rng noise;

  explicit GAN(Rng& rng)
      : generator(2, 2, rng),
        discriminator(Linear(2, 5, rng), Tanh(), Linear(5, 3, rng), Tanh(), Linear(3, 1, rng)),
        noise(rng.fork()) {}
  void visit(auto&& v) { v("generator", generator), v("discriminator", discriminator), v("noise", noise); }
};

// Binary cross-entropy of logits: how far they are from "is real", and from "is not".
Var is_real(const Var& logits) { return mean(softplus(-logits)); }
Var is_made(const Var& logits) { return mean(softplus(logits)); }

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const Tensor A({2, 2}, {1, 2, real(-0.1), real(0.5)}), b({2}, {1, 2});
    const TensorDataset data(matmul(rng.normal({1000, 2}), A) + b, Tensor::ones({1000}));
    GAN gan(rng);
    AdamW g(named_parameters(gan.generator), {.weight_decay = 0});
    AdamW d(named_parameters(gan.discriminator), {.weight_decay = 0});

    const auto step = [&](const TensorDataset::Batch& batch, StepSize size) {
      const Tensor z = gan.noise.normal(batch.x.shape());  // (B, 2)
      training_step(
          [&] { return is_real(gan.discriminator(batch.x)) + is_made(gan.discriminator(gan.generator(z).value())); }, d,
          size);
      freeze(gan.discriminator);  // the gradient goes through it, and not into it
      const real loss = training_step([&] { return is_real(gan.discriminator(gan.generator(z))); }, g, size.lr / 10);
      freeze(gan.discriminator, false);
      return loss;
    };
    const auto centre = [&]() -> Metrics {  // of what is made
      const std::vector<real> means = mean(gan.generator(gan.noise.normal({1000, 2})).value(), 0).values();
      return {{"mean_x", means[0]}, {"mean_y", means[1]}};
    };
    Trainer trainer(gan, {g, d}, rng, {.epochs = 20, .batch_size = 8, .schedule = {.lr = 0.05}});
    const EpochMetrics last = trainer.fit(data, step, centre).back();
    std::printf("what is real has its mean at (1.00, 2.00), what is made at (%.2f, %.2f)\n", last["mean_x"],
                last["mean_y"]);
    std::printf("distance %.3f\n", std::hypot(last["mean_x"] - 1, last["mean_y"] - 2));
  });
}
