#include "apps/common/run_config.h"

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/files/idx.h"
#include "data/files/json.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/threads.h"

#ifndef BOBBIN_COMMIT  // the Makefile defines it
#define BOBBIN_COMMIT "unknown"
#endif

namespace bobbin {
namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  return "unknown";
}

// The CRC-32 of the images, or of the names and sizes of their files, and the labels.
std::string checksum(const ImageDataset& data) {
  uLong crc = crc32_z(0, data.images.data(), data.images.size());
  for (const auto& file : data.files) {
    std::error_code unreadable;
    const std::string text = file.filename().string() + std::to_string(std::filesystem::file_size(file, unreadable));
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(text.data()), text.size());
  }
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(data.labels.data()), data.labels.size() * sizeof data.labels[0]);
  return hex(static_cast<std::uint32_t>(crc));
}

std::string checksums(const std::string& config) {
  const nlohmann::json json = parse_json(config, "what the run says of its data");
  check(json.is_object() && json.contains("data") && json["data"].is_object(), "train",
        "the checkpoint does not say what data its run had");
  return json["data"].value("train", "none") + " and " + json["data"].value("test", "none");
}

}  // namespace

std::string describe_run(const nlohmann::json& flags, const std::string& description, const TrainAndTest& data) {
  const nlohmann::json model = nlohmann::json::parse(description);
  return to_text({{"program", "train"},
                  {"commit", BOBBIN_COMMIT},
                  {"flags", flags},
                  {"model", model.at("config")},
                  {"data", {{"name", data.name}, {"train", checksum(data.train)}, {"test", checksum(data.test)}}},
                  {"compiler", __VERSION__},
                  {"blas", backend::describe()},
                  {"cpu", cpu_name()},
                  {"threads", threads()}},
                 2) +
         "\n";
}

void check_same_data(const std::string& before, const std::string& now) {
  const std::string were = checksums(before), are = checksums(now);
  check(were == are, "train", "the data are not those that the run began with: their checksums are ", are, ", were ",
        were);
}

}  // namespace bobbin
