#include "apps/common/train_settings.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "apps/common/command_line.h"
#include "apps/common/model_flags.h"
#include "apps/common/presets.h"
#include "apps/common/run_config.h"
#include "data/files/json.h"
#include "data/files/read_file.h"
#include "data/files/write_file.h"
#include "nn/pretrained/input_channels.h"
#include "optim/training/run_folder.h"
#include "optim/training/run_lock.h"
#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// --- Presets ----------------------------------------------------------------------------------------------

const std::string preset_help = [] {
  std::string help = "defaults of the other flags";
  for (const Preset& p : presets()) help += std::string(help.ends_with("flags") ? ": " : "; ") + p.name + ", " + p.help;
  return help;
}();

Settings begin_with(const std::string& preset) {
  Settings s;
  s.preset = preset;
  s.trainer.schedule.lr = 0.1;
  const auto known = std::find_if(presets().begin(), presets().end(), [&](auto& p) { return preset == p.name; });
  if (known != presets().end())
    known->apply(s);
  else  // a model without a preset begins with its config's own defaults
    s.model = AnyConfig::of(preset);
  s.model_name = s.model.name();
  s.opt = name_of(s.optimizer);
  return s;
}

// The first preset of a model, or of any if it is empty: d2l's numbers. A model that has none is its own.
std::string preset_of(const std::string& model) {
  for (const Preset& p : presets())
    if (model.empty() || begin_with(p.name).model.name() == model) return p.name;
  return model;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& p : presets()) names.emplace_back(p.name);
  for (const std::string& model : AnyConfig::names())
    if (preset_of(model) == model && std::find(names.begin(), names.end(), model) == names.end())
      names.push_back(model);
  return names;
}

// --- A run that goes on -----------------------------------------------------------------------------------

// Those of the flags that somebody gave to the run of this config.json; of a run of the program before, none.
std::set<std::string> given_in(const Json& config, const std::string& where) {
  if (!config.contains("given")) return {};
  const Json& given = config["given"];
  check(given.is_array() && std::all_of(given.begin(), given.end(), [](const Json& flag) { return flag.is_string(); }),
        "train", where, " is damaged: \"given\" should be a list of flags");
  return given.get<std::set<std::string>>();
}

// What the checkpoint of a run says of its flags.
Json config_of(const Checkpoint& checkpoint, const std::string& run) {
  check(!checkpoint.notes.config.empty(), "train", run, " is not a run of this program: it does not know its flags");
  const Json json = parse_json(checkpoint.notes.config, "what " + run + " says of its flags");
  check(json.is_object() && json.contains("flags") && json["flags"].is_object(), "train", run,
        " is damaged: its flags cannot be read");
  return json;
}

// Those that it has of our fields. Runs of the program before noted some as the words that were given, and none as "".
void take_flags(Settings& s, const Json& flags, const std::string& run, bool of_run) {
  for (const auto& [heading, fields] : s.fields())
    for (const Field& field : fields) {
      if (field.flag().empty() || !flags.contains(field.flag()) || (of_run && flags[field.flag()] == "")) continue;
      const Json& value = flags[field.flag()];
      const std::string where = run + ": --" + field.flag();
      value.is_string() ? field.parse({value.get<std::string>()}, where) : field.set(value, where);
    }
}

// What can be told a model beside what its file says: dropout, and how it is computed.
void take_settings(AnyConfig& from, AnyConfig& to) {
  Fields old, now;
  from.fields(old);
  to.fields(now);
  for (auto a = old.begin(), b = now.begin(); a != old.end(); ++a, ++b)
    if (!a->about().fixed && !a->flag().empty()) b->set(a->value(), a->name());
}

// The same that were given, where the file came from elsewhere: a preset's are those of its own model.
void take_given(Settings& s, AnyConfig& file) {
  Fields of_flags, of_file;
  s.model.fields(of_flags);
  file.fields(of_file);
  for (const Field& field : of_flags) {
    if (field.about().fixed || !s.given.contains(field.flag())) continue;
    const auto same =
        std::find_if(of_file.begin(), of_file.end(), [&](const Field& f) { return f.flag() == field.flag(); });
    check(same != of_file.end(), "train", "--", field.flag(), " is for a ", s.model.title(), ", and ", s.finetune,
          " is a ", file.title());
    same->set(field.value(), "--" + field.flag());
  }
}

// Makes the model, and how pictures are prepared for it, those of a file, whatever the flags say of its sizes. The
// flags of a run say what its model had: with --finetune, too, of a model of their kind.
void take_model(Settings& s, AnyConfig config, Preprocess preprocess, bool of_run) {
  if (of_run && s.model.name() == config.name())
    take_settings(s.model, config);
  else
    take_given(s, config);
  s.model = std::move(config);
  s.preprocess = std::move(preprocess);
  s.channels = s.model.num_channels();
}

// --opt: the optimizer with its own usual learning rate, unless it is the one that there is.
void choose_optimizer(Settings& s, const std::string& opt) {
  if (opt.empty() || opt == s.opt) return;
  s.opt = opt;
  s.optimizer = optimizer_options(opt);
  s.trainer.schedule.lr = usual_lr(s.optimizer);
}

// --preset, or that of the --model.
Settings begin_with(const std::string& preset, const std::string& model) {
  Settings s = begin_with(preset.empty() || preset == "d2l" ? preset_of(model) : preset);
  check(model.empty() || model == s.model.name(), "train", "the preset ", s.preset, " is for the model ",
        s.model.name(), ", not for ", model);
  return s;
}

// What the flags of a file say: those that a run had, all of them, or some as the command line would have them.
Settings settings_from(const Json& flags, const std::string& where, bool of_run) {
  const auto word = [&](const char* flag, const std::string& otherwise) {
    check(!flags.contains(flag) || flags[flag].is_string(), "train", where, ": --", flag, " must be a word");
    return flags.value(flag, otherwise);
  };
  Settings s;
  if (of_run) {
    s = begin_with(word("preset", "d2l"));
    if (const std::string model = word("model", s.model_name); model != s.model_name) s.model = AnyConfig::of(model);
    s.optimizer = optimizer_options(word("opt", s.opt));
  } else {
    s = begin_with(word("preset", ""), word("model", ""));
    choose_optimizer(s, word("opt", ""));
  }
  take_flags(s, flags, where, of_run);
  return s;
}

Settings go_on_with(const std::string& run) {
  Checkpoint checkpoint = read_run(run);
  const Json config = config_of(checkpoint, run), &flags = config["flags"];
  Settings s = settings_from(flags, run, true);
  s.given = given_in(config, run);
  s.preprocess.no_exif |= !flags.contains("no-exif");  // runs of the program before go on as they began
  s.accept_changed_data = false;                       // it was for those changes
  s.checkpoint = std::move(checkpoint);
  return s;
}

// --- The command line -------------------------------------------------------------------------------------

// What decides which flags there are, and their defaults.
struct First {
  std::string preset, model, opt, config, resume;
};
First parse_first(int argc, char** argv) {
  First first;
  CLI::App app("", "train");
  app.allow_extras();
  app.set_help_flag();
  app.add_option("--preset", first.preset)->check(CLI::IsMember(preset_names()));
  app.add_option("--model", first.model)->check(CLI::IsMember(AnyConfig::names()));
  app.add_option("--opt", first.opt)->check(CLI::IsMember(optimizer_names()));
  app.add_option("--config", first.config);
  app.add_option("--resume", first.resume);
  command_line::parse_or_exit(app, [&] { app.parse(argc, argv); });
  return first;
}

// --config: the flags of a file, a run's config.json or an object of flags alone.
Settings begin_like(const First& first) {
  const std::vector<std::uint8_t> text = read_file("train", first.config, std::uintmax_t{1} << 24);
  const Json json = parse_json({text.begin(), text.end()}, first.config);
  check(json.is_object(), "train", first.config,
        " holds no flags: expected an object of JSON, as in a run's config.json");
  const Json flags = json.contains("flags") ? json["flags"] : json;
  check(flags.is_object(), "train", first.config, " holds no flags: its flags should be an object");
  Settings s = settings_from(flags, first.config, json.contains("flags"));
  s.accept_changed_data = false;
  // Those who wrote a file of flags alone gave all of them.
  s.given = given_in(json, first.config);
  if (!json.contains("flags"))
    for (const auto& [flag, value] : flags.items()) s.given.insert(flag);
  say_what_changed(json, first.config);
  check(s.finetune.empty() || json.contains("given") || !json.contains("flags"), "train", first.config,
        " is of an older program: it does not say which flags were given beside --finetune, and which the weights "
        "decided; give them on the command line");
  std::set<std::string> known;
  for (const auto& [heading, fields] : s.fields())
    for (const Field& field : fields) known.insert(field.flag());
  for (const auto& [flag, value] : flags.items())
    check(known.contains(flag), "train", first.config, " has ", Quoted{flag}, ", which is no flag of ", s.model.name(),
          " with ", s.opt);
  check(first.model.empty() || first.model == s.model.name(), "train", first.config, " is for the model ",
        s.model.name(), ", not for ", first.model);
  // Another optimizer than a run's has its own usual learning rate; in a file of flags alone this one was meant.
  const bool another = !first.opt.empty() && first.opt != s.opt;
  choose_optimizer(s, first.opt);
  if (another && !json.contains("flags")) {
    Json others = flags;
    others.erase("opt");
    take_flags(s, others, first.config, false);
  }
  return s;
}

// What a preset says, and does not go with a flag that was given, gives way.
void give_way(Settings& s) {
  TrainerOptions& t = s.trainer;
  if (t.augmentation.hflip == 0 && !s.given.contains("hflip-mode")) t.augmentation.hflip_mode = FlipMode::random;
  if (t.schedule.sched == "onecycle" && !s.given.contains("warmup-epochs")) t.schedule.warmup_epochs = 0;
}

// What was given and would do nothing.
void check_of_use(const Settings& s) {
  const Augmentation& a = s.trainer.augmentation;
  const bool mixes = a.mixup > 0 || a.cutmix > 0, ra = a.auto_augment == AutoAugment::rand_augment,
             timm_ra = a.auto_augment == AutoAugment::timm_rand_augment, cosine = s.trainer.schedule.sched == "cosine";
  const auto needs = [&](const char* flag, bool there, const char* what) {
    check(there || !s.given.contains(flag), "train", "--", flag, " does nothing without ", what);
  };
  needs("ra-ops", ra || timm_ra, "--auto-augment ra or timm-ra");
  needs("ra-magnitude", ra || timm_ra, "--auto-augment ra or timm-ra");
  check(!mixes || s.trainer.batch_size > 1 || !s.resume.empty(), "train",
        "--mixup and --cutmix mix the images of a batch, which needs a --batch-size of 2 or more, got 1");
  needs("mixup-prob", mixes, "--mixup or --cutmix");
  needs("mixup-switch-prob", a.mixup > 0 && a.cutmix > 0, "both --mixup and --cutmix");
  needs("min-lr", cosine, "--sched cosine");
  needs("warmup-prefix", cosine && s.trainer.schedule.warmup_epochs > 0, "--sched cosine and --warmup-epochs");
  needs("warmup-lr", s.trainer.schedule.warmup_epochs > 0, "--warmup-epochs");
  const bool own_momentum = s.trainer.schedule.sched != "onecycle";
  const auto* const sgd = std::get_if<SGDOptions>(&s.optimizer);
  needs("momentum", own_momentum || (sgd && sgd->nesterov),  // which asks for one
        "--sched constant or cosine: onecycle moves the momentum from .95 to .85 and back");
  needs("opt-betas", own_momentum, "--sched constant or cosine: onecycle moves the first from .95 to .85 and back");
  const ViTConfig* const vit = s.model.as<ViTConfig>();
  needs("stem-convs", vit && vit->stem_stages > 0, "--stem-stages");
  needs("stem-pool", vit && vit->stem_stages > 0, "--stem-stages");
  needs("stem-width", vit && vit->stem_stages > 0, "--stem-stages");
}

// What is to be learned from a teacher, and from whom: one without the other would do nothing.
void check_distillation(const Settings& s) {
  const bool none = s.distillation.type == DistillationType::none;
  check(none || !s.teacher.empty(), "train", "--distillation-type needs a --teacher to learn from");
  check(!none || s.teacher.empty(), "train",
        "a --teacher is for --distillation-type hard, which DeiT recommends, or soft: give one of them");
  for (const char* flag : {"distillation-alpha", "distillation-tau", "distillation-scale"}) {
    const bool of_soft = std::string_view(flag) != "distillation-alpha";
    check(!s.given.contains(flag) || s.distillation.type == DistillationType::soft || (!none && !of_soft), "train",
          "--", flag, " is for --distillation-type soft", of_soft ? "" : " or hard");
  }
}

Settings settings_of(const First& first) {
  check(first.config.empty() || (first.resume.empty() && first.preset.empty()), "train",
        "--config gives the flags of a run, and so do --preset and --resume: one of them is enough");
  if (!first.resume.empty()) return go_on_with(first.resume);
  if (!first.config.empty()) return begin_like(first);
  Settings s = begin_with(first.preset, first.model);
  choose_optimizer(s, first.opt);
  return s;
}

}  // namespace

std::vector<std::pair<std::string, Fields>> Settings::fields() {
  Fields run, data, augmentation, training;
  run("preset", preset, {.help = preset_help.c_str(), .choices = preset_names(), .fixed = true});
  run("seed", seed, {.help = "random seed", .low = 0, .high = 1e15, .fixed = true});
  run("threads", threads, {.help = "number of CPU threads", .low = 1, .high = 1024});
  command_line::add_precision(run, precision);
  run("profile", profile, {.help = "print the time spent in each function at the end"});
  run("comm_timeout", comm_timeout,
      {.help =
           "of several ranks, which mpirun starts (make MPI=1): seconds that one waits for the others before all end",
       .low = 0.1,
       .high = 1e6});
  run("finetune", finetune,
      {.help =
           "start from the weights of this file, ours or of a ViT, DINOv2, CLIP, SigLIP, Swin Transformer or ResNet "
           "from timm, torchvision or Hugging Face, with a new head; the model's sizes, its dropout and how images are "
           "prepared are the file's, and --drop-path is 0, but for flags that say otherwise",
       .fixed = true});
  run("weights", weights,
      {.help = "with --finetune: name of the published model that the file is, timm's with its tag or torchvision's",
       .fixed = true});

  run("freeze", freeze,
      {.help = "parameters that stay as they are: backbone, all but the head, which is then a linear probe of the "
               "features, as training sees them (with dropout, and statistics of the batch); or those whose names fit "
               "this pattern, such as 'blks.0.*'",
       .fixed = true});
  run("layer_decay", layer_decay,
      {.help = "of a ViT: the head learns at the whole learning rate, each block before it at this times that of the "
               "next, and tokens, positions and patches slowest, as timm's layer decay; 1: all at the same",
       .low = 0,
       .high = 1,
       .fixed = true});

  data("data_dir", data_dir,
       {.help = "folder of Fashion-MNIST, MNIST, KMNIST or CIFAR-10, or with one folder of images per class, also "
                "divided into train and val [Fashion-MNIST, if found]",
        .alias = "--data"});
  data("channels", channels,
       {.help = "channels of images in folders: 1 (grey) or 3 (RGB); 0: as in the data set",
        .low = 0,
        .high = 3,
        .fixed = true});
  data("skip_bad", skip_bad,
       {.help = "leave out images in folders that cannot be read, each of which is decoded once to see; otherwise they "
                "are listed and nothing is trained"});
  data("val_split", val_split,
       {.help = "validate on this share of the training images, the same of each class and in every run, and leave the "
                "test images alone: for choosing among runs; 0: validate on the test images",
        .low = 0,
        .high = 0.99,
        .fixed = true});
  data("train_share", train_share,
       {.help =
            "train on this share of the training images (after --val-split), the same of each class and in every run",
        .low = 1e-6,
        .high = 1,
        .fixed = true});
  data("test_at_end", test_at_end,
       {.help = "measure the model on the test images when training ends: test.csv; averaged weights, too"});
  data("tta", tta,
       {.help = "flip: measure it at the end also with logits averaged over each image and its mirror image: "
                "for models that learn with --hflip",
        .choices = {"none", "flip"}});
  data("accept_changed_data", accept_changed_data,
       {.help = "with --resume: go on though images have changed, or are gone, since the run began"});
  preprocess.fields(data);
  trainer.augmentation.fields(augmentation);

  trainer.fields(training);
  trainer.schedule.fields(training);
  loss.fields(training);
  training("class_weights", class_weights,
           {.help = "balanced: in the loss a class counts the more the fewer images it has, N / (classes * its images)",
            .choices = {"none", "balanced"},
            .fixed = true});
  training("opt", opt, {.help = "optimizer", .choices = optimizer_names(), .fixed = true});
  std::visit([&](auto& options) { options.fields(training); }, optimizer);

  Fields learn_from;
  learn_from(
      "teacher", teacher,
      {.help = "model to learn from, beside the labels: a file, ours or another library's, or the folder of a run, "
               "whose model.safetensors it is; see --distillation-type and --distilled"});
  distillation.fields(learn_from);

  Fields of_model;
  of_model("model", model_name, {.help = "architecture", .choices = AnyConfig::names(), .fixed = true});
  model.fields(of_model);
  return {{"Run", run},
          {"Data", data},
          {"Augmentation", augmentation},
          {"Training", training},
          {"Distillation", learn_from},
          {"Model", of_model}};
}

Settings parse_command_line(int argc, char** argv) {
  Settings s = settings_of(parse_first(argc, argv));
  const bool resumed = s.checkpoint.has_value();
  std::string output_dir;

  CLI::App app("Trains an image classifier: the Vision Transformer of d2l.ai, or another --model.", "train");
  app.option_defaults()->always_capture_default();
  app.option_defaults()->group("Run");
  app.add_option("--output-dir", output_dir, "folder for metrics, weights and checkpoints [a new one in runs/]");
  app.add_option("--config", s.config, "take the flags of this config.json, a run's, as defaults of the others");
  app.add_option("--resume", s.resume, "continue a run, given its folder or one of its checkpoints, with its flags");
  app.add_option("--graph", s.graph, "draw the tape of one training step into this .svg or .dot file, and exit")
      ->check(command_line::ends_in({".svg", ".dot"}));
  app.add_option("--show-batch", s.show_batch,
                 "draw the first batch of the run as the model sees it, augmented, into this .png file, and exit")
      ->check(command_line::ends_in({".png"}))
      ->excludes("--graph");
  const auto groups = s.fields();
  for (const auto& [heading, fields] : groups) {
    app.option_defaults()->group(heading);
    command_line::add_flags(app, fields);
  }
  command_line::parse_or_exit(app, [&] {
    app.parse(argc, argv);
    if (s.channels == 2) throw CLI::ValidationError("--channels should be 0, 1 or 3, got 2");
  });

  if (s.preset == "d2l") s.preset = preset_of(s.model_name);
  if (!s.data_dir.empty())  // whoever resumes may do so from another folder
    s.data_dir = fs::absolute(s.data_dir).lexically_normal().string();
  for (std::string* file : {&s.teacher, &s.finetune})
    if (!file->empty()) *file = fs::absolute(*file).lexically_normal().string();
  for (const auto& [heading, fields] : groups)
    for (const Field& field : fields) {
      if (field.flag().empty() || app.get_option("--" + field.flag())->count() == 0) continue;
      s.given.insert(field.flag());
      check(!resumed || !field.about().fixed, "train", "--", field.flag(),
            " cannot be chosen with --resume: the run has begun");
    }
  if (s.config.empty() && !resumed) give_way(s);
  for (const auto& [heading, fields] : groups)
    for (const Field& field : fields)
      if (!field.flag().empty()) s.flags[field.flag()] = field.value();

  comm::set_timeout(s.comm_timeout);
  check_augmentation(s.trainer.augmentation, "train");
  check_of_use(s);
  check(resumed || !s.accept_changed_data, "train", "--accept-changed-data is for a run that goes on, with --resume");
  check_distillation(s);
  check(s.weights.empty() || !s.finetune.empty(), "train", "--weights says what the file of --finetune is: give both");
  if (resumed) {
    const fs::path folder = RunFolder::of(s.resume).path();
    if (output_dir.empty()) output_dir = folder.string();
    std::error_code absent;
    if (comm::rank() > 0)
      output_dir.clear();
    else if (fs::equivalent(output_dir, folder, absent))
      RunLock not_running(folder);
    else
      RunFolder(output_dir).check_is_free();
    ModelDescription model = read_description(s.checkpoint->notes.model, s.resume);
    model.preprocess.no_exif |= s.preprocess.no_exif;
    take_model(s, std::move(model.config), std::move(model.preprocess), true);
  }
  // What config.json keeps, for --config and --resume: with --finetune these decide what the file does not.
  Fields kept;
  s.model.fields(kept);
  s.preprocess.fields(kept);
  std::erase_if(s.given, [&](const std::string& flag) {
    return std::none_of(kept.begin(), kept.end(), [&](const Field& field) { return field.flag() == flag; });
  });
  s.trainer.output_dir = output_dir;
  return s;
}

std::string new_folder(const std::string& preset) {
  const auto candidate = [&](int i) { return "runs/" + preset + (i > 1 ? "-" + std::to_string(i) : ""); };
  int i = 1;
  while (fs::exists(candidate(i)) || !make_folder(candidate(i))) ++i;  // whoever makes it has it
  return candidate(i);
}

NamedTensors begin_with_weights(Settings& s) {
  const std::set<std::string> may_be_said =
      s.model.as<ViTConfig>() ? std::set<std::string>{"img-size", "num-heads", "global-pool", "layer-norm-eps", "act"}
                              : std::set<std::string>{"img-size"};
  Fields of_model;
  s.model.fields(of_model);
  for (const Field& field : of_model)
    check(!s.given.contains(field.flag()) || !field.about().fixed || may_be_said.contains(field.flag()), "train", "--",
          field.flag(), " cannot be chosen with --finetune: the weights decide it");
  for (const char* flag : {"model", "channels"})
    check(!s.given.contains(flag), "train", "--", flag, " cannot be chosen with --finetune: the weights decide it");

  const auto given = [&](const char* flag, const auto& value) {
    return s.given.contains(flag) ? std::optional(value) : std::nullopt;
  };
  ModelFileOptions options{.img_size = given("img-size", s.model.img_size()),
                           .interpolation = given("interpolation", s.preprocess.interpolation),
                           .crop_pct = given("crop-pct", s.preprocess.crop_pct),
                           .no_exif = s.preprocess.no_exif,
                           .weights = s.weights,
                           .new_head = true};
  if (const ViTConfig* vit = s.model.as<ViTConfig>()) {
    options.num_heads = given("num-heads", vit->num_heads).value_or(0);
    options.pool = given("global-pool", vit->pool);
    options.layer_norm_eps = given("layer-norm-eps", vit->layer_norm_eps);
    options.activation = given("act", vit->activation);
  }
  if (s.given.contains("mean")) options.mean = s.preprocess.mean;  // a preset's are those of its data
  if (s.given.contains("std")) options.std = s.preprocess.std;
  ModelFile file = read_model_file(s.finetune, options);
  command_line::say_what_was_taken("train", file.taken);
  take_model(s, std::move(file.config), std::move(file.preprocess), false);
  Fields of_model_now;  // config.json says what the model has, not what the preset's had
  s.model.fields(of_model_now);
  for (const Field& field : of_model_now)
    if (!field.about().fixed && s.flags.contains(field.flag())) s.flags[field.flag()] = field.value();
  return std::move(file.tensors);
}

void freeze_as(const std::string& what, AnyModel& model) {
  const State state = state_of(model);
  state.freeze(what == "backbone" ? "*" : what, true);
  if (what != "backbone") {
    check(std::any_of(state.parameters.begin(), state.parameters.end(),
                      [](const NamedParameter& parameter) { return parameter.second.requires_grad(); }),
          "train", "--freeze ", what, " freezes all parameters: nothing is left to train");
    return;
  }
  const std::vector<std::string> heads = model.config().heads();
  for (const NamedParameter& parameter : state.parameters)
    if (std::any_of(heads.begin(), heads.end(), [&](const auto& head) { return parameter.first.starts_with(head); }))
      state.freeze(parameter.first, false);
}

void fit_weights_to(TrainAndTest& data, NamedTensors& weights, const AnyConfig& model) {
  const Index from = model.num_channels(), to = data.train.channels;
  if (from == to) return;
  Preprocess preprocess = data.train.preprocess;
  adapt_input_conv(weights, preprocess, from, to);
  data.train.preprocess = data.test.preprocess = preprocess;
  std::fprintf(stderr,
               "train: the weights are for images of %d channel%s, %s has %d: the first convolution's are %s, as timm "
               "does it; mean and std are averaged\n",
               static_cast<int>(from), from == 1 ? "" : "s", data.name.c_str(), static_cast<int>(to),
               to == 1 ? "summed over the channels" : "repeated and scaled down");
}

fs::path file_of_teacher(const Settings& s) {
  return fs::is_directory(s.teacher) ? RunFolder(s.teacher).model() : fs::path(s.teacher);
}

Teacher read_teacher(const fs::path& file, const ImageDataset& images, Index batch_size) {
  Classifier teacher = read_classifier(file);
  command_line::say_what_was_taken("train", teacher.taken);
  return with_context("Teacher", file, [&] { return Teacher(std::move(teacher), images, batch_size); });
}

// The class with the most images to validate, if it has many more than others.
std::string describe_balance(const ImageDataset& test) {
  std::vector<Index> counts(test.class_names.size());
  for (const int label : test.labels) ++counts[static_cast<std::size_t>(label)];
  const auto largest = std::max_element(counts.begin(), counts.end());
  const double share = static_cast<double>(*largest) / static_cast<double>(test.count());
  if (share * static_cast<double>(counts.size()) < 1.5) return "";
  const std::string& name = test.class_names[static_cast<std::size_t>(largest - counts.begin())];
  return "\n         always to say \"" + name + "\" would have the accuracy " + format("%.4f", share) +
         " on the images to validate";
}

std::string describe(const TrainAndTest& data) {
  const auto text = [](Size2 size) { return std::to_string(size.height) + " x " + std::to_string(size.width); };
  const ImageDataset& train = data.train;
  const Size2 own_size(train.height, train.width), size = train.preprocess.size;
  const std::string counts =
      with_commas(train.count()) + " images to train on, " + with_commas(data.test.count()) + " to validate, ";
  std::string words = data.name + ", ";
  if (!train.files.empty())
    words += with_commas(train.num_classes()) + " classes, " + counts + (train.channels == 1 ? "grey, " : "") +
             "resized to " + text(size);
  else
    words += counts + text(own_size) + (size == own_size ? "" : " resized to " + text(size));
  for (const std::string& note : train.notes) words += "\n         " + note;
  return words + describe_balance(data.test);
}

}  // namespace bobbin
