#include "ptx_instructions.h"

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <type_traits>
#include <utility>

#include "engine.h"
#include "tensor_cores.h"

namespace emulator::ptx {
namespace {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

// --- registers --------------------------------------------------------------------------------------------

// A number narrower than a register is in its low bits. The rest is its sign, or 0: so a number that is read wider
// than it was written, as loads of bytes are, is still right.
static_assert(std::endian::native == std::endian::little, "get() takes the first bytes for the low bits");

template <class T>
T get(const Frame& f, Register r) {
  T value;
  std::memcpy(&value, f.registers + r, sizeof value);
  return value;
}
template <>
bool get(const Frame& f, Register r) {
  return f.registers[r] != 0;  // nvcc writes true as -1
}

template <class T>
void set(Frame& f, Register r, T value) {
  if constexpr (std::is_same_v<T, float>)
    f.registers[r] = std::bit_cast<u32>(value);
  else if constexpr (std::is_same_v<T, double>)
    f.registers[r] = std::bit_cast<u64>(value);
  else if constexpr (std::is_signed_v<T>)
    f.registers[r] = static_cast<u64>(static_cast<s64>(value));
  else
    f.registers[r] = value;
}

// --- types ------------------------------------------------------------------------------------------------

template <class T>
constexpr Type type_of = Type::none;
template <>
constexpr Type type_of<bool> = Type::pred;
template <>
constexpr Type type_of<u8> = Type::u8;
template <>
constexpr Type type_of<u16> = Type::u16;
template <>
constexpr Type type_of<u32> = Type::u32;
template <>
constexpr Type type_of<u64> = Type::u64;
template <>
constexpr Type type_of<s8> = Type::s8;
template <>
constexpr Type type_of<s16> = Type::s16;
template <>
constexpr Type type_of<s32> = Type::s32;
template <>
constexpr Type type_of<s64> = Type::s64;
template <>
constexpr Type type_of<float> = Type::f32;
template <>
constexpr Type type_of<double> = Type::f64;

Type without_sign(Type t) {
  switch (t) {
    case Type::s8:
      return Type::u8;
    case Type::s16:
      return Type::u16;
    case Type::s32:
      return Type::u32;
    case Type::s64:
      return Type::u64;
    default:
      return t;
  }
}
Type bits_of(Type t) { return t == Type::f32 ? Type::u32 : t == Type::f64 ? Type::u64 : without_sign(t); }
Type itself(Type t) { return t; }

/// The types for which an instruction is defined, after `as` was asked: where the sign makes no difference, or where
/// nothing but the bits matter, one action serves several types.
template <Type (*as)(Type), class... T>
struct Types {};
using Signed = Types<itself, u16, u32, u64, s16, s32, s64>;
using Words = Types<without_sign, u16, u32, u64>;
using Bits = Types<bits_of, u16, u32, u64>;
using Truth = Types<itself, bool>;
using Floats = Types<itself, float, double>;
using Narrow = Types<itself, u16, u32, s16, s32>;
using Single = Types<bits_of, u32>;
using Numbers = Types<itself, u16, u32, u64, s16, s32, s64, float, double>;
using InMemory = Types<itself, u8, u16, u32, u64, s8, s16, s32, s64, float, double>;

/// Twice as wide.
template <class T>
struct WideOf;
template <>
struct WideOf<u16> {
  using type = u32;
};
template <>
struct WideOf<s16> {
  using type = s32;
};
template <>
struct WideOf<u32> {
  using type = u64;
};
template <>
struct WideOf<s32> {
  using type = s64;
};
template <>
struct WideOf<u64> {
  using type = unsigned __int128;
};
template <>
struct WideOf<s64> {
  using type = __int128;
};
template <class T>
using Wide = typename WideOf<T>::type;

/// What an instruction takes and gives, for operands of type T.
template <class T>
using Unary = T(T);
template <class T>
using Binary = T(T, T);
template <class T>
using Ternary = T(T, T, T);
template <class T>
using Shift = T(T, u32);
template <class T>
using Count = u32(T);
template <class T>
using Half = u16(T);
template <class T>
using TwoHalves = u32(T, T);
template <class T>
using Property = bool(T);
template <class T>
using Selection = T(T, T, bool);
template <class T>
using WideProduct = Wide<T>(T, T);
template <class T>
using WideProductAndSum = Wide<T>(T, T, Wide<T>);
template <class T>
using Extraction = T(T, u32, u32);
template <class T>
using Insertion = T(T, T, u32, u32);
template <class T>
using Logic = T(T, T, T, T);

// --- how a row of the table becomes an action -------------------------------------------------------------

using Chooser = Choice (*)(const Mnemonic&);

/// The action that Make has for the type of the mnemonic, if T... are its types.
template <template <class> class Make, Type (*as)(Type), class... T>
Choice among(Types<as, T...>, Type type) {
  Choice choice;
  ((as(type) == type_of<T> ? void(choice = {Make<T>::action, Make<T>::operands}) : void()), ...);
  return choice;
}
bool is_modified(const Mnemonic& m) { return m.rounds || m.modifiers.flush || m.modifiers.saturate; }

/// operand[0] = F(operand[1], ...). If F wants one argument more, the first is the carry.
template <class F, class Signature>
struct Calculate;
template <class F, class R, class... A>
struct Calculate<F, R(A...)> {
  static constexpr std::size_t operands = 1 + sizeof...(A);
  static void action(const Instruction& i, Frame& f) {
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      if constexpr (std::is_invocable_v<F, bool&, A...>)
        set(f, i.operand[0], static_cast<R>(F{}(f.carry, get<A>(f, i.operand[1 + K])...)));
      else
        set(f, i.operand[0], static_cast<R>(F{}(get<A>(f, i.operand[1 + K])...)));
    }
    (std::index_sequence_for<A...>());
  }
};
template <class F, template <class> class Shape>
struct Calculation {
  template <class T>
  using Make = Calculate<F, Shape<T>>;
};
template <template <class> class Shape, class List, class F>
Chooser on(F) {
  return [](const Mnemonic& m) {
    return is_modified(m) ? Choice() : among<Calculation<F, Shape>::template Make>(List(), m.type);
  };
}

// --- floating point ---------------------------------------------------------------------------------------

/// While it lives, results are rounded so.
class RoundingMode {
 public:
  explicit RoundingMode(Rounding rounding) : directed_(Rounding::zero <= rounding && rounding <= Rounding::up) {
    if (directed_)
      std::fesetround(rounding == Rounding::zero   ? FE_TOWARDZERO
                      : rounding == Rounding::down ? FE_DOWNWARD
                                                   : FE_UPWARD);
  }
  ~RoundingMode() {
    if (directed_) std::fesetround(FE_TONEAREST);
  }
  RoundingMode(const RoundingMode&) = delete;

 private:
  bool directed_;
};

template <class T>
T flush_denormal(T x) {
  return std::fabs(x) < std::numeric_limits<T>::min() ? std::copysign(T(0), x) : x;
}
/// To [0, 1]; NaN to 0.
template <class T>
T to_unit(T x) {
  return x > T(0) ? std::min(x, T(1)) : T(0);
}
/// Arithmetic of floats has a single NaN as its result; the host has many.
float canonical(float x) { return x != x ? std::bit_cast<float>(0x7fffffffu) : x; }
double canonical(double x) { return x; }

template <class F>
struct Canonical {
  template <class... T>
  requires std::is_invocable_v<F, T...>
  auto operator()(T... a) const { return canonical(F{}(a...)); }
};

/// operand[0] = F(operand[1], ...), rounded as told. The compiler believes that results are always rounded to the
/// nearest, and could compute them before or after it is told otherwise. What is volatile it may not move.
template <class F, class Signature>
struct Round;
template <class F, class T, class... A>
struct Round<F, T(A...)> {
  static constexpr std::size_t operands = 1 + sizeof...(A);
  static void action(const Instruction& i, Frame& f) {
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      const auto given = [&](T x) { return i.flush ? flush_denormal(x) : x; };
      volatile T from[] = {given(get<A>(f, i.operand[1 + K]))...};
      volatile T to;
      {
        const RoundingMode mode(i.rounding);
        to = F{}(T(from[K])...);
      }
      T y = to;
      if (i.flush) y = flush_denormal(y);
      if (i.saturate) y = to_unit(y);
      set(f, i.operand[0], canonical(y));
    }
    (std::index_sequence_for<A...>());
  }
};
template <class F, template <class> class Shape>
struct Modified {
  template <class T>
  using Make = Round<F, Shape<T>>;
};
/// Arithmetic of float and double, with all that can be said about its rounding.
template <template <class> class Shape, class F>
Chooser rounded(F) {
  return [](const Mnemonic& m) {
    return is_modified(m) ? among<Modified<F, Shape>::template Make>(Floats(), m.type)
                          : among<Calculation<Canonical<F>, Shape>::template Make>(Floats(), m.type);
  };
}

/// The lesser of two, and a number rather than a NaN; -0 is less than 0.
template <class T>
T lesser(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

// --- whole numbers ----------------------------------------------------------------------------------------

template <class T>
constexpr u32 width = 8 * sizeof(T);

/// Sums and products of unsigned numbers of any width. C++ would compute the narrow ones as signed ints.
template <class T>
T sum(T a, T b) {
  return static_cast<T>(u64(a) + u64(b));
}
template <class T>
T low_product(T a, T b) {
  return static_cast<T>(u64(a) * u64(b));
}
/// Of signed numbers also the products differ, in their upper half.
template <class T>
T high_product(T a, T b) {
  return static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> width<T>);
}
template <class T>
T negative(T a) {
  return static_cast<T>(-u64(a));
}
/// What is divided by 0 has all bits set; the smallest number by -1 is itself.
template <class T>
T quotient(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return negative(a);
  return static_cast<T>(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
  return static_cast<T>(a % b);
}
template <class T>
u64 distance(T a, T b) {
  return a < b ? u64(b) - u64(a) : u64(a) - u64(b);
}
/// Two registers as one of 64 bits.
u64 pair(u32 low, u32 high) { return u64(high) << 32 | low; }
/// Shifts by the width and more drop all bits.
template <class T>
T shift_left(T a, u32 by) {
  return by < width<T> ? static_cast<T>(u64(a) << by) : T(0);
}
template <class T>
T shift_right(T a, u32 by) {
  return by < width<T> ? static_cast<T>(a >> by) : static_cast<T>(a < T(0) ? -1 : 0);
}
/// The lowest n bits set.
template <class T>
T ones(u32 n) {
  return n < width<T> ? static_cast<T>((u64(1) << n) - 1) : static_cast<T>(-1);
}

/// bfe: the `length` bits of a from bit `from` on, extended by their sign. Both are bytes.
template <class T>
T extract_bits(T a, u32 from, u32 length) {
  using U = std::make_unsigned_t<T>;
  from &= 255, length &= 255;
  const U kept = static_cast<U>(ones<U>(length) & shift_right(ones<U>(width<U>), from));
  const U bits = shift_right(static_cast<U>(a), from) & kept;
  const u32 sign_bit = std::min(from + length - 1, width<T> - 1);
  const bool negative = std::is_signed_v<T> && length != 0 && (a >> sign_bit & 1) != 0;
  return static_cast<T>(negative ? bits | static_cast<U>(~kept) : bits);
}
/// bfi: b, but its `length` bits from bit `from` on are the lowest of a.
template <class T>
T insert_bits(T a, T b, u32 from, u32 length) {
  from &= 255, length &= 255;
  const T place = shift_left(ones<T>(length), from);
  return static_cast<T>((shift_left(a, from) & place) | (b & static_cast<T>(~place)));
}
/// prmt: each byte of the result is one of the eight of b:a, or its sign repeated.
u32 permute_bytes(u32 a, u32 b, u32 selectors) {
  const u64 bytes = pair(a, b);
  u32 result = 0;
  for (int k = 0; k < 4; ++k) {
    const u32 selector = selectors >> 4 * k & 15;
    u32 byte = static_cast<u32>(bytes >> 8 * (selector & 7)) & 255;
    if (selector & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * k;
  }
  return result;
}
/// lop3: any function of three bits, given by its table of eight results.
u32 logic(u32 a, u32 b, u32 c, u32 table) {
  u32 result = 0;
  for (u32 k = 0; k < 8; ++k)
    if (table >> k & 1) result |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
  return result;
}
/// bfind: the number of the highest bit that differs from the sign; all bits set if there is none.
template <class T>
u32 highest_bit(T a) {
  const auto bits = static_cast<std::make_unsigned_t<T>>(a < T(0) ? ~a : a);
  return width<T> - 1 - static_cast<u32>(std::countl_zero(bits));
}

/// Numbers of several words are added word by word, from the lowest on: add.cc gives a carry to the next, addc takes
/// it, addc.cc does both. Of products, their low or their high halves are added up so.
template <bool takes, bool gives>
struct Sum {
  template <class T>
  T operator()(bool& carry, T a, T b) const {
    const unsigned __int128 exact = static_cast<unsigned __int128>(a) + b + (takes && carry);
    if (gives) carry = exact >> width<T> != 0;
    return static_cast<T>(exact);
  }
};
template <bool takes, bool gives>
struct Difference {
  template <class T>
  T operator()(bool& borrow, T a, T b) const {
    const __int128 exact = static_cast<__int128>(a) - b - (takes && borrow);
    if (gives) borrow = exact < 0;
    return static_cast<T>(exact);
  }
};
template <bool takes, bool gives>
struct LowProductAndSum {
  template <class T>
  T operator()(bool& carry, T a, T b, T c) const {
    return Sum<takes, gives>()(carry, low_product(a, b), c);
  }
};
template <bool takes, bool gives>
struct HighProductAndSum {
  template <class T>
  T operator()(bool& carry, T a, T b, T c) const {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(Sum<takes, gives>()(carry, static_cast<U>(high_product(a, b)), static_cast<U>(c)));
  }
};

// --- conversion -------------------------------------------------------------------------------------------

/// cvt: of a fraction, what the type cannot hold becomes its nearest number; NaN becomes 0, or, where a type of 64 bits
/// takes part, the number of which only the highest bit is set. Of a whole number the low bits are taken, unless "sat".
template <class To, class From>
void convert(const Instruction& i, Frame& f) {
  using Limits = std::numeric_limits<To>;
  From x = get<From>(f, i.operand[1]);
  if constexpr (std::is_floating_point_v<From>) {
    if (i.flush && sizeof x == 4) x = flush_denormal(x);
    switch (i.rounding) {
      case Rounding::whole_nearest:
        x = std::nearbyint(x);
        break;
      case Rounding::whole_zero:
        x = std::trunc(x);
        break;
      case Rounding::whole_down:
        x = std::floor(x);
        break;
      case Rounding::whole_up:
        x = std::ceil(x);
        break;
      default:
        break;
    }
  }
  if constexpr (std::is_floating_point_v<To>) {
    volatile From from = x;
    volatile To to;
    {
      const RoundingMode mode(i.rounding);
      to = static_cast<To>(From(from));
    }
    To y = to;
    if (i.flush && sizeof y == 4) y = flush_denormal(y);
    if (i.saturate) y = to_unit(y);
    set(f, i.operand[0], canonical(y));
  } else if constexpr (std::is_floating_point_v<From>) {
    To y;
    if (x != x)
      y = sizeof(From) == 8 || sizeof(To) == 8 ? static_cast<To>(u64(1) << (width<To> - 1)) : To(0);
    else if (x <= static_cast<From>(Limits::min()))
      y = Limits::min();
    else if (x >= static_cast<From>(Limits::max()))
      y = Limits::max();
    else
      y = static_cast<To>(x);
    set(f, i.operand[0], y);
  } else {
    To y = static_cast<To>(x);
    if (i.saturate && std::cmp_less(x, Limits::min())) y = Limits::min();
    if (i.saturate && std::cmp_greater(x, Limits::max())) y = Limits::max();
    set(f, i.operand[0], y);
  }
}
template <class From>
struct ConversionFrom {
  template <class To>
  struct Make {
    static constexpr std::size_t operands = 2;
    static void action(const Instruction& i, Frame& f) { convert<To, From>(i, f); }
  };
};
template <Type (*as)(Type), class... T>
Choice choose_conversion(Types<as, T...> types, const Mnemonic& m) {
  Choice choice;
  ((as(m.type) == type_of<T> ? void(choice = among<ConversionFrom<T>::template Make>(types, m.result)) : void()), ...);
  return choice;
}

/// Conversions of float to what only tensor cores compute with.
template <Type result, template <class> class Shape, class F>
Chooser into(F) {
  return [](const Mnemonic& m) { return m.result == result ? on<Shape, Types<itself, float>>(F())(m) : Choice(); };
}
/// The upper half of a float: the nearest, the even one of two. There is a single NaN.
u32 to_bf16(float x) {
  const u32 bits = std::bit_cast<u32>(x);
  return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/// slct: a if c >= 0, else b. Two types: of a and b, and of c.
template <class C>
struct SelectionBySignOf {
  template <class T>
  struct Make {
    static constexpr std::size_t operands = 4;
    static void action(const Instruction& i, Frame& f) {
      set(f, i.operand[0], get<T>(f, i.operand[get<C>(f, i.operand[3]) >= C(0) ? 1 : 2]));
    }
  };
};

// --- comparison -------------------------------------------------------------------------------------------

/// setp p|q, a, b, c: p = F(a, b), q = !p; or p = F(a, b) and c, q = !F(a, b) and c.
template <class F, class T>
struct Compare {
  static constexpr std::size_t operands = 4;
  static void action(const Instruction& i, Frame& f) {
    const bool p = F{}(get<T>(f, i.operand[2]), get<T>(f, i.operand[3]));
    set(f, i.operand[0], p);
    set(f, i.operand[1], !p);
  }
};
template <class F, class T>
struct CompareAndCombine {
  static constexpr std::size_t operands = 5;
  static void action(const Instruction& i, Frame& f) {
    const bool p = F{}(get<T>(f, i.operand[2]), get<T>(f, i.operand[3])), c = get<bool>(f, i.operand[4]);
    set(f, i.operand[0], combine(i, p, c));
    set(f, i.operand[1], combine(i, !p, c));
  }
  static bool combine(const Instruction& i, bool p, bool c) {
    return i.combine == Combine::with_and ? p && c : i.combine == Combine::with_or ? p || c : p != c;
  }
};
template <class F>
struct Flushed {
  bool operator()(float a, float b) const { return F{}(flush_denormal(a), flush_denormal(b)); }
};
template <class F>
struct Comparison {
  template <class T>
  using Make = Compare<F, T>;
  template <class T>
  using MakeCombined = CompareAndCombine<F, T>;
};
template <class List, class F>
Choice choose_comparison(const Mnemonic& m) {
  return m.modifiers.combine == Combine::none ? among<Comparison<F>::template Make>(List(), m.type)
                                              : among<Comparison<F>::template MakeCombined>(List(), m.type);
}
template <class List, class F>
Chooser compare(F) {
  return [](const Mnemonic& m) {
    if (m.rounds || m.modifiers.saturate) return Choice();
    return m.modifiers.flush ? choose_comparison<Types<itself, float>, Flushed<F>>(m) : choose_comparison<List, F>(m);
  };
}

// --- memory -----------------------------------------------------------------------------------------------

/// ptxas puts a shared array at a multiple of its alignment, and maybe of no more.
std::byte* in_shared_array(const Instruction& i, const Frame& f, u32 address, std::size_t bytes) {
  const std::size_t k = (address >> shared_address_bits) - 1, offset = address & ((1u << shared_address_bits) - 1);
  if (k >= f.kernel->shared.size() || offset + bytes > f.kernel->shared[k]->bytes)
    die("shared memory is accessed outside of its arrays", i.text);
  if (const std::size_t alignment = f.kernel->shared[k]->alignment; bytes > alignment)
    die(std::to_string(bytes) + " bytes are accessed at once in a shared array that is aligned to " +
            std::to_string(alignment),
        i.text);
  return f.shared[k] + offset;
}

/// Where the instruction reads or writes `bytes` bytes, which must be a divisor of the address.
template <bool shared>
std::byte* address(const Instruction& i, const Frame& f, Register r, std::size_t bytes) {
  const u64 a = f.registers[r] + static_cast<u64>(i.number);
  std::byte* const p = shared ? in_shared_array(i, f, static_cast<u32>(a), bytes) : reinterpret_cast<std::byte*>(a);
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0)
    die("the address of " + std::to_string(bytes) + " bytes is not a multiple of that", i.text);
  return p;
}

/// Memory has no type here. It is not accessed by memcpy(), so that the sanitizers see each number by itself.
template <class T>
struct Memory {
  typedef T Number __attribute__((may_alias));
};

template <bool shared>
struct AccessTo {
  template <class T>
  struct Load {
    static constexpr std::size_t operands = 2;
    static void action(const Instruction& i, Frame& f) {
      const std::byte* const p = address<shared>(i, f, i.operand[i.vector], i.vector * sizeof(T));
      for (int k = 0; k < i.vector; ++k)
        set<T>(f, i.operand[k], reinterpret_cast<const typename Memory<T>::Number*>(p)[k]);
    }
  };
  template <class T>
  struct Store {
    static constexpr std::size_t operands = 2;
    static void action(const Instruction& i, Frame& f) {
      std::byte* const p = address<shared>(i, f, i.operand[0], i.vector * sizeof(T));
      for (int k = 0; k < i.vector; ++k)
        reinterpret_cast<typename Memory<T>::Number*>(p)[k] = get<T>(f, i.operand[1 + k]);
    }
  };
};

/// ld.param and st.param. Parameters are where the host put them, which may be aligned less than a vector wants.
struct Parameters {
  template <class T>
  struct Load {
    static constexpr std::size_t operands = 2;
    static void action(const Instruction& i, Frame& f) {
      const auto* p = reinterpret_cast<const std::byte*>(f.registers[i.operand[i.vector]] + static_cast<u64>(i.number));
      for (int k = 0; k < i.vector; ++k, p += sizeof(T)) {
        T value;
        std::memcpy(&value, p, sizeof value);
        set(f, i.operand[k], value);
      }
    }
  };
  template <class T>
  struct Store {
    static constexpr std::size_t operands = 2;
    static void action(const Instruction& i, Frame& f) {
      auto* p = reinterpret_cast<std::byte*>(f.registers[i.operand[0]] + static_cast<u64>(i.number));
      for (int k = 0; k < i.vector; ++k, p += sizeof(T)) {
        const T value = get<T>(f, i.operand[1 + k]);
        std::memcpy(p, &value, sizeof value);
      }
    }
  };
};

Choice choose_load(const Mnemonic& m) {
  Choice c = m.space == Space::shared      ? among<AccessTo<true>::Load>(InMemory(), m.type)
             : m.space == Space::parameter ? among<Parameters::Load>(InMemory(), m.type)
                                           : among<AccessTo<false>::Load>(InMemory(), m.type);
  c.operands += m.modifiers.vector - 1;
  return c;
}
Choice choose_store(const Mnemonic& m) {
  Choice c = m.space == Space::shared      ? among<AccessTo<true>::Store>(InMemory(), m.type)
             : m.space == Space::parameter ? among<Parameters::Store>(InMemory(), m.type)
                                           : among<AccessTo<false>::Store>(InMemory(), m.type);
  c.operands += m.modifiers.vector - 1;
  return c;
}

/// cvta: an address of shared memory becomes one of the host; cvta.to: back. All other addresses are the host's anyway.
void to_generic(const Instruction& i, Frame& f) {
  set<u64>(f, i.operand[0], reinterpret_cast<std::uintptr_t>(in_shared_array(i, f, get<u32>(f, i.operand[1]), 0)));
}
void to_shared(const Instruction& i, Frame& f) {
  const auto* p = reinterpret_cast<const std::byte*>(get<u64>(f, i.operand[1]));
  for (std::size_t k = 0; k < f.kernel->shared.size(); ++k)
    if (f.shared[k] <= p && p <= f.shared[k] + f.kernel->shared[k]->bytes)
      return set<u64>(f, i.operand[0], (k + 1) << shared_address_bits | static_cast<u64>(p - f.shared[k]));
  die("this is no address of shared memory", i.text);
}

template <void (*shared)(const Instruction&, Frame&)>
Choice choose_address_conversion(const Mnemonic& m) {
  const auto same = [](auto a) { return a; };
  return m.space == Space::shared ? Choice{shared, 2} : on<Unary, Words>(same)(m);
}

/// mov between a register and the parts of which it consists, the lowest first.
template <class T>
struct Parts {
  static constexpr u32 part_width(int parts) { return width<T> / static_cast<u32>(parts); }
  static constexpr std::size_t operands = 2;
};
template <class T>
struct Pack : Parts<T> {
  static void action(const Instruction& i, Frame& f) {
    const u32 part = Parts<T>::part_width(i.vector);
    u64 whole = 0;
    for (int k = 0; k < i.vector; ++k) whole |= (get<u64>(f, i.operand[1 + k]) & ones<u64>(part)) << k * part;
    set(f, i.operand[0], whole);
  }
};
template <class T>
struct Unpack : Parts<T> {
  static void action(const Instruction& i, Frame& f) {
    const u32 part = Parts<T>::part_width(i.vector);
    const T whole = get<T>(f, i.operand[i.vector]);
    for (int k = 0; k < i.vector; ++k) set<u64>(f, i.operand[k], whole >> k * part & ones<u64>(part));
  }
};
template <template <class> class Make>
Choice choose_parts(const Mnemonic& m) {
  Choice c = among<Make>(Types<bits_of, u32, u64>(), m.type);
  c.operands += m.modifiers.vector - 1;
  return c;
}

// --- the way of a thread, and its meetings with others ----------------------------------------------------

void go_to(const Instruction& i, Frame& f) { f.next = f.function->code.data() + i.number; }

/// brx.idx: to one of a table of labels.
void go_to_one_of(const Instruction& i, Frame& f) {
  const auto& table = f.function->jump_tables[static_cast<std::size_t>(i.number)];
  const u32 k = get<u32>(f, i.operand[0]);
  if (k >= table.size()) die("branch number " + std::to_string(k) + " of " + std::to_string(table.size()), i.text);
  f.next = f.function->code.data() + table[k];
}

void call_function(const Instruction& i, Frame& f) {
  call(i, f);
  if (f.exited) f.next = nullptr;
}
void return_from_function(const Instruction&, Frame& f) { f.next = nullptr; }
void exit_thread(const Instruction&, Frame& f) {
  f.next = nullptr;
  f.exited = true;
}
void nothing(const Instruction&, Frame&) {}

void wait_for_block(const Instruction& i, Frame& f) {
  if (get<u32>(f, i.operand[0]) != 0) die("only barrier 0 is supported", i.text);
  sync_block(i.text);
}
void wait_for_warp(const Instruction& i, Frame& f) { sync_warp(get<u32>(f, i.operand[0]), 0, i.text, true); }

/// Where a lane reads from, and whether it may.
struct Source {
  u32 lane;
  bool inside;
};
/// Of a warp: its lanes `first` to `last`, who have the bits of `mask` in common.
struct Part {
  u32 first, last, mask;
};

/// shfl d|p, a, b, c, mask: d is the a of another lane, which b tells. c has two numbers: where the lanes of a part of
/// the warp end, and the mask of the bits of a lane that tell which part it is in. If the other lane is outside of the
/// part, p is false, and d is the own a.
template <class From>
void shuffle(const Instruction& i, Frame& f) {
  const u32 a = get<u32>(f, i.operand[2]), b = get<u32>(f, i.operand[3]) & 31, c = get<u32>(f, i.operand[4]);
  const u32 mask = get<u32>(f, i.operand[5]), lane = emulator::lane(), part_mask = c >> 8 & 31;
  const u32 first = lane & part_mask, last = first | (c & 31 & ~part_mask);
  const Source source = From{}(lane, b, Part{first, last, part_mask});
  const u32 from = source.inside ? source.lane : lane;
  const u64* const values = sync_warp(mask, a, i.text, false);
  if ((mask >> from & 1) == 0)
    die("a shuffle reads lane " + std::to_string(from) + ", which is not in its mask", i.text);
  set(f, i.operand[0], static_cast<u32>(values[from]));
  set(f, i.operand[1], source.inside);
}
template <class From>
Choice choose_shuffle(const Mnemonic& m) {
  return bits_of(m.type) == Type::u32 ? Choice{shuffle<From>, 6} : Choice();
}
template <class F>
Chooser shuffled(F) {
  return choose_shuffle<F>;
}

/// vote d, p, mask: d tells of the p of all lanes of the mask.
template <class F, class R>
void vote_action(const Instruction& i, Frame& f) {
  const u32 mask = get<u32>(f, i.operand[2]);
  const u64* const values = sync_warp(mask, get<bool>(f, i.operand[1]), i.text, false);
  u32 votes = 0;
  for (u32 l = 0; l < 32; ++l)
    if (mask >> l & 1) votes |= static_cast<u32>(values[l] & 1) << l;
  set(f, i.operand[0], static_cast<R>(F{}(votes, mask)));
}
template <class R, class F>
Chooser vote(F) {
  return [](const Mnemonic&) { return Choice{vote_action<F, R>, 3}; };
}

/// mma d, a, b, c: d = a·b + c, of which the lanes hold some numbers each.
using MultiplyAdd = void (*)(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], const char* site);
template <MultiplyAdd multiply_add>
void product(const Instruction& i, Frame& f) {
  const auto in = [&]<class T, std::size_t n>(T(&numbers)[n], const Register* from) {
    for (std::size_t k = 0; k < n; ++k) numbers[k] = get<T>(f, from[k]);
    return from + n;
  };
  static_assert(sizeof(Instruction::operand) == (4 + 4 + 2 + 4) * sizeof(Register));
  u32 a[4], b[2];
  float c[4];
  in(c, in(b, in(a, i.operand + 4)));
  multiply_add(c, a, b, i.text);
  for (int k = 0; k < 4; ++k) set(f, i.operand[k], canonical(c[k]));
}
/// Of all mnemonics those with operands of this type; the sums are float then.
template <Type type, MultiplyAdd multiply_add>
Choice choose_product(const Mnemonic& m) {
  return m.result == type ? Choice{product<multiply_add>, 14} : Choice();
}

/// An instruction without a choice of types.
template <Action action, std::size_t operands>
Choice always(const Mnemonic&) {
  return {action, operands};
}

// --- the instructions -------------------------------------------------------------------------------------

struct Row {
  const char* name;
  Chooser choose;
};

/// All instructions. Of several rows with one name, that one serves which has the type.
const std::vector<Row>& instructions() {
  static const std::vector<Row> rows = {
      // Whole numbers. Where the sign does not matter, the types are Words.
      {"add", on<Binary, Words>([](auto a, auto b) { return sum(a, b); })},
      {"sub", on<Binary, Words>([](auto a, auto b) { return u64(a) - u64(b); })},
      {"mul.lo", on<Binary, Words>([](auto a, auto b) { return low_product(a, b); })},
      {"mul.hi", on<Binary, Signed>([](auto a, auto b) { return high_product(a, b); })},
      {"mul.wide", on<WideProduct, Narrow>([](auto a, auto b) { return Wide<decltype(a)>(a) * Wide<decltype(b)>(b); })},
      {"mad.lo", on<Ternary, Words>([](auto a, auto b, auto c) { return sum(low_product(a, b), c); })},
      {"mad.hi", on<Ternary, Signed>([](auto a, auto b, auto c) { return u64(high_product(a, b)) + u64(c); })},
      {"mad.wide", on<WideProductAndSum, Narrow>([](auto a, auto b, auto c) {
         return u64(Wide<decltype(a)>(a) * Wide<decltype(b)>(b)) + u64(c);
       })},
      {"div", on<Binary, Signed>([](auto a, auto b) { return quotient(a, b); })},
      {"rem", on<Binary, Signed>([](auto a, auto b) { return remainder(a, b); })},
      {"neg", on<Unary, Words>([](auto a) { return negative(a); })},
      {"abs", on<Unary, Signed>([](auto a) { return a < 0 ? negative(a) : a; })},
      {"sad", on<Ternary, Signed>([](auto a, auto b, auto c) { return u64(c) + distance(a, b); })},
      {"min", on<Binary, Signed>([](auto a, auto b) { return std::min(a, b); })},
      {"max", on<Binary, Signed>([](auto a, auto b) { return std::max(a, b); })},

      // Several words.
      {"add.cc", on<Binary, Words>(Sum<false, true>())},
      {"addc", on<Binary, Words>(Sum<true, false>())},
      {"addc.cc", on<Binary, Words>(Sum<true, true>())},
      {"sub.cc", on<Binary, Words>(Difference<false, true>())},
      {"subc", on<Binary, Words>(Difference<true, false>())},
      {"subc.cc", on<Binary, Words>(Difference<true, true>())},
      {"mad.lo.cc", on<Ternary, Words>(LowProductAndSum<false, true>())},
      {"madc.lo", on<Ternary, Words>(LowProductAndSum<true, false>())},
      {"madc.lo.cc", on<Ternary, Words>(LowProductAndSum<true, true>())},
      {"mad.hi.cc", on<Ternary, Signed>(HighProductAndSum<false, true>())},
      {"madc.hi", on<Ternary, Signed>(HighProductAndSum<true, false>())},
      {"madc.hi.cc", on<Ternary, Signed>(HighProductAndSum<true, true>())},

      // Bits.
      {"and", on<Binary, Words>([](auto a, auto b) { return a & b; })},
      {"or", on<Binary, Words>([](auto a, auto b) { return a | b; })},
      {"xor", on<Binary, Words>([](auto a, auto b) { return a ^ b; })},
      {"not", on<Unary, Words>([](auto a) { return ~a; })},
      {"cnot", on<Unary, Words>([](auto a) { return a == 0; })},
      {"and", on<Binary, Truth>([](bool a, bool b) { return a && b; })},
      {"or", on<Binary, Truth>([](bool a, bool b) { return a || b; })},
      {"xor", on<Binary, Truth>([](bool a, bool b) { return a != b; })},
      {"not", on<Unary, Truth>([](bool a) { return !a; })},
      {"shl", on<Shift, Words>([](auto a, u32 by) { return shift_left(a, by); })},
      {"shr", on<Shift, Signed>([](auto a, u32 by) { return shift_right(a, by); })},
      {"shf.l.wrap", on<Ternary, Single>([](u32 a, u32 b, u32 by) { return pair(a, b) << (by & 31) >> 32; })},
      {"shf.l.clamp", on<Ternary, Single>([](u32 a, u32 b, u32 by) { return pair(a, b) << std::min(by, 32u) >> 32; })},
      {"shf.r.wrap", on<Ternary, Single>([](u32 a, u32 b, u32 by) { return pair(a, b) >> (by & 31); })},
      {"shf.r.clamp", on<Ternary, Single>([](u32 a, u32 b, u32 by) { return pair(a, b) >> std::min(by, 32u); })},
      {"bfe", on<Extraction, Signed>([](auto a, u32 from, u32 length) { return extract_bits(a, from, length); })},
      {"bfi", on<Insertion, Words>([](auto a, auto b, u32 from, u32 n) { return insert_bits(a, b, from, n); })},
      {"prmt", on<Ternary, Single>([](u32 a, u32 b, u32 c) { return permute_bytes(a, b, c); })},
      {"lop3", on<Logic, Single>([](u32 a, u32 b, u32 c, u32 table) { return logic(a, b, c, table); })},
      {"popc", on<Count, Words>([](auto a) { return std::popcount(a); })},
      {"clz", on<Count, Words>([](auto a) { return std::countl_zero(a); })},
      {"bfind", on<Count, Signed>([](auto a) { return highest_bit(a); })},
      {"brev", on<Unary, Words>([](auto a) {
         u64 reversed = 0;
         for (u32 k = 0; k < width<decltype(a)>; ++k) reversed = reversed << 1 | (a >> k & 1);
         return reversed;
       })},

      // Floating point.
      {"add", rounded<Binary>([](auto a, auto b) { return a + b; })},
      {"sub", rounded<Binary>([](auto a, auto b) { return a - b; })},
      {"mul", rounded<Binary>([](auto a, auto b) { return a * b; })},
      {"div", rounded<Binary>([](auto a, auto b) { return a / b; })},
      {"fma", rounded<Ternary>([](auto a, auto b, auto c) { return std::fma(a, b, c); })},
      {"mad", rounded<Ternary>([](auto a, auto b, auto c) { return std::fma(a, b, c); })},
      {"rcp", rounded<Unary>([](auto a) { return 1 / a; })},
      {"sqrt", rounded<Unary>([](auto a) { return std::sqrt(a); })},
      {"rsqrt", rounded<Unary>([](auto a) { return 1 / std::sqrt(a); })},
      {"ex2", rounded<Unary>([](auto a) { return std::exp2(a); })},
      {"lg2", rounded<Unary>([](auto a) { return std::log2(a); })},
      {"sin", rounded<Unary>([](auto a) { return std::sin(a); })},
      {"cos", rounded<Unary>([](auto a) { return std::cos(a); })},
      {"tanh", rounded<Unary>([](auto a) { return std::tanh(a); })},
      {"neg", on<Unary, Floats>([](auto a) { return -a; })},
      {"neg", rounded<Unary>([](auto a) { return -a; })},
      {"abs", on<Unary, Floats>([](auto a) { return std::fabs(a); })},
      {"abs", rounded<Unary>([](auto a) { return std::fabs(a); })},
      {"min", rounded<Binary>([](auto a, auto b) { return lesser(a, b); })},
      {"max", rounded<Binary>([](auto a, auto b) { return -lesser(-a, -b); })},
      {"min.NaN", rounded<Binary>([](auto a, auto b) { return a != a ? a : b != b ? b : lesser(a, b); })},
      {"max.NaN", rounded<Binary>([](auto a, auto b) { return a != a ? a : b != b ? b : -lesser(-a, -b); })},
      {"copysign", on<Binary, Floats>([](auto sign, auto a) { return std::copysign(a, sign); })},
      {"testp.finite", on<Property, Floats>([](auto a) { return std::isfinite(a); })},
      {"testp.infinite", on<Property, Floats>([](auto a) { return std::isinf(a); })},
      {"testp.number", on<Property, Floats>([](auto a) { return !std::isnan(a); })},
      {"testp.notanumber", on<Property, Floats>([](auto a) { return std::isnan(a); })},
      {"testp.normal", on<Property, Floats>([](auto a) { return std::isnormal(a); })},
      {"testp.subnormal", on<Property, Floats>([](auto a) { return std::fpclassify(a) == FP_SUBNORMAL; })},

      // Comparisons. Those of which the name ends in u are true for NaN; of whole numbers, lo, ls, hi, hs are unsigned.
      {"setp.eq", compare<Numbers>([](auto a, auto b) { return a == b; })},
      {"setp.ne", compare<Numbers>([](auto a, auto b) { return a < b || a > b; })},
      {"setp.lt", compare<Numbers>([](auto a, auto b) { return a < b; })},
      {"setp.le", compare<Numbers>([](auto a, auto b) { return a <= b; })},
      {"setp.gt", compare<Numbers>([](auto a, auto b) { return a > b; })},
      {"setp.ge", compare<Numbers>([](auto a, auto b) { return a >= b; })},
      {"setp.lo", compare<Words>([](auto a, auto b) { return a < b; })},
      {"setp.ls", compare<Words>([](auto a, auto b) { return a <= b; })},
      {"setp.hi", compare<Words>([](auto a, auto b) { return a > b; })},
      {"setp.hs", compare<Words>([](auto a, auto b) { return a >= b; })},
      {"setp.equ", compare<Floats>([](auto a, auto b) { return !(a < b || a > b); })},
      {"setp.neu", compare<Floats>([](auto a, auto b) { return a != b; })},
      {"setp.ltu", compare<Floats>([](auto a, auto b) { return !(a >= b); })},
      {"setp.leu", compare<Floats>([](auto a, auto b) { return !(a > b); })},
      {"setp.gtu", compare<Floats>([](auto a, auto b) { return !(a <= b); })},
      {"setp.geu", compare<Floats>([](auto a, auto b) { return !(a < b); })},
      {"setp.num", compare<Floats>([](auto a, auto b) { return a == a && b == b; })},
      {"setp.nan", compare<Floats>([](auto a, auto b) { return a != a || b != b; })},
      {"selp", on<Selection, Bits>([](auto a, auto b, bool p) { return p ? a : b; })},
      {"slct", [](const Mnemonic& m) {
         return m.type == Type::f32   ? among<SelectionBySignOf<float>::Make>(Bits(), m.result)
                : m.type == Type::s32 ? among<SelectionBySignOf<s32>::Make>(Bits(), m.result)
                                      : Choice();
       }},

      // Moving and converting.
      {"mov", on<Unary, Bits>([](auto a) { return a; })},
      {"mov", on<Unary, Truth>([](bool a) { return a; })},
      {"mov.pack", choose_parts<Pack>},
      {"mov.unpack", choose_parts<Unpack>},
      {"cvt", [](const Mnemonic& m) { return choose_conversion(InMemory(), m); }},
      {"cvt", into<Type::bf16, Half>([](float a) { return to_bf16(a); })},
      {"cvt", into<Type::bf16x2, TwoHalves>([](float high, float low) { return to_bf16(high) << 16 | to_bf16(low); })},
      {"cvt.rna", into<Type::tf32, Count>([](float a) { return to_tf32(a); })},
      {"ld", choose_load},
      {"ldu", choose_load},
      {"st", choose_store},
      {"cvta", choose_address_conversion<to_generic>},
      {"cvta.to", choose_address_conversion<to_shared>},

      // The way of a thread, and its meetings with others.
      {"bra", always<go_to, 0>},
      {"brx.idx", always<go_to_one_of, 1>},
      {"call", always<call_function, 0>},
      {"ret", always<return_from_function, 0>},
      {"exit", always<exit_thread, 0>},
      {"membar", always<nothing, 0>},
      {"fence", always<nothing, 0>},
      {"bar", always<wait_for_block, 1>},
      {"barrier", always<wait_for_block, 1>},
      {"bar.warp", always<wait_for_warp, 1>},
      // For shfl.up, the last lane that c tells is the first that may be read.
      {"shfl.up", shuffled([](u32 lane, u32 by, Part p) { return Source{lane - by, lane >= p.last + by}; })},
      {"shfl.down", shuffled([](u32 lane, u32 by, Part p) { return Source{lane + by, lane + by <= p.last}; })},
      {"shfl.bfly", shuffled([](u32 lane, u32 bits, Part p) { return Source{lane ^ bits, (lane ^ bits) <= p.last}; })},
      {"shfl.idx", shuffled([](u32, u32 to, Part p) {
         const u32 from = p.first | (to & ~p.mask);
         return Source{from, from <= p.last};
       })},
      {"mma.m16n8k16.row.col", choose_product<Type::bf16, multiply_add_bf16>},
      {"mma.m16n8k8.row.col", choose_product<Type::tf32, multiply_add_tf32>},
      {"vote.ballot", vote<u32>([](u32 votes, u32) { return votes; })},
      {"vote.any", vote<bool>([](u32 votes, u32) { return votes != 0; })},
      {"vote.all", vote<bool>([](u32 votes, u32 mask) { return votes == mask; })},
      {"vote.uni", vote<bool>([](u32 votes, u32 mask) { return votes == 0 || votes == mask; })},
  };
  return rows;
}

}  // namespace

Choice choose(const Mnemonic& m) {
  for (const Row& row : instructions())
    if (m.name == row.name)
      if (const Choice choice = row.choose(m); choice.action) return choice;
  return {};
}

void not_supported(const Instruction& i, Frame&) { die("this PTX instruction is not supported", i.text); }

Mnemonic take_apart(const std::string& text) {
  static const std::map<std::string, Type> types = {
      {"b8", Type::u8},     {"b16", Type::u16},       {"b32", Type::u32},  {"b64", Type::u64}, {"u8", Type::u8},
      {"u16", Type::u16},   {"u32", Type::u32},       {"u64", Type::u64},  {"s8", Type::s8},   {"s16", Type::s16},
      {"s32", Type::s32},   {"s64", Type::s64},       {"f32", Type::f32},  {"f64", Type::f64}, {"pred", Type::pred},
      {"bf16", Type::bf16}, {"bf16x2", Type::bf16x2}, {"tf32", Type::tf32}};
  static const std::map<std::string, Rounding> roundings = {
      {"rn", Rounding::nearest},     {"rz", Rounding::zero},           {"rm", Rounding::down},
      {"rp", Rounding::up},          {"rni", Rounding::whole_nearest}, {"rzi", Rounding::whole_zero},
      {"rmi", Rounding::whole_down}, {"rpi", Rounding::whole_up}};
  static const std::map<std::string, Combine> combinations = {
      {"and", Combine::with_and}, {"or", Combine::with_or}, {"xor", Combine::with_xor}};
  static const std::map<std::string, int> vectors = {{"v2", 2}, {"v4", 4}, {"v8", 8}};
  // Of how exact, of the scope and order of memory operations, of caches: here all is exact, in order, and not cached.
  static const std::set<std::string> unneeded = {
      "approx",  "full",    "uni", "sync", "aligned", "nc",     "volatile", "weak", "relaxed", "acquire",
      "release", "acq_rel", "sc",  "gpu",  "cta",     "sys",    "cluster",  "gl",   "ca",      "cg",
      "cs",      "lu",      "cv",  "wb",   "wt",      "global", "local",    "const"};

  Mnemonic m;
  std::size_t begin = 0;
  for (int word_number = 0; begin <= text.size(); ++word_number) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    const std::string word = text.substr(begin, end - begin), stem = word.substr(0, word.find("::"));
    begin = end + 1;
    if (word_number == 0) {
      m.name = word;
    } else if (types.count(word)) {
      m.result = m.type;
      m.type = types.at(word);
    } else if (roundings.count(word)) {
      m.modifiers.rounding = roundings.at(word);
      m.rounds = m.modifiers.rounding != Rounding::nearest;
    } else if (m.name == "vote") {
      if (word != "sync") m.name += "." + word;  // "uni" means something here
    } else if (m.name.starts_with("setp.") && combinations.count(word)) {
      m.modifiers.combine = combinations.at(word);
    } else if (vectors.count(word)) {
      m.modifiers.vector = static_cast<std::uint8_t>(vectors.at(word));
    } else if (word == "ftz") {
      m.modifiers.flush = true;
    } else if (word == "sat") {
      m.modifiers.saturate = true;
    } else if (stem == "shared") {
      m.space = Space::shared;
    } else if (stem == "param") {
      m.space = Space::parameter;
    } else if (!unneeded.count(word) && stem != "L1" && stem != "L2") {
      m.name += "." + word;
    }
  }
  return m;
}

std::size_t size_of(Type type) {
  switch (type) {
    case Type::u8:
    case Type::s8:
    case Type::pred:
      return 1;
    case Type::u16:
    case Type::s16:
      return 2;
    case Type::u32:
    case Type::s32:
    case Type::f32:
      return 4;
    default:
      return 8;
  }
}

}  // namespace emulator::ptx
