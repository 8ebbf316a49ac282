#pragma once
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "data/files/json.h"
#include "data/sets/dataset.h"
#include "nn/models/vit.h"
#include "nn/pretrained/model_file.h"
#include "optim/sgd.h"
#include "optim/training/run_folder.h"
#include "optim/training/trainer.h"
#include "tensor/text.h"
#include "tensor/threads.h"

/// The command line of train_vit: presets, and a flag for each of their numbers.
namespace bobbin {

struct Settings {
  ViTConfig model;
  SGDOptions sgd;
  TrainerOptions trainer;
  real smoothing = 0;
  std::uint64_t seed = 0;
  int threads = bobbin::threads();
  std::string data_dir;
  Preprocess preprocess;  ///< its size is that of the model
  Index channels = 0;     ///< of pictures in a folder; 0: as the data set has them
  bool profile = false;
  bool tf32 = false;
  std::string graph;
  std::string finetune;         ///< the file of the weights to begin with
  std::set<std::string> given;  ///< the flags that the command line has
  std::string preset = "d2l";
  std::string resume;                    ///< the run to go on with: its folder, or a checkpoint
  std::optional<Checkpoint> checkpoint;  ///< of that run
  nlohmann::json flags;                  ///< all of them, for config.json and for whoever resumes
};

/// The chapter's numbers, exactly.
inline Settings d2l() {
  Settings s;
  s.model = {.img_size = 96,
             .patch_size = 16,
             .num_hiddens = 512,
             .mlp_num_hiddens = 2048,
             .num_heads = 8,
             .num_blks = 2,
             .emb_dropout = real(0.1),
             .blk_dropout = real(0.1)};
  s.trainer = {.epochs = 10, .batch_size = 128, .schedule = {.lr = 0.1}};
  return s;
}

/// A small model on images in their own size: shows learning in half a minute on two cores.
inline Settings quick() {
  Settings s;
  s.model = {.img_size = 28,
             .patch_size = 7,
             .num_hiddens = 96,
             .mlp_num_hiddens = 192,
             .num_heads = 4,
             .num_blks = 2,
             .emb_dropout = 0,
             .blk_dropout = 0};
  s.sgd = {.momentum = real(0.9)};
  s.trainer = {.epochs = 5, .batch_size = 64, .schedule = {.lr = 0.05}};
  return s;
}

inline std::string describe(const TrainAndTest& data) {
  const auto text = [](Size2 size) { return std::to_string(size.height) + " x " + std::to_string(size.width); };
  const ImageDataset& train = data.train;
  const Size2 own_size(train.height, train.width), size = train.preprocess.size;
  const std::string counts =
      with_commas(train.count()) + " images to train on, " + with_commas(data.test.count()) + " to validate, ";
  if (!train.files.empty())
    return data.name + ", " + with_commas(train.num_classes()) + " classes, " + counts +
           (train.channels == 1 ? "grey, " : "") + "resized to " + text(size);
  return data.name + ", " + counts + text(own_size) + (size == own_size ? "" : " resized to " + text(size));
}

inline const std::map<std::string, Settings>& presets() {
  static const std::map<std::string, Settings> all{{"d2l", d2l()}, {"quick", quick()}};
  return all;
}
constexpr const char* preset_help = "what the other flags begin with: d2l, the chapter's numbers; quick, half a minute";

namespace command_line {

using Json = nlohmann::json;

// What is given for a flag, as JSON: 0.1, true, "runs/x", or a list where there are several. to_words() has the same
// text again.
inline Json to_json(const std::vector<std::string>& given) {
  Json values = Json::array();
  for (const std::string& text : given) {
    const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    values.push_back(value.is_primitive() && value.dump() == text ? value : Json(text));
  }
  return values.size() == 1 ? values[0] : values;
}

inline std::vector<std::string> to_words(const Json& flags) {
  const auto text = [](const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  std::vector<std::string> words;
  for (const auto& [name, value] : flags.items()) {
    if (value.is_array()) {
      words.push_back("--" + name);
      for (const Json& one : value) words.push_back(text(one));
    } else if (!text(value).empty()) {
      words.push_back("--" + name + "=" + text(value));
    }
  }
  return words;
}

// The flags that the run of a checkpoint had.
inline Json flags_of(const Checkpoint& checkpoint, const std::string& run) {
  const std::string& config = checkpoint.notes.config;
  check(!config.empty(), "train_vit", run, " is not a run of train_vit: it does not know its flags");
  const Json json = parse_json(config, "what " + run + " says of its flags");
  check(json.is_object() && json.contains("flags") && json["flags"].is_object(), "train_vit", run,
        " is damaged: its flags cannot be read");
  return json["flags"];
}

// Reads the flags that the words give; the others keep the values in `s`. Returns what all of them were then set to, as
// JSON: {"lr": 0.1, "img-size": 96, ...}; `known` has the exact text of those that are not given.
inline Json parse(std::vector<std::string> words, Settings& s, std::string& output_dir, const Json& known) {
  CLI::App app("Trains the Vision Transformer of d2l.ai's chapter \"Transformers for Vision\".", "train_vit");
  app.option_defaults()->always_capture_default();
  constexpr int many = std::numeric_limits<int>::max();
  const CLI::Validator probability = within(0, 0.999);
  std::map<std::string, const bool*> switches;
  const auto add_switch = [&](const std::string& name, bool& on, const char* help) {
    app.add_flag("--" + name, on, help);
    switches[name] = &on;
  };

  app.option_defaults()->group("Run");
  app.add_option("--preset", s.preset, preset_help)->check(CLI::IsMember(presets()));
  app.add_option("--output-dir", output_dir, "folder for metrics, weights and checkpoints [a new one in runs/]");
  app.add_option("--resume", s.resume, "go on with a run: its folder, or one of its checkpoints; its flags hold");
  app.add_option(
      "--finetune", s.finetune,
      "begin with the weights of this file, ours or of a ViT from timm, torchvision or Hugging Face, and a new "
      "head; the model's sizes and --mean and --std are the file's");
  app.add_option("--save-every", s.trainer.save_every,
                 "steps between checkpoints; 0: after each epoch and where training stops")
      ->check(within(0, many));
  app.add_option("--checkpoint-hist", s.trainer.checkpoint_hist, "keep so many checkpoints, the newest")
      ->check(within(1, many));
  app.add_option("--seed", s.seed, "makes a run repeatable")->check(within(0, many));
  app.add_option("--threads", s.threads, "threads to compute on")->check(within(1, 1024));
  app.add_option("--graph", s.graph,
                 "draw a training step's tape into this file, .svg or, for Graphviz, .dot, and end without training")
      ->check(ends_in({".svg", ".dot"}));
  add_switch("tf32", s.tf32, "on a GPU: products in TF32, several times faster and good to three digits");
  add_switch("profile", s.profile, "say at the end where the time went");
  add_switch("detect-anomaly", s.trainer.detect_anomaly,
             "stop at the first op that makes NaN or infinity, and name it");

  app.option_defaults()->group("Data");
  app.add_option("--data-dir,--data", s.data_dir,
                 "folder with Fashion-MNIST, CIFAR-10, or a folder of pictures for each class; if not given, "
                 "Fashion-MNIST is looked for");
  app.add_option("--channels", s.channels, "of pictures in folders: 1, grey, or 3")
      ->check(CLI::IsMember({1, 3}))
      ->default_str(s.channels == 0 ? "" : std::to_string(s.channels));
  app.add_option("--hflip", s.trainer.augmentation.hflip, "probability that a picture is seen as in a mirror")
      ->check(within(0, 1));
  app.add_option("--crop-padding", s.trainer.augmentation.crop_padding,
                 "a picture is moved by up to so many pixels, in training")
      ->check(within(0, 4096));
  add_numbers(app, "--mean", s.preprocess.mean, "subtracted from the numbers from 0 to 1: one, or one for each channel")
      ->check(within(-1e6, 1e6));
  add_numbers(app, "--std", s.preprocess.std, "and what they are then divided by")->check(within(1e-6, 1e6));

  app.option_defaults()->group("Training");
  app.add_option("--epochs", s.trainer.epochs, "times that each image is seen")->check(within(1, 1000000));
  app.add_option("--max-steps", s.trainer.max_steps, "stop after so many steps; 0: only after the epochs")
      ->check(within(0, many));
  app.add_option("-b,--batch-size", s.trainer.batch_size, "images in a step")->check(within(1, 60000));
  app.add_option("--lr", s.trainer.schedule.lr, "learning rate")->check(within(0.0, 1e6));
  app.add_option("--momentum", s.sgd.momentum, "of SGD")->check(within(0.0, 1.0));
  add_switch("nesterov", s.sgd.nesterov, "Nesterov's momentum");
  app.add_option("--weight-decay", s.sgd.weight_decay, "L2 penalty")->check(within(0.0, 1e6));
  app.add_option("--clip-grad", s.trainer.clip_grad, "largest norm of all gradients together; 0: any")
      ->check(within(0.0, 1e6));
  app.add_option("--smoothing", s.smoothing, "label smoothing")->check(within(0.0, 1.0));

  app.option_defaults()->group("Model");
  add_size(app, "--img-size", s.model.img_size, "pixels that images are resized to: N, or height and width");
  add_size(app, "--patch-size", s.model.patch_size, "pixels of a patch: N, or height and width");
  app.add_option("--num-hiddens", s.model.num_hiddens, "width of a token")->check(within(1, 65536));
  app.add_option("--mlp-num-hiddens", s.model.mlp_num_hiddens, "width inside the MLP")->check(within(1, 262144));
  app.add_option("--num-heads", s.model.num_heads, "attention heads; divides --num-hiddens")->check(within(1, 65536));
  app.add_option("--num-blks", s.model.num_blks, "blocks")->check(within(0, 1000));
  app.add_option("--emb-dropout", s.model.emb_dropout, "dropout on the embedding")->check(probability);
  app.add_option("--blk-dropout", s.model.blk_dropout, "dropout inside the blocks")->check(probability);
  add_switch("use-bias", s.model.use_bias, "biases in attention's projections");
  add_switch("whole-last-block", s.model.whole_last_block,
             "compute all of the last block, not only what the head sees");
  app.add_option_function<std::string>(
         "--global-pool", [&](const std::string& pool) { s.model.pool = pool == "avg" ? Pool::avg : Pool::token; },
         "what the head sees: token, the class token; avg, the mean over the patches")
      ->check(CLI::IsMember({"token", "avg"}))
      ->default_str(s.model.pool == Pool::avg ? "avg" : "token")
      ->run_callback_for_default(false);

  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  parse_or_exit(app, [&] { app.parse(words); });

  Json flags = Json::object();
  s.given.clear();
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_lnames().front();
    if (option->count() > 0) s.given.insert(name);
    if (name == "help" || name == "resume" || name == "output-dir" || name == "graph")
      continue;  // not settings of a run
    if (switches.contains(name))
      flags[name] = *switches[name];
    else if (option->count() == 0 && known.contains(name))
      flags[name] = known[name];
    else
      flags[name] = to_json(option->count() > 0 ? option->results() : std::vector{option->get_default_str()});
  }
  return flags;
}

}  // namespace command_line

/// Makes the model this one, whatever the flags say of its sizes.
inline void take_model(Settings& s, ViTConfig config, const Preprocess& preprocess) {
  config.emb_dropout = s.model.emb_dropout;
  config.blk_dropout = s.model.blk_dropout;
  config.whole_last_block = s.model.whole_last_block;
  s.model = config;
  s.preprocess = preprocess;
  s.channels = config.num_channels;
}

/// --finetune: makes the model, and how pictures are prepared for it, those of the file, but for what the command line
/// says of size, heads, mean and deviation. Returns the weights.
inline std::map<std::string, Tensor> begin_with_weights(Settings& s) {
  for (const char* flag :
       {"patch-size", "num-hiddens", "mlp-num-hiddens", "num-blks", "use-bias", "global-pool", "channels"})
    check(!s.given.contains(flag), "train_vit", "--", flag, " cannot be chosen with --finetune: the weights decide it");
  ModelFileOptions options;
  if (s.given.contains("img-size")) options.img_size = s.model.img_size;
  if (s.given.contains("num-heads")) options.num_heads = s.model.num_heads;
  if (!s.preprocess.mean.empty()) options.mean = s.preprocess.mean;
  if (!s.preprocess.std.empty()) options.std = s.preprocess.std;
  ModelFile file = read_model_file(s.finetune, options);
  take_model(s, file.weights.config, file.preprocess);
  return std::move(file.weights.tensors);
}

/// Reads the flags. Ends the program after --help (exit code 0), and, with one sentence on stderr, when a
/// flag or its value is wrong (exit code 2). Throws Error if the run of --resume cannot be read.
inline Settings parse_command_line(int argc, char** argv) {
  // First what decides the defaults of all others, which --help shows.
  std::string preset = "d2l", resume;
  CLI::App first("", "train_vit");
  first.allow_extras();
  first.set_help_flag();
  first.add_option("--preset", preset)->check(CLI::IsMember(presets()));
  first.add_option("--resume", resume);
  command_line::parse_or_exit(first, [&] { first.parse(argc, argv); });

  Settings s = presets().at(preset);
  s.preset = preset;
  std::string output_dir;
  nlohmann::json known = nlohmann::json::object();
  if (!resume.empty()) {
    s.checkpoint = read_run(resume);
    known = command_line::flags_of(*s.checkpoint, resume);
    command_line::parse(command_line::to_words(known), s, output_dir, known);
  }
  s.flags = command_line::parse({argv + 1, argv + argc}, s, output_dir, known);
  if (!s.data_dir.empty()) {  // whoever resumes may do so from another folder
    s.data_dir = std::filesystem::absolute(s.data_dir).lexically_normal().string();
    s.flags["data-dir"] = s.data_dir;
  }

  if (s.checkpoint) {
    for (const char* flag : {"preset", "seed", "finetune", "img-size", "patch-size", "num-hiddens", "mlp-num-hiddens",
                             "num-heads", "num-blks", "use-bias", "global-pool", "channels", "mean", "std"})
      check(!s.given.contains(flag), "train_vit", "--", flag, " cannot be chosen with --resume: the run has begun");
    const std::filesystem::path folder = RunFolder::of(resume).path();
    if (output_dir.empty()) output_dir = folder.string();
    std::error_code absent;
    if (!std::filesystem::equivalent(output_dir, folder, absent)) RunFolder(output_dir).check_is_free();
    const ModelDescription model = read_description(s.checkpoint->notes.model, resume);
    take_model(s, model.config, model.preprocess);
  }
  // A new folder of its own for each run that names none.
  for (int i = 1; output_dir.empty(); ++i) {
    const std::string candidate = std::string("runs/").append(s.preset).append(i > 1 ? "-" + std::to_string(i) : "");
    if (!std::filesystem::exists(candidate)) output_dir = candidate;
  }
  s.trainer.output_dir = output_dir;
  return s;
}

}  // namespace bobbin
