#include "optim/training/evaluate.h"

#include <numeric>
#include <utility>
#include <vector>

#include "autograd/ops.h"
#include "data/sets/batches.h"

namespace bobbin {
namespace {

// 0, 1, ..., count - 1.
std::vector<Index> first_numbers(Index count) {
  std::vector<Index> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), Index{0});
  return all;
}

}  // namespace

Evaluation evaluate(const ModuleRef& model, const ImageDataset& data, Index batch_size, const EachBatch& each,
                    const std::function<bool()>& stop, Tta tta) {
  model.state().train(false);
  const Evaluating evaluating;
  double loss = 0;
  Index right = 0, seen = 0;
  const Batches mirrored(data, batch_size, first_numbers(tta == Tta::flip ? data.count() : 0), {.hflip = 1});
  auto mirror = mirrored.begin();
  for (auto [X, y] : batches(data, batch_size)) {
    Tensor logits = model(X).value();
    if (tta == Tta::flip) logits = (std::move(logits) + model((*mirror).images).value()) / 2;
    const Labels predicted = argmax(logits, 1);
    for (std::size_t i = 0; i < y.size(); ++i) right += predicted[i] == y[i];
    loss += double{cross_entropy(logits, y, 0).item()} * static_cast<double>(y.size());
    seen += static_cast<Index>(y.size());
    if (each) each(logits, y);
    if (stop && stop()) break;
  }
  return {loss / static_cast<double>(seen), static_cast<double>(right) / static_cast<double>(seen)};
}

}  // namespace bobbin
