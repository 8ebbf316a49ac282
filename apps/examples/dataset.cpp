// A data set, a loss and a metric of one's own in the Trainer: a series is told on from its last numbers, as in d2l's
// section 9.1.
//
//     c++ -O2 dataset.cpp $(pkg-config --cflags --libs bobbin) -o dataset && ./dataset
#include <bobbin.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace bobbin;

namespace {

/// Windows of a series: `before` numbers, and the one that follows. A data set is what has count() and batch().
struct Windows {
  std::vector<real> series;
  Index before = 6;

  struct Batch {        // of any type
    Tensor past, next;  // (B, before), (B, 1)
  };
  Index count() const { return static_cast<Index>(series.size()) - before; }
  Batch batch(const std::vector<Index>& which) const {
    std::vector<real> past, next;
    for (const Index i : which) {
      past.insert(past.end(), series.begin() + i, series.begin() + i + before);
      next.push_back(series[static_cast<std::size_t>(i + before)]);
    }
    const auto size = static_cast<Index>(which.size());
    return {Tensor({size, before}, past), Tensor({size, 1}, next)};
  }
};

Windows waves(int begin, int end, Rng& rng) {
  Windows windows;
  for (int t = begin; t < end; ++t)
    windows.series.push_back(std::sin(real(0.2) * static_cast<real>(t)) + rng.normal({1}, 0, real(0.1)).item());
  return windows;
}

/// Huber's loss: a square near zero and a line far from it, so that a few wild numbers do not rule. It is
/// h·(|e| - h/2) with h = min(|e|, 1), which relu can say: h = |e| - relu(|e| - 1).
Var huber(const Var& error) {
  const Var e = relu(error) + relu(-error), h = e - relu(e - 1);
  return mean(h * (e - real(0.5) * h));
}

}  // namespace

int main(int, char** argv) {
  return run_main(argv, [] {
    Rng rng(0);
    const Windows train = waves(0, 800, rng), test = waves(800, 1000, rng);
    Sequential model{Linear(train.before, 16, rng), ReLU(), Linear(16, 1, rng)};
    AdamW adamw(named_parameters(model));
    const auto loss = [&](const Windows::Batch& batch) { return huber(model(batch.past) - batch.next); };
    const auto validate = [&]() -> Metrics {
      double sum = 0, worst = 0;
      for (const auto& [past, next] : batches(test, 50))
        for (const real error : (model(past).value() - next).values()) {
          sum += std::abs(error);
          worst = std::max<double>(worst, std::abs(error));
        }
      return {{"mae", sum / static_cast<double>(test.count())}, {"worst", worst}};
    };
    Trainer trainer(model, adamw, rng, {.epochs = 20, .batch_size = 32, .schedule = {.lr = 0.005}});
    const auto epochs = trainer.fit(train, loss, validate);
    std::printf("mae %.3f, where the noise alone makes 0.08\n", epochs.back()["mae"]);
  });
}
