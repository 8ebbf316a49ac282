#pragma once
#include <zlib.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "data/files/idx.h"
#include "data/files/json.h"
#include "data/sets/dataset.h"
#include "optim/training/checkpoint.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/threads.h"

#ifndef BOBBIN_COMMIT  // the Makefile defines it
#define BOBBIN_COMMIT "unknown"
#endif

/// config.json: all that one must know to repeat a run.
namespace bobbin {

inline std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  return "unknown";
}

/// The CRC-32 of the images, or of the names and sizes of their files, and the labels.
inline std::string checksum(const ImageDataset& data) {
  uLong crc = crc32_z(0, data.images.data(), data.images.size());
  for (const auto& file : data.files) {
    std::error_code unreadable;
    const std::string text = file.filename().string() + std::to_string(std::filesystem::file_size(file, unreadable));
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(text.data()), text.size());
  }
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(data.labels.data()), data.labels.size() * sizeof data.labels[0]);
  return hex(static_cast<std::uint32_t>(crc));
}

/// `model` is what describe_model() says of it.
inline std::string describe_run(const nlohmann::json& flags, const std::string& model, const TrainAndTest& data) {
  const nlohmann::ordered_json config = {
      {"program", "train_vit"},
      {"commit", BOBBIN_COMMIT},
      {"flags", flags},
      {"model", nlohmann::json::parse(model).at("config")},
      {"data", {{"name", data.name}, {"train", checksum(data.train)}, {"test", checksum(data.test)}}},
      {"compiler", __VERSION__},
      {"blas", backend::describe()},
      {"cpu", cpu_name()},
      {"threads", threads()},
  };
  return config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// Throws Error if the run of the checkpoint had other data than this one: going on would be another run.
inline void check_same_data(const Checkpoint& checkpoint, const std::string& config) {
  const auto checksums = [](const std::string& text) {
    const nlohmann::json json = parse_json(text, "what the run says of its data");
    check(json.is_object() && json.contains("data") && json["data"].is_object(), "train_vit",
          "the checkpoint does not say what data its run had");
    return json["data"].value("train", "none") + " and " + json["data"].value("test", "none");
  };
  const std::string before = checksums(checkpoint.notes.config), now = checksums(config);
  check(before == now, "train_vit", "the data are not those that the run began with: their checksums are ", now,
        ", were ", before);
}

}  // namespace bobbin
