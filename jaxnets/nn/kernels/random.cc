// Random bits of dropout on CPUs, 16 for each element, called from XLA through its FFI (see jaxnets/nn/random.py).
//
// The bits are those of jax.random.bits with jax's default generator: word i is both halves of threefry-2x32 of the counter
// i, combined by xor; it serves elements 2 i (its low half) and 2 i + 1 in row-major order. XLA's own loop passes over all
// words in memory once for every four of the twenty rounds; here a word stays in registers from its counter to its bits.
// Since a word depends on its counter alone, bits are also made in the order in which images are stored, batch-minor.
//
// Salmon, J. et al. (2011), Parallel random numbers: as easy as 1, 2, 3 (threefry).

#include <algorithm>
#include <cstring>

#include "vector.h"
#include "work.h"

namespace jaxnets {
namespace {

template <int Lanes> struct Words {
  typedef uint32_t Type __attribute__((vector_size(Lanes * sizeof(uint32_t)), aligned(alignof(uint32_t)), may_alias));
  typedef uint16_t Halves __attribute__((vector_size(Lanes * sizeof(uint16_t)), aligned(alignof(uint16_t)), may_alias));
};

constexpr int64_t kPart = 1 << 14;  // elements of an item of work, about

template <int Rotation, typename V> JAXNETS_INLINE void Mix(V& a, V& b) {
  a += b;
  b = (b << Rotation | b >> (32 - Rotation)) ^ a;
}

// Both halves of the counters are replaced by their hash.
template <typename V> JAXNETS_INLINE void Threefry(const uint32_t* key, V& a, V& b) {
  const uint32_t keys[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  a += keys[0], b += keys[1];
  const auto rounds = [&](int number) JAXNETS_INLINE_LAMBDA {
    if (number % 2 == 0) Mix<13>(a, b), Mix<15>(a, b), Mix<26>(a, b), Mix<6>(a, b);
    else Mix<17>(a, b), Mix<29>(a, b), Mix<16>(a, b), Mix<24>(a, b);
    a += keys[(number + 1) % 3], b += keys[(number + 2) % 3] + (number + 1);
  };
  rounds(0), rounds(1), rounds(2), rounds(3), rounds(4);
}

// The words of `Lanes` counters from `first` on, `step` apart. Python sees to it that they are below 2^32.
template <int Lanes> JAXNETS_INLINE typename Words<Lanes>::Type Hash(const uint32_t* key, uint32_t first, uint32_t step) {
  using V = typename Words<Lanes>::Type;
  V high{}, low;
  for (int i = 0; i < Lanes; ++i) low[i] = i;
  low = low * step + first;
  Threefry(key, high, low);
  return high ^ low;
}

struct BitsJob {
  const uint32_t* key;
  uint16_t* out;
  int64_t batch, features;  // features: of one example; an even number where the order is batch-minor
};

// Elements [begin, end) of row-major ones; begin is even.
struct RowMajor {
  using Function = void(const BitsJob&, int64_t begin, int64_t end);
  template <typename Set> JAXNETS_INLINE static void Run(const BitsJob& job, int64_t begin, int64_t end) {
    constexpr int kLanes = Set::kLanes;
    for (int64_t e = begin; e < end; e += 2 * kLanes) {
      const auto words = Hash<kLanes>(job.key, e / 2, 1);
      std::memcpy(job.out + e, &words, std::min<int64_t>(2 * kLanes, end - e) * sizeof(uint16_t));
    }
  }
};

// Pairs of features [begin, end) of all examples, stored [features, batch].
struct BatchMinor {
  using Function = void(const BitsJob&, int64_t begin, int64_t end);
  template <typename Set> JAXNETS_INLINE static void Run(const BitsJob& job, int64_t begin, int64_t end) {
    constexpr int kLanes = Set::kLanes;
    using H = typename Words<kLanes>::Halves;
    const uint32_t step = job.features / 2;
    for (int64_t pair = begin; pair < end; ++pair) {
      uint16_t* out = job.out + 2 * pair * job.batch;
      for (int64_t n = 0; n < job.batch; n += kLanes) {
        const auto words = Hash<kLanes>(job.key, n * step + pair, step);
        const H low = __builtin_convertvector(words & 0xFFFFu, H), high = __builtin_convertvector(words >> 16, H);
        const int64_t bytes = std::min<int64_t>(kLanes, job.batch - n) * sizeof(uint16_t);
        std::memcpy(out + n, &low, bytes);
        std::memcpy(out + job.batch + n, &high, bytes);
      }
    }
  }
};

const auto kRowMajor = Dispatch<RowMajor>();
const auto kBatchMinor = Dispatch<BatchMinor>();

// key: [batch dims..., 2] -> [batch dims..., examples, the shape of one].
ffi::Error Bits(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> key, ffi::ResultBuffer<ffi::U16> out, bool batch_minor) {
  const size_t rank = out->dimensions().size() - (key.dimensions().size() - 1);
  const BatchDims keys(key.dimensions(), 1), bits(out->dimensions(), rank);
  if (keys.item != 2 || rank < 1 || keys.Count() != bits.Count())
    return ffi::Error::InvalidArgument("dropout_bits: shapes do not fit together");
  const int64_t batch = out->dimensions()[keys.sizes.size()], features = batch ? bits.item / batch : 0;
  if (batch_minor && features % 2) return ffi::Error::InvalidArgument("dropout_bits: an odd number of features");
  const int64_t units = batch_minor ? features / 2 : bits.item;
  const int64_t part = batch_minor ? std::max<int64_t>(1, kPart / std::max<int64_t>(1, 2 * batch)) : kPart;
  const int64_t parts = (units + part - 1) / part;
  ParallelFor(pool, bits.Count() * parts, [&](int64_t item) {
    const int64_t l = item / parts, begin = item % parts * part;
    const BitsJob job = {key.typed_data() + l * 2, out->typed_data() + l * bits.item, batch, features};
    (batch_minor ? kBatchMinor : kRowMajor)(job, begin, std::min(begin + part, units));
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_dropout_bits, Bits,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::Buffer<ffi::U32>>()
                                  .Ret<ffi::Buffer<ffi::U16>>().Attr<bool>("batch_minor"));

}  // namespace jaxnets
