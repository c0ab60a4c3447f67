// The inner loops of convolutions: tiles of sums kept in registers.

#ifndef JAXNETS_NN_NATIVE_TILE_H_
#define JAXNETS_NN_NATIVE_TILE_H_

#include "vector.h"

namespace jaxnets {

struct Tap {
  const float* source;   // a matrix [depth, row], of which some columns are used
  const float* weights;  // the first row of this tap's matrix
};

// Sums over taps and depth for `Channels` outputs by `Vectors` groups of lanes. A tap's matrix is [depth, Channels], or
// [Channels, depth] if Transposed; `weight_row` lies between its rows.
template <bool Transposed, int Lanes, int Vectors, int Channels>
JAXNETS_INLINE void PixelTile(const Tap* taps, int num_taps, int64_t depth, int64_t row, int64_t weight_row,
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
        const V w = V{} + weights[c * next_channel];
        for (int v = 0; v < Vectors; ++v) sum[c][v] += w * x[v];
      }
    }
  }
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<V*>(out + c * row + v * Lanes) = sum[c][v];
}

// Calls the tile whose channel count is `channels` (1..Most).
template <bool Transposed, int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelTileOf(int channels, const Tap* taps, int num_taps, int64_t depth, int64_t row,
                                int64_t weight_row, const float* bias, float* out) {
  if constexpr (Most > 0) {
    if (channels == Most)
      PixelTile<Transposed, Lanes, Vectors, Most>(taps, num_taps, depth, row, weight_row, bias, out);
    else
      PixelTileOf<Transposed, Lanes, Vectors, Most - 1>(channels, taps, num_taps, depth, row, weight_row, bias, out);
  }
}

// All output channels for the columns from `at` on (a slice of the batch, say), in equal blocks of at most `Most` channels.
template <bool Transposed, int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelSlice(const Tap* taps, int num_taps, int64_t at, int64_t depth, int64_t row, int64_t out_c,
                               const float* bias, float* out) {
  const int64_t weight_row = Transposed ? depth : out_c;
  Tap moved[256];
  const int64_t blocks = (out_c + Most - 1) / Most;
  for (int64_t b = 0, c = 0; b < blocks; ++b) {
    const int64_t next = out_c * (b + 1) / blocks;
    for (int t = 0; t < num_taps; ++t) moved[t] = {taps[t].source + at, taps[t].weights + c * (Transposed ? weight_row : 1)};
    PixelTileOf<Transposed, Lanes, Vectors, Most>(static_cast<int>(next - c), moved, num_taps, depth, row, weight_row,
                                                  bias ? bias + c : nullptr, out + c * row + at);
    c = next;
  }
}

// What a tile sums over: `count` of the batch, whose x lie `next` apart, at each of `pixels` pixels, `step` apart.
struct Sum {
  int64_t pixels, count, step, next;
};

// `Rows` rows of x, `row` apart, times dy [pixels, count, Vectors * Lanes], added to as many rows of dw, `stride` apart.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void WeightTile(const float* x, int64_t row, const float* dy, const Sum& over, float* dw, int64_t stride,
                               int64_t channels) {
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

template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void WeightTileOf(int64_t rows, const float* x, int64_t row, const float* dy, const Sum& over, float* dw,
                                 int64_t stride, int64_t channels) {
  if constexpr (Most > 0) {
    if (rows == Most) WeightTile<Lanes, Vectors, Most>(x, row, dy, over, dw, stride, channels);
    else WeightTileOf<Lanes, Vectors, Most - 1>(rows, x, row, dy, over, dw, stride, channels);
  }
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_TILE_H_
