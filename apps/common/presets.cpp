#include "apps/common/presets.h"

namespace bobbin {
namespace {

// d2l.ai's numbers, exactly: those that a config has at first, and lr 0.1, batches of 128, 10 epochs.
void d2l(Settings&) {}

// The same as its JAX tab has it, whose defaults are Flax's.
void d2l_jax(Settings& s) {
  s.model = ViTConfig{.patch_padding = PatchPadding::same,
                      .layer_norm_eps = real(1e-6),
                      .activation = Activation::gelu_tanh,
                      .init = Init::flax};
}

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

void fast(Settings& s) {
  vit(s, small_hybrid, 1, 2e-3);
  s.trainer.batch_size = 64;  // twice the steps
  s.loss.label_smoothing = 0;
}
void minute(Settings& s) { vit(s, small_hybrid, 6, 2e-3); }

// A wider stem, with two convolutions in each stage.
void small(Settings& s) {
  vit(s,
      {.patch_size = 1,
       .stem_stages = 3,
       .stem_convs = 2,
       .stem_width = 32,
       .num_hiddens = 128,
       .mlp_num_hiddens = 256,
       .num_heads = 4,
       .num_blks = 4},
      9, 2e-3);
}

// A wider stem with pooling, half the blocks, and what long training needs.
void best(Settings& s) {
  vit(s,
      {.patch_size = 1,
       .stem_stages = 3,
       .stem_convs = 2,
       .stem_pool = true,
       .stem_width = 48,
       .num_hiddens = 192,
       .mlp_num_hiddens = 384,
       .num_heads = 6,
       .num_blks = 2},
      54, 1.5e-3);
  s.optimizer = AdamWOptions{.weight_decay = real(0.1)};
  s.trainer.schedule.warmup_epochs = 3;
  s.trainer.augmentation.crop_padding = 1;
  s.trainer.augmentation.random_erase = 0.25;
  s.trainer.ema_decay = 0.999;
}

void convnet(Settings& s) {
  s.model = ConvNetConfig();
  s.optimizer = AdamWOptions{.weight_decay = real(0.05)};
  s.trainer.epochs = 7;
  s.trainer.schedule = {.sched = "onecycle", .lr = 1e-2};
  s.trainer.augmentation.hflip = 0.5;
  s.trainer.augmentation.hflip_mode = FlipMode::alternate;
  s.trainer.augmentation.crop_padding = 1;
  s.preprocess.mean = {real(0.286)};
  s.preprocess.std = {real(0.353)};
  s.loss.label_smoothing = real(0.1);
}

// A Swin Transformer for images of 28 to 32 pixels: patches of 2, so 14 x 14 tokens, then 7 x 7.
void swin(Settings& s) {
  s.model = SwinConfig{.img_size = 28,
                       .patch_size = 2,
                       .embed_dim = 48,
                       .depths = {2, 4},
                       .num_heads = {3, 6},
                       .mlp_ratio = 2,
                       .drop_path = real(0.1)};
  s.optimizer = AdamWOptions{.weight_decay = real(0.05)};
  TrainerOptions& t = s.trainer;
  t.epochs = 20;
  t.clip_grad = 5;
  t.schedule = {.sched = "cosine", .lr = 1e-3, .warmup_epochs = 2, .min_lr = 1e-5, .warmup_prefix = true};
  t.augmentation.hflip = 0.5;
  t.augmentation.hflip_mode = FlipMode::alternate;
  s.preprocess.mean = {real(0.286)};
  s.preprocess.std = {real(0.353)};
  s.loss.label_smoothing = real(0.1);
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      {"d2l", "d2l.ai's ViT (accuracy .865, 55 minutes on two cores), or with --model its numbers for that", d2l},
      {"d2l-jax", "d2l.ai's ViT as its JAX code has it", d2l_jax},
      {"quick", "a small ViT (.855, half a minute with AVX-512)", quick},
      {"lenet", "d2l.ai's LeNet (.739, a minute)", lenet},
      {"mlp", "d2l.ai's MLP (.852, 15 seconds)", mlp},
      {"resnet18", "d2l.ai's ResNet-18 (.919 on a GPU; 45 minutes in bfloat16 with AMX)", resnet18},
      {"resnet34", "the same with 34 layers", resnet34},
      {"fast", "a small ViT with a stem of convolutions (.863, 11 seconds with AVX-512, 16 with AVX2)", fast},
      {"minute", "the same for longer (.906, a minute with AVX-512, two with AVX2)", minute},
      {"small", "a larger stem, and longer still (.928, 12 minutes with AVX2)", small},
      {"best", "a stem that pools, and longest (.948, two hours with AVX2)", best},
      {"swin", "a small Swin Transformer", swin},
      {"convnet", "a small convolutional network (.936, 11 minutes with AVX2)", convnet},
  };
  return all;
}

}  // namespace bobbin
