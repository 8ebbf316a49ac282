#include "data/files/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "data/files/other_file.h"
#include "data/files/read_file.h"
#include "data/files/write_file.h"
#include "tensor/check.h"

// A file is
//     u64 N | N bytes of JSON, which begin with '{' and may end with spaces | the numbers of all tensors
// with everything little-endian, and the JSON is
//     {"__metadata__": {"format": "pt"}, "head.bias": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}, ...}
// where the offsets count from the end of the JSON. Sorted by them, each tensor begins where the one before ends,
// the first at 0, and the last ends with the file.

namespace bobbin {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers go to and from the file as they are in memory");

constexpr std::uint64_t max_header = 100'000'000;  // the reference's limit
constexpr std::size_t max_entries = 100'000;       // each takes more memory than the header's text for it
constexpr std::size_t max_token = 16 << 20;        // the JSON parser keeps a token several times

struct Type {
  const char* name;
  std::uint64_t bits;
  bool readable = false;
  std::uint64_t size() const { return bits / 8; }
};
constexpr Type f32{"F32", 32, true}, f64{"F64", 64, true}, f16{"F16", 16, true}, bf16{"BF16", 16, true},
    i64{"I64", 64, true};
// The others of the format.
constexpr Type others[] = {{"BOOL", 8},    {"U8", 8},      {"I8", 8},          {"U16", 16},        {"I16", 16},
                           {"U32", 32},    {"I32", 32},    {"U64", 64},        {"C64", 64},        {"F8_E5M2", 8},
                           {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
                           {"F6_E3M2", 6}, {"F4", 4}};
constexpr Type of_real = sizeof(real) == sizeof(float) ? f32 : f64;

const Type* find_type(const std::string& name) {
  for (const Type* type : {&f32, &f64, &f16, &bf16, &i64})
    if (name == type->name) return type;
  for (const Type& type : others)
    if (name == type.name) return &type;
  return nullptr;
}

struct Entry {
  const Type* type = nullptr;
  std::optional<std::vector<Index>> sizes;  // of its axes, at most one more than a Shape has
  Index count = 1;                          // of its numbers: the product of all sizes
  std::optional<std::uint64_t> begin, end;
  std::string unreadable;  // why it cannot be a Tensor, if it cannot
};

// What becomes of a tensor that cannot be had as `real`: the file is refused, or read without it.
enum class Unreadable { refuse, leave };

// Receives the header from the JSON parser piece by piece and takes only what the format has, so that no document,
// however large or deep, is ever built.
class Header : public nlohmann::json_sax<nlohmann::json> {
 public:
  Header(const std::filesystem::path& path, Unreadable unreadable) : path_(path), unreadable_(unreadable) {}

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (place_ == Place::start) return go(Place::top);
    if (place_ == Place::top) return go(name_ == "__metadata__" ? Place::metadata : Place::entry);
    unexpected("an object");
  }
  bool end_object() override {
    if (place_ == Place::entry) {
      const char* absent = !entry_.type ? "dtype" : !entry_.sizes ? "shape" : !entry_.end ? "data_offsets" : nullptr;
      require(!absent, " has no ", absent, " for the tensor ", Quoted{name_});
      entry_.unreadable = why_unreadable();
      require(entry_.unreadable.empty() || unreadable_ == Unreadable::leave, " has the tensor ", Quoted{name_}, " ",
              entry_.unreadable);
      entries.at(name_) = std::exchange(entry_, {});
    }
    return go(Place::top);
  }
  bool key(std::string& key) override {
    if (place_ == Place::entry) {
      require(key == "dtype" || key == "shape" || key == "data_offsets", " says ", Quoted{key}, " of the tensor ",
              Quoted{name_}, ", expected dtype, shape and data_offsets only");
      field_ = key;
      return true;
    }
    require(entries.size() + metadata.size() < max_entries, " lists more than ", max_entries, " tensors and notes");
    const bool is_new = place_ == Place::metadata ? metadata.try_emplace(key).second
                        : key == "__metadata__"   ? !std::exchange(has_metadata_, true)
                                                  : entries.try_emplace(key).second;
    require(is_new, " has the name ", Quoted{key}, " twice");
    (place_ == Place::metadata ? note_ : name_) = std::move(key);
    return true;
  }
  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      metadata.at(note_) = std::move(text);
      return true;
    }
    if (place_ != Place::entry || field_ != "dtype") unexpected("a string");
    require(!entry_.type, " gives the dtype of the tensor ", Quoted{name_}, " twice");
    entry_.type = find_type(text);
    require(entry_.type, " has the tensor ", Quoted{name_}, " with numbers of type ", Quoted{text},
            ", which the format does not have");
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::entry || field_ == "dtype") unexpected("an array");
    const bool is_shape = field_ == "shape";
    require(is_shape ? !entry_.sizes : !entry_.end, " gives the ", field_, " of the tensor ", Quoted{name_}, " twice");
    numbers_.clear();
    return go(is_shape ? Place::shape : Place::offsets);
  }
  bool number_unsigned(std::uint64_t number) override {
    if (place_ != Place::shape && place_ != Place::offsets) unexpected("a number");
    require(number <= std::numeric_limits<Index>::max(), " says ", number, " in the ", field_, " of the tensor ",
            Quoted{name_}, ", which is more than any file holds");
    require(place_ == Place::shape || numbers_.size() < 2, " has more than two data_offsets of the tensor ",
            Quoted{name_}, ", expected begin and end");
    const auto n = static_cast<Index>(number);
    if (place_ == Place::shape)
      require(numbers_.size() < Shape::max_rank || unreadable_ == Unreadable::leave, " has the tensor ", Quoted{name_},
              " with more than ", Shape::max_rank, " axes, which is the most that a tensor can have");
    if (place_ == Place::shape)
      require(!__builtin_mul_overflow(entry_.count, n, &entry_.count), " has the tensor ", Quoted{name_},
              " with sizes that multiply to more than 2^63 numbers");
    if (numbers_.size() <= Shape::max_rank) numbers_.push_back(n);  // more would only cost memory
    return true;
  }
  bool end_array() override {
    if (place_ == Place::shape) {
      entry_.sizes = numbers_;
    } else {
      require(numbers_.size() == 2, " has ", numbers_.size(), " data_offsets of the tensor ", Quoted{name_},
              ", expected two: begin and end");
      entry_.begin = numbers_[0];
      entry_.end = numbers_[1];
    }
    return go(Place::entry);
  }

  bool null() override {
    if (place_ == Place::top && name_ == "__metadata__") return true;  // none, for the reference, too
    unexpected("null");
  }
  bool boolean(bool) override { unexpected("true or false"); }
  bool number_integer(std::int64_t number) override { unexpected("the number ", number); }
  bool number_float(double, const std::string& text) override { unexpected("the number ", Quoted{text}); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail("read_safetensors", path_, " is not a safetensors file: its header is not valid JSON in UTF-8 at byte ",
         position);
  }

 private:
  enum class Place { start, top, metadata, entry, shape, offsets };

  template <class... Parts>
  void require(bool ok, const Parts&... parts) const {
    check(ok, "read_safetensors", path_, parts...);
  }
  bool go(Place place) {
    place_ = place;
    return true;
  }
  // Why the tensor at hand cannot be a Tensor, or nothing.
  std::string why_unreadable() const {
    std::ostringstream why;
    if (!entry_.type->readable)
      why << "with numbers of type " << Quoted{entry_.type->name} << ", can read F32, F64, F16, BF16 and I64";
    else if (entry_.sizes->size() > Shape::max_rank)
      why << "with more than " << Shape::max_rank << " axes, which is the most that a tensor can have";
    else if (entry_.count == 0)
      why << "with an axis of size 0, expected 1 or more";
    return why.str();
  }
  template <class... Parts>
  [[noreturn]] void unexpected(const Parts&... what) const {
    switch (place_) {
      case Place::metadata:
        fail("read_safetensors", path_, " has ", what..., " in its metadata for ", Quoted{note_},
             ", expected a string");
      case Place::entry:
        fail("read_safetensors", path_, " has ", what..., " as the ", field_, " of the tensor ", Quoted{name_},
             ", expected ", field_ == "dtype" ? "a string" : "an array of whole numbers");
      case Place::shape:
      case Place::offsets:
        fail("read_safetensors", path_, " has ", what..., " in the ", field_, " of the tensor ", Quoted{name_},
             ", expected whole numbers from 0 on");
      default:
        fail("read_safetensors", path_, " has ", what..., " for ", Quoted{name_}, ", expected an object");
    }
  }

  const std::filesystem::path& path_;
  Unreadable unreadable_;
  Place place_ = Place::start;
  std::string name_, note_, field_;  // the tensor, the key in the metadata, the tensor's field that we are at
  Entry entry_;
  std::vector<Index> numbers_;
  bool has_metadata_ = false;
};

// The file, opened, and how much of it there is.
class File {
 public:
  explicit File(const std::filesystem::path& path) : path_(path) {
    check_is_file("read_safetensors", path);
    std::error_code error;
    left_ = std::filesystem::file_size(path, error);
    if (!error) stream_.open(path, std::ios::binary);
    check(!error && stream_.good(), "read_safetensors", path,
          " cannot be opened: ", (error ? error : std::error_code(errno, std::generic_category())).message());
  }

  std::uint64_t left() const { return left_; }
  void read(void* to, std::uint64_t count) {
    check(stream_.read(static_cast<char*>(to), static_cast<std::streamsize>(count)).good(), "read_safetensors", path_,
          " cannot be read to its end");
    left_ -= count;
  }
  void skip(std::uint64_t count) {
    stream_.seekg(static_cast<std::streamoff>(count), std::ios::cur);
    left_ -= count;
  }

 private:
  const std::filesystem::path& path_;
  std::ifstream stream_;
  std::uint64_t left_ = 0;
};

// Throws, and calls it by its name, for a file that does not begin as the format does and is known to be another.
void refuse_other_file(const std::filesystem::path& path) {
  if (std::error_code error; std::filesystem::is_regular_file(path, error)) {
    std::ifstream file(path, std::ios::binary);
    std::uint64_t length = 0;
    char brace = 0;
    file.read(reinterpret_cast<char*>(&length), sizeof length).get(brace);
    if (brace == '{' && length <= max_header) return;
  }
  const std::string other = what_it_is(path);
  check(other.empty(), "read_safetensors", path, " ", other);
}

// Whether a token longer than max_token may be in the text: it has a piece of that length without a quote.
bool has_endless_token(const std::string& text) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;  // an escaped quote does not end a string
    else if (text[i] == '"')
      begin = i;
    if (i - begin > max_token) return true;
  }
  return false;
}

Header read_header(File& file, const std::filesystem::path& path, Unreadable unreadable) {
  std::uint64_t length = 0;
  check(file.left() >= sizeof length, "read_safetensors", path, " is not a safetensors file: it has ", file.left(),
        " bytes, and the length of its header alone would take 8");
  file.read(&length, sizeof length);
  check(length <= max_header, "read_safetensors", path, " is not a safetensors file: it claims a header of ", length,
        " bytes, and the format allows ", max_header);
  check(length <= file.left(), "read_safetensors", path, " is not whole: its header should have ", length,
        " bytes, and only ", file.left(), " follow");
  std::string text(length, '\0');
  file.read(text.data(), length);
  check(text.starts_with('{'), "read_safetensors", path,
        " is not a safetensors file: its header does not begin with {");
  // The parser would take a zero byte for the end.
  check(text.find('\0') == std::string::npos, "read_safetensors", path, " has a zero byte in its header");
  check(!has_endless_token(text), "read_safetensors", path, " has more than ", max_token,
        " bytes in one piece of its header");
  Header header(path, unreadable);
  nlohmann::json::sax_parse(text, &header);
  return header;
}

using NamedEntry = std::pair<const std::string, Entry>;

// "(3, 4)".
std::string sizes_text(const std::vector<Index>& sizes) {
  std::string text;
  for (const Index n : sizes) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "(" + text + ")";
}

// The entries in the order of their numbers in the file, once these are known to fill it without hole or overlap.
std::vector<const NamedEntry*> in_order(const Header& header, std::uint64_t file_left,
                                        const std::filesystem::path& path) {
  std::vector<const NamedEntry*> order;
  for (const NamedEntry& named : header.entries) order.push_back(&named);
  std::sort(order.begin(), order.end(), [](const NamedEntry* a, const NamedEntry* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t at = 0;
  for (const NamedEntry* named : order) {
    const auto& [name, entry] = *named;
    const std::uint64_t begin = *entry.begin, end = *entry.end;
    std::uint64_t bits = 0;
    check(!__builtin_mul_overflow(static_cast<std::uint64_t>(entry.count), entry.type->bits, &bits) && bits % 8 == 0 &&
              begin <= end && end - begin == bits / 8,
          "read_safetensors", path, " has the tensor ", Quoted{name}, " at the bytes ", begin, " to ", end,
          ", which do not fit its shape ", sizes_text(*entry.sizes), " in ", entry.type->name);
    check(begin == at, "read_safetensors", path, " has the tensor ", Quoted{name}, " at byte ", begin,
          " of the numbers, expected it at ", at, ": each tensor begins where the one before ends");
    at = end;
  }
  check(at <= file_left, "read_safetensors", path, " is not whole: its tensors fill ", at, " bytes, and only ",
        file_left, " follow the header");
  check(at >= file_left, "read_safetensors", path, " goes on after its tensors: they fill ", at, " bytes, and ",
        file_left, " follow the header");
  return order;
}

float from_f32(float x) { return x; }
double from_f64(double x) { return x; }
double from_i64(std::int64_t x) { return static_cast<double>(x); }

// Half precision is 1 bit of sign, 5 of exponent with the bias 15, 10 of mantissa. In the places that float has for
// them, the exponent's bias is 127, so the number is too small by 2^112; that holds for the subnormal ones, too.
float from_f16(std::uint16_t h) {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(h & 0x7fff) << 13,
                      sign = static_cast<std::uint32_t>(h & 0x8000) << 16;
  const bool finite = (h & 0x7c00) != 0x7c00;
  const std::uint32_t bits =
      finite ? std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f) : magnitude | 0x7f800000;
  return std::bit_cast<float>(bits | sign);
}

// The upper half of a float.
float from_bf16(std::uint16_t b) { return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16); }

// Returns why the tensor cannot be had, or nothing: a number that is too large for single precision. All of its bytes
// are read either way.
template <class Wide, class Stored>
std::string read_numbers(File& file, Staging& numbers, Wide (*convert)(Stored)) {
  std::array<Stored, 8192> buffer;
  std::ostringstream why;
  real* to = numbers.data();
  for (auto left = static_cast<std::size_t>(numbers.shape().size()); left > 0;) {
    const std::size_t count = std::min(left, buffer.size());
    file.read(buffer.data(), count * sizeof(Stored));
    for (std::size_t i = 0; i < count; ++i, ++to) {
      const Wide number = convert(buffer[i]);
      *to = static_cast<real>(number);
      if (std::isinf(*to) != std::isinf(number) && why.view().empty())
        why << "with the number " << number << ", which is too large for single precision";
    }
    left -= count;
  }
  return why.str();
}

// To the tensors of `result`, or to those that were not read.
void read_tensor(File& file, const NamedEntry& named, ReadableTensors& result) {
  const auto& [name, entry] = named;
  const Type* type = entry.type;
  if (!entry.unreadable.empty()) {
    file.skip(*entry.end - *entry.begin);
    result.unread.emplace(name, entry.unreadable);
    return;
  }
  Staging numbers(Shape(entry.sizes->data(), static_cast<int>(entry.sizes->size())));
  std::string why;
  if (type == &f32) why = read_numbers(file, numbers, from_f32);
  if (type == &f64) why = read_numbers(file, numbers, from_f64);
  if (type == &f16) why = read_numbers(file, numbers, from_f16);
  if (type == &bf16) why = read_numbers(file, numbers, from_bf16);
  if (type == &i64) why = read_numbers(file, numbers, from_i64);
  if (!why.empty()) {
    result.unread.emplace(name, why);
    return;
  }
  result.tensors.emplace(name, std::move(numbers).tensor());
  if (type == &i64) result.whole.insert(name);
}

ReadableTensors read(const std::filesystem::path& path, Unreadable unreadable) {
  refuse_other_file(path);
  File file(path);
  Header header = read_header(file, path, unreadable);
  ReadableTensors result;
  for (const NamedEntry* named : in_order(header, file.left(), path)) {
    read_tensor(file, *named, result);
    if (unreadable == Unreadable::refuse && !result.unread.empty())
      fail("read_safetensors", path, " has the tensor ", Quoted{named->first}, " ", result.unread.begin()->second);
  }
  result.metadata = std::move(header.metadata);
  return result;
}

struct Written {
  const std::string& name;
  const Tensor& tensor;
  const Type& type;
};

// In the order of the reference: larger types first, so that each tensor's numbers are aligned, then by name.
std::vector<Written> in_order(const NamedTensors& tensors, const std::set<std::string>& whole) {
  std::vector<Written> order;
  for (const bool are_whole : {true, false})
    for (const auto& [name, tensor] : tensors)
      if (whole.contains(name) == are_whole) order.push_back({name, tensor, are_whole ? i64 : of_real});
  return order;
}

// The JSON of the header, filled up so that the numbers behind it are aligned.
std::string header_text(const std::filesystem::path& path, const NamedTensors& tensors,
                        std::map<std::string, std::string> metadata, const std::set<std::string>& whole) {
  metadata.emplace("format", "pt");
  check(tensors.size() + metadata.size() <= max_entries, "write_safetensors", path, " would list ",
        tensors.size() + metadata.size(), " tensors and notes, of which read_safetensors() takes ", max_entries);
  nlohmann::ordered_json header{{"__metadata__", metadata}};
  std::uint64_t end = 0;
  for (const auto& [name, tensor, type] : in_order(tensors, whole)) {
    check(name != "__metadata__", "write_safetensors", "a tensor cannot have the name __metadata__");
    const std::uint64_t begin = std::exchange(end, end + static_cast<std::uint64_t>(tensor.size()) * type.size());
    header[name] = {{"dtype", type.name},
                    {"shape", std::vector<Index>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {begin, end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    fail("write_safetensors", path, " cannot be written: a name or a note in its metadata is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  check(text.size() <= max_header, "write_safetensors", path, " would get a header of ", text.size(),
        " bytes, and the format allows ", max_header);
  check(!has_endless_token(text), "write_safetensors", path, " would get a name or a note of more than ", max_token,
        " bytes, which read_safetensors() refuses");
  return text;
}

std::vector<std::int64_t> whole_numbers(const std::filesystem::path& path, const std::string& name,
                                        const std::vector<real>& numbers) {
  std::vector<std::int64_t> result;
  for (const real x : numbers) {
    check(x == std::floor(x) && std::abs(x) < 0x1p63, "write_safetensors", path, " cannot have the number ", x,
          " in the tensor ", Quoted{name}, ", which is written as whole numbers of 64 bits");
    result.push_back(static_cast<std::int64_t>(x));
  }
  return result;
}

template <class T>
void append(std::string& content, const std::vector<T>& numbers) {
  content.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T));
}

}  // namespace

Safetensors read_safetensors(const std::filesystem::path& path) { return read(path, Unreadable::refuse); }

ReadableTensors read_readable_safetensors(const std::filesystem::path& path) { return read(path, Unreadable::leave); }

std::string safetensors_content(const std::filesystem::path& path, const NamedTensors& tensors,
                                std::map<std::string, std::string> metadata, const std::set<std::string>& whole) {
  const std::string text = header_text(path, tensors, std::move(metadata), whole);
  const std::uint64_t length = text.size();
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor, type] : in_order(tensors, whole))
    bytes += static_cast<std::uint64_t>(tensor.size()) * type.size();
  std::string content(sizeof length, '\0');
  content.reserve(sizeof length + length + bytes);
  std::memcpy(content.data(), &length, sizeof length);
  content += text;
  for (const auto& [name, tensor, type] : in_order(tensors, whole)) {
    const std::vector<real> numbers = tensor.values();
    if (&type == &i64)
      append(content, whole_numbers(path, name, numbers));
    else
      append(content, numbers);
  }
  return content;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata, const std::set<std::string>& whole) {
  write_file(path, safetensors_content(path, tensors, metadata, whole));
}

void check_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       std::map<std::string, std::string> metadata) {
  header_text(path, tensors, std::move(metadata), {});
}

}  // namespace bobbin
