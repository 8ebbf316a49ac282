#include "optim/training/evaluate.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "autograd/ops.h"
#include "data/sets/batches.h"
#include "tensor/comm.h"

namespace bobbin {
namespace {

// 0, 1, ..., count - 1, or of several ranks a run of them. It is of whole batches, so that each is that of one process.
std::vector<Index> own_numbers(Index count, Index batch_size) {
  const auto begin = [&, batches = (count - 1) / batch_size + 1](Index rank) {
    return std::min((batches * rank + comm::size() - 1) / comm::size() * batch_size, count);
  };
  std::vector<Index> own(static_cast<std::size_t>(begin(comm::rank() + 1) - begin(comm::rank())));
  std::iota(own.begin(), own.end(), begin(comm::rank()));
  return own;
}

}  // namespace

Evaluation evaluate(const ModuleRef& model, const ImageDataset& data, Index batch_size, const EachBatch& each,
                    const std::function<bool()>& stop, Tta tta) {
  model.state().train(false);
  const Evaluating evaluating;
  double loss = 0;
  Index right = 0, seen = 0;
  const std::vector<Index> own = own_numbers(data.count(), batch_size);
  const Batches mirrored(data, batch_size, tta == Tta::flip ? own : std::vector<Index>(), {.hflip = 1});
  auto mirror = mirrored.begin();
  for (const Batch& batch : Batches(data, batch_size, own)) {
    const auto& [X, y] = batch;
    Tensor logits = model(X).value();
    if (tta == Tta::flip) logits = (std::move(logits) + model((*mirror).images).value()) / 2;
    const Labels predicted = argmax(logits, 1);
    for (std::size_t i = 0; i < y.size(); ++i) right += predicted[i] == y[i];
    loss += double{cross_entropy(logits, y, 0).item()} * static_cast<double>(y.size());
    seen += static_cast<Index>(y.size());
    if (each) each(logits, batch);
    if (stop && stop()) break;
  }
  const std::vector<double> all = comm::sum_of_all_ranks({loss, static_cast<double>(right), static_cast<double>(seen)});
  return {all[0] / all[2], all[1] / all[2]};
}

}  // namespace bobbin
