#pragma once
#include <limits>
#include <map>
#include <string>

#include "apps/command_line.h"
#include "data/fashion_mnist.h"
#include "nn/vit.h"
#include "optim/trainer.h"
#include "tensor/threads.h"

/// The command line of train_vit: presets, and a flag for each of their numbers.
namespace bobbin {

struct Settings {
  ViTConfig model;
  SGDOptions sgd;
  TrainerOptions trainer;
  double clip_grad = 0;
  real smoothing = 0;
  std::uint64_t seed = 0;
  int threads = bobbin::threads();
  std::string data_dir;
  bool profile = false;
  std::string graph;
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
  s.sgd = {.lr = real(0.1)};
  s.trainer = {.max_epochs = 10, .batch_size = 128};
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
  s.sgd = {.lr = real(0.05), .momentum = real(0.9)};
  s.trainer = {.max_epochs = 5, .batch_size = 64};
  return s;
}

/// 6457866 as 6,457,866.
inline std::string with_commas(Index number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<int>(text.size()) - 3; at > 0; at -= 3) text.insert(text.begin() + at, ',');
  return text;
}

inline std::string describe(const FashionMnist& data) {
  const auto size = [](Index h, Index w) { return std::to_string(h) + " x " + std::to_string(w); };
  const ImageDataset& train = data.train;
  std::string text = "Fashion-MNIST, " + with_commas(train.count()) + " images to train on, " +
                     with_commas(data.test.count()) + " to validate, " + size(train.height, train.width);
  if (const Size2 in_batch = train.preprocess.size; in_batch != Size2(train.height, train.width))
    text += " resized to " + size(in_batch.height, in_batch.width);
  return text;
}

/// Reads the flags. Ends the program after --help (exit code 0), and, with one sentence on stderr, when a
/// flag or its value is wrong (exit code 2).
inline Settings parse_command_line(int argc, char** argv) {
  using command_line::within;
  const std::map<std::string, Settings> presets{{"d2l", d2l()}, {"quick", quick()}};
  const std::string preset_help = "what the other flags begin with: d2l, the chapter's numbers; quick, half a minute";
  std::string preset = "d2l";

  // The preset first, as it decides the defaults that --help shows.
  CLI::App first("", "train_vit");
  first.allow_extras();
  first.set_help_flag();
  first.add_option("--preset", preset, preset_help)->check(CLI::IsMember(presets));
  command_line::parse_or_exit(first, [&] { first.parse(argc, argv); });
  Settings s = presets.at(preset);

  CLI::App app("Trains the Vision Transformer of d2l.ai's chapter \"Transformers for Vision\" on Fashion-MNIST.",
               "train_vit");
  app.option_defaults()->always_capture_default();
  constexpr int many = std::numeric_limits<int>::max();
  const CLI::Validator probability = within(0, 0.999);

  app.option_defaults()->group("Run");
  app.add_option("--preset", preset, preset_help)->check(CLI::IsMember(presets));
  app.add_option("--data-dir", s.data_dir, "folder of the data set; if not given, it is looked for");
  std::string output_dir;
  app.add_option("--output-dir", output_dir, "folder for metrics.csv and losses.csv [a new one in runs/]");
  app.add_option("--seed", s.seed, "makes a run repeatable")->check(within(0, many));
  app.add_option("--threads", s.threads, "threads to compute on")->check(within(1, 1024));
  app.add_flag("--profile", s.profile, "say at the end where the time went");
  app.add_option("--graph", s.graph,
                 "draw a training step's tape into this file, .svg or, for Graphviz, .dot, and end without training")
      ->check(command_line::ends_in({".svg", ".dot"}));

  app.option_defaults()->group("Training");
  app.add_option("--epochs", s.trainer.max_epochs, "times that each image is seen")->check(within(1, 1000000));
  app.add_option("--max-steps", s.trainer.max_steps, "stop after so many steps; 0: only after the epochs")
      ->check(within(0, many));
  app.add_option("-b,--batch-size", s.trainer.batch_size, "images in a step")->check(within(1, 60000));
  app.add_option("--lr", s.sgd.lr, "learning rate")->check(within(0.0, 1e6));
  app.add_option("--momentum", s.sgd.momentum, "of SGD")->check(within(0.0, 1.0));
  app.add_flag("--nesterov", s.sgd.nesterov, "Nesterov's momentum");
  app.add_option("--weight-decay", s.sgd.weight_decay, "L2 penalty")->check(within(0.0, 1e6));
  app.add_option("--clip-grad", s.clip_grad, "largest norm of all gradients together; 0: any")->check(within(0.0, 1e6));
  app.add_option("--smoothing", s.smoothing, "label smoothing")->check(within(0.0, 1.0));

  app.option_defaults()->group("Model");
  command_line::add_size(app, "--img-size", s.model.img_size,
                         "pixels that images are resized to: N, or height and width");
  command_line::add_size(app, "--patch-size", s.model.patch_size, "pixels of a patch: N, or height and width");
  app.add_option("--num-hiddens", s.model.num_hiddens, "width of a token")->check(within(1, 65536));
  app.add_option("--mlp-num-hiddens", s.model.mlp_num_hiddens, "width inside the MLP")->check(within(1, 262144));
  app.add_option("--num-heads", s.model.num_heads, "attention heads; divides --num-hiddens")->check(within(1, 65536));
  app.add_option("--num-blks", s.model.num_blks, "blocks")->check(within(0, 1000));
  app.add_option("--emb-dropout", s.model.emb_dropout, "dropout on the embedding")->check(probability);
  app.add_option("--blk-dropout", s.model.blk_dropout, "dropout inside the blocks")->check(probability);
  app.add_flag("--use-bias", s.model.use_bias, "biases in attention's projections");
  app.add_flag("--whole-last-block", s.model.whole_last_block,
               "compute all of the last block, not only what the head sees");
  app.add_option("--global-pool", s.model.pool,
                 "what the head sees: token, the class token; avg, the mean over the patches")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Pool>{{"token", Pool::token}, {"avg", Pool::avg}}))
      ->type_name("")
      ->default_str("token");
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });

  // A new folder of its own for each run that names none.
  for (int i = 1; output_dir.empty(); ++i) {
    const std::string candidate = std::string("runs/").append(preset).append(i > 1 ? "-" + std::to_string(i) : "");
    if (!std::filesystem::exists(candidate)) output_dir = candidate;
  }
  s.trainer.output_dir = output_dir;
  return s;
}

}  // namespace bobbin
