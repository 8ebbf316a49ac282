// Saving and loading: weights in a file that PyTorch reads, too, and a run that stops and goes on to the bit.
//
//     c++ -O2 files.cpp $(pkg-config --cflags --libs bobbin) -o files && ./files
#include <bobbin.h>

#include <cstdio>
#include <filesystem>

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

// A program that trains, as it starts anew each time.
struct Program {
  Rng rng{0};
  Tensor x = rng.normal({200, 4});
  TensorDataset data{x, slice(x, 1, 0, 1) * slice(x, 1, 1, 2)};  // the product of the first two
  Sequential<Linear, ReLU, Dropout, Linear> model{Linear(4, 32, rng), ReLU(), Dropout(real(0.1), rng),
                                                  Linear(32, 1, rng)};
  AdamW adamw{named_parameters(model)};
  Trainer trainer;

  Program(const fs::path& folder, Index max_steps)
      : trainer(model, adamw, rng,
                {.epochs = 30,
                 .batch_size = 20,
                 .max_steps = max_steps,
                 .schedule = {.sched = "cosine", .lr = 0.01},
                 .output_dir = folder}) {}
  double fit() {
    const auto loss = [&](const TensorDataset::Batch& b) {
      const Var error = model(b.x) - b.y;
      return mean(error * error);
    };
    return trainer.fit(data, loss).back().train_loss;
  }
  std::vector<real> output() {
    eval(model);  // without dropout
    return model(data.all().x).value().values();
  }
};

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    const fs::path folder = "files-example";
    fs::remove_all(folder);
    Program whole(folder / "whole", 0), stopped(folder / "run", 77), resumed(folder / "run", 0);
    const double loss = whole.fit();
    stopped.fit();  // as if it were killed after step 77
    resumed.trainer.resume(read_run(folder / "run"));
    resumed.fit();
    std::printf("loss %.4f; resumed after step 77 it ends %s\n", loss,
                resumed.output() == whole.output() ? "with the same bits" : "differently");

    // In Python: safetensors.torch.load_file("weights.safetensors")
    write_safetensors(folder / "weights.safetensors", state_of(whole.model).tensors());
    Program other(folder / "other", 0);
    state_of(other.model).load(read_safetensors(folder / "weights.safetensors").tensors);
    std::printf("loaded into another model the weights give %s\n",
                other.output() == whole.output() ? "the same numbers" : "other numbers");
    fs::remove_all(folder);
  });
}
