#include "optim/training/evaluate.h"

#include "autograd/ops.h"
#include "data/sets/batches.h"

namespace bobbin {

Evaluation evaluate(const ModuleRef& model, const ImageDataset& data, Index batch_size, const EachBatch& each,
                    const std::function<bool()>& stop) {
  model.state().train(false);
  const Evaluating evaluating;
  double loss = 0;
  Index right = 0, seen = 0;
  for (auto [X, y] : batches(data, batch_size)) {
    const Tensor logits = model(X).value();
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
