#include "data/files/safetensors.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "tests/data/files.h"

using namespace bobbin;
using namespace bobbin::test;
using doctest::Contains;

namespace {

// A file with this header and so many bytes after it.
Bytes file_of(const std::string& header, std::size_t data = 0) {
  const std::uint64_t length = header.size();
  Bytes file(8);
  std::memcpy(file.data(), &length, 8);
  file.insert(file.end(), header.begin(), header.end());
  file.resize(file.size() + data, 0);
  return file;
}

// An entry of the header.
std::string entry(const std::string& name, const std::string& type, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

Safetensors read(const Bytes& content) {
  static const TempFolder folder;
  return read_safetensors(write_file(folder / "some file", content));
}

// What read_safetensors says about a file with this content; "" if it takes it.
doctest::String complaint(const Bytes& content) {
  try {
    read(content);
    return "";
  } catch (const Error& error) {
    CHECK(contains(error.what(), "some file\""));
    CHECK(!contains(error.what(), "\n"));
    return error.what();
  }
}
doctest::String complaint(const std::string& header, std::size_t data = 0) { return complaint(file_of(header, data)); }

// The numbers of two tensors are the same, NaN included.
bool same(const Tensor& a, const Tensor& b) {
  const std::vector<real> numbers = b.values();
  return error(a, {numbers.begin(), numbers.end()}) == 0;
}

const std::string good = "{" + entry("a", "F32", "[2,3]", "[0,24]") + "," + entry("b", "F64", "[]", "[24,32]") + "}";

}  // namespace

TEST_CASE("safetensors: reads all types of a file that Python wrote") {
  const auto [tensors, metadata] = read_safetensors("tests/golden/python_types.safetensors");
  CHECK(tensors.size() == 8);
  CHECK(metadata == std::map<std::string, std::string>{{"note", "a \"note\"\n"}});
  CHECK(tensors.at("F32").shape() == Shape{2, 3});
  for (int i = 0; i < 6; ++i) {
    CHECK(tensors.at("F32").data()[i] == static_cast<float>(i) / 7.f);
    CHECK(tensors.at("F64").data()[i] == static_cast<float>(double{static_cast<float>(i) / 7.f} / 3));
  }
  CHECK(same(tensors.at("F16"), tensors.at("F16 as F64")));
  CHECK(same(tensors.at("BF16"), tensors.at("BF16 as F64")));
  CHECK(std::isnan(tensors.at("F16").data()[11]));
  CHECK(std::signbit(tensors.at("F16").data()[1]));
  CHECK(tensors.at("scalar").item() == -1.5f);
  CHECK(tensors.at("a \"name\", \\ and\nüñ 名 😀").shape() == Shape{1, 1, 1, 1, 1, 2});
}

TEST_CASE("safetensors: what we write is what Python writes, to the byte") {
  const TempFolder folder;
  const std::string python = "tests/golden/python_f32.safetensors";
  const auto [tensors, metadata] = read_safetensors(python);
  write_safetensors(folder / "ours", tensors, metadata);
  CHECK(content(folder / "ours") == content(python));
  write_safetensors(folder / "ours", tensors);  // adds the format
  CHECK(content(folder / "ours") == content(python));
}

TEST_CASE("safetensors: written and read again") {
  const TempFolder folder;
  constexpr float inf = std::numeric_limits<float>::infinity();
  const NamedTensors tensors{
      {"x", Tensor({2, 1, 3}, {1, -0.f, inf, -inf, std::nanf(""), 1e-40f})},
      {"", Tensor::scalar(3)},  // a name may be anything
      {"\x01 \" \\ \xe5\x90\x8d", Tensor::full({30001}, 0.1f)},
  };
  write_safetensors(folder / "a", tensors, {{"format", "np"}, {"", "{\"a\": 1}"}});
  const auto [got, metadata] = read_safetensors(folder / "a");
  CHECK(metadata == std::map<std::string, std::string>{{"format", "np"}, {"", "{\"a\": 1}"}});
  REQUIRE(got.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CHECK(got.at(name).shape() == tensor.shape());
    CHECK(std::memcmp(got.at(name).data(), tensor.data(), static_cast<std::size_t>(tensor.size()) * 4) == 0);
  }
  write_safetensors(folder / "a", {});  // none at all
  CHECK(read_safetensors(folder / "a").tensors.empty());

  CHECK(fails([&] { write_safetensors(folder / "b", {{"__metadata__", Tensor::scalar(1)}}); }, {"__metadata__"}));
  CHECK(fails([&] { write_safetensors(folder / "b", {{"\xff", Tensor::scalar(1)}}); }, {"not UTF-8"}));
  CHECK(fails([&] { write_safetensors(folder / "b", {{"x", Tensor()}}); }, {"undefined"}));
  CHECK(fails([&] { write_safetensors(folder / "none" / "b", tensors); }, {"none", "No such file"}));
  CHECK(!std::filesystem::exists(folder / "b"));
}

TEST_CASE("safetensors: whole numbers of 64 bits are read, and written where they are asked for") {
  Bytes file = file_of("{" + entry("n", "I64", "[6]", "[0,48]") + "}", 48);
  const std::int64_t numbers[] = {0,
                                  -1,
                                  16777217,
                                  std::int64_t{1} << 40,
                                  std::numeric_limits<std::int64_t>::max(),
                                  std::numeric_limits<std::int64_t>::min()};
  std::memcpy(file.data() + file.size() - sizeof numbers, numbers, sizeof numbers);
  const NamedTensors tensors = read(file).tensors;
  CHECK(tensors.at("n").values() == std::vector<real>{0, -1, 16777216, 0x1p40f, 0x1p63f, -0x1p63f});  // as floats are

  const TempFolder folder;
  const NamedTensors mixed{
      {"a", Tensor::scalar(real(0.5))}, {"b", Tensor({3}, {7, -2, 0x1p62f})}, {"c", Tensor::scalar(4)}};
  write_safetensors(folder / "a", mixed, {}, {"b", "c", "not there"});
  const std::string text = content(folder / "a");
  CHECK(contains(text, R"("b":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},"c":{"dtype":"I64","shape":[],)"));
  CHECK(contains(text, R"("a":{"dtype":"F32","shape":[],"data_offsets":[32,36]})"));
  const NamedTensors again = read_safetensors(folder / "a").tensors;
  for (const auto& [name, tensor] : mixed) CHECK(same(again.at(name), tensor));
  for (const float bad : {0.5f, 0x1p63f, std::nanf(""), std::numeric_limits<float>::infinity()})
    CHECK(fails(
        [&] {
          write_safetensors(folder / "b", {{"x", Tensor::scalar(bad)}}, {}, {"x"});
        },
        {"[write_safetensors]", "\"x\"", "whole numbers of 64 bits"}));
  CHECK(!std::filesystem::exists(folder / "b"));
}

TEST_CASE("safetensors: every number in half precision and in bfloat16") {
  Bytes halves = file_of("{" + entry("h", "F16", "[65536]", "[0,131072]") + "}");
  Bytes brains = file_of("{" + entry("b", "BF16", "[65536]", "[0,131072]") + "}");
  for (int i = 0; i < 65536; ++i)
    for (Bytes* file : {&halves, &brains}) {
      file->push_back(static_cast<std::uint8_t>(i));
      file->push_back(static_cast<std::uint8_t>(i >> 8));
    }
  const Tensor h = read(halves).tensors.at("h"), b = read(brains).tensors.at("b");
  int wrong = 0;
  for (int i = 0; i < 65536; ++i) {
    const int exponent = i >> 10 & 31, mantissa = i & 1023;
    const double magnitude = exponent == 31 ? (mantissa ? std::nan("") : INFINITY)
                             : exponent     ? std::ldexp(1024 + mantissa, exponent - 25)
                                            : std::ldexp(mantissa, -24);
    const double want = i >> 15 ? -magnitude : magnitude, got = h.data()[i];
    if (!(std::isnan(want) ? std::isnan(got) : got == want && std::signbit(got) == (i >> 15))) ++wrong;
    if (std::bit_cast<std::uint32_t>(b.data()[i]) != static_cast<std::uint32_t>(i) << 16) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("safetensors: any order, spaces, escapes, and metadata or none") {
  const std::string spaced =
      "{ \"b\" :\n{\"data_offsets\": [ 24 , 32 ],\t\"shape\":[ ] , \"dtype\": \"F64\"} , \"__metadata__\": {} ,\r "
      "\"\\u0061\\ud83d\\ude00\": {\"dtype\":\"F32\",\"data_offsets\":[0,24],\"shape\":[3,2]}}     ";
  const auto [tensors, metadata] = read(file_of(spaced, 32));
  CHECK(metadata.empty());
  CHECK(tensors.at("b").shape() == Shape{});
  CHECK(tensors.at("a😀").shape() == Shape{3, 2});
  CHECK(complaint(good, 32) == "");
  CHECK(complaint("{}") == "");
  CHECK(complaint("{\"__metadata__\":{\"a\":\"\",\"b\":\"c\"}}") == "");
  CHECK(complaint("{\"__metadata__\":null}") == "");
}

TEST_CASE("safetensors: names what is wrong with a file") {
  const TempFolder folder;
  CHECK_THROWS_WITH_AS(read_safetensors(folder / "none"), Contains("none\" cannot be opened: No such file"), Error);
  CHECK_THROWS_WITH_AS(read_safetensors(folder.path()), Contains("is a folder, expected a file"), Error);
  CHECK_THROWS_WITH_AS(read_safetensors("/dev/null"), Contains("is a device, expected a file"), Error);

  CHECK(complaint(Bytes{1, 2, 3}) == Contains("it has 3 bytes, and the length of its header alone would take 8"));
  CHECK(complaint(Bytes{0, 0, 0, 0, 0, 0, 0, 0}) == Contains("does not begin with {"));
  CHECK(complaint(Bytes{'P', 'Q', 3, 4, 0, 0, 8, 8}) == Contains("claims a header of 578712552184435024"));
  CHECK(complaint(Bytes{1, 0xe1, 0xf5, 5, 0, 0, 0, 0}) == Contains("claims a header of 100000001 bytes"));
  CHECK(complaint(Bytes{0, 0xe1, 0xf5, 5, 0, 0, 0, 0, '{'}) == Contains("should have 100000000 bytes, and only 1"));
  CHECK(complaint(" {}") == Contains("does not begin with {"));
  CHECK(complaint("\xef\xbb\xbf{}") == Contains("does not begin with {"));
  CHECK(complaint(std::string("{}\0", 3)) == Contains("has a zero byte in its header"));
  CHECK(complaint("{}x") == Contains("not valid JSON in UTF-8 at byte 3"));
  CHECK(complaint("{\"a\xff\":1}") == Contains("not valid JSON in UTF-8 at byte 4"));
  CHECK(complaint("{\"\\ud800\":1}") == Contains("not valid JSON"));
  CHECK(complaint("{'a':1}") == Contains("not valid JSON"));
  CHECK(complaint("{\"a\":1,}") == Contains("has a number for \"a\", expected an object"));

  const auto says = [](const std::string& inside, const std::string& what) {
    CAPTURE(inside);
    CHECK(complaint("{" + inside + "}", 24) == Contains(what.c_str()));
  };
  // The three levels, and nothing else on them.
  CHECK(read(file_of("{\"__metadata__\":null}", 0)).metadata.empty());  // as the reference reads it
  says("\"a\":null", "has null for \"a\", expected an object");
  says("\"a\":[[[[", "has an array for \"a\", expected an object");
  says("\"a\":{\"b\":{}}", "says \"b\" of the tensor \"a\", expected dtype, shape and data_offsets only");
  says("\"a\":{\"dtype\":{}}", "has an object as the dtype of the tensor \"a\", expected a string");
  says("\"a\":{\"dtype\":[]}", "has an array as the dtype");
  says("\"a\":{\"shape\":\"x\"}", "has a string as the shape of the tensor \"a\", expected an array of whole numbers");
  says("\"a\":{\"shape\":3}", "has a number as the shape");
  says("\"a\":{\"shape\":[[3]]}", "has an array in the shape of the tensor \"a\"");
  says("\"a\":{\"shape\":[{}]}", "has an object in the shape");
  says("\"a\":{\"shape\":[true]}", "has true or false in the shape");
  says("\"a\":{\"shape\":[\"1\"]}", "has a string in the shape");
  says("\"__metadata__\":{\"a\":1}", "has a number in its metadata for \"a\", expected a string");
  says("\"__metadata__\":{\"a\":{}}", "has an object in its metadata");
  says("\"__metadata__\":[]", "has an array for \"__metadata__\", expected an object");
  // No name twice.
  const std::string a = entry("a", "F32", "[2,3]", "[0,24]");
  says(a + "," + a, "has the name \"a\" twice");
  says(a + "," + entry("\\u0061", "F32", "[2,3]", "[0,24]"), "has the name \"a\" twice");
  says("\"__metadata__\":{\"a\":null}", "has null in its metadata for \"a\", expected a string");
  says("\"__metadata__\":null,\"__metadata__\":{}", "has the name \"__metadata__\" twice");
  says("\"a\":null", "has null for \"a\", expected an object");
  says("\"__metadata__\":{},\"__metadata__\":{}", "has the name \"__metadata__\" twice");
  says("\"__metadata__\":{\"x\":\"1\",\"x\":\"1\"}", "has the name \"x\" twice");
  says("\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}", "gives the dtype of the tensor \"a\" twice");
  says("\"a\":{\"shape\":[],\"shape\":[]}", "gives the shape of the tensor \"a\" twice");
  says("\"a\":{\"data_offsets\":[0,1],\"data_offsets\":[0,1]}", "gives the data_offsets of the tensor \"a\" twice");
  // All that a tensor needs.
  says("\"a\":{}", "has no dtype for the tensor \"a\"");
  says("\"a\":{\"dtype\":\"F32\"}", "has no shape for the tensor \"a\"");
  says("\"a\":{\"dtype\":\"F32\",\"shape\":[]}", "has no data_offsets for the tensor \"a\"");
  // Types and numbers.
  says(entry("a", "I32", "[3]", "[0,12]"),
       "the tensor \"a\" with numbers of type \"I32\", can read F32, F64, F16, BF16 and");
  says(entry("a", "f32", "[6]", "[0,24]"), "numbers of type \"f32\"");
  says(entry("a", "F32", "[-6]", "[0,24]"), "has the number -6 in the shape");
  says(entry("a", "F32", "[6.0]", "[0,24]"), "has the number \"6.0\" in the shape");
  says(entry("a", "F32", "[6]", "[0,2.4e1]"), "has the number \"2.4e1\" in the data_offsets");
  says(entry("a", "F32", "[6]", "[0]"), "has 1 data_offsets of the tensor \"a\", expected two");
  says(entry("a", "F32", "[6]", "[0,24,24]"), "has more than two data_offsets");
  says(entry("a", "F32", "[18446744073709551615]", "[0,24]"), "says 18446744073709551615 in the shape");
  says(entry("a", "F32", "[18446744073709551616]", "[0,24]"), "has the number \"18446744073709551616\" in the shape");
  says(entry("a", "F32", "[1,1,1,1,1,1,6]", "[0,24]"), "with more than 6 axes");
  says(entry("a", "F32", "[6,0]", "[0,0]"), "with an axis of size 0, expected 1 or more");
  says(entry("a", "F32", "[4294967296,4294967296]", "[0,24]"), "multiply to more than 2^63 numbers");
  says(entry("a", "F64", "[4294967296,1073741824]", "[0,0]"), "do not fit its shape (4294967296, 1073741824) in F64");
  // Where the numbers are.
  says(entry("a", "F32", "[5]", "[0,24]"), "at the bytes 0 to 24, which do not fit its shape (5) in F32");
  says(entry("a", "F32", "[6]", "[24,0]"), "at the bytes 24 to 0, which do not fit");
  says(entry("a", "F32", "[5]", "[4,24]"), "at byte 4 of the numbers, expected it at 0");
  says(entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[3]", "[12,24]"), "\"b\" at byte 12");
  says(entry("a", "F32", "[4]", "[0,16]") + "," + entry("b", "F32", "[4]", "[8,24]"), "\"b\" at byte 8");
  says(entry("a", "F32", "[6]", "[0,24]") + "," + entry("b", "F32", "[6]", "[0,24]"), "\"b\" at byte 0");
  says(entry("a", "F32", "[5]", "[0,20]"), "goes on after its tensors: they fill 20 bytes, and 24 follow");
  says(entry("a", "F32", "[7]", "[0,28]"), "is not whole: its tensors fill 28 bytes, and only 24 follow");
  says("", "goes on after its tensors: they fill 0 bytes");
  // A name that makes a mess of the message.
  says("\"" + std::string(5000, 'x') + "\\n\":1", "has a number for \"" + std::string(100, 'x') + "...\", expected");
}

TEST_CASE("safetensors: what cannot be read hinders only those who need it") {
  const TempFolder folder;
  const std::string entries[] = {
      entry("a", "F32", "[2]", "[0,8]"),         entry("bool", "BOOL", "[3]", "[8,11]"),
      entry("empty", "F32", "[3,0]", "[11,11]"), entry("f4", "F4", "[2,3]", "[11,14]"),
      entry("f8", "F8_E4M3", "[2]", "[14,16]"),  entry("long", "BOOL", "[1,1,1,1,1,1,1,1]", "[16,17]"),
      entry("n", "I64", "[1]", "[17,25]"),       entry("z", "F64", "[1]", "[25,33]")};
  std::string header;
  for (const std::string& one : entries) header += (header.empty() ? "{" : ",") + one;
  Bytes file = file_of(header + "}", 33);
  const double huge = 1e300, last = 7;
  std::memcpy(&file[file.size() - 8], &huge, 8);
  const auto path = write_file(folder / "x.safetensors", file);
  const ReadableTensors got = read_readable_safetensors(path);
  CHECK(got.tensors.size() == 2);
  CHECK(got.tensors.contains("a"));
  CHECK(got.whole == std::set<std::string>{"n"});
  CHECK(got.unread.size() == 6);
  CHECK(contains(got.unread.at("bool"), "with numbers of type \"BOOL\", can read F32"));
  CHECK(contains(got.unread.at("empty"), "with an axis of size 0"));
  CHECK(contains(got.unread.at("f4"), "of type \"F4\""));
  CHECK(contains(got.unread.at("long"), "of type \"BOOL\""));
  CHECK(contains(got.unread.at("z"), "with the number 1e+300, which is too large"));
  CHECK(fails([&] { read_safetensors(path); }, {"the tensor \"bool\" with numbers of type \"BOOL\""}));
  // The others are read from their places.
  std::memcpy(&file[file.size() - 8], &last, 8);
  CHECK(read_readable_safetensors(write_file(path, file)).tensors.at("z").item() == 7);
  // Their bytes count: three numbers of four bits are no whole bytes, and lengths must be right.
  CHECK(fails(
      [&] { read_readable_safetensors(write_file(path, file_of("{" + entry("a", "F4", "[3]", "[0,1]") + "}", 1))); },
      {"do not fit its shape (3) in F4"}));
  CHECK(fails(
      [&] { read_readable_safetensors(write_file(path, file_of("{" + entry("a", "BOOL", "[3]", "[0,2]") + "}", 2))); },
      {"do not fit its shape (3) in BOOL"}));
}

TEST_CASE("safetensors: a number too large for single precision is no infinity") {
  const double huge = 1e300, inf = INFINITY;
  const auto with = [](double number) {
    Bytes file = file_of("{" + entry("a", "F64", "[1]", "[0,8]") + "}", 8);
    std::memcpy(file.data() + file.size() - 8, &number, 8);
    return file;
  };
  CHECK(complaint(with(huge)) == Contains("has the tensor \"a\" with the number 1e+300, which is too large"));
  CHECK(read(with(-inf)).tensors.at("a").item() == -inf);
}

TEST_CASE("safetensors: refuses a file cut off at any byte, or with a byte more") {
  for (const std::string golden : {"tests/golden/python_f32.safetensors", "tests/golden/python_types.safetensors"}) {
    Bytes whole = read_file(golden);
    CHECK(complaint(whole) == "");
    for (auto end = whole.begin(); end != whole.end(); ++end) {
      CAPTURE(end - whole.begin());
      CHECK(complaint(Bytes{whole.begin(), end}) != "");
    }
    whole.push_back(0);
    CHECK(complaint(whole) == Contains("goes on after its tensors"));
  }
}

TEST_CASE("safetensors: whichever bit flips, there is an error or a tensor, and no crash") {
  const Bytes right = file_of(good, 32);
  for (std::size_t bit = 0; bit < 8 * right.size(); ++bit) {
    Bytes damaged = right;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    if (complaint(damaged) == "") CHECK(read(damaged).tensors.size() == 2);
  }
}

TEST_CASE("safetensors: a hostile header takes neither memory nor stack") {
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // kB
  };
  const auto repeated = [](const std::string& part, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += part;
    return text;
  };
  const long before = peak();
  CHECK(complaint("{\"a\":" + std::string(10'000'000, '[')) == Contains("has an array for \"a\""));
  CHECK(complaint("{\"a\":" + repeated("{\"a\":", 1'000'000)) == Contains("says \"a\" of the tensor \"a\""));
  CHECK(complaint("{\"a\":{\"shape\":[" + repeated("1,", 5'000'000)) == Contains("more than 6 axes"));
  CHECK(complaint("{\"" + std::string(20'000'000, 'x') + "\":1}") == Contains("more than 16777216 bytes in one piece"));
  CHECK(complaint("{\"" + repeated("\\\"", 10'000'000) + "\":1}") == Contains("more than 16777216 bytes in one piece"));
  CHECK(complaint("{\"a\":1" + std::string(20'000'000, '0') + "}") ==
        Contains("more than 16777216 bytes in one piece"));
  std::string many = "{\"__metadata__\":{";
  for (int i = 0; i < 1'000'000; ++i) many += "\"" + std::to_string(i) + "\":\"\",";
  CHECK(complaint(many) == Contains("lists more than 100000 tensors and notes"));
  // Tensors of 4 GB and of 16 TB, in a file of a few bytes.
  CHECK(complaint("{" + entry("a", "F32", "[1000000000]", "[0,4000000000]") + "}") == Contains("is not whole"));
  CHECK(complaint("{" + entry("a", "F64", "[2000000000000]", "[0,16000000000000]") + "}") == Contains("is not whole"));
  CHECK(peak() - before < 500'000);  // sanitizers keep much of what was freed
}

TEST_CASE("safetensors: a note is written only if it can be read again") {
  const TempFolder folder;
  const auto path = folder / "long.safetensors";
  CHECK_THROWS_WITH_AS(write_safetensors(path, {}, {{"note", std::string((16 << 20) + 1, 'x')}}),
                       Contains("more than 16777216 bytes"), Error);
  CHECK(!std::filesystem::exists(path));
  write_safetensors(path, {}, {{"note", std::string((16 << 20) - 100, 'x')}});
  CHECK(read_safetensors(path).metadata.at("note").size() == (16 << 20) - 100);
  std::map<std::string, std::string> many;
  for (int i = 0; i < 99'999; ++i) many.emplace(std::to_string(i), "");
  write_safetensors(path, {}, many);
  CHECK(read_safetensors(path).metadata.size() == 100'000);  // with "format"
  many.emplace("one more", "");
  CHECK_THROWS_WITH_AS(check_safetensors(path, {}, many), Contains("would list 100001 tensors and notes"), Error);
  CHECK_THROWS_WITH_AS(write_safetensors(path, {}, many), Contains("would list 100001 tensors and notes"), Error);
  CHECK(read_safetensors(path).metadata.size() == 100'000);
}
