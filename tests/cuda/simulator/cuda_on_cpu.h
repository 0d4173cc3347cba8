// CUDA C++ on the CPU, for tests: the text of a kernel is compiled by g++ behind this header.
//
// Blocks run one after another. A thread of a block is a fiber: it runs until it ends or has to wait
// for others, and then the next one goes on. In which order, the test says, so a kernel whose result
// depends on it is found out. Shared memory is full of NaN when a block begins. Found and told:
// threads that wait at different barriers, or end before one that others wait at; arguments that
// differ from what the kernel declares in number, type or size; warps that are not complete when they
// act together.
#pragma once
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))
#define __syncthreads() cuda::wait(cuda::AT_BARRIER, __LINE__)
#define __syncwarp() cuda::wait(cuda::AT_WARP, __LINE__)

extern "C" __attribute__((weak, visibility("hidden"))) char __start_shared_memory[];
extern "C" __attribute__((weak, visibility("hidden"))) char __stop_shared_memory[];

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace cuda {

enum State { READY, AT_BARRIER, AT_WARP, ENDED };

// A fiber's registers lie on its stack while it waits; this is where. The C library's own way to
// change stacks asks the system twice each time, which takes fifty times as long.
#if defined(__x86_64__) && !defined(PORTABLE_FIBERS)
extern "C" __attribute__((visibility("hidden"))) void cuda_change_stack(void** mine, void* next);
asm(".pushsection .text\n"
    ".hidden cuda_change_stack\n"
    ".globl cuda_change_stack\n"
    "cuda_change_stack:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".popsection\n");
struct Registers {
  void* stack = nullptr;
};
static void change(Registers& mine, Registers& next) { cuda_change_stack(&mine.stack, next.stack); }
static void prepare(Registers& fiber, char* stack, size_t size, void (*entry)()) {
  void** top = (void**)(stack + size);  // a multiple of 16
  *--top = nullptr;                     // where entry would return to: it never does
  *--top = (void*)entry;
  fiber.stack = top - 6;
}
#else
struct Registers {
  ucontext_t context;
};
static void change(Registers& mine, Registers& next) { swapcontext(&mine.context, &next.context); }
static void prepare(Registers& fiber, char* stack, size_t size, void (*entry)()) {
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack;
  fiber.context.uc_stack.ss_size = size;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
}
#endif

#ifdef __SANITIZE_ADDRESS__
const size_t STACK = 512 << 10;
#else
const size_t STACK = 128 << 10;
#endif
const unsigned MOST_THREADS = 1024, WARP = 32;

// A fiber goes through threads one after the other until one of them waits.
struct Fiber {
  Registers registers;
  bool prepared = false;
};
struct Thread {
  Index index;
  State state;
  int line;      // of the barrier that it waits at
  Fiber* fiber;  // which it waits on
};

static Fiber fibers[MOST_THREADS];
static Thread threads[MOST_THREADS];
static std::vector<Fiber*> idle;
static Registers scheduler;
static char* stacks = nullptr;
static Thread* current;
static void (*kernel_call)();
static char message[400];

static void fiber_loop() {
  for (;;) {
    kernel_call();
    current->state = ENDED;
    change(current->fiber->registers, scheduler);
  }
}

__attribute__((noinline)) static void wait(State state, int line) {
  Thread* me = current;
  me->state = state;
  me->line = line;
  change(me->fiber->registers, scheduler);
}

static void go_on(Thread& thread) {
  if (!thread.fiber) {
    thread.fiber = idle.back();
    idle.pop_back();
    if (!thread.fiber->prepared) {
      size_t place = (thread.fiber - fibers) * STACK;
      prepare(thread.fiber->registers, stacks + place, STACK, fiber_loop);
      thread.fiber->prepared = true;
    }
  }
  current = &thread;
  threadIdx = thread.index;
  thread.state = READY;
  change(scheduler, thread.fiber->registers);
  if (thread.state == ENDED) {
    idle.push_back(thread.fiber);
    thread.fiber = nullptr;
  }
}

static unsigned own_thread() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}

// 0 is forward, 1 backward, and every other number a shuffled order of its own.
static std::vector<unsigned> arranged(unsigned count, unsigned order) {
  std::vector<unsigned> numbers(count);
  for (unsigned i = 0; i < count; ++i) numbers[i] = order == 1 ? count - 1 - i : i;
  uint64_t random = order * 0x9E3779B97F4A7C15ull + 1;
  if (order > 1)
    for (unsigned i = count; i > 1; --i) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      std::swap(numbers[i - 1], numbers[random % i]);
    }
  return numbers;
}

// Let threads go on that wait at a barrier all have reached. False if they cannot.
static bool open_barrier(unsigned count, unsigned living) {
  unsigned waiting = 0;
  int line = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (threads[i].state != AT_BARRIER) continue;
    if (waiting++ && threads[i].line != line) {
      snprintf(message, sizeof message, "threads wait at different barriers, in lines %d and %d",
               line, threads[i].line);
      return false;
    }
    line = threads[i].line;
  }
  if (waiting == 0) {
    snprintf(message, sizeof message, "a warp acts together, but not all of its threads are there");
    return false;
  }
  if (waiting != count) {
    snprintf(message, sizeof message,
             "%u of %u threads wait at the barrier in line %d, %u have ended, %u wait elsewhere",
             waiting, count, line, count - living, living - waiting);
    return false;
  }
  for (unsigned i = 0; i < count; ++i) threads[i].state = READY;
  return true;
}

// Let complete warps go on. False if there are none.
static bool open_warps(unsigned count) {
  bool opened = false;
  for (unsigned first = 0; first < count; first += WARP) {
    unsigned last = std::min(first + WARP, count), waiting = 0;
    for (unsigned i = first; i < last; ++i) waiting += threads[i].state == AT_WARP;
    if (waiting < WARP) continue;
    for (unsigned i = first; i < last; ++i) threads[i].state = READY;
    opened = true;
  }
  return opened;
}

static bool run_block(const std::vector<unsigned>& order) {
  unsigned count = order.size(), living = count;
  if (__start_shared_memory)
    memset(__start_shared_memory, 0xFF, __stop_shared_memory - __start_shared_memory);
  for (unsigned i = 0; i < count; ++i) {
    Index index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    threads[i] = {index, READY, 0, nullptr};
  }
  while (living) {
    for (unsigned i : order) {
      if (threads[i].state != READY) continue;
      go_on(threads[i]);
      living -= threads[i].state == ENDED;
    }
    if (living && !open_warps(count) && !open_barrier(count, living)) return false;
  }
  return true;
}

// How an argument is written down: kind and size, `*` for an array.
template <class T>
std::string described() {
  if constexpr (std::is_pointer<T>::value)
    return described<std::remove_const_t<std::remove_pointer_t<T>>>() + "*";
  else
    return (std::is_floating_point<T>::value ? "f" : std::is_integral<T>::value ? "i" : "V") +
           std::to_string(sizeof(T));
}

template <class... Types>
struct Launcher {
  static inline void (*kernel)(Types...);
  static inline void** values;

  template <size_t... PLACE>
  static void call(std::index_sequence<PLACE...>) {
    kernel(*(std::remove_reference_t<Types>*)values[PLACE]...);
  }
  static void call_it() { call(std::index_sequence_for<Types...>{}); }
};

template <class... Types>
const char* launch(void (*kernel)(Types...), const unsigned* sizes, void** values,
                   const char* const* given, unsigned count, unsigned order) {
  message[0] = 0;
  std::string declared[] = {described<Types>()..., ""};
  if (count != sizeof...(Types)) {
    snprintf(message, sizeof message, "the kernel takes %zu arguments, not %u", sizeof...(Types),
             count);
    return message;
  }
  for (unsigned i = 0; i < count; ++i)
    if (declared[i] != given[i] && !(declared[i].back() == '*' && std::string(given[i]) == "0*")) {
      snprintf(message, sizeof message, "argument %u is %s, but the kernel declares %s", i, given[i],
               declared[i].c_str());
      return message;
    }
  gridDim = {sizes[0], sizes[1], sizes[2]};
  blockDim = {sizes[3], sizes[4], sizes[5]};
  uint64_t threads_of_block = (uint64_t)blockDim.x * blockDim.y * blockDim.z;
  uint64_t blocks = (uint64_t)gridDim.x * gridDim.y * gridDim.z;
  if (threads_of_block < 1 || threads_of_block > MOST_THREADS || blockDim.z > 64 || blocks < 1 ||
      gridDim.x > 0x7fffffff || gridDim.y > 65535 || gridDim.z > 65535 || blocks > 1 << 24) {
    snprintf(message, sizeof message, "no launch has a grid of (%u, %u, %u) and blocks of (%u, %u, %u)",
             gridDim.x, gridDim.y, gridDim.z, blockDim.x, blockDim.y, blockDim.z);
    return message;
  }
  if (!stacks)
    stacks = (char*)mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  idle.clear();
  for (unsigned i = MOST_THREADS; i-- > 0;) idle.push_back(&fibers[i]);
  Launcher<Types...>::kernel = kernel;
  Launcher<Types...>::values = values;
  kernel_call = Launcher<Types...>::call_it;
  std::vector<unsigned> inside = arranged((unsigned)threads_of_block, order);
  for (unsigned block : arranged((unsigned)blocks, order)) {
    blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / (gridDim.x * gridDim.y)};
    if (run_block(inside)) continue;
    for (Fiber& fiber : fibers) fiber.prepared = false;  // some stand in the middle of a kernel
    return message;
  }
  return nullptr;
}

}  // namespace cuda

using std::sqrt;

static unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Tensor cores: the numbers of all 32 threads of a warp are laid out as in PTX's description of
// mma.sync.m16n8k8, and each thread computes the four results that are its own.
static unsigned left_fragments[cuda::MOST_THREADS][4], right_fragments[cuda::MOST_THREADS][2];

static unsigned rounded_to_tf32(float value) {  // to the nearest; halves away from zero
  return (__float_as_uint(value) + 0x1000u) & 0xFFFFE000u;
}
static void mma_m16n8k8(float (&sums)[4], const unsigned (&left)[4], const unsigned (&right)[2]) {
  unsigned me = cuda::own_thread(), warp = me / 32 * 32, group = me % 32 / 4, mine = me % 4;
  memcpy(left_fragments[me], left, sizeof left);
  memcpy(right_fragments[me], right, sizeof right);
  cuda::wait(cuda::AT_WARP, __LINE__);
  for (unsigned e = 0; e < 4; ++e) {
    unsigned row = group + 8 * (e / 2), column = 2 * mine + e % 2;
    for (unsigned k = 0; k < 8; ++k) {
      unsigned a = left_fragments[warp + row % 8 * 4 + k % 4][row / 8 + 2 * (k / 4)];
      unsigned b = right_fragments[warp + column * 4 + k % 4][k / 4];
      // The unit reads 19 of the 32 bits.
      sums[e] += __uint_as_float(a & 0xFFFFE000u) * __uint_as_float(b & 0xFFFFE000u);
    }
  }
  cuda::wait(cuda::AT_WARP, __LINE__);
}
