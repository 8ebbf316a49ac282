#include "optim/training/checkpoint.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/files/json.h"
#include "tensor/check.h"

namespace bobbin {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

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

// The finished epochs are the tensor "epochs" (epochs, 5 + metrics, 4): a text may not have any length, a tensor may.
// Each number of an epoch is kept to the bit, its 64 bits as four numbers of 16, the lowest first. The names of the
// metrics are in the JSON, unless they are the usual ones.
constexpr Index pieces = sizeof(double) / sizeof(std::uint16_t);
const std::vector<std::string> usual_metrics{"val_loss", "val_acc"};

// All numbers of an epoch but its own, in the order of the tensor.
template <class Epoch>
auto numbers_of(Epoch& e, auto& step) {
  std::vector<decltype(&e.train_loss)> all{&step, &e.train_loss};
  for (auto& [name, value] : e.metrics) all.push_back(&value);
  all.insert(all.end(), {&e.lr, &e.img_per_s, &e.seconds});
  return all;
}

std::vector<std::string> metrics_of(const std::vector<EpochMetrics>& epochs) {
  return epochs.empty() ? usual_metrics : names_of(epochs[0].metrics);
}

Tensor to_tensor(const std::vector<EpochMetrics>& epochs) {
  std::vector<real> all;
  for (const EpochMetrics& e : epochs) {
    const auto step = static_cast<double>(e.step);
    for (const double* x : numbers_of(e, step))
      for (const std::uint16_t piece : std::bit_cast<std::array<std::uint16_t, pieces>>(*x))
        all.push_back(static_cast<real>(piece));
  }
  return {{static_cast<Index>(epochs.size()), 5 + static_cast<Index>(metrics_of(epochs).size()), pieces}, all};
}

std::vector<EpochMetrics> to_epochs(const Tensor& tensor, const Metrics& metrics) {
  const Shape& shape = tensor.shape();
  check(shape.rank() == 3 && shape[1] == 5 + static_cast<Index>(metrics.size()) && shape[2] == pieces, "epochs",
        "have the shape ", shape);
  const std::vector<real> all = tensor.values();
  auto next = all.begin();
  const auto take = [&next] {
    std::array<std::uint16_t, pieces> bits{};
    for (std::uint16_t& piece : bits) {
      check(*next >= 0 && *next <= 65535 && *next == std::floor(*next), "epochs", "have a piece of a number that is ",
            *next, ", expected a whole one from 0 to 65535");
      piece = static_cast<std::uint16_t>(*next++);
    }
    return std::bit_cast<double>(bits);
  };
  std::vector<EpochMetrics> epochs;
  while (next != all.end()) {
    double step = 0;
    EpochMetrics e{.epoch = static_cast<int>(epochs.size()) + 1, .metrics = metrics};
    for (double* x : numbers_of(e, step)) *x = take();
    check(step >= 0 && step < 0x1p53 && step == std::floor(step), "epochs", "have one that ends after step ", step);
    e.step = static_cast<Index>(step);
    epochs.push_back(std::move(e));
  }
  return epochs;
}

// As files before had them, in the JSON.
EpochMetrics to_epoch(const Json& json, std::size_t index) {
  return {.epoch = static_cast<int>(index) + 1,
          .step = to_index(json.at("step")),
          .train_loss = to_double(json.at("train_loss")),
          .metrics = loss_and_accuracy(to_double(json.at("val_loss")), to_double(json.at("val_acc"))),
          .lr = to_double(json.at("lr")),
          .img_per_s = to_double(json.at("img_per_s")),
          .seconds = to_double(json.at("seconds"))};
}

// The metrics that a checkpoint's epochs have, by its JSON.
Metrics to_metrics(const Json& json) {
  Metrics metrics;
  for (const std::string& name : json.value("metrics", usual_metrics)) metrics.emplace_back(name, 0);
  check_metrics(metrics);
  return metrics;
}

Json to_json(const Progress& p) {
  return {{"in_epoch", p.in_epoch},         {"first_step", p.first_step}, {"images", p.images},
          {"loss_sum", number(p.loss_sum)}, {"lr", number(p.lr)},         {"seconds", number(p.seconds)}};
}

Progress to_progress(const Json& json, std::vector<EpochMetrics> epochs, std::vector<double> losses) {
  Progress p{.epochs = std::move(epochs),
             .losses = std::move(losses),
             .in_epoch = json.at("in_epoch").get<bool>(),
             .first_step = to_index(json.at("first_step")),
             .images = to_index(json.at("images")),
             .loss_sum = to_double(json.at("loss_sum")),
             .lr = to_double(json.at("lr")),
             .seconds = to_double(json.at("seconds"))};
  if (json.contains("epochs"))
    for (const Json& epoch : json.at("epochs")) p.epochs.push_back(to_epoch(epoch, p.epochs.size()));
  check(p.first_step <= p.steps(), "progress", "its epoch begins after step ", p.first_step, " of ", p.steps());
  check(p.seconds >= 0 && p.seconds < 1e9, "progress", "its epoch has lasted ", p.seconds, " seconds");
  return p;
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

// What the first format says otherwise: the optimizer is SGD, whose options the flags have, too; its memory is called
// velocities; and a stream has the name of a layer, whose member `rng` it is.
void read_sgd(Checkpoint& c, const NamedTensors& tensors) {
  c.optimizer = "sgd";
  for (const auto& [name, tensor] : with_prefix(tensors, "velocities."))
    c.optimizer_state.emplace("momentum_buffer." + name, tensor);
  std::map<std::string, Rng> streams;
  for (const auto& [layer, rng] : c.streams) streams.emplace(layer.empty() ? "" : layer + ".rng", rng);
  c.streams = streams;
}

Safetensors as_file(const Checkpoint& c) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : c.parameters) tensors.emplace("parameters." + name, tensor);
  for (const auto& [name, tensor] : c.buffers) tensors.emplace("buffers." + name, tensor);
  for (const auto& [name, tensor] : c.optimizer_state) tensors.emplace("optimizer." + name, tensor);
  for (const auto& [name, tensor] : c.ema) tensors.emplace("ema." + name, tensor);
  if (!c.progress.losses.empty()) tensors.emplace("losses", to_tensor(c.progress.losses));
  if (!c.progress.epochs.empty()) tensors.emplace("epochs", to_tensor(c.progress.epochs));
  auto metadata = to_metadata(c.notes, "note.");
  Json training{{"optimizer", c.optimizer},
                {"batch_size", c.batch_size},
                {"streams", to_json(c.streams)},
                {"progress", to_json(c.progress)}};
  if (const auto metrics = metrics_of(c.progress.epochs); metrics != usual_metrics) training["metrics"] = metrics;
  if (c.frozen) training["frozen"] = *c.frozen;
  metadata["training"] = training.dump();
  return {tensors, metadata};
}

}  // namespace

std::map<std::string, std::string> to_metadata(const RunNotes& notes, const std::string& prefix) {
  std::map<std::string, std::string> metadata;
  if (!notes.model.empty()) metadata.emplace(prefix + "bobbin", notes.model);
  if (!notes.config.empty()) metadata.emplace(prefix + "config", notes.config);
  return metadata;
}

void check_checkpoint(const fs::path& path, const Checkpoint& c) {
  const Safetensors file = as_file(c);
  check_safetensors(path, file.tensors, file.metadata);
}

std::string checkpoint_content(const fs::path& path, const Checkpoint& c) {
  const Safetensors file = as_file(c);
  return safetensors_content(path, file.tensors, file.metadata);
}

Checkpoint read_checkpoint(const fs::path& path) {
  const Safetensors file = read_safetensors(path);
  check(file.metadata.contains("training"), "read_checkpoint", path,
        " is no checkpoint: it holds tensors, but not the state of a training run; train --finetune begins with the "
        "weights of such a file, and --resume goes on from a run's folder or a checkpoint-STEP.safetensors in it");
  Checkpoint c{.parameters = with_prefix(file.tensors, "parameters."),
               .buffers = with_prefix(file.tensors, "buffers."),
               .optimizer_state = with_prefix(file.tensors, "optimizer."),
               .ema = with_prefix(file.tensors, "ema.")};
  auto notes = with_prefix(file.metadata, "note.");
  c.notes = {notes["bobbin"], notes["config"]};
  std::vector<double> losses;
  if (const auto found = file.tensors.find("losses"); found != file.tensors.end())
    for (const real loss : found->second.values()) losses.push_back(loss);
  try {
    const Json json = parse_json(file.metadata.at("training"), "the text"), &optimizer = json.at("optimizer");
    std::vector<EpochMetrics> epochs;
    if (const auto found = file.tensors.find("epochs"); found != file.tensors.end())
      epochs = to_epochs(found->second, to_metrics(json));
    if (json.contains("frozen")) c.frozen = json.at("frozen").get<std::set<std::string>>();
    c.batch_size = to_index(json.at("batch_size"));
    c.streams = to_streams(json.at("streams"));
    c.progress = to_progress(json.at("progress"), std::move(epochs), std::move(losses));
    if (optimizer.is_object())
      read_sgd(c, file.tensors);
    else
      c.optimizer = optimizer.get<std::string>();
  } catch (const std::exception& error) {
    fail("read_checkpoint", path, " is damaged: its training state cannot be read: ", error.what());
  }
  return c;
}

}  // namespace bobbin
