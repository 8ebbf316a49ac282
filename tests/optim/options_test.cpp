// The flags that the options of training have on every command line.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "nn/distillation.h"
#include "nn/loss.h"
#include "optim/any_optimizer.h"
#include "optim/schedule.h"
#include "optim/training/trainer.h"
#include "tests/helpers.h"

using namespace bobbin;
using namespace bobbin::test;

namespace {

std::string flags(auto options) {
  std::string all;
  for (const Field& field : fields_of(options)) all += field.flag() + " ";
  return all;
}

}  // namespace

TEST_CASE("options: the flags of training") {
  CHECK(flags(SGDOptions()) == "momentum nesterov weight-decay ");
  CHECK(flags(AdamWOptions()) == "opt-betas opt-eps weight-decay ");
  CHECK(flags(ScheduleOptions()) == "sched lr warmup-epochs warmup-lr min-lr warmup-prefix ");
  CHECK(flags(TrainerOptions()) ==
        "epochs batch-size grad-accum-steps max-steps clip-grad early-stopping ema-decay detect-anomaly comm-precision "
        "sync-batch-norm save-every checkpoint-hist ");
  CHECK(flags(Augmentation()) ==
        "hflip hflip-mode crop-padding crop-mode random-erase erase-mode resized-crop auto-augment ra-ops ra-magnitude "
        "jitter-brightness jitter-contrast jitter-saturation jitter-hue mixup cutmix mixup-prob "
        "mixup-switch-prob ");
  CHECK(flags(CrossEntropy()) == "smoothing ");
  CHECK(flags(Distillation()) == "distillation-type distillation-alpha distillation-tau distillation-scale ");
}

TEST_CASE("options: defaults lie within their ranges, and survive as JSON") {
  const auto survives = [](auto options) {
    const std::string before = to_text(to_json(fields_of(options)));
    const nlohmann::json json = nlohmann::json::parse(before);
    read_json(fields_of(options), {json, "options"});
    return to_text(to_json(fields_of(options))) == before;
  };
  CHECK(survives(SGDOptions()));
  CHECK(survives(AdamWOptions()));
  CHECK(survives(ScheduleOptions()));
  CHECK(survives(TrainerOptions()));
  CHECK(survives(Augmentation()));
  CHECK(survives(CrossEntropy()));
  CHECK(survives(Distillation()));
  AdamWOptions adamw;
  CHECK(to_text(to_json(fields_of(adamw))) == R"({"betas":[0.9,0.999],"eps":1e-08,"weight_decay":0.01})");
}
