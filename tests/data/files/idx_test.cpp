#include "data/files/idx.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "tensor/check.h"
#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
using doctest::Contains;

namespace {

// What read_idx says about a file with this content; "" if it takes it.
doctest::String complaint(const Bytes& content) {
  static const TempFolder folder;
  const auto path = write_file(folder / "some file", content);
  try {
    read_idx(path);
    return "";
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find(path.string()) != std::string::npos);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
}

const Bytes images = idx({2, 3, 4}, noise(24));

}  // namespace

TEST_CASE("read_idx reads one to four axes, raw and gzip, whatever the name") {
  const TempFolder folder;
  const auto same = [&](const Bytes& content, const Shape& shape, const Bytes& values) {
    for (const char* name : {"a", "a.gz"})
      for (const Bytes& packed : {content, gzip(content)}) {
        const IdxArray array = read_idx(write_file(folder / name, packed));
        CHECK(array.shape == shape);
        CHECK(array.bytes == values);
        CHECK(array.crc == crc32(0, content.data(), static_cast<unsigned>(content.size())));
        CHECK(array.path == folder / name);
      }
  };
  same(idx({5}, {9, 0, 0, 3, 255}), {5}, {9, 0, 0, 3, 255});
  same(idx({3, 2}, noise(6)), {3, 2}, noise(6));
  same(images, {2, 3, 4}, noise(24));
  same(idx({1, 3, 2, 2}, noise(12)), {1, 3, 2, 2}, noise(12));
  same(idx({3000, 1001}, noise(3003000)), {3000, 1001}, noise(3003000));  // several reads
  same(idx({1 << 20}, noise(1 << 20)), {1 << 20}, noise(1 << 20));        // one read, exactly
}

TEST_CASE("read_idx names what is wrong with a file") {
  const TempFolder folder;
  CHECK_THROWS_WITH_AS(read_idx(folder / "none"), Contains("none\" cannot be opened: No such file"), Error);
  CHECK_THROWS_WITH_AS(read_idx(folder.path()), Contains("is a folder, expected a file"), Error);
  CHECK(complaint({}) == Contains("is empty"));
  CHECK(complaint({0, 0, 8}) == Contains("ends in its header, after 3 bytes"));
  CHECK(complaint({0, 0, 8, 3, 0, 0, 0, 1, 0}) == Contains("ends in its header, after 9 of 16 bytes"));
  CHECK(complaint({0x89, 'P', 'N', 'G'}) == Contains("begins with 0x89504e47, expected 0x00000801 for labels"));
  CHECK(complaint({0, 1, 8, 1, 0, 0, 0, 1, 0}) == Contains("is not an IDX file: it begins with 0x00010801"));
  CHECK(complaint({0, 0, 13, 1, 0, 0, 0, 1, 0}) == Contains("values of type 13, expected type 8"));
  CHECK(complaint({0, 0, 8, 0}) == Contains("has 0 axes, expected 1 to 4"));
  CHECK(complaint(idx({1, 1, 1, 1, 1}, {0})) == Contains("has 5 axes, expected 1 to 4"));
  CHECK(complaint(idx({4, 0, 3}, {})) == Contains("has size 0 along axis 1"));
  CHECK(complaint(idx({7, 3}, noise(20))) == Contains("ends after 20 of the 21 values that its sizes (7, 3) promise"));
  CHECK(complaint(idx({7, 3}, noise(22))) == Contains("goes on after the 21 values that its sizes (7, 3) promise"));
}

TEST_CASE("read_idx does not take the memory that a lying header asks for") {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // kB
  };
  const long before = peak();
  const std::uint32_t huge = 0xffffffff;
  for (const auto pack : {+[](const Bytes& bytes) { return bytes; }, +[](const Bytes& bytes) { return gzip(bytes); }}) {
    CHECK(complaint(pack(idx({huge}, noise(9)))) == Contains("ends after 9 of the 4294967295 values"));
    CHECK(complaint(pack(idx({60000, 1 << 20}, noise(9)))) == Contains("ends after 9 of the 62914560000 values"));
    CHECK(complaint(pack(idx({huge, huge, huge}, {1}))) == Contains("more than 2^63 bytes, at axis 1"));
    CHECK(complaint(pack(idx({1u << 31, 1u << 31, 2}, {1}))) == Contains("more than 2^63 bytes, at axis 2"));
  }
  CHECK(peak() - before < 200'000);
}

TEST_CASE("read_idx takes as much memory as the file has content") {
  const TempFolder folder;
  const IdxArray array = read_idx(write_file(folder / "a", idx({5, 1 << 20}, noise(5 << 20))));
  CHECK(array.bytes.capacity() <= (5 << 20) + 1);
}

TEST_CASE("read_idx refuses a file cut off at any byte, raw and gzip") {
  for (const Bytes& whole : {images, gzip(images)}) {
    CHECK(complaint(whole) == "");
    for (auto end = whole.begin(); end != whole.end(); ++end) {
      CAPTURE(end - whole.begin());
      CHECK(complaint({whole.begin(), end}) != "");
    }
  }
  const Bytes packed = gzip(images);
  CHECK(complaint({packed.begin(), packed.end() - 1}) == Contains("is not whole: its compressed data break off"));
}

TEST_CASE("read_idx refuses damaged gzip data") {
  const TempFolder folder;
  CHECK(complaint({0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) == Contains("is damaged"));
  Bytes packed = gzip(images);
  packed[packed.size() - 5] ^= 1;  // in the checksum; the length follows it
  CHECK(complaint(packed) == Contains("is damaged: its compressed data are not valid gzip"));
  packed = gzip(idx({7}, noise(8)));
  CHECK(complaint(packed) == Contains("goes on after the 7 values"));

  // Whichever bit flips, we get the error or, where gzip has only notes like the time, the right values.
  const Bytes right = gzip(images);
  for (std::size_t bit = 0; bit < 8 * right.size(); ++bit) {
    packed = right;
    packed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    if (complaint(packed) == "") {
      CAPTURE(bit);
      CHECK(read_idx(write_file(folder / "a", packed)).bytes == noise(24));
    }
  }
}
