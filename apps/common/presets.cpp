#include "apps/common/presets.h"

namespace bobbin {
namespace {

// d2l.ai's numbers, exactly: those that a config has at first, and lr 0.1, batches of 128, 10 epochs.
void d2l(Settings&) {}

// A small model on images in their own size: shows learning in half a minute on two cores.
void quick(Settings& s) {
  s.model = ViTConfig{.img_size = 28,
                      .patch_size = 7,
                      .num_hiddens = 96,
                      .mlp_num_hiddens = 192,
                      .num_heads = 4,
                      .emb_dropout = 0,
                      .blk_dropout = 0};
  s.optimizer = SGDOptions{.momentum = real(0.9)};
  s.trainer.schedule.lr = 0.05;
  s.trainer.epochs = 5;
  s.trainer.batch_size = 64;
}

void lenet(Settings& s) { s.model = LeNetConfig(); }

void mlp(Settings& s) {
  s.model = MLPConfig();
  s.trainer.batch_size = 256;
}

void resnet18(Settings& s) {
  s.model = ResNetConfig<18>();
  s.trainer.schedule.lr = 0.01;
}

void resnet34(Settings& s) {
  s.model = ResNetConfig<34>();
  s.trainer.schedule.lr = 0.01;
}

// What the ViTs below have in common, after "Better plain ViT baselines" (Beyer et al., 2022): the mean of the patches
// for the head, fixed positions, no dropout; AdamW with a warm-up over a tenth of the steps, then a cosine.
void vit(Settings& s, ViTConfig model, int epochs, double lr) {
  model.img_size = 28;
  model.emb_dropout = model.blk_dropout = 0;
  model.use_bias = true;
  model.pool = Pool::avg;
  model.positions = Positions::sincos;
  model.layer_norm_eps = real(1e-6);
  s.model = model;
  s.optimizer = AdamWOptions{.weight_decay = real(0.05)};
  TrainerOptions& t = s.trainer;
  t.epochs = epochs;
  t.clip_grad = 1;
  t.schedule = {.sched = "cosine", .lr = lr, .warmup_epochs = epochs / 10.0, .min_lr = 1e-5, .warmup_prefix = true};
  t.augmentation.hflip = 0.5;
  t.augmentation.hflip_mode = FlipMode::alternate;
  s.preprocess.mean = {real(0.286)};
  s.preprocess.std = {real(0.353)};
  s.loss.label_smoothing = real(0.1);
}

// A stem of convolutions down to 4 x 4 places.
const ViTConfig small_hybrid{.patch_size = 1,
                                 .stem_stages = 3,
                                 .stem_width = 16,
                                 .num_hiddens = 96,
                                 .mlp_num_hiddens = 192,
                                 .num_heads = 3,
                                 .num_blks = 2};

void fast(Settings& s) { vit(s, small_hybrid, 2, 2e-3); }
void minute(Settings& s) { vit(s, small_hybrid, 5, 2e-3); }
void small(Settings& s) {
  vit(s,
      {.patch_size = 1,
       .stem_stages = 2,
       .stem_width = 24,
       .num_hiddens = 96,
       .mlp_num_hiddens = 192,
       .num_heads = 3,
       .num_blks = 5},
      9, 2e-3);
  s.trainer.augmentation.crop_padding = 2;
}
void best(Settings& s) {
  vit(s,
      {.patch_size = 1,
       .stem_stages = 2,
       .stem_width = 32,
       .num_hiddens = 128,
       .mlp_num_hiddens = 256,
       .num_heads = 4,
       .num_blks = 6},
      56, 2e-3);
  s.trainer.augmentation.crop_padding = 2;
  s.trainer.augmentation.random_erase = 0.25;
  s.trainer.ema_decay = 0.999;
}

// The same for convolutions alone.
void convnet(Settings& s, Index width, int epochs) {
  s.model = ConvNetConfig{.width = width};
  s.optimizer = AdamWOptions{.weight_decay = real(0.05)};
  s.trainer.epochs = epochs;
  s.trainer.schedule = {.sched = "onecycle", .lr = 5e-3};
  s.trainer.augmentation.hflip = 0.5;
  s.trainer.augmentation.hflip_mode = FlipMode::alternate;
  s.preprocess.mean = {real(0.286)};
  s.preprocess.std = {real(0.353)};
  s.loss.label_smoothing = real(0.1);
}
void convnet_minute(Settings& s) { convnet(s, 16, 2); }
void convnet_small(Settings& s) {
  convnet(s, 32, 7);
  s.trainer.augmentation.crop_padding = 2;
}
void convnet_best(Settings& s) {
  convnet(s, 64, 25);
  s.trainer.augmentation.crop_padding = 2;
  s.trainer.augmentation.random_erase = 0.25;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      {"d2l", "d2l.ai's ViT (accuracy .865, 55 minutes on two cores), or with --model its numbers for that", d2l},
      {"quick", "a small ViT (.855, half a minute)", quick},
      {"lenet", "d2l.ai's LeNet (.739, a minute)", lenet},
      {"mlp", "d2l.ai's MLP (.852, 15 seconds)", mlp},
      {"resnet18", "d2l.ai's ResNet-18 (.919, 45 minutes in bfloat16 with AMX)", resnet18},
      {"resnet34", "the same with 34 layers", resnet34},
      {"fast", "TODO", fast},
      {"minute", "TODO", minute},
      {"small", "TODO", small},
      {"best", "TODO", best},
      {"convnet-minute", "TODO", convnet_minute},
      {"convnet-small", "TODO", convnet_small},
      {"convnet-best", "TODO", convnet_best},
  };
  return all;
}

}  // namespace bobbin
