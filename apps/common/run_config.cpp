#include "apps/common/run_config.h"

#include <zlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/files/idx.h"
#include "data/files/json.h"
#include "data/files/read_file.h"
#include "nn/pretrained/model_file.h"
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

// The CRC-32 of the images, or of the names and sizes of their files, and the labels. A file that was mended, added or
// removed changes it, and with another number of images the order in which they come.
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

// The same of a file.
std::string checksum(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = read_file("train", file, std::numeric_limits<std::uintmax_t>::max());
  return hex(static_cast<std::uint32_t>(crc32_z(0, bytes.data(), bytes.size())));
}

// The checksum of the "train" or "test" images.
std::string checksum_in(const std::string& config, const char* part) {
  const nlohmann::json json = parse_json(config, "what the run says of its data");
  check(json.is_object() && json.contains("data") && json["data"].is_object(), "train",
        "the checkpoint does not say what data its run had");
  return json["data"].value(part, "none");
}

// The checksum of the teacher's file.
std::string teacher_in(const std::string& config) {
  const nlohmann::json json = parse_json(config, "what the run says of its teacher");
  return json.is_object() && json.contains("teacher") ? to_text(json["teacher"]) : "none";
}

// Flags on which a run's numbers do not depend: where it runs and its files are, which may differ between ranks; and
// when it saves, or stops for a while.
const std::set<std::string> of_place{"threads", "profile", "comm-timeout", "data-dir", "teacher", "finetune"},
    of_time{"save-every", "checkpoint-hist", "max-steps"};

std::vector<std::string> class_names(const RunNotes& notes) {
  return read_description(notes.model, "the run").class_names;
}

}  // namespace

std::string describe_run(const nlohmann::json& flags, const std::set<std::string>& given,
                         const std::string& description, const TrainAndTest& data,
                         const std::filesystem::path& teacher) {
  const nlohmann::json model = nlohmann::json::parse(description);
  nlohmann::json run{{"program", "train"},
                     {"commit", BOBBIN_COMMIT},
                     {"flags", flags},
                     {"given", given},
                     {"model", model.at("config")},
                     {"data", {{"name", data.name}, {"train", checksum(data.train)}, {"test", checksum(data.test)}}},
                     {"compiler", __VERSION__},
                     {"blas", backend::describe()},
                     {"cpu", cpu_name()},
                     {"threads", threads()}};
  if (!teacher.empty()) run["teacher"] = checksum(teacher);
  return to_text(run, 2) + "\n";
}

std::string with_changes(const std::string& now, const std::string& before, Index steps) {
  nlohmann::json run = nlohmann::json::parse(now);
  const nlohmann::json was = parse_json(before, "what the run says of its flags");
  if (was.contains("resumed")) run["resumed"] = was["resumed"];
  nlohmann::json changed = nlohmann::json::object();
  for (const auto& [flag, value] : run["flags"].items())
    if (const auto old = was["flags"].find(flag);
        old != was["flags"].end() && *old != value && !of_place.contains(flag) && !of_time.contains(flag))
      changed[flag] = {*old, value};
  if (!changed.empty()) run["resumed"].push_back({{"step", steps}, {"changed", changed}});
  return to_text(run, 2) + "\n";
}

void say_what_changed(const nlohmann::json& run, const std::string& file) {
  if (!run.contains("resumed") || !run["resumed"].is_array()) return;
  for (const nlohmann::json& one : run["resumed"])
    std::fprintf(stderr, "train: the flags of %s are those that it ended with; other ones until then: %s\n",
                 file.c_str(), to_text(one).c_str());
}

std::string same_on_all_ranks(const std::string& config) {
  nlohmann::json run = nlohmann::json::parse(config);
  for (const char* own : {"compiler", "blas", "cpu", "threads", "given"}) run.erase(own);
  std::string lines;
  for (const std::string& own : of_place) run["flags"].erase(own);
  for (const auto& [flag, value] : run["flags"].items()) lines += "--" + flag + " " + to_text(value) + "\n";
  run.erase("flags");
  for (const auto& [part, value] : run["data"].items()) lines += "the data (" + part + ") " + to_text(value) + "\n";
  run.erase("data");
  for (const auto& [part, value] : run.items()) lines += "the " + part + " " + to_text(value) + "\n";
  return lines;
}

void check_same_run(const RunNotes& before, const RunNotes& now, bool accept_changed) {
  if (const std::string was = teacher_in(before.config), is = teacher_in(now.config); was != is)
    fail("train", "the teacher is not the one that the run began with: the checksum of its file is ", is, ", was ", was,
         "; --teacher says where that one is now");
  if (accept_changed) {
    check(class_names(before) == class_names(now), "train",
          "the data have other classes than the run began with, which the model has not learned; a new run with "
          "--finetune can begin with its weights");
    return;
  }
  for (const char* part : {"train", "test"}) {
    const std::string was = checksum_in(before.config, part), is = checksum_in(now.config, part);
    check(was == is, "train", "the data are not those that the run began with: the checksum of those to ",
          part == std::string("train") ? "train on" : "validate", " is ", is, ", was ", was,
          "; --accept-changed-data goes on with them as they are now");
  }
}

}  // namespace bobbin
