// Ranks that MPI has started. A thread of its own makes all calls of MPI, so that numbers travel while the program
// computes: MPI moves them only while somebody asks whether they have arrived.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "tensor/check.h"
#include "tensor/comm.h"
#include "tensor/comm/world.h"
#include "tensor/profile.h"
#include "tensor/text.h"

namespace bobbin::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration;

double timeout = 600;

// Of the program that runs: it is the same on all ranks, or they would wait for one another in different places.
std::uint64_t checksum_of_program() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  std::vector<char> part(1 << 20);
  uLong crc = crc32(0, nullptr, 0);
  while (file.read(part.data(), static_cast<std::streamsize>(part.size())), file.gcount() > 0)
    crc = crc32(crc, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(file.gcount()));
  return crc;
}

// MPI knows no bfloat16. Each sum is one of floats, rounded.
void add_rounded(void* x, void* sum, int* count, MPI_Datatype*) {
  const bfloat16* const from = static_cast<const bfloat16*>(x);
  bfloat16* const to = static_cast<bfloat16*>(sum);
#pragma omp simd
  for (int i = 0; i < *count; ++i) to[i] = to_bfloat16(to_float(to[i]) + to_float(from[i]));
}

// Open MPI by itself has a sum in place sent along a tree, whole: for N ranks log2(N) times as many bytes as by halves,
// or by a ring where N is no power of two. Whoever says otherwise in the environment, or to mpirun, is heard.
void choose_sums() {
  const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (!size) size = std::getenv("SLURM_STEP_NUM_TASKS");
  const bool halves = size && std::has_single_bit(static_cast<unsigned>(std::atoi(size)));
  setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", halves ? "rabenseifner" : "ring", 0);
}

// Open MPI's launchers wait for one another, also for one on a host that can no longer be reached. So a process that
// outlives this one kills the one that has started it, if that is still there after ten seconds.
void end_launcher_later() {
  const pid_t launcher = getppid();
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(launcher) + "/comm"), name);
  if (!std::set<std::string>{"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted"}.contains(name)) return;
  // No later process of the same number is meant.
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, launcher, 0));
  if (handle < 0 || fork() != 0) return;
  setsid();
  for (int other = 0; other < 1024; ++other)
    if (other != handle) close(other);  // the launcher waits for the end of what this one can say
  sleep(10);
  syscall(SYS_pidfd_send_signal, handle, SIGKILL, nullptr, 0);
  _exit(0);
}

class World {
 public:
  World() {
    choose_sums();
    sigset_t all, before;  // signals are for the program's own threads
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { work(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::unique_lock lock(mutex_);
    if (!finished_.wait_for(lock, duration<double>(timeout), [&] { return begun_; })) lost("has begun");
    lock.unlock();
    const std::uint64_t own = checksum_of_program();
    std::uint64_t first = own;
    wait(*begin({.kind = Transfer::broadcast, .at = &first, .count = sizeof first}));
    if (own != first) end("rank " + std::to_string(rank) + " is another program, or another build, than rank 0", 1);
  }
  ~World() {
    wait(*begin({.kind = Transfer::barrier}));
    std::unique_lock lock(mutex_);
    ending_ = true;
    changed_.notify_one();
    // MPI_Finalize() waits for the others once more.
    if (!finished_.wait_for(lock, duration<double>(timeout), [&] { return ended_; })) lost("has left");
    lock.unlock();
    thread_.join();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::shared_ptr<Transfer> begin(Transfer what) {
    auto transfer = std::make_shared<Transfer>(what);
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(transfer);
    }
    changed_.notify_one();
    return transfer;
  }
  void wait(const Transfer& transfer) {
    std::unique_lock lock(mutex_);
    // The thread knows the timeout; but it may be held up within MPI, such as by a machine that has gone.
    if (!finished_.wait_for(lock, duration<double>(timeout + 30), [&] { return transfer.done; })) lost("was heard of");
  }
  // Does not return.
  void end(const std::string& sentence, int exit_code) {
    {
      const std::lock_guard lock(mutex_);
      sentence_ = sentence;
      exit_code_ = exit_code;
    }
    changed_.notify_one();
    std::this_thread::sleep_for(duration<double>(timeout + 30));
    say_and_abort(sentence, exit_code);  // the thread is held up within MPI
  }

  int rank = 0, size = 1, local_rank = 0;

 private:
  void work() {
    int provided = 0;
    check_worked(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    check_worked(MPI_Comm_dup(MPI_COMM_WORLD, &of_tensors_));
    MPI_Comm here = MPI_COMM_NULL;
    check_worked(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here));
    MPI_Comm_rank(here, &local_rank);
    MPI_Comm_free(&here);
    check_worked(MPI_Op_create(add_rounded, true, &add_rounded_));
    std::unique_lock lock(mutex_);
    begun_ = true;
    finished_.notify_all();
    for (Clock::time_point heard = Clock::now();;) {
      if (active_.empty())
        changed_.wait(lock, [&] { return !queue_.empty() || ending_ || !sentence_.empty(); });
      else
        changed_.wait_for(lock, pause_, [&] { return !queue_.empty() || !sentence_.empty(); });
      if (!sentence_.empty()) say_and_abort(sentence_, exit_code_);
      if (ending_ && queue_.empty() && active_.empty()) break;
      const std::deque<std::shared_ptr<Transfer>> begins = std::exchange(queue_, {});
      lock.unlock();
      if (active_.empty()) heard = Clock::now();
      for (const auto& transfer : begins) start(transfer);
      const auto arrived = take_arrived();
      const bool moves = !arrived.empty() || !begins.empty();
      if (moves) heard = Clock::now();
      if (Clock::now() - heard > duration<double>(timeout)) lost("was heard of");
      lock.lock();
      for (const auto& transfer : arrived) transfer->done = true;
      if (!arrived.empty()) finished_.notify_all();
      if (active_.empty()) on_the_wire_.reset();
      pause_ = moves ? shortest_pause : std::min(2 * pause_, longest_pause);
    }
    lock.unlock();
    MPI_Op_free(&add_rounded_);
    MPI_Comm_free(&of_tensors_);
    MPI_Finalize();
    lock.lock();
    ended_ = true;
    finished_.notify_all();
  }

  void start(const std::shared_ptr<Transfer>& transfer) {
    const Transfer& t = *transfer;
    const int n = static_cast<int>(t.count);
    MPI_Request request = MPI_REQUEST_NULL;
    if (active_.empty()) on_the_wire_.emplace("all_reduce", 0, 0, true);
    if (t.kind == Transfer::broadcast)
      check_worked(MPI_Ibcast(t.at, n, MPI_BYTE, 0, MPI_COMM_WORLD, &request));
    else if (t.kind == Transfer::sum)
      check_worked(MPI_Iallreduce(MPI_IN_PLACE, t.at, n, type_of(t.of),
                                  t.of == Transfer::bfloat16s ? add_rounded_ : MPI_SUM,
                                  t.of_tensors ? of_tensors_ : MPI_COMM_WORLD, &request));
    else if (t.kind == Transfer::barrier)
      check_worked(MPI_Ibarrier(MPI_COMM_WORLD, &request));
    active_.emplace_back(transfer, request);
  }
  static MPI_Datatype type_of(Transfer::Of of) {
    return of == Transfer::floats ? MPI_FLOAT : of == Transfer::doubles ? MPI_DOUBLE : MPI_UINT16_T;
  }
  // One may overtake another: a small sum does not wait for large ones before it.
  std::vector<std::shared_ptr<Transfer>> take_arrived() {
    std::vector<std::shared_ptr<Transfer>> arrived;
    std::erase_if(active_, [&](auto& active) {
      auto& [transfer, request] = active;
      int done = 0;
      if (transfer->kind == Transfer::elsewhere)
        done = has_come(*transfer);
      else
        check_worked(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
      if (done) arrived.push_back(transfer);
      return done != 0;
    });
    return arrived;
  }
  bool has_come(const Transfer& transfer) try { return transfer.has_come(); } catch (const std::exception& error) {
    say_and_abort("rank " + std::to_string(rank) + ": " + error.what(), 1);
  }

  void check_worked(int code) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    say_and_abort("rank " + std::to_string(rank) + ": MPI reports " + text, 1);
  }
  [[noreturn]] void lost(const char* what) {
    end_launcher_later();
    say_and_abort(begun_
                      ? format("rank %d: not every other rank %s in %g seconds, which is the timeout (--comm-timeout "
                               "for train): one of them is stopped, has ended, or cannot be reached",
                               rank, what, timeout)
                      : format("not every process that was started together %s in %g seconds, which is the timeout "
                               "(--comm-timeout for train): one of them is another program, is stopped, or cannot "
                               "be reached",
                               what, timeout),
                  1);
  }
  [[noreturn]] void say_and_abort(const std::string& sentence, int exit_code) {
    std::this_thread::sleep_for(duration<double>(std::min(std::min(rank, 5) * 1.0, timeout / 20)));  // others wait
    std::fprintf(stderr, "%s\n", sentence.c_str());
    if (std::this_thread::get_id() == thread_.get_id()) MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);  // mpirun ends the others
  }

  // Who waits for a slow rank asks less and less often: on the core of this thread the program computes, too.
  static constexpr std::chrono::microseconds shortest_pause{20}, longest_pause{200};

  std::mutex mutex_;
  std::condition_variable changed_, finished_;
  std::deque<std::shared_ptr<Transfer>> queue_;                            // not begun
  std::vector<std::pair<std::shared_ptr<Transfer>, MPI_Request>> active_;  // on the wire, of the thread alone
  std::chrono::microseconds pause_ = shortest_pause;
  std::optional<profile::Timed> on_the_wire_;
  MPI_Op add_rounded_ = MPI_OP_NULL;
  // Sums of tensors have an order of their own among themselves: each begins when backward has come so far.
  MPI_Comm of_tensors_ = MPI_COMM_NULL;
  std::string sentence_;
  int exit_code_ = 1;
  bool begun_ = false, ending_ = false, ended_ = false;
  std::thread thread_;
};

bool world_begun = false;
World& world() {
  static World only;
  world_begun = true;
  return only;
}

}  // namespace

std::shared_ptr<Transfer> begin(Transfer transfer) { return world().begin(std::move(transfer)); }
void wait(const Transfer& transfer) {
  const profile::Timed timed("wait_for_ranks", 0);
  world().wait(transfer);
}

int rank() { return world().rank; }
int size() { return world().size; }
int local_rank() { return world().local_rank; }

void broadcast(void* bytes, std::size_t count) {
  for (Index first = 0, all = static_cast<Index>(count); first < all; first += most_at_once)
    wait(*begin({.kind = Transfer::broadcast,
                 .at = static_cast<char*>(bytes) + first,
                 .count = std::min(most_at_once, all - first)}));
}

std::string broadcast(std::string text) {
  std::size_t length = text.size();
  broadcast(&length, sizeof length);
  text.resize(length);
  broadcast(text.data(), length);
  return text;
}

std::vector<double> sum_of_all_ranks(std::vector<double> numbers) {
  if (size() == 1) return numbers;
  const std::size_t count = numbers.size();
  numbers.resize(std::max(count, static_cast<std::size_t>(size())));  // Open MPI sends fewer around a ring
  for (Index first = 0, all = static_cast<Index>(numbers.size()); first < all; first += most_at_once)
    wait(*begin({.kind = Transfer::sum,
                 .of = Transfer::doubles,
                 .at = numbers.data() + first,
                 .count = std::min(most_at_once, all - first)}));
  numbers.resize(count);
  return numbers;
}
void barrier() { wait(*begin({.kind = Transfer::barrier})); }

void set_timeout(double seconds) {
  check(seconds > 0, "comm", "the timeout must be above 0 seconds, got ", seconds);
  timeout = std::min(seconds, 1e9);  // more are no whole number of nanoseconds
}

void fail_all(const std::string& sentence, int exit_code) {
  if (world_begun && world().size > 1) world().end(sentence, exit_code);
  std::fprintf(stderr, "%s\n", sentence.c_str());
}

}  // namespace bobbin::comm
