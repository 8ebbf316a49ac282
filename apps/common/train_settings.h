#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "data/images/preprocess.h"
#include "nn/distillation.h"
#include "nn/loss.h"
#include "nn/models/any_model.h"
#include "nn/pretrained/model_file.h"
#include "optim/any_optimizer.h"
#include "optim/training/checkpoint.h"
#include "optim/training/evaluate.h"
#include "optim/training/teacher.h"
#include "optim/training/trainer.h"
#include "tensor/device.h"
#include "tensor/threads.h"

/// The settings of the program train.
namespace bobbin {

struct Settings {
  std::string preset = "d2l";
  std::string finetune;    ///< the file of the weights to begin with
  std::string weights;     ///< the name of the published model that it is
  std::string freeze;      ///< parameters that do not learn: "backbone", or a pattern of names
  double layer_decay = 1;  ///< see layer_decay_of()
  std::uint64_t seed = 0;
  int threads = default_threads();
  Precision precision = Precision::float32;  ///< of matrix products
  bool profile = false;
  double comm_timeout = 600;  ///< seconds that a rank waits for the others

  std::string data_dir;
  Index channels = 0;  ///< of pictures in a folder; 0: as the data set has them
  Preprocess preprocess;
  bool skip_bad = false;             ///< leave out pictures that cannot be read
  bool accept_changed_data = false;  ///< resume with other data than the run began with
  double val_split = 0;              ///< share of the training images to validate on instead of the test images
  double train_share = 1;            ///< share of the training images that is trained on
  bool test_at_end = false;          ///< measure the trained model on the test images
  Tta tta = Tta::none;               ///< of what is measured at the end

  AnyConfig model = ViTConfig();
  std::string model_name = "vit";
  AnyOptimizerOptions optimizer = SGDOptions();
  std::string opt = "sgd";
  TrainerOptions trainer;
  CrossEntropy loss;
  std::string class_weights = "none";  ///< or "balanced"
  std::string teacher;                 ///< the file of a model to learn from, or its run's folder; empty: there is none
  Distillation distillation;

  std::string graph;                     ///< the picture of the tape to draw instead of training
  std::string show_batch;                ///< that of the first batch
  std::string config;                    ///< the config.json whose flags are the defaults
  std::string resume;                    ///< the run to go on with: its folder, or a checkpoint
  std::optional<Checkpoint> checkpoint;  ///< of that run
  std::set<std::string> given;           ///< flags of images and model that were given, here or to a run before
  nlohmann::json flags;                  ///< all of them, for config.json and for whoever resumes

  /// The fields under the headings of --help.
  std::vector<std::pair<std::string, Fields>> fields();
};

/// Reads the flags. Ends the program after --help (exit code 0), and, with one sentence on stderr, when a flag or its
/// value is wrong (exit code 2). Throws Error if the run of --resume cannot be read.
Settings parse_command_line(int argc, char** argv);

/// A new folder in runs/, for a run that names none: "runs/quick", or where that is taken "runs/quick-2", ... Of
/// several programs that begin at once each gets its own.
std::string new_folder(const std::string& preset);

/// --finetune: makes the model, and how pictures are prepared for it, those of the file, but for what the command line
/// says, and says on stderr what was taken that foreign weights do not say. Returns the weights.
NamedTensors begin_with_weights(Settings& s);

/// --freeze: "backbone" freezes all but the head, anything else the parameters whose names it fits, as the shell has
/// it.
void freeze_as(const std::string& what, AnyModel& model);

/// Where the images have another number of channels than the model of the weights: makes the weights, and how images
/// are prepared, those for the images, see adapt_input_conv(), and says so on stderr.
void fit_weights_to(TrainAndTest& data, NamedTensors& weights, const AnyConfig& model);

/// The file of the --teacher: in the folder of a run its model.safetensors. Empty if there is no teacher.
std::filesystem::path file_of_teacher(const Settings& s);
/// The teacher for these images. Throws Error, which names the file, where it cannot be read or cannot be their
/// teacher; says on stderr what was taken that foreign weights do not say.
Teacher read_teacher(const std::filesystem::path& file, const ImageDataset& images, Index batch_size);

/// "Fashion-MNIST, 60,000 images to train on, 10,000 to validate, 28 x 28 resized to 96 x 96", and a line for each of
/// its notes.
std::string describe(const TrainAndTest& data);

}  // namespace bobbin
