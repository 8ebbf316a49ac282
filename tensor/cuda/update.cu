// One step of an optimizer, in one pass over the parameter and what is kept of it.
//
// A model has many parameters, most of them small, and to launch a kernel takes longer than to update a thousand
// numbers. So updates wait until there are `most`, or until anything else is to be put into the stream, which asks for
// it with stream(); then one kernel makes all of them. Each has as many blocks as it needs, one behind the other.
//
// Memory that is let go may be had again at once, since what is put into the stream later comes later. Among updates
// that go together nothing comes later. So one that writes what another that waits reads or writes, or reads what that
// one writes, begins the next launch: such as a second update of the same parameter, or one whose rounded numbers lie
// where the gradient of another was.
#include <array>
#include <cstdint>

#include "tensor/cuda/launch.h"
#include "tensor/formulas.h"

namespace bobbin::cuda {

constexpr int most = 32;  // the arguments of a kernel are at most 4 KB
constexpr int each = 4;   // numbers of a thread

// What a block is told of its parameter, and of which of its blocks is the first. `kept` may be as many as Step has.
template <class Step, int kept_count>
struct Update {
  Step step;
  Index n;
  unsigned first_block;
  real* w;
  bfloat16* rounded;
  const real* dW;
  std::array<real*, kept_count> kept;
};

template <class Step, int kept_count>
struct Updates {
  Update<Step, kept_count> of[most];
  int count = 0;

  // For those who must know all pointers that a kernel gets.
  void pointers(const auto& see) const {
    for (int k = 0; k < count; ++k) {
      see(of[k].w), see(of[k].rounded), see(of[k].dW);
      for (real* const kept : of[k].kept) see(kept);
    }
  }
};

template <class Step, int kept_count>
__global__ void update_kernel(const __grid_constant__ Updates<Step, kept_count> updates) {
  int k = 0;
  while (k + 1 < updates.count && blockIdx.x >= updates.of[k + 1].first_block) ++k;
  const Update<Step, kept_count>& u = updates.of[k];
  const Index begin = Index{blockIdx.x - u.first_block} * (each * block_size) + threadIdx.x;
#pragma unroll
  for (int j = 0; j < each; ++j)
    if (const Index i = begin + j * block_size; i < u.n) {
      if constexpr (kept_count == 0) u.step(u.w[i], u.dW[i]);
      if constexpr (kept_count == 1) u.step(u.w[i], u.dW[i], u.kept[0][i]);
      if constexpr (kept_count == 2) u.step(u.w[i], u.dW[i], u.kept[0][i], u.kept[1][i]);
      if (u.rounded) u.rounded[i] = to_bfloat16(u.w[i]);
    }
}

namespace {

// Those that wait: of one kind, since others are launched before.
template <class Step, int kept_count>
struct Waiting {
  static inline Updates<Step, kept_count> updates;
  static inline unsigned blocks = 0;

  static void launch() {
    if (updates.count == 0) return;
    const Updates<Step, kept_count> now = updates;
    const unsigned grid = blocks;
    updates.count = blocks = 0;  // before stream() asks again
    cuda::launch(Step::name, update_kernel<Step, kept_count>, grid, block_size, now);
  }
};

void (*launch_waiting)() = [] {};

// Calls see(begin, end, written) for each array of an update.
template <class Step, int kept_count>
void each_array(const Update<Step, kept_count>& u, const auto& see) {
  const auto array = [&](const auto* x, bool written) {
    if (x) see(reinterpret_cast<std::uintptr_t>(x), reinterpret_cast<std::uintptr_t>(x + u.n), written);
  };
  array(u.w, true), array(u.rounded, true), array(u.dW, false);
  for (const real* const kept : u.kept) array(kept, true);
}

// Whether two updates must not be made at the same time.
template <class Step, int kept_count>
bool collide(const Update<Step, kept_count>& a, const Update<Step, kept_count>& b) {
  bool found = false;
  each_array(a, [&](std::uintptr_t begin_a, std::uintptr_t end_a, bool written_a) {
    each_array(b, [&](std::uintptr_t begin_b, std::uintptr_t end_b, bool written_b) {
      found = found || ((written_a || written_b) && begin_a < end_b && begin_b < end_a);
    });
  });
  return found;
}

template <class Step, class... Kept>
void update(const Step& step, Index n, real* w, bfloat16* rounded, const real* dW, Kept*... kept) {
  using All = Waiting<Step, sizeof...(kept)>;
  if (launch_waiting != All::launch || All::updates.count == most) launch_waiting();
  Update<Step, sizeof...(kept)> next{step, n, 0, w, rounded, dW, {kept...}};
  for (int k = 0; k < All::updates.count; ++k)
    if (collide(All::updates.of[k], next)) launch_waiting();  // and there are none left
  launch_waiting = All::launch;
  next.first_block = All::blocks;
  All::updates.of[All::updates.count++] = next;
  All::blocks += blocks(n, each * block_size);
}

}  // namespace

void launch_updates() { launch_waiting(); }

void sgd(const formula::Sgd& step, real* w, bfloat16* rounded, const real* dW, real* velocity, Index n) {
  if (velocity)
    update(step, n, w, rounded, dW, velocity);
  else
    update(step, n, w, rounded, dW);
}

void adamw(const formula::AdamW& step, real* w, bfloat16* rounded, const real* dW, real* m, real* v, Index n) {
  update(step, n, w, rounded, dW, m, v);
}

}  // namespace bobbin::cuda
