#pragma once
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/helpers.h"

namespace bobbin::test {

/// What TensorBoard would read, by a decoder that shares nothing with the writer.
struct Event {
  double wall_time = 0;
  std::uint64_t step = 0;
  std::string file_version;
  std::vector<std::pair<std::string, float>> scalars;
};

// CRC-32C bit by bit, from its definition: division of polynomials over GF(2).
inline std::uint32_t slow_crc32c(const std::string& bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = ((crc ^ static_cast<std::uint32_t>(static_cast<unsigned char>(byte) >> bit)) & 1) != 0;
      crc = (crc >> 1) ^ (one ? 0x82f63b78 : 0);
    }
  return crc ^ 0xffffffff;
}

inline std::uint32_t masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8; }

class EventBytes {
 public:
  explicit EventBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  bool empty() const { return bytes_.empty(); }
  std::string take(std::size_t count) {
    REQUIRE(count <= bytes_.size());
    const std::string taken = bytes_.substr(0, count);
    bytes_.erase(0, count);
    return taken;
  }
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = number<std::uint8_t>();
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }

 private:
  std::string bytes_;
};

inline std::pair<std::string, float> decode_value(EventBytes bytes) {
  std::pair<std::string, float> value;
  while (!bytes.empty()) switch (bytes.number<std::uint8_t>()) {
      case 1 << 3 | 2:
        value.first = bytes.take(bytes.varint());
        break;
      case 2 << 3 | 5:
        value.second = bytes.number<float>();
        break;
      default:
        FAIL("unknown field");
    }
  return value;
}

inline Event decode_event(EventBytes bytes) {
  Event event;
  while (!bytes.empty()) switch (bytes.number<std::uint8_t>()) {
      case 1 << 3 | 1:
        event.wall_time = bytes.number<double>();
        break;
      case 2 << 3 | 0:
        event.step = bytes.varint();
        break;
      case 3 << 3 | 2:
        event.file_version = bytes.take(bytes.varint());
        break;
      case 5 << 3 | 2: {
        EventBytes summary(bytes.take(bytes.varint()));
        while (!summary.empty()) {
          REQUIRE(summary.number<std::uint8_t>() == (1 << 3 | 2));
          event.scalars.push_back(decode_value(EventBytes(summary.take(summary.varint()))));
        }
        break;
      }
      default:
        FAIL("unknown field");
    }
  return event;
}

inline std::vector<Event> decode(const std::filesystem::path& path) {
  std::vector<Event> events;
  EventBytes bytes(content(path));
  while (!bytes.empty()) {
    const std::string length = bytes.take(8);
    CHECK(bytes.number<std::uint32_t>() == masked(slow_crc32c(length)));
    const std::string event = bytes.take(EventBytes(length).number<std::uint64_t>());
    CHECK(bytes.number<std::uint32_t>() == masked(slow_crc32c(event)));
    events.push_back(decode_event(EventBytes(event)));
  }
  return events;
}

}  // namespace bobbin::test
