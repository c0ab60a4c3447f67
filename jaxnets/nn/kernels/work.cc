#include "work.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "dispatch.h"

namespace jaxnets {

InstructionSet Chosen() {
#ifdef JAXNETS_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f");
  const char* asked = std::getenv("JAXNETS_CPU_KERNELS");
  const std::string name = asked ? asked : "";
  if (avx512 && name != "avx2" && name != "base") return InstructionSet::kAvx512;
  if (avx2 && name != "base") return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBase;
}

void ParallelFor(ffi::ThreadPool pool, int64_t items, const std::function<void(int64_t)>& work) {
  struct State {
    std::function<void(int64_t)> work;
    int64_t items;
    std::atomic<int64_t> next{0}, done{0};
    void Run() {
      for (int64_t i; (i = next.fetch_add(1)) < items; done.fetch_add(1)) work(i);
    }
  };
  const int64_t helpers = std::min<int64_t>(pool.num_threads(), items) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < items; ++i) work(i);
    return;
  }
  auto state = std::make_shared<State>();
  state->work = work;
  state->items = items;
  for (int64_t t = 0; t < helpers; ++t) pool.Schedule([state] { state->Run(); });
  state->Run();
  while (state->done.load() < items) std::this_thread::yield();
}

}  // namespace jaxnets

// The name of the chosen instruction set, for Python.
extern "C" __attribute__((visibility("default"))) const char* jaxnets_instruction_set() {
  using jaxnets::InstructionSet;
  const InstructionSet chosen = jaxnets::Chosen();
  return chosen == InstructionSet::kAvx512 ? "avx512" : chosen == InstructionSet::kAvx2 ? "avx2" : "base";
}
