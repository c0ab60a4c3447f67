// Vectors of floats, and functions of them, for kernels of any instruction set (see dispatch.h). They are GCC's and Clang's
// vector extensions: operators work lane by lane, and comparisons select by ?:. NaN passes through every function.
//
// One caution. GCC 12 joins two selections of the same value into one by an OR of the comparisons, and takes that OR apart
// lane by lane where code is inlined into a function for AVX-512: fifteen times slower. `objdump -d` shows it as vucomiss.

#ifndef JAXNETS_NN_NATIVE_VECTOR_H_
#define JAXNETS_NN_NATIVE_VECTOR_H_

#include <cstdint>
#include <cstring>

#include "dispatch.h"

namespace jaxnets {

// Vectors: `Lanes` floats, loaded and stored at any address. One lane is a plain float.

template <int Lanes> struct Vector {
  typedef float Type __attribute__((vector_size(Lanes * sizeof(float)), aligned(alignof(float)), may_alias));
};
template <> struct Vector<1> {
  typedef float Type;
};

template <int Lanes> struct Integers {
  typedef int32_t Type __attribute__((vector_size(Lanes * sizeof(int32_t)), aligned(alignof(int32_t)), may_alias));
};

template <int Lanes> struct Doubles {
  typedef double Type __attribute__((vector_size(Lanes * sizeof(double))));
};

// The first `count` lanes from memory, zeros after them; and back.
template <int Lanes> JAXNETS_INLINE typename Vector<Lanes>::Type Load(const float* from, int64_t count) {
  if (count >= Lanes) return *reinterpret_cast<const typename Vector<Lanes>::Type*>(from);
  typename Vector<Lanes>::Type v{};
  std::memcpy(&v, from, count * sizeof(float));
  return v;
}
template <int Lanes> JAXNETS_INLINE void Store(float* to, const typename Vector<Lanes>::Type& v, int64_t count) {
  if (count >= Lanes) *reinterpret_cast<typename Vector<Lanes>::Type*>(to) = v;
  else std::memcpy(to, &v, count * sizeof(float));
}

// exp(x) to about one unit in the last place, for x clamped to where the result is a normal number: x = n ln 2 + r with
// |r| <= ln(2) / 2, a polynomial for exp(r) (Cephes), and n added to the exponent.
template <int Lanes> JAXNETS_INLINE typename Vector<Lanes>::Type Exp(typename Vector<Lanes>::Type x) {
  using V = typename Vector<Lanes>::Type;
  using I = typename Integers<Lanes>::Type;
  const V low = V{} - 87.0f, high = V{} + 88.0f;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const V shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part ends up in the last bits.
  const V n = shifted - 12582912.0f;
  const V r = x - n * 0.693359375f + n * 2.12194440e-4f;
  V p = V{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  I bits;
  std::memcpy(&bits, &p, sizeof(bits));
  bits += __builtin_convertvector(n, I) << 23;
  V result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

template <int Lanes> JAXNETS_INLINE typename Vector<Lanes>::Type Sigmoid(typename Vector<Lanes>::Type x) {
  return 1.0f / (1.0f + Exp<Lanes>(-x));
}

// By exp(2x), and near zero, where that would lose digits, by a polynomial (Cephes).
template <int Lanes> JAXNETS_INLINE typename Vector<Lanes>::Type Tanh(typename Vector<Lanes>::Type x) {
  using V = typename Vector<Lanes>::Type;
  const V large = 1.0f - 2.0f / (Exp<Lanes>(2.0f * x) + 1.0f);
  const V z = x * x;
  V p = V{} - 5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const V small = p * z * x + x;
  return z < V{} + 0.390625f ? small : large;
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_VECTOR_H_
