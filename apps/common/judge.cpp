#include "apps/common/judge.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"
#include "tensor/comm.h"
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
  // Of each image the predicted class, its probability, and the loss. Each rank fills in its own.
  std::vector<double> of_images(3 * data.labels.size());
  result.means = evaluate(model, data, batch_size, [&](const Tensor& output, const Batch& batch) {
    const Labels predicted = argmax(output, 1);
    const std::vector<real> logits = output.values(), probabilities = softmax(output).values();
    for (std::size_t i = 0; i < predicted.size(); ++i) {
      const std::size_t row = i * static_cast<std::size_t>(data.num_classes());
      double* const of_image = &of_images[3 * static_cast<std::size_t>(batch.which[i])];
      of_image[0] = predicted[i];
      of_image[1] = double{probabilities[row + static_cast<std::size_t>(predicted[i])]};
      of_image[2] = loss_of(&logits[row], data.num_classes(), batch.labels[i]);
    }
  });
  of_images = comm::sum_of_all_ranks(std::move(of_images));
  for (Index image = 0; image < data.count(); ++image) {
    const double* const of_image = &of_images[3 * static_cast<std::size_t>(image)];
    const int predicted = static_cast<int>(of_image[0]), label = data.labels[static_cast<std::size_t>(image)];
    check(std::isfinite(of_image[2]), "evaluate", "the model's logits for image ", image, " are not finite");
    result.confusion.add(label, predicted);
    if (predicted != label) result.mistakes.push_back({image, predicted, of_image[1], of_image[2]});
  }
  std::stable_sort(result.mistakes.begin(), result.mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.loss > b.loss; });
  return result;
}

}  // namespace bobbin
