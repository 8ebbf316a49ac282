#include "optim/training/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/files/json.h"
#include "tensor/check.h"
#include "tensor/text.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string parameters_prefix = "parameters.", velocities_prefix = "velocities.", note_prefix = "note.";

// --- Numbers in JSON, which knows neither NaN nor infinity: these become strings ---------------------------

Json number(double x) { return std::isfinite(x) ? Json(x) : Json(std::to_string(x)); }

double to_double(const Json& json) {
  if (json.is_number()) return json.get<double>();
  const auto text = json.get<std::string>();
  for (const double x : {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    if (text == std::to_string(x)) return x;
  check(text == "nan" || text == "-nan", "number", "is ", Quoted{text});
  return std::numeric_limits<double>::quiet_NaN();
}

Index to_index(const Json& json, Index largest = std::numeric_limits<Index>::max()) {
  check(json.is_number_unsigned() && json.get<std::uint64_t>() <= static_cast<std::uint64_t>(largest), "number", "is ",
        Quoted{json.dump()}, ", expected 0 to ", largest);
  return json.get<Index>();
}

std::uint64_t to_word(const Json& json) {
  check(json.is_number_unsigned(), "number", "is ", Quoted{json.dump()}, ", expected a word of 64 bits");
  return json.get<std::uint64_t>();
}

// --- The parts ---------------------------------------------------------------------------------------------

Json to_json(const EpochMetrics& e) {
  return {{"step", e.step},
          {"train_loss", number(e.train_loss)},
          {"val_loss", number(e.val_loss)},
          {"val_acc", number(e.val_acc)},
          {"lr", number(e.lr)},
          {"img_per_s", number(e.img_per_s)},
          {"seconds", number(e.seconds)}};
}

EpochMetrics to_epoch(const Json& json, std::size_t index) {
  return {.epoch = static_cast<int>(index) + 1,
          .step = to_index(json.at("step")),
          .train_loss = to_double(json.at("train_loss")),
          .val_loss = to_double(json.at("val_loss")),
          .val_acc = to_double(json.at("val_acc")),
          .lr = to_double(json.at("lr")),
          .img_per_s = to_double(json.at("img_per_s")),
          .seconds = to_double(json.at("seconds"))};
}

Json to_json(const TrainingProgress& p) {
  Json json = {{"epochs", Json::array()},     {"in_epoch", p.in_epoch},         {"first_step", p.first_step},
               {"images", p.images},          {"loss_sum", number(p.loss_sum)}, {"lr", number(p.lr)},
               {"seconds", number(p.seconds)}};
  for (const EpochMetrics& epoch : p.epochs) json["epochs"].push_back(to_json(epoch));
  return json;
}

TrainingProgress to_progress(const Json& json, std::vector<double> losses) {
  TrainingProgress p{.epochs = {},
                     .losses = std::move(losses),
                     .in_epoch = json.at("in_epoch").get<bool>(),
                     .first_step = to_index(json.at("first_step")),
                     .images = to_index(json.at("images")),
                     .loss_sum = to_double(json.at("loss_sum")),
                     .lr = to_double(json.at("lr")),
                     .seconds = to_double(json.at("seconds"))};
  for (const Json& epoch : json.at("epochs")) p.epochs.push_back(to_epoch(epoch, p.epochs.size()));
  check(p.first_step <= p.steps(), "progress", "its epoch begins after step ", p.first_step, " of ", p.steps());
  check(p.seconds >= 0 && p.seconds < 1e9, "progress", "its epoch has lasted ", p.seconds, " seconds");
  return p;
}

Json to_json(const SGDOptions& o) {
  return {{"lr", number(o.lr)},
          {"momentum", number(o.momentum)},
          {"weight_decay", number(o.weight_decay)},
          {"nesterov", o.nesterov}};
}

SGDOptions to_options(const Json& json) {
  return {.lr = static_cast<real>(to_double(json.at("lr"))),
          .momentum = static_cast<real>(to_double(json.at("momentum"))),
          .weight_decay = static_cast<real>(to_double(json.at("weight_decay"))),
          .nesterov = json.at("nesterov").get<bool>()};
}

Json to_json(const std::map<std::string, Rng>& streams) {
  Json json = Json::object();
  for (const auto& [name, rng] : streams) json[name] = {rng.peek().key, rng.peek().number};
  return json;
}

std::map<std::string, Rng> to_streams(const Json& json) {
  std::map<std::string, Rng> streams;
  for (const auto& [name, state] : json.items()) {
    const Draw next{to_word(state.at(0)), to_word(state.at(1))};
    streams.emplace(name, Rng(next));
  }
  return streams;
}

Tensor to_tensor(const std::vector<double>& numbers) {
  return Tensor({static_cast<Index>(numbers.size())}, std::vector<real>(numbers.begin(), numbers.end()));
}

// The entries whose names begin with the prefix, without it.
template <class T>
std::map<std::string, T> with_prefix(const std::map<std::string, T>& all, const std::string& prefix) {
  std::map<std::string, T> found;
  for (const auto& [name, value] : all)
    if (name.starts_with(prefix)) found.emplace(name.substr(prefix.size()), value);
  return found;
}

// checkpoint-00000469.safetensors, and then `behind` -> 469; -1 for any other name.
Index step_of(const fs::path& path, const std::string& behind = "") {
  long long step = -1;
  int length = 0;
  const std::string name = path.filename().string();
  const bool is_one = std::sscanf(name.c_str(), "checkpoint-%lld.safetensors%n", &step, &length) == 1 && length > 0 &&
                      name.substr(static_cast<std::size_t>(length)) == behind;
  return is_one ? step : -1;
}

}  // namespace

void write_checkpoint(const fs::path& path, const Checkpoint& c) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : c.parameters) tensors.emplace(parameters_prefix + name, tensor);
  for (const auto& [name, tensor] : c.velocities) tensors.emplace(velocities_prefix + name, tensor);
  if (!c.progress.losses.empty()) tensors.emplace("losses", to_tensor(c.progress.losses));
  std::map<std::string, std::string> metadata;
  for (const auto& [name, text] : c.notes) metadata.emplace(note_prefix + name, text);
  metadata["training"] = Json{
      {"optimizer", to_json(c.optimizer)},
      {"batch_size", c.batch_size},
      {"streams", to_json(c.streams)},
      {"progress",
       to_json(c.progress)}}.dump();
  write_safetensors(path, tensors, metadata);
}

Checkpoint read_checkpoint(const fs::path& path) {
  const Safetensors file = read_safetensors(path);
  check(file.metadata.contains("training"), "read_checkpoint", path,
        " is no checkpoint: it holds tensors, but not the state of a training run");
  Checkpoint c;
  c.parameters = with_prefix(file.tensors, parameters_prefix);
  c.velocities = with_prefix(file.tensors, velocities_prefix);
  c.notes = with_prefix(file.metadata, note_prefix);
  std::vector<double> losses;
  if (const auto found = file.tensors.find("losses"); found != file.tensors.end())
    for (const real loss : found->second.values()) losses.push_back(loss);
  try {
    const Json json = parse_json(file.metadata.at("training"), "the text");
    c.optimizer = to_options(json.at("optimizer"));
    c.batch_size = to_index(json.at("batch_size"));
    c.streams = to_streams(json.at("streams"));
    c.progress = to_progress(json.at("progress"), std::move(losses));
  } catch (const std::exception& error) {
    fail("read_checkpoint", path, " is damaged: its training state cannot be read: ", error.what());
  }
  return c;
}

std::vector<fs::path> CheckpointFolder::newest_first(const std::string& behind) const {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error))
    if (step_of(file->path(), behind) >= 0) found.push_back(file->path());
  check(!error, "checkpoint", "the folder ", folder_, " cannot be read: ", error.message());
  std::sort(found.begin(), found.end(),
            [&](const auto& a, const auto& b) { return step_of(a, behind) > step_of(b, behind); });
  return found;
}

void CheckpointFolder::write(const Checkpoint& checkpoint, int keep) const {
  const Index step = checkpoint.progress.steps();
  const std::string name = format("checkpoint-%08lld.safetensors", static_cast<long long>(step));
  write_checkpoint(folder_ / name, checkpoint);
  int kept = 0;
  std::error_code ignored;  // one that stays does no harm
  for (const fs::path& path : newest_first()) {
    const bool past = step_of(path) <= step;  // later ones are of a run that was given up to go on from before
    if (!past || ++kept > keep) fs::remove(path, ignored);
  }
  for (const fs::path& path : newest_first(".tmp")) fs::remove(path, ignored);  // of a run that was killed
}

Checkpoint CheckpointFolder::read_newest() const {
  const std::vector<fs::path> all = newest_first();
  check(!all.empty(), "checkpoint", "the folder ", folder_, " holds no checkpoint-*.safetensors to go on from");
  for (std::size_t i = 0; i + 1 < all.size(); ++i) try {
      return read_checkpoint(all[i]);
    } catch (const Error& error) {
      std::fprintf(stderr, "%s; going back to the checkpoint before\n", error.what());
    }
  return read_checkpoint(all.back());
}

}  // namespace bobbin
