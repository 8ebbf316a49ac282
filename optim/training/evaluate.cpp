#include "optim/training/evaluate.h"

#include <numeric>
#include <utility>
#include <vector>

#include "autograd/ops.h"
#include "data/sets/batches.h"
#include "optim/training/data_parallel.h"
#include "tensor/comm.h"

namespace bobbin {
namespace {

// 0, 1, ..., count - 1; if ranks share them, a run of them.
std::vector<Index> own_numbers(Index count, bool shared) {
  const Index rank = shared ? comm::rank() : 0, ranks = shared ? comm::size() : 1;
  const Index begin = count * rank / ranks, end = count * (rank + 1) / ranks;
  std::vector<Index> own(static_cast<std::size_t>(end - begin));
  std::iota(own.begin(), own.end(), begin);
  return own;
}

}  // namespace

Evaluation evaluate(const ModuleRef& model, const ImageDataset& data, Index batch_size, const EachBatch& each,
                    const std::function<bool()>& stop, Tta tta) {
  model.state().train(false);
  const Evaluating evaluating;
  const bool shared = !each;
  double loss = 0;
  Index right = 0, seen = 0;
  const Batches mirrored(data, batch_size, own_numbers(tta == Tta::flip ? data.count() : 0, shared), {.hflip = 1});
  auto mirror = mirrored.begin();
  for (auto [X, y] : Batches(data, batch_size, own_numbers(data.count(), shared))) {
    Tensor logits = model(X).value();
    if (tta == Tta::flip) logits = (std::move(logits) + model((*mirror).images).value()) / 2;
    const Labels predicted = argmax(logits, 1);
    for (std::size_t i = 0; i < y.size(); ++i) right += predicted[i] == y[i];
    loss += double{cross_entropy(logits, y, 0).item()} * static_cast<double>(y.size());
    seen += static_cast<Index>(y.size());
    if (each) each(logits, y);
    if (stop && stop()) break;
  }
  std::vector<double> all{loss, static_cast<double>(right), static_cast<double>(seen)};
  if (shared) all = comm::sum_of_all_ranks(std::move(all));
  return {all[0] / all[2], all[1] / all[2]};
}

}  // namespace bobbin
