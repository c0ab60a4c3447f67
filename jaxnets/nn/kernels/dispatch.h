// One binary for every processor: kernels are compiled once for each instruction set, and one copy is chosen at load time.
//
// A kernel is a class with a function template over the instruction set:
//
//   struct Scale {
//     using Function = void(float* x, int64_t count);
//     template <typename Set> JAXNETS_INLINE static void Run(float* x, int64_t count) { … Set::kLanes … }
//   };
//   const auto kScale = Dispatch<Scale>();
//
// Everything below Run must be inlined (JAXNETS_INLINE, JAXNETS_INLINE_LAMBDA): only the function that holds the copy names
// its instruction set to the compiler.
//
// The constants of a set are its register budget. Micro-kernels keep kSums registers of sums; of 16 registers 12 leave room
// for a panel's row, a broadcast number and, without fused multiply-add, a product; of AVX-512's 32, 24 do. A panel of
// packed numbers is kVectors registers wide; with AVX-512 four, so that one broadcast serves four multiply-adds, since a
// core that starts two of them a cycle cannot load and broadcast as fast.

#ifndef JAXNETS_NN_NATIVE_DISPATCH_H_
#define JAXNETS_NN_NATIVE_DISPATCH_H_

#include <cstdint>
#include <type_traits>

#define JAXNETS_INLINE inline __attribute__((always_inline))
#define JAXNETS_INLINE_LAMBDA __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__)
#define JAXNETS_X86 1
#endif

namespace jaxnets {

struct Base {
  static constexpr int kLanes = 4, kVectors = 2, kSums = 12;
};
struct Avx2 {
  static constexpr int kLanes = 8, kVectors = 2, kSums = 12;
};
struct Avx512 {
  static constexpr int kLanes = 16, kVectors = 4, kSums = 24;
};

enum class InstructionSet { kBase, kAvx2, kAvx512 };

// The best one of this processor, or the one that $JAXNETS_CPU_KERNELS names ("base", "avx2", "avx512"), if it has that.
// Python refuses any other name.
InstructionSet Chosen();

template <typename Kernel, typename Function> struct Copies;
template <typename Kernel, typename... Args> struct Copies<Kernel, void(Args...)> {
  static void ForBase(Args... args) { Kernel::template Run<Base>(args...); }
#ifdef JAXNETS_X86
  __attribute__((target("avx2,fma"))) static void ForAvx2(Args... args) { Kernel::template Run<Avx2>(args...); }
  __attribute__((target("avx512f"))) static void ForAvx512(Args... args) { Kernel::template Run<Avx512>(args...); }
#endif
};

// The kernel's copy for the chosen instruction set.
template <typename Kernel> typename Kernel::Function* Dispatch() {
  using All = Copies<Kernel, typename Kernel::Function>;
#ifdef JAXNETS_X86
  if (Chosen() == InstructionSet::kAvx512) return All::ForAvx512;
  if (Chosen() == InstructionSet::kAvx2) return All::ForAvx2;
#endif
  return All::ForBase;
}

// The chosen set's constants, where ordinary code must know them: of(set) for a value of its type.
template <typename Of> int64_t ChosenConstant(const Of& of) {
  return Chosen() == InstructionSet::kAvx512 ? of(Avx512()) : Chosen() == InstructionSet::kAvx2 ? of(Avx2()) : of(Base());
}

// work(count) with `count`, 1..Most, as a constant: std::integral_constant<int, count>.
template <int Most, typename Work> JAXNETS_INLINE void WithConstant(int64_t count, const Work& work) {
  if constexpr (Most > 0) {
    if (count == Most) work(std::integral_constant<int, Most>());
    else WithConstant<Most - 1>(count, work);
  }
}

// work(first, count) for equal blocks of at most `Most` of so many items; the count is a constant.
template <int Most, typename Work> JAXNETS_INLINE void InBlocks(int64_t items, const Work& work) {
  const int64_t blocks = (items + Most - 1) / Most;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t first = items * b / blocks, next = items * (b + 1) / blocks;
    WithConstant<Most>(next - first, [&](auto count) JAXNETS_INLINE_LAMBDA { work(first, count); });
  }
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_DISPATCH_H_
