#include "tests/golden/golden.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tensor/check.h"

namespace bobbin {
namespace {

template <class T>
std::vector<double> numbers_of(const std::string& bytes) {
  std::vector<T> numbers(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return {numbers.begin(), numbers.end()};
}

}  // namespace

Golden::Golden(const std::string& name) {
  std::ifstream file("tests/golden/" + name + ".safetensors", std::ios::binary);
  check(file.good(), "Golden", "cannot open the golden file ", name, "; tests run from the root of the repository");
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  std::uint64_t length = 0;
  std::memcpy(&length, content.data(), sizeof length);
  numbers_ = content.substr(8 + length);
  const auto header = nlohmann::json::parse(content.substr(8, length));
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      meta_ = value.get<std::map<std::string, std::string>>();
    } else {
      const auto& offsets = value.at("data_offsets");
      entries_[key] = {value.at("dtype"), value.at("shape"), offsets.at(0), offsets.at(1)};
    }
  }
}

std::string Golden::meta(const std::string& key) const {
  const auto found = meta_.find(key);
  check(found != meta_.end(), "Golden", "there is no note ", key);
  return found->second;
}

const Golden::Entry& Golden::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  check(found != entries_.end(), "Golden", "there is no tensor ", name);
  return found->second;
}

Tensor Golden::tensor(const std::string& name) const {
  const std::vector<double> numbers = doubles(name);
  const std::vector<Index>& sizes = entry(name).shape;
  return Tensor(Shape(sizes.data(), static_cast<int>(sizes.size())), {numbers.begin(), numbers.end()});
}

std::vector<int> Golden::ints(const std::string& name) const {
  const std::vector<double> numbers = doubles(name);
  return {numbers.begin(), numbers.end()};
}

std::vector<double> Golden::doubles(const std::string& name) const {
  const auto& [type, shape, begin, end] = entry(name);
  const std::string bytes = numbers_.substr(begin, end - begin);
  if (type == "F32") return numbers_of<float>(bytes);
  if (type == "F64") return numbers_of<double>(bytes);
  if (type == "I32") return numbers_of<std::int32_t>(bytes);
  if (type == "U8") return numbers_of<std::uint8_t>(bytes);
  fail("Golden", "unknown type ", type, " of ", name);
}

}  // namespace bobbin
