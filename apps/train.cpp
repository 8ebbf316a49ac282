// Trains a model on Fashion-MNIST, or on pictures of your own: the tool around the loop of train_vit.cpp, with flags,
// files, and runs that go on where they stopped.
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "apps/common/command_line.h"
#include "apps/common/draw_tape.h"
#include "apps/common/finish_report.h"
#include "apps/common/measure.h"
#include "apps/common/run_config.h"
#include "apps/common/show_batch.h"
#include "apps/common/train_settings.h"
#include "data/files/write_file.h"
#include "data/sets/check_pictures.h"
#include "data/sets/folder.h"
#include "data/sets/open.h"
#include "nn/models/any_model.h"
#include "nn/models/layer_decay.h"
#include "optim/any_optimizer.h"
#include "optim/training/interrupt.h"
#include "optim/training/trainer.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/profile.h"
#include "tensor/text.h"
#include "tensor/threads.h"

using namespace bobbin;
namespace fs = std::filesystem;

namespace {

struct Images {
  TrainAndTest data;
  std::optional<ImageDataset> to_test_on{};  // unless that is what is validated on, data.test
};

// As the flags say; `weights`, where there are some, are made to fit the images' channels.
Images read_images(Settings& settings, NamedTensors& weights) {
  settings.preprocess.size = settings.model.img_size();
  Images images{image_data(settings.data_dir, settings.preprocess, settings.channels,
                           weights.empty() ? IfOther::refuse : IfOther::keep)};
  auto& [data, to_test_on] = images;
  if (!weights.empty()) fit_weights_to(data, weights, settings.model);
  if (settings.test_at_end && !data.train.files.empty())
    to_test_on = images_to_test_on(settings.data_dir, data, settings.val_split == 0);
  if (to_test_on) data.train.notes.insert(data.train.notes.end(), to_test_on->notes.begin(), to_test_on->notes.end());
  if (settings.val_split > 0) {
    ImageDataset others = hold_out_to_validate(data, settings.val_split, to_test_on.has_value());
    if (!to_test_on) to_test_on = std::move(others);
  }
  if (settings.train_share < 1) take_share(data, settings.train_share);
  // Images are divided by their numbers, so bad ones are left out after that: else all behind them would change parts.
  if (settings.graph.empty()) check_pictures(data, settings.skip_bad, to_test_on ? &*to_test_on : nullptr);
  return images;
}

// In which way several ranks do something else than one process would.
std::string differs_on_ranks(const Settings& settings, AnyModel& model) {
  if (state_of(model).counts.empty() || settings.trainer.sync_batch_norm) return "";
  return "; BatchNorm's mean and variance are those of each rank's images, not to rounding what one process does: see "
         "--sync-batch-norm";
}

void print_what_is_trained(const Settings& settings, AnyModel& model, const TrainAndTest& data) {
  std::printf("model    %s, %s parameters\n", settings.model.title(),
              with_commas(state_of(model).count_parameters()).c_str());
  std::printf("blas     %s\n", backend::describe().c_str());
  std::printf("threads  %d\n", threads());
  if (comm::size() > 1) std::printf("ranks    %d%s\n", comm::size(), differs_on_ranks(settings, model).c_str());
  std::printf("data     %s\n", describe(data).c_str());
  std::printf("output   %s\n", settings.trainer.output_dir.c_str());
}

// Of a resumed run: and which flag gives it more.
void say_nothing_was_left(const TrainerOptions& t, Index steps, std::size_t epochs) {
  const bool all_steps = t.max_steps > 0 && steps >= t.max_steps, all_epochs = static_cast<int>(epochs) >= t.epochs;
  std::fprintf(stderr, "nothing was left to do after step %s; %s\n", with_commas(steps).c_str(),
               all_steps    ? "more --max-steps, or 0 for no limit, give it more"
               : all_epochs ? "more --epochs give it more"
                            : "--early-stopping has ended it; 0 lets it go on");
}

}  // namespace

int main(int argc, char** argv) try {
  wait_briefly(argv);
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in a pipe, too, each line is there when it is printed
  Settings settings = parse_command_line(argc, argv);
  const bool speaks = command_line::speaks_for_all_ranks();
  command_line::use_threads(settings.threads);
  if (!settings.graph.empty()) check_can_write(settings.graph);  // before the work
  if (!settings.show_batch.empty()) check_can_write(settings.show_batch);
  const ProductsIn precision(settings.precision);
  Rng rng(settings.seed);

  NamedTensors weights;
  if (!settings.finetune.empty() && !settings.checkpoint) weights = begin_with_weights(settings);
  const auto [data, to_test_on] = read_images(settings, weights);
  if (settings.class_weights == "balanced")
    settings.loss.class_weights = balanced_class_weights(data.train.labels, data.train.num_classes());
  settings.model.num_classes() = data.train.num_classes();
  settings.model.num_channels() = data.train.channels;
  AnyModel model(settings.model, rng);
  if (!weights.empty()) state_of(model).load(weights, settings.model.heads());  // the head is new
  if (!settings.freeze.empty()) freeze_as(settings.freeze, model);
  if (!settings.graph.empty()) {
    if (speaks) draw_step(model, settings.trainer.batch_size, settings.graph);
    return 0;
  }

  if (!settings.show_batch.empty()) {
    Rng order = rng.fork();  // as the Trainer's
    const Batches all = batches(data.train, settings.trainer.batch_size, order, settings.trainer.augmentation);
    if (speaks) show_batch(all[0], data.train, settings.show_batch);
    return 0;
  }

  const std::filesystem::path teacher_file = file_of_teacher(settings);
  std::optional<Teacher> teacher;
  if (!teacher_file.empty()) teacher.emplace(read_teacher(teacher_file, data.train, settings.trainer.batch_size));

  const std::string description = describe_model({settings.model, data.train.class_names, data.train.preprocess});
  settings.trainer.notes = {.model = description,
                            .config = describe_run(settings.flags, settings.given, description, data, teacher_file)};
  if (settings.checkpoint)
    settings.trainer.notes.config = with_changes(settings.trainer.notes.config, settings.checkpoint->notes.config,
                                                 settings.checkpoint->progress.steps());
  check_same_on_all_ranks(same_on_all_ranks(settings.trainer.notes.config));
  if (settings.trainer.output_dir.empty() && speaks) settings.trainer.output_dir = new_folder(settings.preset);
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(settings.optimizer, named_parameters(model));
  if (settings.layer_decay != 1) {
    const auto* vit = settings.model.as<ViTConfig>();
    check(vit, "train", "--layer-decay is for a ViT, not for a ", settings.model.title());
    optimizer->scale_lr(
        [&](const std::string& name) { return layer_decay_of(name, *vit, static_cast<real>(settings.layer_decay)); });
  }
  const Loss loss = settings.loss;
  Trainer trainer = teacher ? Trainer(model, *optimizer, learn_from(*teacher, model, loss, settings.distillation), rng,
                                      settings.trainer)
                            : Trainer(model, *optimizer, loss, rng, settings.trainer);
  const bool resumed = settings.checkpoint.has_value();
  if (resumed) {
    check_same_run(settings.checkpoint->notes, settings.trainer.notes, settings.accept_changed_data);
    trainer.resume(std::move(*settings.checkpoint));
    const RunFolder from = RunFolder::of(settings.resume), to(settings.trainer.output_dir);
    std::error_code absent;
    if (speaks && !std::filesystem::equivalent(from.path(), to.path(), absent)) to.copy_best(from, trainer.steps());
  }

  print_what_is_trained(settings, model, data);
  const Index steps_before = trainer.steps();
  const fs::path folder = settings.trainer.output_dir;
  if (resumed && speaks)  // are of the model as it was
    for (const char* file : {"val.csv", "test.csv"}) fs::remove(folder / file);
  if (resumed) std::printf("resumed  after step %s\n", with_commas(steps_before).c_str());

  if (teacher) {
    const bool stored = teacher->store(data.train, settings.trainer.augmentation);
    std::printf("teacher  %s%s\n", teacher_file.c_str(), stored ? ", whose logits are stored" : "");
  }

  if (settings.profile) profile::start();
  const std::vector<EpochMetrics> epochs = trainer.fit(data);
  // A signal may have come to one of them alone, while its files were written.
  if (comm::sum_of_all_ranks({double(Interrupt::received())})[0] != 0 && !Interrupt::received())
    Interrupt::note(SIGTERM);
  if (!Interrupt::received() && (settings.test_at_end || settings.tta != Tta::none))
    measure(model, trainer.averaged_weights(), settings.test_at_end && to_test_on ? *to_test_on : data.test,
            {.batch_size = settings.trainer.batch_size, .tta = settings.tta},
            folder / (settings.test_at_end ? "test.csv" : "val.csv"));
  if (!epochs.empty() && !Interrupt::received())
    finish_report(model, data.test, settings.trainer.batch_size, RunFolder(settings.trainer.output_dir));
  if (settings.profile && speaks) std::fputs(profile::table().c_str(), stderr);

  if (speaks && resumed && !Interrupt::received() && trainer.steps() == steps_before)
    say_nothing_was_left(settings.trainer, steps_before, epochs.size());
  if (Interrupt::received()) {
    if (speaks)
      std::fprintf(stderr, "go on with: %s --resume %s\n", shell_word(argv[0]).c_str(),
                   shell_word(settings.trainer.output_dir.string()).c_str());
    return 128 + Interrupt::received();  // as shells report a signal
  }
  command_line::check_printed();
} catch (const std::exception& error) {
  return command_line::exit_code("train", error);
}
