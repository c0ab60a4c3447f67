// The micro-kernels of convolutions: the innermost loops, which keep a block of sums in registers.
//
//   PixelMicroKernel    channels by columns (the batch):  out[c, n] = sum over taps and depth of w[c] * x[n]
//   WeightMicroKernel   rows (taps and inputs) by channels:  dw[r, o] += sum over pixels and batch of x[r] * dy[o]
//
// Both add up outer products: a broadcast number times a row of kVectors registers. How many registers of sums there are is
// decided where they are called, from dispatch.h. All strides are in floats.

#ifndef JAXNETS_NN_NATIVE_TILE_H_
#define JAXNETS_NN_NATIVE_TILE_H_

#include "vector.h"

namespace jaxnets {

constexpr int kMostTaps = 256;  // of a kernel: what the stack has room for

struct Tap {
  const float* source;   // a matrix [depth, row], of which some columns are used
  const float* weights;  // the first row of this tap's matrix
};

// Sums over taps and depth for `Channels` outputs by `Vectors` groups of lanes. A tap's matrix is [depth, Channels], or
// [Channels, depth] if Transposed; `weight_row` lies between its rows.
template <bool Transposed, int Lanes, int Vectors, int Channels>
JAXNETS_INLINE void PixelMicroKernel(const Tap* taps, int num_taps, int64_t depth, int64_t row, int64_t weight_row,
                                     const float* bias, float* out) {
  using V = typename Vector<Lanes>::Type;
  const int64_t deeper = Transposed ? 1 : weight_row, next_channel = Transposed ? weight_row : 1;
  V sum[Channels][Vectors];
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) sum[c][v] = V{} + (bias ? bias[c] : 0.0f);
  for (int t = 0; t < num_taps; ++t) {
    const float* source = taps[t].source;
    const float* weights = taps[t].weights;
    for (int64_t k = 0; k < depth; ++k, source += row, weights += deeper) {
      V x[Vectors];
      for (int v = 0; v < Vectors; ++v) x[v] = *reinterpret_cast<const V*>(source + v * Lanes);
      for (int c = 0; c < Channels; ++c) {
        const float w = weights[c * next_channel];  // Broadcast by the product: V{} + w would be one more addition.
        for (int v = 0; v < Vectors; ++v) sum[c][v] += w * x[v];
      }
    }
  }
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<V*>(out + c * row + v * Lanes) = sum[c][v];
}

// All output channels for the columns from `at` on (a slice of the batch, say), in equal blocks of at most `Most` channels.
template <bool Transposed, int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelSlice(const Tap* taps, int num_taps, int64_t at, int64_t depth, int64_t row, int64_t out_c,
                               const float* bias, float* out) {
  const int64_t weight_row = Transposed ? depth : out_c;
  InBlocks<Most>(out_c, [&](int64_t c, auto channels) JAXNETS_INLINE_LAMBDA {
    Tap moved[kMostTaps];
    for (int t = 0; t < num_taps; ++t) moved[t] = {taps[t].source + at, taps[t].weights + c * (Transposed ? weight_row : 1)};
    PixelMicroKernel<Transposed, Lanes, Vectors, decltype(channels)::value>(moved, num_taps, depth, row, weight_row,
                                                                            bias ? bias + c : nullptr, out + c * row + at);
  });
}

// What a weight gradient sums over: `count` of the batch, whose x lie `next` apart, at each of `pixels` pixels, `step`
// apart.
struct Sum {
  int64_t pixels, count, step, next;
};

// `Rows` rows of x, `row` apart, times dy [pixels, count, Vectors * Lanes], added to as many rows of dw, `stride` apart.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void WeightMicroKernel(const float* x, int64_t row, const float* dy, const Sum& over, float* dw,
                                      int64_t stride, int64_t channels) {
  using V = typename Vector<Lanes>::Type;
  V sum[Rows][Vectors] = {};
  for (int64_t p = 0; p < over.pixels; ++p, x += over.step)
    for (int64_t n = 0; n < over.count; ++n, dy += Vectors * Lanes)
      for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < Vectors; ++v)
          sum[r][v] += x[r * row + n * over.next] * *reinterpret_cast<const V*>(dy + v * Lanes);
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors && v * Lanes < channels; ++v) {
      float* to = dw + r * stride + v * Lanes;
      Store<Lanes>(to, Load<Lanes>(to, channels - v * Lanes) + sum[r][v], channels - v * Lanes);
    }
}

// The same for any number of rows, in equal blocks of at most `Most`.
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void WeightRows(int64_t rows, const float* x, int64_t row, const float* dy, const Sum& over, float* dw,
                               int64_t stride, int64_t channels) {
  InBlocks<Most>(rows, [&](int64_t r, auto count) JAXNETS_INLINE_LAMBDA {
    WeightMicroKernel<Lanes, Vectors, decltype(count)::value>(x + r * row, row, dy, over, dw + r * stride, stride, channels);
  });
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_TILE_H_
