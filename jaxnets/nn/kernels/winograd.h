// Convolutions of 3x3 taps and stride 1 by fewer products: what winograd.cc (where it is explained) and winograd_weights.cc
// share.

#ifndef JAXNETS_NN_NATIVE_WINOGRAD_H_
#define JAXNETS_NN_NATIVE_WINOGRAD_H_

#include <algorithm>

#include "conv.h"
#include "vector.h"

namespace jaxnets {

// Whether a convolution can be formed this way, and is worth it.
bool WinogradServes(const Geometry& g);

// One convolution or input gradient for each of out's batch dims.
void RunWinograd(ffi::ThreadPool pool, const PixelJob& job, const BatchDims& source, const BatchDims& weights,
                 const BatchDims* bias, const BatchDims& out);

// dw of the share's channels, summed over the share's rows of output tiles.
void WinogradWeights(const WeightJob& job, const Share& share, float* dw);

constexpr int kSide = 4, kElements = kSide * kSide, kOutputs = 2;  // of a patch, of a patch, of an output tile's side
// Between the 16 matrices lie a few numbers that nothing reads: at powers of two apart, they would share a few cache sets.
constexpr int64_t kPadding = 16;

// B' d B in place, by columns and then by rows.
template <typename V> JAXNETS_INLINE void TransformPatch(V d[kSide][kSide]) {
  for (int pass = 0; pass < 2; ++pass)
    for (int i = 0; i < kSide; ++i) {
      V* const at[kSide] = {pass ? &d[i][0] : &d[0][i], pass ? &d[i][1] : &d[1][i], pass ? &d[i][2] : &d[2][i],
                            pass ? &d[i][3] : &d[3][i]};
      const V zero = *at[0] - *at[2], one = *at[1] + *at[2], two = *at[2] - *at[1], three = *at[1] - *at[3];
      *at[0] = zero, *at[1] = one, *at[2] = two, *at[3] = three;
    }
}

// The output tiles along a side, the last of which may lie partly outside.
inline int64_t Tiles(int64_t size) { return (size + kOutputs - 1) / kOutputs; }

// How the patches of one convolution become columns: `together` patches, in a row, times `padded` of the batch. Either the
// batch is one slice, or one patch is taken at a time.
struct Patches {
  int64_t down, across, padded, together, slices;

  Patches(int64_t height, int64_t width, int64_t batch, int64_t lanes, int64_t columns)
      : down(Tiles(height)), across(Tiles(width)),
        padded(std::min((batch + lanes - 1) / lanes * lanes, columns)), together(columns / padded),
        slices((batch + padded - 1) / padded) {}
  int64_t Groups() const { return (down * across + together - 1) / together; }
};

struct Image {  // [height, width, depth, batch]
  const float* pixels;
  int64_t height, width, depth, batch;
};

struct Slice {  // of the batch
  int64_t from, count;
};

// B' d B of the patch whose first pixel is (h, w), for one slice of the batch, to [elements, parts, depth, columns of a part];
// zeros outside of the image, and after the slice in its last vector. The elements lie `step` apart.
template <int Lanes>
JAXNETS_INLINE void PatchColumns(const Image& image, int64_t h, int64_t w, const Slice& slice, int64_t columns, float* to,
                                 int64_t step) {
  using V = typename Vector<Lanes>::Type;
  const float* pixels[kElements];
  for (int e = 0; e < kElements; ++e) {
    const int64_t i = h + e / kSide, j = w + e % kSide;
    const bool inside = i >= 0 && i < image.height && j >= 0 && j < image.width;
    pixels[e] = inside ? image.pixels + (i * image.width + j) * image.depth * image.batch + slice.from : nullptr;
  }
  for (int64_t k = 0; k < image.depth; ++k)
    for (int64_t at = 0; at < slice.count; at += Lanes) {
      V d[kSide][kSide];
      for (int e = 0; e < kElements; ++e)
        d[e / kSide][e % kSide] = pixels[e] ? Load<Lanes>(pixels[e] + k * image.batch + at, slice.count - at) : V{};
      TransformPatch(d);
      float* const column = to + (at / columns * image.depth + k) * columns + at % columns;
      for (int e = 0; e < kElements; ++e) *reinterpret_cast<V*>(column + e * step) = d[e / kSide][e % kSide];
    }
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_WINOGRAD_H_
