// The weight gradient of convolutions of 3x3 taps and stride 1: the adjoint of the sums in winograd.cc with respect to w,
//
//   dw = G' [ sum over tiles and batch of  (B' d B) * (A dy A') ] G      * element by element
//
// with one product of matrices for each of the 16 elements, [C_in, columns] . [columns, C_out]. The names of the matrices
// are those of winograd.cc, and so are the storage orders.
//
// The sums over tiles and batch are as in conv_weights.cc: a chunk of 64 columns in registers, the chunks of a band one after
// the other, and at most 16 bands. x is transformed once for each share: a share has up to 128 channels, but fewer where that
// would leave too few shares to hand out to threads.

#include <memory>

#include "tile.h"
#include "winograd.h"

namespace jaxnets {
namespace {

// A dy A'.
template <typename V> JAXNETS_INLINE void SpreadTile(const V y[kOutputs][kOutputs], V z[kSide][kSide]) {
  V half[kSide][kOutputs];
  for (int j = 0; j < kOutputs; ++j) {
    half[0][j] = y[0][j];
    half[1][j] = y[0][j] + y[1][j];
    half[2][j] = y[0][j] - y[1][j];
    half[3][j] = -y[1][j];
  }
  for (int i = 0; i < kSide; ++i) {
    z[i][0] = half[i][0];
    z[i][1] = half[i][0] + half[i][1];
    z[i][2] = half[i][0] - half[i][1];
    z[i][3] = -half[i][1];
  }
}

// G' u G.
template <typename V> JAXNETS_INLINE void GatherTaps(const V u[kSide][kSide], V w[3][3]) {
  V half[3][kSide];
  for (int j = 0; j < kSide; ++j) {
    const V sum = 0.5f * (u[1][j] + u[2][j]), difference = 0.5f * (u[1][j] - u[2][j]);
    half[0][j] = u[0][j] + sum;
    half[1][j] = difference;
    half[2][j] = sum + u[3][j];
  }
  for (int i = 0; i < 3; ++i) {
    const V sum = 0.5f * (half[i][1] + half[i][2]), difference = 0.5f * (half[i][1] - half[i][2]);
    w[i][0] = half[i][0] + sum;
    w[i][1] = difference;
    w[i][2] = sum + half[i][3];
  }
}

// A dy A' of the tile whose first pixel is (h, w), to [elements, batch of the slice, Width channels].
template <int Lanes, int Width>
JAXNETS_INLINE void TileColumns(const Image& image, int64_t h, int64_t w, const Slice& slice, int64_t channel,
                                int64_t channels, float* to, int64_t step) {
  using V = typename Vector<Lanes>::Type;
  float read[kOutputs][kOutputs][Width][Lanes] = {};  // a few of the batch: channels lie far apart in memory
  for (int64_t k = 0; k < slice.count; ++k, to += Width) {
    if (k % Lanes == 0)
      for (int i = 0; i < kOutputs && h + i < image.height; ++i)
        for (int j = 0; j < kOutputs && w + j < image.width; ++j) {
          const float* from =
              image.pixels + (((h + i) * image.width + w + j) * image.depth + channel) * image.batch + slice.from + k;
          for (int64_t c = 0; c < channels; ++c)
            *reinterpret_cast<V*>(read[i][j][c]) = Load<Lanes>(from + c * image.batch, slice.count - k);
        }
    float turned[kOutputs][kOutputs][Width];
    for (int i = 0; i < kOutputs; ++i)
      for (int j = 0; j < kOutputs; ++j)
        for (int c = 0; c < Width; ++c) turned[i][j][c] = read[i][j][c][k % Lanes];
    for (int at = 0; at < Width; at += Lanes) {
      V y[kOutputs][kOutputs], z[kSide][kSide];
      for (int i = 0; i < kOutputs; ++i)
        for (int j = 0; j < kOutputs; ++j) y[i][j] = *reinterpret_cast<const V*>(turned[i][j] + at);
      SpreadTile(y, z);
      for (int e = 0; e < kElements; ++e) *reinterpret_cast<V*>(to + e * step + at) = z[e / kSide][e % kSide];
    }
  }
}

// dw of the share's channels, summed over the share's rows of tiles. At most `Columns` columns at once.
template <int Lanes, int Vectors, int Rows, int Columns>
JAXNETS_INLINE void WeightsOf(const WeightJob& job, const Share& share, float* dw) {
  using V = typename Vector<Lanes>::Type;
  constexpr int kWidth = Vectors * Lanes;
  const Geometry& g = job.g;
  const Patches patches(g.out_h, g.out_w, g.batch, Lanes, Columns);
  const Image x = {job.x, g.in_h, g.in_w, g.in_c, g.batch}, dy = {job.dy, g.out_h, g.out_w, g.out_c, g.batch};
  const int64_t channels = share.out_end - share.out_begin, parts = (channels + kWidth - 1) / kWidth;
  const int64_t row = parts * kWidth;
  const int64_t v_step = g.in_c * Columns + kPadding, z_step = Columns * kWidth + kPadding, u_step = g.in_c * row + kPadding;
  const std::unique_ptr<float[]> scratch(new float[kElements * (v_step + parts * z_step + u_step)]());
  float* const v = scratch.get();                   // [elements, inputs, columns]
  float* const z = v + kElements * v_step;          // [parts, elements, columns, channels of a part]
  float* const u = z + parts * kElements * z_step;  // [elements, inputs, parts, channels of a part]
  const int64_t begin = share.row_begin * patches.across, end = share.row_end * patches.across;
  for (int64_t from = 0; from < g.batch; from += patches.padded) {
    const Slice slice = {from, std::min(patches.padded, g.batch - from)};
    for (int64_t first = begin, last; first < end; first = last) {
      last = std::min(first + patches.together, end);
      for (int64_t p = first; p < last; ++p) {
        const int64_t h = p / patches.across * kOutputs, w = p % patches.across * kOutputs;
        const int64_t column = (p - first) * patches.padded;
        PatchColumns<Lanes>(x, h - g.pad_top, w - g.pad_left, slice, Columns, v + column, v_step);
        for (int64_t part = 0; part < parts; ++part) {
          const int64_t channel = part * kWidth, count = std::min<int64_t>(kWidth, channels - channel);
          TileColumns<Lanes, kWidth>(dy, h, w, slice, share.out_begin + channel, count,
                                     z + part * kElements * z_step + column * kWidth, z_step);
        }
      }
      const Sum over = {1, (last - first - 1) * patches.padded + slice.count, 0, 1};
      for (int e = 0; e < kElements; ++e)
        for (int64_t part = 0; part < parts; ++part)
          WeightRows<Lanes, Vectors, Rows>(g.in_c, v + e * v_step, Columns, z + (part * kElements + e) * z_step, over,
                                           u + e * u_step + part * kWidth, row, kWidth);
    }
  }
  for (int64_t i = 0; i < g.in_c; ++i)
    for (int64_t c = 0; c < channels; c += Lanes) {
      V sums[kSide][kSide], taps[3][3];
      for (int e = 0; e < kElements; ++e)
        sums[e / kSide][e % kSide] = *reinterpret_cast<const V*>(u + e * u_step + i * row + c);
      GatherTaps(sums, taps);
      for (int t = 0; t < 9; ++t)
        Store<Lanes>(dw + (t * g.in_c + i) * g.out_c + share.out_begin + c, taps[t / 3][t % 3], channels - c);
    }
}

struct Weights {
  using Function = void(const WeightJob&, const Share&, float* dw);
  template <typename Set> JAXNETS_INLINE static void Run(const WeightJob& job, const Share& share, float* dw) {
    WeightsOf<Set::kLanes, 2, Set::kSums / 2, 64>(job, share, dw);
  }
};

const auto kWeights = Dispatch<Weights>();

}  // namespace

void WinogradWeights(const WeightJob& job, const Share& share, float* dw) { kWeights(job, share, dw); }

}  // namespace jaxnets
