#include "apps/common/judge.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"
#include "tensor/functions.h"

namespace bobbin {
namespace {

// -log softmax(logits) at the label: in double, so that it is finite where the probability is 0 in float.
double loss_of(const real* logits, Index classes, int label) {
  const double largest = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (Index c = 0; c < classes; ++c) sum += std::exp(double{logits[c]} - largest);
  return std::log(sum) + largest - double{logits[label]};
}

}  // namespace

Judgement judge(AnyModel& model, const ImageDataset& data, Index batch_size) {
  Judgement result{{}, ConfusionMatrix(data.num_classes()), {}};
  Index image = 0;
  result.means = evaluate(model, data, batch_size, [&](const Tensor& output, const Labels& y) {
    const Labels predicted = argmax(output, 1);
    const std::vector<real> logits = output.values(), probabilities = softmax(output).values();
    for (std::size_t i = 0; i < y.size(); ++i, ++image) {
      const std::size_t row = i * static_cast<std::size_t>(data.num_classes());
      const double loss = loss_of(&logits[row], data.num_classes(), y[i]);
      check(std::isfinite(loss), "evaluate", "the model's logits for image ", image, " are not finite");
      result.confusion.add(y[i], predicted[i]);
      if (predicted[i] != y[i])
        result.mistakes.push_back(
            {image, predicted[i], double{probabilities[row + static_cast<std::size_t>(predicted[i])]}, loss});
    }
  });
  std::stable_sort(result.mistakes.begin(), result.mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.loss > b.loss; });
  return result;
}

}  // namespace bobbin
