// Products with a matrix that is used many times: packed once into strips as wide as a register tile.

#ifndef JAXNETS_NN_NATIVE_PACKED_H_
#define JAXNETS_NN_NATIVE_PACKED_H_

#include <algorithm>
#include <memory>

#include "vector.h"

namespace jaxnets {

// Floats that begin at a cache line, so that no vector of a strip lies across two.
class Aligned {
 public:
  explicit Aligned(int64_t size) : storage_(new float[size + 16]) {}
  float* data() const {
    const auto address = reinterpret_cast<uintptr_t>(storage_.get());
    return storage_.get() + (64 - address % 64) % 64 / sizeof(float);
  }

 private:
  std::unique_ptr<float[]> storage_;
};

// A matrix [depth, width], or the transpose of one [width, depth], as strips of `strip` columns, [strips][depth][strip],
// zeros behind the last column.
struct Packed {
  int64_t depth, width, strip, strips;
  Aligned data;

  Packed(int64_t depth, int64_t width, int64_t strip)
      : depth(depth), width(width), strip(strip), strips((width + strip - 1) / strip), data(strips * depth * strip) {}
  int64_t Padded() const { return strips * strip; }
  float* Strip(int64_t s) const { return data.data() + s * depth * strip; }

  // Strip s, from the matrix.
  void Fill(int64_t s, const float* matrix, bool transposed) {
    const int64_t first = s * strip, columns = std::min(strip, width - first);
    float* to = Strip(s);
    if (columns < strip) std::fill_n(to, depth * strip, 0.0f);
    if (!transposed) {
      for (int64_t k = 0; k < depth; ++k) std::copy_n(matrix + k * width + first, columns, to + k * strip);
      return;
    }
    constexpr int64_t kLine = 16;  // floats of a cache line, all of which are used while it is in cache
    for (int64_t k = 0; k < depth; k += kLine)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t i = k; i < std::min(k + kLine, depth); ++i) to[i * strip + j] = matrix[(first + j) * depth + i];
  }
};

// out[r, :strip] = a[r] · strip for `Rows` rows.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void Tile(const float* const* rows, const float* strip, int64_t depth, float* out, int64_t out_row) {
  using V = typename Vector<Lanes>::Type;
  const float* a[Rows];
  for (int r = 0; r < Rows; ++r) a[r] = rows[r];
  V sum[Rows][Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) sum[r][v] = V{};
  for (int64_t k = 0; k < depth; ++k, strip += Vectors * Lanes) {
    V w[Vectors];
    for (int v = 0; v < Vectors; ++v) w[v] = *reinterpret_cast<const V*>(strip + v * Lanes);
    for (int r = 0; r < Rows; ++r) {
      const V x = V{} + a[r][k];
      for (int v = 0; v < Vectors; ++v) sum[r][v] += x * w[v];
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<V*>(out + r * out_row + v * Lanes) = sum[r][v];
}

// Calls the tile of so many rows (1..Most).
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void TileOf(int64_t count, const float* const* rows, const float* strip, int64_t depth, float* out,
                           int64_t out_row) {
  if constexpr (Most > 0) {
    if (count == Most) Tile<Lanes, Vectors, Most>(rows, strip, depth, out, out_row);
    else TileOf<Lanes, Vectors, Most - 1>(count, rows, strip, depth, out, out_row);
  }
}

// out[rows, padded width] = a[rows][depth] · w, in equal blocks of at most `Most` rows: each reads the strip anew.
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void Multiply(const float* const* a, int64_t rows, const Packed& w, float* out) {
  const int64_t out_row = w.Padded(), blocks = (rows + Most - 1) / Most;
  for (int64_t s = 0; s < w.strips; ++s)
    for (int64_t b = 0, r = 0; b < blocks; ++b) {
      const int64_t next = rows * (b + 1) / blocks;
      TileOf<Lanes, Vectors, Most>(next - r, a + r, w.Strip(s), w.depth, out + r * out_row + s * w.strip, out_row);
      r = next;
    }
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_PACKED_H_
