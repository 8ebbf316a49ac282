#include "apps/common/measure.h"

#include <cstdio>
#include <optional>
#include <utility>

#include "data/files/write_file.h"
#include "data/sets/hold_out.h"
#include "optim/training/ema.h"
#include "tensor/comm.h"
#include "tensor/text.h"

namespace bobbin {

ImageDataset hold_out_to_validate(TrainAndTest& data, double fraction, bool others_to_test_on) {
  auto [train, held_out] = hold_out(data.train, fraction, Rng(0));
  for (std::string& note : train.notes)  // of a folder
    if (const std::string was = "to validate: "; note.find(was) != note.npos)
      note.replace(note.find(was), was.size(), others_to_test_on ? "not used: " : "to test on: ");
  train.notes.push_back(
      format("held out: %g of the images to train on, of each class, are those to validate", fraction) +
      (others_to_test_on ? "" : "; the " + with_commas(data.test.count()) + " test images are left alone"));
  ImageDataset test = std::exchange(data.test, std::move(held_out));
  data.train = std::move(train);
  return test;
}

void take_share(TrainAndTest& data, double share) {
  data.train = share_of(data.train, share, Rng(0));
  data.train.notes.push_back(format("%g of the images to train on, of each class, are used", share));
}

void measure(AnyModel& model, const NamedTensors& averaged, const ImageDataset& data, const MeasureOptions& options,
             const std::filesystem::path& file) {
  std::string text = "weights,tta,images,loss,accuracy\n";
  std::printf("\n%s images of %s\nweights  tta     loss     acc\n", with_commas(data.count()).c_str(),
              file.stem().c_str());
  const auto add = [&](const char* weights, Tta tta) {
    const Evaluation e = evaluate(model, data, options.batch_size, {}, {}, tta);
    const char* const versions = tta == Tta::flip ? "flip" : "none";
    std::printf("%-7s  %s  %.4f  %.4f\n", weights, versions, e.loss, e.accuracy);
    text +=
        format("%s,%s,%lld,%.6f,%.6f\n", weights, versions, static_cast<long long>(data.count()), e.loss, e.accuracy);
  };
  const auto add_all = [&](const char* weights) {
    add(weights, Tta::none);
    if (options.tta != Tta::none) add(weights, options.tta);
  };
  add_all("model");
  if (!averaged.empty()) {
    const WithWeights with(state_of(model), averaged);
    add_all("ema");
  }
  if (comm::rank() == 0) write_file(file, text);
}

}  // namespace bobbin
