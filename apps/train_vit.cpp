// Trains the Vision Transformer of the chapter "Transformers for Vision" on Fashion-MNIST, or on pictures of your own.
#include <cstdio>
#include <filesystem>
#include <optional>

#include "apps/common/draw_tape.h"
#include "apps/common/run_config.h"
#include "apps/common/train_settings.h"
#include "autograd/watch/anomaly.h"
#include "data/sets/open.h"
#include "nn/load_parameters.h"
#include "nn/models/vit.h"
#include "nn/pretrained/model_file.h"
#include "optim/training/trainer.h"
#include "tensor/backend.h"
#include "tensor/profile.h"
#include "tensor/threads.h"

using namespace bobbin;

int main(int argc, char** argv) try {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in a pipe, too, each line is there when it is printed
  Settings settings = parse_command_line(argc, argv);
  set_threads(settings.threads);
  const ProductsIn precision(settings.tf32 ? Precision::tf32 : Precision::fp32);
  const std::string blas = backend::describe();
  Rng rng(settings.seed);

  std::map<std::string, Tensor> weights;
  if (!settings.finetune.empty() && !settings.checkpoint) weights = begin_with_weights(settings);
  settings.preprocess.size = settings.model.img_size;
  const TrainAndTest data = image_data(settings.data_dir, settings.preprocess, settings.channels);
  settings.model.num_classes = data.train.num_classes();
  settings.model.num_channels = data.train.channels;
  ViT model(settings.model, rng);
  if (!weights.empty()) load_parameters(model, weights, {"head.1.", "head_dist."});  // the head is new
  if (!settings.graph.empty()) return draw_step(model, settings.trainer.batch_size, settings.graph), 0;
  SGD sgd(parameters(model), settings.sgd);
  const std::string description = describe_model(model.config, data.train.class_names, data.train.preprocess);
  settings.trainer.notes = {{"bobbin", description}, {"config", describe_run(settings.flags, description, data)}};
  Trainer trainer(sgd, rng, settings.trainer);
  if (settings.checkpoint) {
    check_same_data(*settings.checkpoint, settings.trainer.notes["config"]);
    trainer.resume(model, std::move(*settings.checkpoint));
    sgd.options = settings.sgd;  // as they were, unless the command line says otherwise
  }

  std::printf("model    ViT, %s parameters\n", with_commas(count_parameters(model)).c_str());
  std::printf("blas     %s\n", blas.c_str());
  std::printf("threads  %d\n", threads());
  std::printf("data     %s\n", describe(data).c_str());
  std::printf("output   %s\n", settings.trainer.output_dir.c_str());
  const Index steps_before = trainer.steps();
  if (settings.checkpoint) std::printf("resumed  after step %s\n", with_commas(steps_before).c_str());

  // One step of training, for each batch of every epoch: images X (B, C, H, W) and their classes y (B).
  if (settings.profile) profile::start();
  const std::vector<EpochMetrics> epochs = trainer.fit(model, data, [&](const Tensor& X, const Labels& y) {
    std::optional<DetectAnomaly> detect;
    if (settings.detect_anomaly) detect.emplace(named_parameters(model));
    Tape tape;                                                        // recording starts here
    const Var loss = cross_entropy(model(X), y, settings.smoothing);  // forward
    tape.backward(loss);                                              // gradients land in the parameters
    if (settings.clip_grad > 0) clip_grad_norm(sgd.parameters(), settings.clip_grad);
    sgd.step();  // and move them
    return loss.value().item();
  });  // the tape ends: its memory is used again
  if (settings.profile) std::fputs(profile::table().c_str(), stderr);

  if (settings.checkpoint && !epochs.empty() && epochs.back().step <= steps_before)
    std::fprintf(stderr, "nothing was left to do after step %s; more --epochs give it more\n",
                 with_commas(steps_before).c_str());
  if (!Interrupt::received()) return 0;
  std::fprintf(stderr, "go on with: train_vit --resume %s\n", settings.trainer.output_dir.c_str());
  return 128 + Interrupt::received();  // as shells report a signal
} catch (const std::exception& error) {
  return command_line::exit_code("train_vit", error);
}
