// What is common to the readers of foreign weights: who has said what, what is missing, and what was taken.
#include "nn/pretrained/facts.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/files/read_file.h"
#include "tensor/check.h"

namespace bobbin {

Facts said_by_flags(const ModelFileOptions& options) {
  Facts facts;
  const auto take = [](auto& fact, const auto& given, const char* flag) {
    if (given) fact.say(*given, flag);
  };
  if (options.num_heads != 0) facts.num_heads.say(options.num_heads, "--num-heads");
  take(facts.pool, options.pool, "--global-pool");
  take(facts.layer_norm_eps, options.layer_norm_eps, "--layer-norm-eps");
  take(facts.activation, options.activation, "--act");
  take(facts.interpolation, options.interpolation, "--interpolation");
  if (options.crop_pct) facts.crop.say({*options.crop_pct}, "--crop-pct");
  take(facts.mean, options.mean, "--mean");
  take(facts.std, options.std, "--std");
  return facts;
}

Facts said_by_flags(const ModelFileOptions& options, const char* title) {
  check(options.num_heads == 0 && !options.pool && !options.layer_norm_eps && !options.activation, "read_model_file",
        "--num-heads, --global-pool, --layer-norm-eps and --act are for a ViT: these are weights of a ", title);
  Facts facts = said_by_flags(options);
  if (options.img_size) facts.trained_size.say(*options.img_size, "--img-size");
  return facts;
}

nlohmann::json config_beside(const std::filesystem::path& path, const char* name, std::string& place) {
  constexpr std::uintmax_t largest = 16 << 20;  // bytes
  const std::filesystem::path config = path.parent_path() / name;
  place = config.string();
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(config, unreadable)) return nullptr;
  const std::vector<std::uint8_t> content = read_file("read_model_file", config, largest);
  return parse_json({content.begin(), content.end()}, place);
}

std::vector<const char*> joined(std::vector<const char*> a, const std::vector<const char*>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void check_keys(const JsonObject& object, const std::vector<const char*>& followed,
                const std::vector<const char*>& harmless) {
  const auto in = [](const std::vector<const char*>& list, const std::string& key) {
    return std::any_of(list.begin(), list.end(), [&](const char* one) { return key == one; });
  };
  for (const std::string& key : object.keys())
    check(!object.has(key.c_str()) || in(followed, key) || in(harmless, key), "read_model_file", object.place(),
          " has ", Quoted{key}, ", which may change the answer and is not supported");
}

void check_shape(const std::string& where, const char* what, Index said, Index weights) {
  check(said == weights, "read_model_file", where, " says ", what, " ", said, ", but the weights have ", weights);
}

void say(const Preprocess& prepared, const std::string& where, Facts& facts) {
  facts.interpolation.say(prepared.interpolation, where);
  facts.crop.say({prepared.crop_pct, prepared.squash}, where);
  facts.mean.say(prepared.mean, where);
  facts.std.say(prepared.std, where);
}

void list_missing(const Facts& facts, std::vector<std::string>& missing) {
  if (!facts.interpolation.value) missing.emplace_back("the filter that resizes pictures (--interpolation)");
  if (!facts.crop.value) missing.emplace_back("how they are cropped (--crop-pct)");
  if (!facts.mean.value) missing.emplace_back("the mean that is subtracted (--mean)");
  if (!facts.std.value) missing.emplace_back("the deviation that divides (--std)");
}

std::string joined(const std::vector<std::string>& parts) {
  std::string list;
  for (std::size_t i = 0; i < parts.size(); ++i)
    list += (i == 0 ? "" : i + 1 < parts.size() ? ", " : " and ") + parts[i];
  return list;
}

Preprocess preprocess_of(const Facts& facts, Size2 size, Index num_channels) {
  const Crop crop = facts.crop.value.value();
  Preprocess result{size,
                    facts.interpolation.value.value(),
                    crop.crop_pct,
                    facts.mean.value.value(),
                    facts.std.value.value(),
                    crop.squash,
                    crop.crop_down};
  spread(result, num_channels);
  return result;
}

void Account::add(const std::string& what, const std::string& from) {
  items_.emplace_back(what, from.starts_with(beside_) ? from.substr(beside_.size()) : from);
}

void Account::add(const Facts& facts, const Preprocess& preprocess) {
  const auto text = [](const auto&... parts) {
    std::ostringstream all;
    (all << ... << parts);
    return all.str();
  };
  add(preprocess.interpolation == Interpolation::bicubic ? "bicubic" : "bilinear", facts.interpolation.from);
  const char* name = preprocess.squash ? "squashed, crop_pct " : "crop_pct ";
  add(preprocess.crop_pct == 0 ? "squashed" : text(name, preprocess.crop_pct), facts.crop.from);
  const auto numbers = [&](const char* name, const Fact<std::vector<real>>& fact, const std::vector<real>& all) {
    std::ostringstream list;
    const bool same = std::adjacent_find(all.begin(), all.end(), std::not_equal_to<>()) == all.end();
    for (std::size_t i = 0; i < (same ? std::min<std::size_t>(1, all.size()) : all.size()); ++i)
      list << (i > 0 ? "," : "") << all[i];
    add(text(name, all.empty() ? " none" : " ", list.str()), fact.from);
  };
  numbers("mean", facts.mean, preprocess.mean);
  numbers("std", facts.std, preprocess.std);
}

std::string Account::text() const {
  std::string line;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    line += items_[i].first;
    const bool last = i + 1 == items_.size();
    if (last || items_[i].second != items_[i + 1].second) line += " (" + items_[i].second + ")";
    if (!last) line += ", ";
  }
  return line;
}

ModelFile file_of(AnyConfig config, NamedTensors tensors, Facts facts, const std::string& whose,
                  const std::string& ways, const std::filesystem::path& path, const std::string& note) {
  std::vector<std::string> missing;
  if (!facts.trained_size.value) missing.emplace_back("the size of the images (--img-size)");
  list_missing(facts, missing);
  check(missing.empty(), "read_model_file", whose, " weights alone do not say ", joined(missing), ": give these flags",
        ways);
  const Size2 size = *facts.trained_size.value;
  config.img_size() = size;
  const Preprocess preprocess = preprocess_of(facts, size, config.num_channels());
  ModelFile file{std::move(config), std::move(tensors), std::move(facts.class_names), preprocess, facts.scores};
  Account account(path.parent_path());
  account.add(std::to_string(size.height) + " x " + std::to_string(size.width), facts.trained_size.from);
  account.add(facts, preprocess);
  file.taken = whose + " weights: " + account.text() + (note.empty() ? "" : ", " + note);
  return file;
}

}  // namespace bobbin
