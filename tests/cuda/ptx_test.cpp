// The emulator's interpreter of PTX: each instruction beside plain C++, on the odd numbers of its type.
#include "ptx.h"

#include <cuda_runtime.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

// --- kernels that are launched ----------------------------------------------------------------------------
// Of these only the names are wanted: what is executed is the PTX below.
namespace ptx_test {
__global__ void position(unsigned*) { emulator::die("this is not the PTX", "position"); }
__global__ void exchange(unsigned*) { emulator::die("this is not the PTX", "exchange"); }
__global__ void reverse(float*, const float*) { emulator::die("this is not the PTX", "reverse"); }
__global__ void multiply(float*, const unsigned*) { emulator::die("this is not the PTX", "multiply"); }
__global__ void copy(unsigned char*, const unsigned char*) { emulator::die("this is not the PTX", "copy"); }
}  // namespace ptx_test

namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

// --- how an instruction is executed -----------------------------------------------------------------------

template <class T>
std::string type_name() {
  const std::string letter = std::is_floating_point_v<T> ? "f" : std::is_signed_v<T> ? "s" : "u";
  return letter + std::to_string(8 * sizeof(T));
}
// "mul.hi.%" with the name of T for the %.
template <class T>
std::string of_type(std::string text) {
  for (std::size_t at; (at = text.find('%')) != std::string::npos;) text.replace(at, 1, type_name<T>());
  return text;
}

const std::string head = ".version 8.0\n.target sm_80\n.address_size 64\n";

// What `body` leaves in the register r, with the arguments in a, b, c, d. It has the predicates p, q and k, too.
template <class R, class... A>
R result_of(const std::string& body, A... arguments) {
  const std::string signature = body + type_name<R>() + (type_name<A>() + ... + "");
  static std::map<std::string, const void*> entries;
  const void*& entry = entries[signature];
  if (!entry) {
    const std::string name = "instruction_" + std::to_string(entries.size()) + "_" + type_name<R>();
    std::string parameters = ".param .u64 result", registers = ".reg .pred p, q, k;\n.reg .b64 at;\n", loads;
    // Registers have 16 bits or more; loads fill them up.
    const auto declare = [&]<class T>(T, char letter) {
      registers += ".reg ." + (sizeof(T) == 1 ? "b16" : type_name<T>()) + " " + letter + ";\n";
    };
    char letter = 'a';
    [[maybe_unused]] const auto add = [&]<class T>(T argument) {
      declare(argument, letter);
      parameters += ", .param ." + type_name<T>() + " argument_" + letter;
      loads += "ld.param." + type_name<T>() + " " + letter + ", [argument_" + letter + "];\n";
      ++letter;
    };
    (add(arguments), ...);
    declare(R(), 'r');
    emulator::ptx::load(head + ".visible .entry " + name + "(" + parameters + ")\n{\n" + registers + loads + body +
                            "\nld.param.u64 at, [result];\nst.global." + type_name<R>() + " [at], r;\nret;\n}\n",
                        name);
    entry = emulator::ptx::find(name);
    REQUIRE(entry != nullptr);
  }
  R result{};
  R* address = &result;
  void* pointers[] = {&address, &arguments...};
  emulator::ptx::run(entry, pointers);
  return result;
}

// All bits the same; but any NaN for a NaN.
template <class T>
bool same(T a, T b) {
  if (a != a) return b != b;
  return std::memcmp(&a, &b, sizeof a) == 0;
}

template <class T>
std::vector<T> odd_numbers() {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_floating_point_v<T>) {
    std::vector<T> numbers = {0,
                              1,
                              T(1.5),
                              T(2.5),
                              T(0.1),
                              T(3e9),
                              T(1e-20),
                              T(1e20),
                              Limits::min(),
                              Limits::max(),
                              Limits::denorm_min(),
                              Limits::min() / 3,
                              Limits::infinity(),
                              1 + Limits::epsilon()};
    for (std::size_t k = 0, n = numbers.size(); k < n; ++k) numbers.push_back(-numbers[k]);
    numbers.push_back(Limits::quiet_NaN());
    return numbers;
  } else {
    return {0,
            1,
            2,
            3,
            7,
            31,
            32,
            64,
            100,
            static_cast<T>(-1),
            static_cast<T>(-2),
            static_cast<T>(-100),
            Limits::min(),
            Limits::max(),
            static_cast<T>(Limits::max() / 2 + 1),
            static_cast<T>(0x123456789abcdef0)};
  }
}

// Whether r = instruction(a, b) is right for all pairs; the first pair for which it is not, is told.
template <class R, class A, class B>
bool right_for_all(const std::string& instruction, const std::function<R(A, B)>& want) {
  for (const A a : odd_numbers<A>())
    for (const B b : odd_numbers<B>()) {
      const R got = result_of<R>(instruction, a, b), wanted = want(a, b);
      if (same(got, wanted)) continue;
      MESSAGE(instruction << " a = " << a << " b = " << b << " gives " << +got << " and not " << +wanted);
      return false;
    }
  return true;
}
template <class T>
bool unary(const std::string& instruction, std::function<T(T)> want) {
  return right_for_all<T, T, u32>(of_type<T>(instruction + " r, a;"), [&](T a, u32) { return want(a); });
}
template <class T>
bool binary(const std::string& instruction, std::function<T(T, T)> want) {
  return right_for_all<T, T, T>(of_type<T>(instruction + " r, a, b;"), want);
}
template <class T>
bool ternary(const std::string& instruction, std::function<T(T, T, T)> want) {
  bool right = true;
  for (const T c : {T(0), T(-1), T(5), std::numeric_limits<T>::max()})
    right = right &&
            right_for_all<T, T, T>(
                of_type<T>("mov.b" + std::to_string(8 * sizeof(T)) + " r, " + (std::is_floating_point_v<T> ? "0" : "") +
                           std::to_string(static_cast<s64>(c)) + ";\n" + instruction + " r, a, b, r;"),
                [&](T a, T b) { return want(a, b, c); });
  return right;
}
bool of_predicate(const std::string& body, auto... arguments) {
  return result_of<u32>(body + "\nselp.u32 r, 1, 0, p;", arguments...) == 1;
}

template <class F>
std::string last_words(const F& f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    dup2(ends[1], STDERR_FILENO);
    f();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : text;
}
bool says(const std::string& text, const std::string& sentence) {
  if (text.find(sentence) != std::string::npos) return true;
  MESSAGE("it says: " << text);
  return false;
}

constexpr float infinity = std::numeric_limits<float>::infinity(),
                not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float denormal = std::numeric_limits<float>::min() / 2;

// --- whole numbers ----------------------------------------------------------------------------------------

template <class T>
void check_whole_numbers() {
  using Exact = __int128;
  using U = std::make_unsigned_t<T>;
  constexpr unsigned bits = 8 * sizeof(T);
  const bool is_signed = std::is_signed_v<T>;
  INFO(type_name<T>());
  CHECK(binary<T>("add.%", [](T a, T b) { return T(Exact(a) + b); }));
  CHECK(binary<T>("sub.%", [](T a, T b) { return T(Exact(a) - b); }));
  // Of 64 bits without a sign, a product is beyond what __int128 holds.
  const auto product = [](T a, T b) { return T(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)); };
  CHECK(binary<T>("mul.lo.%", product));
  CHECK(binary<T>("mul.hi.%", [](T a, T b) {
    return is_signed ? T((Exact(a) * b) >> bits)
                     : T(((static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b))) >> bits);
  }));
  CHECK(ternary<T>("mad.lo.%", [product](T a, T b, T c) { return T(U(product(a, b)) + U(c)); }));
  CHECK(binary<T>("div.%", [](T a, T b) { return b == 0 ? T(-1) : T(Exact(a) / b); }));
  CHECK(binary<T>("rem.%", [](T a, T b) { return b == 0 ? a : T(Exact(a) % b); }));
  CHECK(binary<T>("min.%", [](T a, T b) { return a < b ? a : b; }));
  CHECK(binary<T>("max.%", [](T a, T b) { return a > b ? a : b; }));
  if (is_signed) CHECK(unary<T>("neg.%", [](T a) { return T(-Exact(a)); }));
  if (is_signed) CHECK(unary<T>("abs.%", [](T a) { return a < 0 ? T(-Exact(a)) : a; }));
  const std::string b = ".b" + std::to_string(bits);
  CHECK(binary<T>("and" + b, [](T x, T y) { return T(x & y); }));
  CHECK(binary<T>("or" + b, [](T x, T y) { return T(x | y); }));
  CHECK(binary<T>("xor" + b, [](T x, T y) { return T(x ^ y); }));
  CHECK(unary<T>("not" + b, [](T x) { return T(~x); }));

  // A shift by the width or more drops all bits, or leaves only the sign.
  CHECK(
      right_for_all<T, T, u32>("shl" + b + " r, a, b;", [](T a, u32 n) { return n < bits ? T(Exact(a) << n) : T(0); }));
  CHECK(right_for_all<T, T, u32>(of_type<T>("shr.% r, a, b;"),
                                 [](T a, u32 n) { return T(Exact(a) >> std::min(n, 64u)); }));

  // Comparisons, with what they are combined with, and with the opposite.
  for (const T x : odd_numbers<T>())
    for (const T y : odd_numbers<T>()) {
      const auto holds = [&](const std::string& is) {
        return of_predicate(of_type<T>("setp." + is + ".% p, a, b;"), x, y);
      };
      CHECK(holds("eq") == (x == y));
      CHECK(holds("ne") == (x != y));
      CHECK(holds("lt") == (x < y));
      CHECK(holds("le") == (x <= y));
      CHECK(holds("gt") == (x > y));
      CHECK(holds("ge") == (x >= y));
      if (!is_signed) {
        CHECK(holds("lo") == (x < y));
        CHECK(holds("ls") == (x <= y));
        CHECK(holds("hi") == (x > y));
        CHECK(holds("hs") == (x >= y));
      }
    }
}

}  // namespace

TEST_CASE("ptx: whole numbers of every width") {
  check_whole_numbers<u16>();
  check_whole_numbers<s16>();
  check_whole_numbers<u32>();
  check_whole_numbers<s32>();
  check_whole_numbers<u64>();
  check_whole_numbers<s64>();
}

TEST_CASE("ptx: products twice as wide") {
  CHECK(right_for_all<s64, s32, s32>("mul.wide.s32 r, a, b;", [](s32 a, s32 b) { return s64(a) * b; }));
  CHECK(right_for_all<u64, u32, u32>("mul.wide.u32 r, a, b;", [](u32 a, u32 b) { return u64(a) * b; }));
  CHECK(right_for_all<s32, s16, s16>("mul.wide.s16 r, a, b;", [](s16 a, s16 b) { return s32(a) * b; }));
  CHECK(right_for_all<u32, u16, u16>("mul.wide.u16 r, a, b;", [](u16 a, u16 b) { return u32(a) * b; }));
  CHECK(right_for_all<s64, s32, s32>("mad.wide.s32 r, a, b, -5;", [](s32 a, s32 b) { return s64(a) * b - 5; }));
  CHECK(right_for_all<u64, u32, u32>("mad.wide.u32 r, a, b, -5;", [](u32 a, u32 b) { return u64(a) * b - 5; }));
  CHECK(right_for_all<s32, s32, s32>("mad.hi.s32 r, a, b, 7;",
                                     [](s32 a, s32 b) { return s32(u32((s64(a) * b) >> 32) + 7); }));
  CHECK(right_for_all<u32, u32, u32>("sad.u32 r, a, b, 7;", [](u32 a, u32 b) { return (a < b ? b - a : a - b) + 7; }));
  CHECK(right_for_all<s32, s32, s32>("sad.s32 r, a, b, 7;",
                                     [](s32 a, s32 b) { return s32(u32(a < b ? s64(b) - a : s64(a) - b) + 7); }));
}

TEST_CASE("ptx: numbers of several words, by their carries") {
  const std::string take_apart = ".reg .b32 al, ah, bl, bh, w<4>;\nmov.b64 {al, ah}, a;\nmov.b64 {bl, bh}, b;\n";
  // 64 bits by 32: the sum, the difference, and whether something is left over.
  CHECK(right_for_all<u64, u64, u64>(take_apart + "add.cc.u32 w0, al, bl;\naddc.u32 w1, ah, bh;\nmov.b64 r, {w0, w1};",
                                     [](u64 a, u64 b) { return a + b; }));
  CHECK(right_for_all<u64, u64, u64>(take_apart + "sub.cc.u32 w0, al, bl;\nsubc.u32 w1, ah, bh;\nmov.b64 r, {w0, w1};",
                                     [](u64 a, u64 b) { return a - b; }));
  CHECK(right_for_all<u32, u64, u64>(take_apart + "add.cc.u32 w0, al, bl;\naddc.cc.u32 w1, ah, bh;\naddc.u32 r, 0, 0;",
                                     [](u64 a, u64 b) { return u32(a + b < a); }));
  CHECK(right_for_all<u32, u64, u64>(take_apart + "sub.cc.u32 w0, al, bl;\nsubc.cc.u32 w1, ah, bh;\nsubc.u32 r, 0, 0;",
                                     [](u64 a, u64 b) { return a < b ? ~0u : 0u; }));
  CHECK(right_for_all<u64, u64, u64>("add.cc.u64 a, a, b;\naddc.u64 r, 0, 0;",
                                     [](u64 a, u64 b) { return u64(a + b < a); }));
  // The product of 128 bits, as sin() of double has it.
  const std::string product =
      take_apart +
      "mul.lo.u32 w0, al, bl;\nmul.hi.u32 w1, al, bl;\n"
      "mad.lo.cc.u32 w1, al, bh, w1;\nmadc.hi.u32 w2, al, bh, 0;\n"
      "mad.lo.cc.u32 w1, ah, bl, w1;\nmadc.hi.cc.u32 w2, ah, bl, w2;\nmadc.hi.u32 w3, ah, bh, 0;\n"
      "mad.lo.cc.u32 w2, ah, bh, w2;\naddc.u32 w3, w3, 0;\n";
  using Exact = unsigned __int128;
  CHECK(right_for_all<u64, u64, u64>(product + "mov.b64 r, {w0, w1};", [](u64 a, u64 b) { return a * b; }));
  CHECK(right_for_all<u64, u64, u64>(product + "mov.b64 r, {w2, w3};",
                                     [](u64 a, u64 b) { return u64(Exact(a) * b >> 64); }));
}

TEST_CASE("ptx: bits") {
  for (const u32 a : odd_numbers<u32>())
    for (const u32 b : odd_numbers<u32>())
      for (const u32 n : {0u, 1u, 4u, 31u, 32u, 33u, 255u}) {
        const u64 whole = u64(b) << 32 | a;
        CHECK(result_of<u32>("shf.l.wrap.b32 r, a, b, c;", a, b, n) == u32(whole << n % 32 >> 32));
        CHECK(result_of<u32>("shf.r.wrap.b32 r, a, b, c;", a, b, n) == u32(whole >> n % 32));
        CHECK(result_of<u32>("shf.l.clamp.b32 r, a, b, c;", a, b, n) == (n < 32 ? u32(whole << n >> 32) : a));
        CHECK(result_of<u32>("shf.r.clamp.b32 r, a, b, c;", a, b, n) == (n < 32 ? u32(whole >> n) : b));
      }

  // Bit by bit, as the manual has it. The places behind the end of the number are its sign.
  const auto bit = [](auto x, u32 k) { return k < 8 * sizeof x && (x >> k & 1) != 0; };
  const auto check_fields = [&]<class T>(T) {
    constexpr u32 bits = 8 * sizeof(T);
    for (const T a : odd_numbers<T>())
      for (const u32 from : {0u, 1u, 5u, 31u, 32u, 63u, 64u, 200u, 255u})
        for (const u32 length : {0u, 1u, 8u, 31u, 32u, 33u, 64u, 255u}) {
          const bool sign = std::is_signed_v<T> && length != 0 && bit(a, std::min(from + length - 1, bits - 1));
          u64 extracted = 0, inserted = 0x5555555555555555;
          for (u32 k = 0; k < bits; ++k) {
            extracted |= u64(k < length && from + k < bits ? bit(a, from + k) : sign) << k;
            if (k < length && from + k < bits)
              inserted = (inserted & ~(u64(1) << (from + k))) | u64(bit(a, k)) << (from + k);
          }
          CHECK(result_of<T>(of_type<T>("bfe.% r, a, b, c;"), a, from, length) == static_cast<T>(extracted));
          CHECK(result_of<T>("bfi.b" + std::to_string(bits) + " r, a, 0x5555555555555555, b, c;", a, from, length) ==
                static_cast<T>(inserted));
        }
    CHECK(unary<T>("brev.b" + std::to_string(bits), [&](T a) {
      u64 reversed = 0;
      for (u32 k = 0; k < bits; ++k) reversed |= u64(bit(a, k)) << (bits - 1 - k);
      return static_cast<T>(reversed);
    }));
    for (const T a : odd_numbers<T>()) {
      u32 ones = 0, zeros = bits, highest = ~0u;
      for (u32 k = 0; k < bits; ++k) {
        if (bit(a, k)) ++ones, zeros = bits - 1 - k;
        if (bit(a, k) != (a < T(0))) highest = k;
      }
      CHECK(result_of<u32>("popc.b" + std::to_string(bits) + " r, a;", a) == ones);
      CHECK(result_of<u32>("clz.b" + std::to_string(bits) + " r, a;", a) == zeros);
      CHECK(result_of<u32>(of_type<T>("bfind.% r, a;"), a) == highest);
    }
  };
  check_fields(u32());
  check_fields(s32());
  check_fields(u64());
  check_fields(s64());

  const u32 a = 0x83828180, b = 0x07060504;
  CHECK(result_of<u32>("prmt.b32 r, a, b, 0x7520;", a, b) == 0x07058280);
  CHECK(result_of<u32>("prmt.b32 r, a, b, 0xc8b3;", a, b) == 0x00ffff83);  // of 4, 0, 3 the sign, and 3 itself
  CHECK(result_of<u32>("lop3.b32 r, a, b, c, 0x96;", a, b, 77u) == (a ^ b ^ 77u));
  CHECK(result_of<u32>("lop3.b32 r, a, b, c, 0xe8;", a, b, 77u) == ((a & b) | (a & 77u) | (b & 77u)));
  CHECK(result_of<u32>("lop3.b32 r, a, b, c, 0xd8;", a, b, 77u) == ((a & ~77u) | (b & 77u)));
}

TEST_CASE("ptx: predicates") {
  for (const u32 x : {0u, 1u})
    for (const u32 y : {0u, 1u}) {
      const std::string begin = "setp.ne.u32 p, a, 0;\nsetp.ne.u32 q, b, 0;\n";
      CHECK(of_predicate(begin + "and.pred p, p, q;", x, y) == (x && y));
      CHECK(of_predicate(begin + "or.pred p, p, q;", x, y) == (x || y));
      CHECK(of_predicate(begin + "xor.pred p, p, q;", x, y) == (x != y));
      CHECK(of_predicate(begin + "not.pred p, q;", x, y) == !y);
      CHECK(of_predicate(begin + "mov.pred p, q;", x, y) == (y == 1));
      CHECK(of_predicate(begin + "setp.eq.and.u32 p, a, 1, q;", x, y) == (x && y));
      CHECK(of_predicate(begin + "setp.eq.or.u32 p, a, 1, !q;", x, y) == (x || !y));
      CHECK(of_predicate(begin + "setp.eq.xor.u32 p, a, 1, q;", x, y) == (x != y));
      CHECK(of_predicate(begin + "setp.eq.u32 q|p, a, 1;", x, y) == !x);
      CHECK(of_predicate(begin + "setp.eq.or.u32 k|p, a, 1, q;", x, y) == (!x || y));
      CHECK(result_of<u32>(begin + "mov.u32 r, 5;\n@p mov.u32 r, 6;\n@!q add.u32 r, r, 10;", x, y) == 5 + x + 10 * !y);
    }
  CHECK(of_predicate("mov.pred p, -1;"));  // as nvcc writes true
  CHECK(result_of<u32>("mov.pred p, -1;\nmov.u32 r, 1;\n@p mov.u32 r, 2;\n@!p mov.u32 r, 3;") == 2);
  CHECK(result_of<s32>("slct.s32.s32 r, a, b, c;", 5, 6, -1) == 6);
  CHECK(result_of<s32>("slct.s32.s32 r, a, b, c;", 5, 6, 0) == 5);
  CHECK(result_of<float>("slct.f32.f32 r, a, b, c;", 5.0F, 6.0F, -0.0F) == 5);
  CHECK(result_of<float>("slct.f32.f32 r, a, b, c;", 5.0F, 6.0F, not_a_number) == 6);
}

// --- floating point ---------------------------------------------------------------------------------------

namespace {

template <class T>
void check_floating_point() {
  INFO(type_name<T>());
  CHECK(binary<T>("add.%", [](T a, T b) { return a + b; }));
  CHECK(binary<T>("sub.rn.%", [](T a, T b) { return a - b; }));
  CHECK(binary<T>("mul.rn.%", [](T a, T b) { return a * b; }));
  CHECK(binary<T>("div.rn.%", [](T a, T b) { return a / b; }));
  CHECK(right_for_all<T, T, T>(of_type<T>("fma.rn.% r, a, b, a;"), [](T a, T b) { return std::fma(a, b, a); }));
  CHECK(unary<T>("rcp.rn.%", [](T a) { return 1 / a; }));
  CHECK(unary<T>("sqrt.rn.%", [](T a) { return std::sqrt(a); }));
  CHECK(unary<T>("neg.%", [](T a) { return -a; }));
  CHECK(unary<T>("abs.%", [](T a) { return std::fabs(a); }));
  CHECK(binary<T>("copysign.%", [](T a, T b) { return std::copysign(b, a); }));
  const auto less = [](T a, T b) { return a < b || (a == b && std::signbit(a) > std::signbit(b)); };
  CHECK(binary<T>("min.%", [&](T a, T b) { return a != a ? b : b != b ? a : less(a, b) ? a : b; }));
  CHECK(binary<T>("max.%", [&](T a, T b) { return a != a ? b : b != b ? a : less(a, b) ? b : a; }));
  for (const T a : odd_numbers<T>()) {
    const auto holds = [&](const std::string& is) { return of_predicate(of_type<T>("testp." + is + ".% p, a;"), a); };
    CHECK(holds("finite") == std::isfinite(a));
    CHECK(holds("infinite") == std::isinf(a));
    CHECK(holds("number") == !std::isnan(a));
    CHECK(holds("notanumber") == std::isnan(a));
    CHECK(holds("normal") == std::isnormal(a));
    CHECK(holds("subnormal") == (std::fpclassify(a) == FP_SUBNORMAL));
    for (const T b : odd_numbers<T>()) {
      const auto is = [&](const std::string& relation) {
        return of_predicate(of_type<T>("setp." + relation + ".% p, a, b;"), a, b);
      };
      const bool nan = a != a || b != b;
      CHECK(is("eq") == (a == b));
      CHECK(is("ne") == (!nan && a != b));
      CHECK(is("lt") == (a < b));
      CHECK(is("le") == (a <= b));
      CHECK(is("gt") == (a > b));
      CHECK(is("ge") == (a >= b));
      CHECK(is("equ") == (nan || a == b));
      CHECK(is("neu") == (nan || a != b));
      CHECK(is("ltu") == (nan || a < b));
      CHECK(is("leu") == (nan || a <= b));
      CHECK(is("gtu") == (nan || a > b));
      CHECK(is("geu") == (nan || a >= b));
      CHECK(is("num") == !nan);
      CHECK(is("nan") == nan);
    }
  }
}

// Whether y is x, which a float does not hold, rounded as told.
bool only_rounded(float y, double x, const std::string& how) {
  const float nearest = static_cast<float>(x);
  const float below = nearest <= x ? nearest : std::nextafter(nearest, -infinity);
  const float above = nearest >= x ? nearest : std::nextafter(nearest, infinity);
  return y == (how == "rn" ? nearest : how == "rm" ? below : how == "rp" ? above : x > 0 ? below : above);
}

}  // namespace

TEST_CASE("ptx: floats and doubles") {
  check_floating_point<float>();
  check_floating_point<double>();
  // A float has one NaN.
  CHECK(result_of<u32>("add.f32 a, a, a;\nmov.b32 r, a;", -not_a_number) == 0x7fffffff);
  CHECK(std::isnan(result_of<float>("min.NaN.f32 r, a, b;", 1.0F, not_a_number)));
  CHECK(std::isnan(result_of<float>("max.NaN.f32 r, a, b;", not_a_number, 1.0F)));
  CHECK(result_of<float>("max.NaN.f32 r, a, b;", -3.0F, 1.0F) == 1);
}

TEST_CASE("ptx: rounding") {
  // Sums and products of these are exact in double.
  const float numbers[] = {1.1F, -1.3F, 0.7F, -16777215, 1 + 0x1p-23F, 3e-6F, -0.3F};
  for (const std::string how : {"rn", "rz", "rm", "rp"})
    for (const float a : numbers)
      for (const float b : numbers) {
        INFO(how << " " << a << " " << b);
        const double x = a, y = b;
        CHECK(only_rounded(result_of<float>("add." + how + ".f32 r, a, b;", a, b), x + y, how));
        CHECK(only_rounded(result_of<float>("sub." + how + ".f32 r, a, b;", a, b), x - y, how));
        CHECK(only_rounded(result_of<float>("mul." + how + ".f32 r, a, b;", a, b), x * y, how));
        CHECK(only_rounded(result_of<float>("fma." + how + ".f32 r, a, b, a;", a, b), std::fma(x, y, x), how));
        CHECK(only_rounded(result_of<float>("cvt." + how + ".f32.f64 r, a;", x / y), x / y, how));
      }
  CHECK(result_of<double>("add.rp.f64 r, a, b;", 1.0, 1e-30) == 1 + 0x1p-52);
  CHECK(result_of<double>("add.rz.f64 r, a, b;", 1.0, -1e-30) == 1 - 0x1p-53);
  CHECK(result_of<double>("fma.rm.f64 r, a, b, c;", 1.0, 1.0, -1e-30) == 1 - 0x1p-53);
  CHECK(result_of<double>("div.rp.f64 r, a, b;", 1.0, 3.0) == std::nextafter(1 / 3.0, 1));
  CHECK(result_of<double>("sqrt.rp.f64 r, a;", 3.0) == std::nextafter(std::sqrt(3.0), 2));
  CHECK(same(result_of<float>("add.rm.f32 r, a, b;", 1.0F, -1.0F), -0.0F));
  // And afterwards all is as before.
  CHECK(result_of<float>("add.rp.f32 r, a, b;", 1.0F, 0x1p-30F) == 1 + 0x1p-23F);
  CHECK(result_of<float>("add.f32 r, a, b;", 1.0F, 0x1p-30F) == 1.0F);
}

TEST_CASE("ptx: denormals stay, unless ftz is said; sat") {
  CHECK(result_of<float>("add.f32 r, a, b;", denormal, denormal) == 2 * denormal);
  CHECK(result_of<float>("add.ftz.f32 r, a, b;", denormal, denormal) == 0);
  CHECK(same(result_of<float>("mul.ftz.f32 r, a, b;", -1.0F, denormal), -0.0F));
  CHECK(same(result_of<float>("mul.ftz.f32 r, a, b;", -0x1p-80F, 0x1p-50F), -0.0F));  // the result alone is one
  CHECK(result_of<float>("mul.f32 r, a, b;", 0x1p-80F, 0x1p-50F) == 0x1p-130F);
  CHECK(result_of<float>("fma.rn.ftz.f32 r, a, b, c;", 1.0F, 1.0F, denormal) == 1);
  CHECK(result_of<float>("ex2.approx.ftz.f32 r, a;", -130.0F) == 0);
  CHECK(result_of<float>("ex2.approx.f32 r, a;", -130.0F) == 0x1p-130F);
  CHECK(result_of<float>("rcp.approx.ftz.f32 r, a;", denormal) == infinity);
  CHECK(same(result_of<float>("neg.ftz.f32 r, a;", denormal), -0.0F));
  CHECK(result_of<float>("max.ftz.f32 r, a, b;", denormal, -1.0F) == 0);
  CHECK(!of_predicate("setp.gt.f32 p, 0f00000000, a;", denormal));
  CHECK(of_predicate("setp.gt.f32 p, a, 0f00000000;", denormal));
  CHECK(!of_predicate("setp.gt.ftz.f32 p, a, 0f00000000;", denormal));
  CHECK(result_of<float>("cvt.ftz.f32.f32 r, a;", denormal) == 0);
  CHECK(result_of<double>("cvt.ftz.f64.f32 r, a;", denormal) == 0);
  CHECK(result_of<double>("cvt.f64.f32 r, a;", denormal) == denormal);

  CHECK(result_of<float>("add.sat.f32 r, a, b;", 0.5F, 0.25F) == 0.75F);
  CHECK(result_of<float>("add.sat.f32 r, a, b;", 0.5F, 2.0F) == 1);
  CHECK(result_of<float>("fma.rn.sat.f32 r, a, b, a;", -0.5F, 2.0F) == 0);
  CHECK(same(result_of<float>("mul.sat.f32 r, a, b;", not_a_number, 2.0F), 0.0F));
  CHECK(same(result_of<float>("cvt.sat.f32.f32 r, a;", not_a_number), 0.0F));
  CHECK(result_of<float>("cvt.sat.f32.f32 r, a;", 7.0F) == 1);
}

TEST_CASE("ptx: approximations are libm's") {
  CHECK(unary<float>("ex2.approx.f32", [](float a) { return std::exp2(a); }));
  CHECK(unary<float>("lg2.approx.f32", [](float a) { return std::log2(a); }));
  CHECK(unary<float>("rsqrt.approx.f32", [](float a) { return 1 / std::sqrt(a); }));
  CHECK(unary<float>("sin.approx.f32", [](float a) { return std::sin(a); }));
  CHECK(unary<float>("cos.approx.f32", [](float a) { return std::cos(a); }));
  CHECK(unary<float>("tanh.approx.f32", [](float a) { return std::tanh(a); }));
  CHECK(binary<float>("div.full.f32", [](float a, float b) { return a / b; }));
  CHECK(result_of<double>("rcp.approx.ftz.f64 r, a;", 3.0) == 1 / 3.0);
}

// --- conversions ------------------------------------------------------------------------------------------

namespace {

// cvt.<rounding>.<To>.<From>: rounded by `round`, then the nearest that there is.
template <class To, class From>
void check_to_whole() {
  const std::pair<std::string, From (*)(From)> roundings[] = {
      {"rzi", std::trunc}, {"rni", std::nearbyint}, {"rmi", std::floor}, {"rpi", std::ceil}};
  for (const auto& rounding : roundings)
    for (const From x : odd_numbers<From>()) {
      const long double y = rounding.second(x);
      using Limits = std::numeric_limits<To>;
      const bool wide = sizeof(To) == 8 || sizeof(From) == 8;
      const To want = x != x               ? static_cast<To>(wide ? u64(1) << (8 * sizeof(To) - 1) : 0)
                      : y <= Limits::min() ? Limits::min()
                      : y >= Limits::max() ? Limits::max()
                                           : static_cast<To>(y);
      INFO(rounding.first << " of " << x);
      CHECK(result_of<To>("cvt." + rounding.first + "." + type_name<To>() + "." + type_name<From>() + " r, a;", x) ==
            want);
    }
}

template <class To, class From>
void check_between_whole() {
  const std::string types = "." + type_name<To>() + "." + type_name<From>() + " r, a;";
  CHECK(right_for_all<To, From, u32>("cvt" + types, [](From x, u32) { return static_cast<To>(x); }));
  CHECK(right_for_all<To, From, u32>("cvt.sat" + types, [](From x, u32) {
    using Limits = std::numeric_limits<To>;
    return static_cast<To>(std::clamp<__int128>(x, Limits::min(), Limits::max()));
  }));
}

}  // namespace

TEST_CASE("ptx: conversions") {
  check_to_whole<s32, float>();
  check_to_whole<u32, float>();
  check_to_whole<s64, float>();
  check_to_whole<u64, float>();
  check_to_whole<s16, float>();
  check_to_whole<u8, float>();
  check_to_whole<s32, double>();
  check_to_whole<u32, double>();
  check_to_whole<s64, double>();
  check_to_whole<u64, double>();
  check_between_whole<s64, s32>();
  check_between_whole<u64, u32>();
  check_between_whole<u32, u64>();
  check_between_whole<s32, s64>();
  check_between_whole<u32, s32>();
  check_between_whole<s32, u32>();
  check_between_whole<s8, s32>();
  check_between_whole<u8, s32>();
  check_between_whole<s16, u64>();
  check_between_whole<s64, u64>();
  check_between_whole<u64, s8>();

  CHECK(unary<float>("cvt.rni.f32.f32", [](float a) { return std::nearbyint(a); }));
  CHECK(unary<float>("cvt.rmi.f32.f32", [](float a) { return std::floor(a); }));
  CHECK(unary<double>("cvt.rpi.f64.f64", [](double a) { return std::ceil(a); }));
  CHECK(unary<double>("cvt.rzi.f64.f64", [](double a) { return std::trunc(a); }));
  CHECK(right_for_all<float, s64, u32>("cvt.rn.f32.s64 r, a;", [](s64 a, u32) { return float(a); }));
  CHECK(right_for_all<float, u64, u32>("cvt.rn.f32.u64 r, a;", [](u64 a, u32) { return float(a); }));
  CHECK(right_for_all<float, s32, u32>("cvt.rn.f32.s32 r, a;", [](s32 a, u32) { return float(a); }));
  CHECK(right_for_all<double, s64, u32>("cvt.rn.f64.s64 r, a;", [](s64 a, u32) { return double(a); }));
  CHECK(right_for_all<double, u32, u32>("cvt.rn.f64.u32 r, a;", [](u32 a, u32) { return double(a); }));
  CHECK(result_of<float>("cvt.rz.f32.s32 r, a;", 0x7fffffff) == 0x7fffff80);
  CHECK(result_of<float>("cvt.rp.f32.s32 r, a;", 0x7fffffff) == 0x1p31F);
  CHECK(right_for_all<float, double, u32>("cvt.rn.f32.f64 r, a;", [](double a, u32) { return float(a); }));
}

TEST_CASE("ptx: conversions to bfloat16 and TF32") {
  const struct {
    float x;
    u16 bf16;
    float tf32;
  } numbers[] = {{1, 0x3f80, 1},
                 {-1.5F, 0xbfc0, -1.5F},
                 {1 + 0x1p-8F, 0x3f80, 1 + 0x1p-8F},  // halves: of bfloat16 to the even, of TF32 away from zero
                 {1 + 0x3p-8F, 0x3f82, 1 + 0x3p-8F},
                 {1 + 0x1p-8F + 0x1p-23F, 0x3f81, 1 + 0x1p-8F},
                 {1 + 0x1p-11F, 0x3f80, 1 + 0x1p-10F},
                 {-1 - 0x1p-11F, 0xbf80, -1 - 0x1p-10F},
                 {1 + 0x1p-11F - 0x1p-23F, 0x3f80, 1},
                 {0x1.fffffep127F, 0x7f80, infinity},
                 {-infinity, 0xff80, -infinity},
                 {-0.0F, 0x8000, -0.0F},
                 {0x1p-133F, 1, 0x1p-133F}};
  for (const auto& n : numbers) {
    INFO(n.x);
    CHECK(result_of<u16>("cvt.rn.bf16.f32 r, a;", n.x) == n.bf16);
    CHECK(result_of<u32>("cvt.rn.bf16x2.f32 r, a, b;", n.x, -3.5F) == (u32{n.bf16} << 16 | 0xc060));
    CHECK(result_of<u32>("cvt.rn.bf16x2.f32 r, b, a;", n.x, -3.5F) == (0xc0600000 | n.bf16));
    CHECK(same(result_of<float>("cvt.rna.tf32.f32 r, a;", n.x), n.tf32));
  }
  CHECK(result_of<u16>("cvt.rn.bf16.f32 r, a;", -not_a_number) == 0x7fff);
  CHECK(std::isnan(result_of<float>("cvt.rna.tf32.f32 r, a;", not_a_number)));
}

TEST_CASE("ptx: moves between registers and their parts") {
  CHECK(result_of<u64>("mov.b64 r, {a, b};", 0x11111111u, 0xfedcba98u) == 0xfedcba9811111111u);
  CHECK(result_of<u32>(".reg .b32 low, high;\nmov.b64 {low, high}, a;\nsub.u32 r, high, low;", 0x0000000900000007u) ==
        2);
  CHECK(result_of<u32>(".reg .b32 low;\nmov.b64 {low, _}, a;\nmov.b32 r, low;", 0x0000000900000007u) == 7);
  CHECK(result_of<u32>(".reg .b16 h<2>;\nmov.b32 {h0, h1}, a;\nmov.b32 r, {h1, h0};", 0x12345678u) == 0x56781234);
  CHECK(result_of<double>(".reg .b32 h<2>;\nmov.b64 {h0, h1}, a;\nmov.b64 r, {h0, h1};", -3.5) == -3.5);
  CHECK(result_of<float>("mov.f32 r, 0fC0600000;") == -3.5F);
  CHECK(result_of<double>("mov.f64 r, 0dC00C000000000000;") == -3.5);
  CHECK(result_of<u32>("mov.u32 r, WARP_SZ;") == 32);
}

// --- memory -----------------------------------------------------------------------------------------------

TEST_CASE("ptx: memory") {
  alignas(16) float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto at = reinterpret_cast<std::uintptr_t>(x);
  CHECK(result_of<float>("ld.global.f32 r, [a+12];", at) == 4);
  CHECK(result_of<float>("add.u64 a, a, 16;\nld.global.nc.f32 r, [a+-4];", at) == 4);
  CHECK(result_of<float>(".reg .f32 f<4>;\nld.global.v4.f32 {f0, f1, f2, f3}, [a+16];\n"
                         "st.global.v2.f32 [a+8], {f3, f1};\nsub.f32 r, f2, f0;",
                         at) == 2);
  CHECK(x[2] == 8);
  CHECK(x[3] == 6);
  CHECK(x[4] == 5);

  // A number that is loaded into a wider register gets its sign, or zeros; one that is stored loses what is too much.
  u8 bytes[8] = {0xfe, 0xff, 0x80, 1, 2, 3, 4, 5};
  const auto bytes_at = reinterpret_cast<std::uintptr_t>(bytes);
  CHECK(result_of<s32>("ld.global.s8 r, [a];", bytes_at) == -2);
  CHECK(result_of<u32>("ld.global.u8 r, [a];", bytes_at) == 0xfe);
  CHECK(result_of<s64>("ld.global.s16 r, [a];", bytes_at) == -2);
  CHECK(result_of<u64>("ld.global.b16 r, [a];", bytes_at) == 0xfffe);
  CHECK(result_of<u32>("st.global.u8 [a+3], b;\nmov.b32 r, 0;", bytes_at, 0x12345677u) == 0);
  CHECK(bytes[3] == 0x77);
  CHECK(bytes[4] == 2);

  // Arrays of a thread, by addresses that are made from a number.
  const std::string local =
      ".local .align 1 .b8 before[3];\n.local .align 8 .b8 array[32];\n.reg .b64 base, place;\nmov.u64 base, "
      "array;\ncvta.local.u64 base, base;\n"
      "st.local.u32 [array+4], 11;\nst.u64 [base+8], 22;\ncvta.to.local.u64 place, base;\nadd.u64 place, place, a;\n";
  CHECK(result_of<u32>(local + "ld.local.u32 r, [place];", u64(4)) == 11);
  CHECK(result_of<u32>(local + "ld.u32 r, [place];", u64(8)) == 22);

  CHECK(says(last_words([&] { result_of<float>("ld.global.f32 r, [a];", at + 2); }),
             "the address of 4 bytes is not a multiple of that"));
  CHECK(says(last_words([&] { result_of<float>(".reg .f32 f;\nld.global.v2.f32 {r, f}, [a];", at + 4); }),
             "the address of 8 bytes is not a multiple of that (ld.global.v2.f32"));
  CHECK(says(last_words([&] { result_of<u32>("st.u64 [a], 0;\nmov.b32 r, 0;", at + 4); }),
             "the address of 8 bytes is not a multiple of that"));
}

TEST_CASE("ptx: parameters, tables, branches and calls") {
  emulator::ptx::load(head + R"(
.const .align 4 .b32 primes[4] = {2, 3, 5, -7};
.global .align 1 .b8 letters[3] = {97, 98};

// A function that changes its parameter and gives back two numbers.
.func (.param .align 8 .b8 results[16]) twice(.param .b32 x, .param .align 8 .b8 pair[16])
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<3>;
  ld.param.u32 %r1, [x];
  add.u32 %r1, %r1, %r1;
  st.param.b32 [results+0], %r1;
  ld.param.u64 %rd1, [pair+8];
  add.u64 %rd1, %rd1, %rd1;
  st.param.b64 [results+8], %rd1;
  ret;
}

.func end_if_one(.param .b32 x)
{
  .reg .pred %p;
  .reg .b32 %r;
  ld.param.u32 %r, [x];
  setp.eq.u32 %p, %r, 1;
  @%p exit;
  ret;
}

.visible .entry many(.param .u64 many_param_0, .param .align 8 .b8 many_param_1[24], .param .u32 many_param_2)
.maxntid 256, 1, 1
{
  .reg .pred %p<3>;
  .reg .b32 %r<20>;
  .reg .b64 %rd<20>;
  ld.param.u64 %rd1, [many_param_0];
  cvta.to.global.u64 %rd1, %rd1;

  // A number of a struct, where the index is known only now.
  ld.param.u32 %r1, [many_param_2];
  mov.b64 %rd2, many_param_1;
  mul.wide.u32 %rd3, %r1, 8;
  add.s64 %rd4, %rd2, %rd3;
  ld.param.u64 %rd5, [%rd4];
  st.global.u64 [%rd1], %rd5;

  mov.u64 %rd6, primes;
  ld.const.s32 %r2, [%rd6+12];
  ld.const.s32 %r3, [primes+4];
  mov.u64 %rd7, primes+8;
  ld.s32 %r4, [%rd7];
  mad.lo.s32 %r5, %r2, %r3, %r4;
  ld.global.u8 %r6, [letters+1];
  add.s32 %r5, %r5, %r6;
  cvt.s64.s32 %rd8, %r5;
  st.global.u64 [%rd1+8], %rd8;

  // The numbers of a loop, and names within a scope that hide others: %r7 stays.
  mov.u32 %r7, 0;
  mov.u32 %r8, 0;
$L_loop:
  {
    .reg .b32 %r7, scratch;
    mov.u32 %r7, 1000;
    add.u32 scratch, %r7, 1;
  }
  add.u32 %r7, %r7, %r8;
  add.u32 %r8, %r8, 1;
  setp.lt.u32 %p1, %r8, 5;
  @%p1 bra $L_loop;
  cvt.u64.u32 %rd9, %r7;
  st.global.u64 [%rd1+16], %rd9;

  { // a call
    .param .b32 param0;
    st.param.b32 [param0+0], 21;
    .param .align 8 .b8 param1[16];
    st.param.v2.b64 [param1+0], {%rd9, %rd5};
    .param .align 8 .b8 retval0[16];
    call.uni (retval0), twice, (param0, param1);
    ld.param.b32 %r9, [retval0+0];
    ld.param.b64 %rd10, [retval0+8];
  }
  cvt.u64.u32 %rd11, %r9;
  add.u64 %rd11, %rd11, %rd10;
  st.global.u64 [%rd1+24], %rd11;

$L_table: .branchtargets $L_zero, $L_one, $L_two;
  brx.idx %r1, $L_table;
$L_zero:
  st.global.u64 [%rd1+32], 100;
  bra.uni $L_end;
$L_one:
  st.global.u64 [%rd1+32], 101;
  bra.uni $L_end;
$L_two:
  st.global.u64 [%rd1+32], 102;
$L_end:
  {
    .param .b32 param0;
    st.param.b32 [param0], %r1;
    call.uni end_if_one, (param0);
  }
  st.global.u64 [%rd1+40], 7;
}
)",
                      "many");
  const void* const entry = emulator::ptx::find(std::string("many"));
  REQUIRE(entry != nullptr);
  for (u32 k = 0; k < 3; ++k) {
    s64 results[6] = {};
    s64* address = results;
    s64 numbers[3] = {1000, 2000, 3000};
    void* arguments[] = {&address, numbers, &k};
    emulator::ptx::run(entry, arguments);
    CHECK(results[0] == numbers[k]);
    CHECK(results[1] == -7 * 3 + 5 + 98);
    CHECK(results[2] == 0 + 1 + 2 + 3 + 4);
    CHECK(results[3] == 42 + 2 * numbers[k]);
    CHECK(results[4] == 100 + k);
    CHECK(results[5] == (k == 1 ? 0 : 7));
  }
  CHECK(emulator::ptx::find(std::string("twice")) == nullptr);  // is no kernel
}

TEST_CASE("ptx: what is not known dies by name, and only where it is executed") {
  CHECK(result_of<u32>("mov.u32 r, 1;\nbra $L_end;\natom.global.add.f32 r, [r], r;\n$L_end:") == 1);
  CHECK(result_of<u32>("mov.u32 r, 1;\nsetp.eq.u32 p, r, 2;\n@p cvt.rn.f16.f32 r, r;") == 1);
  const auto words = [](const std::string& body) {
    return last_words([&] { result_of<u32>("mov.u32 r, 1;\n" + body); });
  };
  CHECK(says(words("wmma.mma.sync r, r;"), "this PTX instruction is not supported (wmma.mma.sync, instruction 1 of"));
  CHECK(says(words("add.f16 r, r, r;"), "this PTX instruction is not supported (add.f16"));
  CHECK(says(words("add.sat.s32 r, r, r;"), "this PTX instruction is not supported (add.sat.s32"));
  CHECK(says(words(".reg .b16 h;\nmov.b16 h, 0;\ncvt.f32.bf16 r, h;"), "is not supported (cvt.f32.bf16, in"));
  CHECK(says(words("cvt.rz.bf16.f32 r, r;"), "is not supported (cvt.rz.bf16.f32, in"));
  CHECK(says(words("cvt.rn.relu.bf16x2.f32 r, r, r;"), "is not supported (cvt.rn.relu.bf16x2.f32, in"));
  CHECK(says(words("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {r, r, r, r}, {r, r}, {r}, {r, r, r, r};"),
             "is not supported (mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32, in"));
  CHECK(
      says(words("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {r, r, r, r}, {r, r, r, r}, {r}, {r, r, r, r};"),
           "m16n8k16.row.col.f32.bf16.bf16.f32, with so many operands"));
  CHECK(says(words("mov.u32 r, %clock;"), "is not supported (mov.u32, because of its operand %clock"));
  CHECK(says(words("min.u32 r, r, r, r;"), "is not supported (min.u32, with so many operands"));
  CHECK(says(words("mov.f32 r, 1.5;"), "is not supported (mov.f32, because of its operand 1.5"));
  CHECK(says(words("bar.sync 1;"), "only barrier 0 is supported"));
  CHECK(says(words("call.uni vprintf;"), "a PTX function that is called is not there: vprintf"));
  CHECK(says(words("bra $L_nowhere;"), "label '$L_nowhere' is nowhere"));
  CHECK(says(last_words([] { emulator::ptx::load(".entry x()\n{\n ret;\n", "half.ptx"); }), "half.ptx:3"));
}

// --- threads ----------------------------------------------------------------------------------------------

namespace {

template <class... P>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::type_identity_t<P>... arguments) {
  void* pointers[] = {&arguments...};
  REQUIRE(cudaLaunchKernel(kernel, grid, block, pointers, 0, nullptr) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
}

template <class T>
struct DeviceArray {
  explicit DeviceArray(std::size_t n) : size(n) { REQUIRE(cudaMalloc(&data, n * sizeof(T)) == cudaSuccess); }
  ~DeviceArray() { cudaFree(data); }
  DeviceArray(const DeviceArray&) = delete;
  std::vector<T> values() const {
    std::vector<T> numbers(size);
    REQUIRE(cudaMemcpyAsync(numbers.data(), data, size * sizeof(T), cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
    return numbers;
  }
  void set(const std::vector<T>& numbers) {
    T* host = nullptr;
    REQUIRE(cudaMallocHost(&host, size * sizeof(T)) == cudaSuccess);
    std::copy(numbers.begin(), numbers.end(), host);
    REQUIRE(cudaMemcpyAsync(data, host, size * sizeof(T), cudaMemcpyHostToDevice, nullptr) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess);
    cudaFreeHost(host);
  }
  std::size_t size;
  T* data = nullptr;
};

}  // namespace

TEST_CASE("ptx: where a thread is") {
  const std::vector<std::string> names = {"%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",      "%ntid.y",
                                          "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z",     "%nctaid.x",
                                          "%nctaid.y", "%nctaid.z", "%laneid",  "%lanemask_lt", "%lanemask_ge"};
  std::string text = head + R"(
.visible .entry _ZN8ptx_test8positionEPj(.param .u64 p)
{
  .reg .b32 %r<9>;
  .reg .b64 %rd<3>;
  mov.u32 %r1, %ctaid.z;
  mov.u32 %r2, %nctaid.y;
  mov.u32 %r3, %ctaid.y;
  mad.lo.u32 %r1, %r1, %r2, %r3;
  mov.u32 %r2, %nctaid.x;
  mov.u32 %r3, %ctaid.x;
  mad.lo.u32 %r1, %r1, %r2, %r3;
  mov.u32 %r2, %tid.z;
  mad.lo.u32 %r1, %r1, 2, %r2;
  mov.u32 %r2, %tid.y;
  mad.lo.u32 %r1, %r1, 4, %r2;
  mov.u32 %r2, %tid.x;
  mad.lo.u32 %r1, %r1, 8, %r2;
  ld.param.u64 %rd1, [p];
  mad.wide.u32 %rd1, %r1, 64, %rd1;
)";
  for (std::size_t k = 0; k < names.size(); ++k)
    text += "mov.u32 %r8, " + names[k] + ";\nst.global.u32 [%rd1+" + std::to_string(4 * k) + "], %r8;\n";
  emulator::ptx::load(text + "ret;\n}\n", "position");
  const DeviceArray<u32> y(64 * 16 * 30);
  launch(ptx_test::position, dim3(5, 3, 2), dim3(8, 4, 2), y.data);
  const std::vector<u32> got = y.values();
  bool right = true;
  for (u32 block = 0; block < 30; ++block)
    for (u32 thread = 0; thread < 64; ++thread) {
      const u32 lane = thread % 32, below = (1u << lane) - 1;
      const u32 want[] = {thread % 8, thread / 8 % 4, thread / 32, 8, 4, 2,
                          block % 5,  block / 5 % 3,  block / 15,  5, 3, 2,
                          lane,       below,          ~below};
      right = right && std::equal(std::begin(want), std::end(want), &got[(block * 64 + thread) * 16]);
    }
  CHECK(right);
}

TEST_CASE("ptx: shuffles and votes") {
  // The second number after the lane: where the part of the warp ends, and which bits of the lane tell the part.
  const std::vector<std::string> shuffles = {
      "bfly.b32 r|p, v, 5, 31, -1",     "bfly.b32 r|p, v, 4, 0x1c1f, -1", "down.b32 r|p, v, 3, 31, -1",
      "down.b32 r|p, v, 3, 0x181f, -1", "up.b32 r|p, v, 3, 0, -1",        "up.b32 r|p, v, 3, 0x1800, -1",
      "idx.b32 r|p, v, 9, 31, -1",      "idx.b32 r|p, v, 9, 0x181f, -1",  "idx.b32 r|p, v, 5, 3, -1"};
  std::string text = head + R"(
.visible .entry _ZN8ptx_test8exchangeEPj(.param .u64 y)
{
  .reg .pred p, odd, never;
  .reg .b32 lane, v, r, one;
  .reg .b64 at;
  ld.param.u64 at, [y];
  mov.u32 lane, %laneid;
  mad.wide.u32 at, lane, 128, at;
  add.u32 v, lane, 100;
  and.b32 one, lane, 1;
  setp.eq.u32 odd, one, 1;
  setp.gt.u32 never, one, 1;
)";
  std::size_t n = 0;
  const auto store = [&](const std::string& what) {
    text += "st.global.u32 [at+" + std::to_string(4 * n++) + "], " + what + ";\n";
  };
  for (const std::string& shuffle : shuffles) {
    text += "shfl.sync." + shuffle + ";\n";
    store("r");
    text += "selp.u32 r, 1, 0, p;\n";
    store("r");
  }
  text += "vote.sync.ballot.b32 r, odd, -1;\n";
  store("r");
  for (const std::string vote :
       {"any.pred p, odd", "all.pred p, odd", "uni.pred p, odd", "uni.pred p, never", "any.pred p, !odd"}) {
    text += "vote.sync." + vote + ", -1;\nselp.u32 r, 1, 0, p;\n";
    store("r");
  }
  text += "shfl.sync.down.b32 r, v, 1, 31, -1;\n";  // without its second result
  store("r");
  emulator::ptx::load(text + "bar.warp.sync -1;\nret;\n}\n", "exchange");
  const DeviceArray<u32> y(32 * 32);
  launch(ptx_test::exchange, 1, 32, y.data);
  const std::vector<u32> got = y.values();
  for (u32 lane = 0; lane < 32; ++lane) {
    INFO("lane " << lane);
    const u32* row = &got[lane * 32];
    const auto check = [&](u32 from, bool inside) {
      CHECK(*row++ == 100 + (inside ? from : lane));
      CHECK(*row++ == inside);
    };
    check(lane ^ 5, true);
    check(lane ^ 4, lane % 8 >= 4);  // parts of 4: what is behind the end does not count, what is before the begin does
    check(lane + 3, lane + 3 < 32);
    check(lane + 3, lane % 8 + 3 < 8);
    check(lane - 3, lane >= 3);
    check(lane - 3, lane % 8 >= 3);
    check(9, true);
    check(lane / 8 * 8 + 1, true);
    check(5, false);
    CHECK(*row++ == 0xaaaaaaaa);
    CHECK(*row++ == 1);
    CHECK(*row++ == 0);
    CHECK(*row++ == 0);
    CHECK(*row++ == 1);
    CHECK(*row++ == 1);
    CHECK(*row++ == 100 + (lane < 31 ? lane + 1 : lane));
  }
}

TEST_CASE("ptx: shared memory and barriers") {
  // Two arrays: the first is there so that the second is not at the beginning.
  const std::string begin = head + R"(
.shared .align 4 .b8 before[12];
.visible .entry _ZN8ptx_test7reverseEPfPKf(.param .u64 y, .param .u64 x)
{
  .reg .b32 %r<9>;
  .reg .pred first;
  .reg .f32 %f<3>;
  .reg .b64 %rd<9>;
  .shared .align 4 .b8 row[256];
  ld.param.u64 %rd1, [y];
  ld.param.u64 %rd2, [x];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.f32 %f1, [%rd4];
  setp.eq.u32 first, %r1, 0;
  @first st.shared.f32 [before], %f1;
  mov.u32 %r2, row;
  shl.b32 %r3, %r1, 2;
  add.s32 %r4, %r2, %r3;
  st.shared.f32 [%r4], %f1;
)";
  const std::string end = R"(
  add.s64 %rd4, %rd1, %rd3;
  st.global.f32 [%rd4], %f2;
  ret;
}
)";
  const std::string barrier = "bar.sync 0;\n", read = "sub.s32 %r5, %r2, %r3;\nld.shared.f32 %f2, [%r5+252];\n";
  // By an address as of any memory, and back.
  const std::string read_generic =
      "mov.u64 %rd5, row;\ncvta.shared.u64 %rd5, %rd5;\nsub.s64 %rd6, %rd5, %rd3;\nadd.s64 %rd6, %rd6, 252;\n"
      "cvta.to.shared.u64 %rd7, %rd6;\nld.shared.f32 %f2, [%rd7];\nld.f32 %f1, [%rd6];\nadd.f32 %f2, %f2, %f1;\n"
      "mul.f32 %f2, %f2, 0f3F000000;\n";
  std::vector<float> numbers(64), reversed(64);
  for (std::size_t k = 0; k < 64; ++k) numbers[k] = reversed[63 - k] = static_cast<float>(k) + 1;
  DeviceArray<float> x(64);
  const DeviceArray<float> y(64);
  x.set(numbers);
  for (const std::string& body : {barrier + read, barrier + read_generic}) {
    emulator::ptx::load(begin + body + end, "reverse");
    launch(ptx_test::reverse, 1, 64, y.data, x.data);
    CHECK(y.values() == reversed);
  }
  const auto words = [&](const std::string& body) {
    return last_words([&] {
      emulator::ptx::load(begin + body + end, "reverse");
      launch(ptx_test::reverse, 1, 64, y.data, x.data);
    });
  };
  CHECK(says(words(barrier + "ld.shared.f32 %f2, [%r4+4];\n"), "shared memory is accessed outside of its arrays"));
  CHECK(says(words(barrier + "ld.shared.f32 %f2, [%r3];\n"), "shared memory is accessed outside of its arrays"));
  CHECK(says(words("ld.shared.v2.f32 {%f1, %f2}, [row];\n"),
             "8 bytes are accessed at once in a shared array that is aligned to 4 (ld.shared.v2.f32"));
  CHECK(says(words("setp.lt.u32 %p1, %r1, 32;\n@%p1 bar.sync 0;\n" + read), "unknown predicate %p1"));
  CHECK(says(words(".reg .pred %p1;\nsetp.lt.u32 %p1, %r1, 32;\n@%p1 bar.sync 0;\n" + read),
             "not all threads come to the same barrier"));
  CHECK(says(words("mov.f32 %f2, %f1;\nadd.s64 %rd1, %rd1, 2;\n"), "the address of 4 bytes is not a multiple of that"));
}

TEST_CASE("ptx: numbers that are moved together, of every width") {
  std::vector<u8> numbers(64);
  for (std::size_t k = 0; k < 64; ++k) numbers[k] = static_cast<u8>(200 - 3 * k);
  DeviceArray<u8> x(64);
  const DeviceArray<u8> y(64);
  x.set(numbers);
  // The last of `count` first; and through shared memory, which knows no more than 16 bytes at once.
  const auto load = [](const std::string& type, std::size_t count, const std::string& offset) {
    const unsigned long bits = std::stoul(type.substr(1));
    const std::string kind = ".v" + std::to_string(count) + "." + type;
    std::string registers = "v0", reversed = "v0", through_shared;
    for (std::size_t k = 1; k < count; ++k) {
      registers += ", v" + std::to_string(k);
      reversed = "v" + std::to_string(k) + ", " + reversed;
    }
    if (bits * count <= 128)
      through_shared = "st.shared" + kind + " [row+16], {" + registers + "};\nld.shared" + kind + " {" + registers +
                       "}, [row+16];\n";
    const std::string begin = head + R"(
.visible .entry _ZN8ptx_test4copyEPhPKh(.param .u64 y, .param .u64 x)
{
  .shared .align 16 .b8 row[32];
  .reg .b64 to, from;
  ld.param.u64 to, [y];
  ld.param.u64 from, [x];
)";
    emulator::ptx::load(begin + ".reg ." + (bits == 8 ? "b16" : type) + " v<8>;\nld.global" + kind + " {" + registers +
                            "}, [from+" + offset + "];\n" + through_shared + "st.global" + kind + " [to+32], {" +
                            reversed + "};\nret;\n}\n",
                        "copy");
  };
  for (const std::string type :
       {"u8", "s8", "b8", "u16", "s16", "b16", "u32", "s32", "b32", "f32", "u64", "s64", "b64", "f64"})
    for (const std::size_t count : {2, 4, 8}) {
      const std::size_t bytes = std::stoul(type.substr(1)) / 8, all = bytes * count;
      if (all > 32) continue;
      INFO(count << " of " << type);
      load(type, count, std::to_string(all));
      launch(ptx_test::copy, 1, 1, y.data, x.data);
      const std::vector<u8> got = y.values();
      bool right = true;
      for (std::size_t k = 0; k < all; ++k)
        right = right && got[32 + k] == numbers[all + (count - 1 - k / bytes) * bytes + k % bytes];
      CHECK(right);
      const std::string misaligned = "the address of " + std::to_string(all) + " bytes is not a multiple of that";
      CHECK(says(last_words([&] {
                   load(type, count, std::to_string(all / 2));
                   launch(ptx_test::copy, 1, 1, y.data, x.data);
                 }),
                 misaligned + " (ld.global.v"));
    }
}

TEST_CASE("ptx: products of tensor cores") {
  // What a lane brings: 4 words of a, 2 of b, 4 of c.
  const auto load = [](const std::string& instruction) {
    emulator::ptx::load(head + R"(
.visible .entry _ZN8ptx_test8multiplyEPfPKj(.param .u64 y, .param .u64 x)
{
  .reg .pred %p1;
  .reg .b32 %r<9>;
  .reg .f32 %f<9>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [y];
  ld.param.u64 %rd2, [x];
  mov.u32 %r7, %laneid;
  setp.ne.u32 %p1, %r7, 9;
  mul.wide.u32 %rd3, %r7, 48;
  add.s64 %rd2, %rd2, %rd3;
  mul.wide.u32 %rd3, %r7, 16;
  add.s64 %rd1, %rd1, %rd3;
  ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd2];
  ld.global.v2.u32 {%r5, %r6}, [%rd2+16];
  ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd2+32];
  )" + instruction + R"(
  st.global.v4.f32 [%rd1], {%f5, %f6, %f7, %f8};
  ret;
}
)",
                        "multiply");
  };
  const std::string operands = " {%f5, %f6, %f7, %f8}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};\n";
  struct Kind {
    std::string instruction;
    u32 k, parts;  // columns of A; numbers in a word
  };
  const Kind kinds[] = {{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 16, 2},
                        {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 8, 1}};
  for (const Kind& kind : kinds) {
    const std::string& instruction = kind.instruction;
    const u32 K = kind.k, parts = kind.parts;
    INFO(instruction);
    // Numbers of a few digits, which both types hold.
    std::vector<float> A(16 * K), B(K * 8), C(16 * 8);
    u32 n = 1;
    for (std::vector<float>* const matrix : {&A, &B, &C})
      for (float& number : *matrix)
        number = static_cast<float>(static_cast<int>((n = n * 1103515245 + 12345) >> 24) - 128) / 8;
    // Element i of lane 4 · group + in_group, as the manual of PTX has it: "Matrix Fragments for mma.m16n8k16 with
    // floating point type", and for mma.m16n8k8.
    std::vector<u32> words(32 * 12);
    for (u32 lane = 0; lane < 32; ++lane) {
      const u32 group = lane >> 2, in_group = lane % 4;
      u32* const word = &words[lane * 12];
      const auto put = [&](u32 number, float x) {
        word[number / parts] |= std::bit_cast<u32>(x) >> (parts == 2 && number % 2 == 0 ? 16 : 0);
      };
      if (parts == 2) {
        for (u32 i = 0; i < 8; ++i) {
          const u32 row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
          put(i, A[row * K + in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)]);
        }
        for (u32 i = 0; i < 4; ++i) put(8 + i, B[(in_group * 2 + (i & 1) + (i < 2 ? 0 : 8)) * 8 + group]);
      } else {
        for (u32 i = 0; i < 4; ++i)
          put(i, A[(i == 0 || i == 2 ? group : group + 8) * K + (i < 2 ? in_group : in_group + 4)]);
        for (u32 i = 0; i < 2; ++i) put(4 + i, B[(i == 0 ? in_group : in_group + 4) * 8 + group]);
      }
      for (u32 i = 0; i < 4; ++i)
        word[8 + i] = std::bit_cast<u32>(C[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)]);
    }
    DeviceArray<u32> x(32 * 12);
    const DeviceArray<float> y(32 * 4);
    const auto product = [&] {
      x.set(words);
      launch(ptx_test::multiply, 1, 32, y.data, x.data);
      return y.values();
    };
    load(instruction + operands);
    const std::vector<float> D = product();
    bool right = true;
    for (u32 lane = 0; lane < 32; ++lane)
      for (u32 i = 0; i < 4; ++i) {
        const u32 row = (i < 2 ? 0 : 8) + lane / 4, column = lane % 4 * 2 + (i & 1);
        float sum = C[row * 8 + column];  // exact: they have few digits
        for (u32 k = 0; k < K; ++k) sum += A[row * K + k] * B[k * 8 + column];
        right = right && D[lane * 4 + i] == sum;
      }
    CHECK(right);

    // As with all arithmetic, there is a single NaN.
    words[12 * 5] = 0xffc00000;
    CHECK(std::bit_cast<u32>(product()[4 * 5]) == 0x7fffffff);

    CHECK(says(last_words([&] {
                 load("@%p1 " + instruction + operands);
                 product();
               }),
               "not all threads come to the same barrier or exchange"));
  }
}
