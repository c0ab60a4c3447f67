// Products with a matrix that is used many times: packed once into panels as wide as a micro-kernel. README.md draws one.
//
// Packing pays when a matrix is read once a step: a panel is read from end to end, without a stride that would put its rows
// into the same few sets of a cache, and needs no case for a last, narrower one.

#ifndef JAXNETS_NN_NATIVE_PACKED_H_
#define JAXNETS_NN_NATIVE_PACKED_H_

#include <algorithm>
#include <memory>

#include "vector.h"

namespace jaxnets {

// Floats that begin at a cache line, so that no vector of a panel lies across two.
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

// A matrix [depth, width], or the transpose of one [width, depth], as panels of `panel` columns, [panels][depth][panel],
// zeros after the last column.
struct Packed {
  int64_t depth, width, panel, panels;
  Aligned data;

  Packed(int64_t depth, int64_t width, int64_t panel)
      : depth(depth), width(width), panel(panel), panels((width + panel - 1) / panel), data(panels * depth * panel) {}
  int64_t Padded() const { return panels * panel; }
  float* Panel(int64_t s) const { return data.data() + s * depth * panel; }

  // Panel s, from the matrix.
  void Fill(int64_t s, const float* matrix, bool transposed) {
    const int64_t first = s * panel, columns = std::min(panel, width - first);
    float* to = Panel(s);
    if (columns < panel) std::fill_n(to, depth * panel, 0.0f);
    if (!transposed) {
      for (int64_t k = 0; k < depth; ++k) std::copy_n(matrix + k * width + first, columns, to + k * panel);
      return;
    }
    constexpr int64_t kLine = 16;  // floats of a cache line, all of which are used while it is in cache
    for (int64_t k = 0; k < depth; k += kLine)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t i = k; i < std::min(k + kLine, depth); ++i) to[i * panel + j] = matrix[(first + j) * depth + i];
  }
};

// out[r, :panel] = a[r] · panel for `Rows` rows.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void MicroKernel(const float* const* rows, const float* panel, int64_t depth, float* out, int64_t out_row) {
  using V = typename Vector<Lanes>::Type;
  const float* a[Rows];
  for (int r = 0; r < Rows; ++r) a[r] = rows[r];
  V sum[Rows][Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) sum[r][v] = V{};
  for (int64_t k = 0; k < depth; ++k, panel += Vectors * Lanes) {
    V w[Vectors];
    for (int v = 0; v < Vectors; ++v) w[v] = *reinterpret_cast<const V*>(panel + v * Lanes);
    for (int r = 0; r < Rows; ++r) {
      const float x = a[r][k];  // Broadcast by the product: V{} + x would be one more addition.
      for (int v = 0; v < Vectors; ++v) sum[r][v] += x * w[v];
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<V*>(out + r * out_row + v * Lanes) = sum[r][v];
}

// out[rows, padded width] = a[rows][depth] · w, in equal blocks of at most `Most` rows: each reads the panel anew.
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void Multiply(const float* const* a, int64_t rows, const Packed& w, float* out) {
  const int64_t out_row = w.Padded();
  for (int64_t p = 0; p < w.panels; ++p)
    InBlocks<Most>(rows, [&](int64_t r, auto count) JAXNETS_INLINE_LAMBDA {
      MicroKernel<Lanes, Vectors, decltype(count)::value>(a + r, w.Panel(p), w.depth, out + r * out_row + p * w.panel,
                                                          out_row);
    });
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_PACKED_H_
