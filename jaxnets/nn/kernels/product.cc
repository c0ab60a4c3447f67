// See product.h. A piece of some columns of b is copied to lie together; for its length a tile of sums stays in registers.

#include "product.h"

#include <algorithm>

#include "tile.h"

namespace jaxnets {
namespace {

constexpr int64_t kPiece = 64;  // rows: a piece of b takes 16 KiB

template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void Block(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j,
                          float* product) {
  constexpr int64_t kWidth = Vectors * Lanes;
  static_assert(kBlockOutputs % kWidth == 0, "a block is a number of tiles wide");
  const int64_t end_i = std::min(i + kBlockInputs, inputs), tiles = (end_i - i + Rows - 1) / Rows;
  alignas(64) float piece[kPiece * kWidth];
  for (int64_t from = j; from < std::min(j + kBlockOutputs, outputs); from += kWidth) {
    const int64_t width = std::min(kWidth, outputs - from);
    for (int64_t r = i; r < end_i; ++r) std::fill_n(product + r * outputs + from, width, 0.0f);
    std::fill_n(piece, kPiece * kWidth, 0.0f);
    for (const RowPairs& rows : pairs)
      for (int64_t k = 0; k < rows.count; k += kPiece) {
        const Sum over = {1, std::min(kPiece, rows.count - k), 0, inputs};
        for (int64_t n = 0; n < over.count; ++n) std::copy_n(rows.b + (k + n) * outputs + from, width, piece + n * kWidth);
        for (int64_t t = 0; t < tiles; ++t) {
          const int64_t r = i + (end_i - i) * t / tiles, next = i + (end_i - i) * (t + 1) / tiles;
          WeightTileOf<Lanes, Vectors, Rows>(next - r, rows.a + k * inputs + r, 1, piece, over, product + r * outputs + from,
                                             outputs, width);
        }
      }
  }
}

// One copy per instruction set.

using Kernel = void (*)(const RowPairs (&)[2], int64_t, int64_t, int64_t, int64_t, float*);

void BlockBase(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j, float* product) {
  Block<4, 2, 6>(pairs, inputs, outputs, i, j, product);
}
#ifdef JAXNETS_X86
JAXNETS_AVX2 void BlockAvx2(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j,
                            float* product) {
  Block<8, 2, 6>(pairs, inputs, outputs, i, j, product);
}
JAXNETS_AVX512 void BlockAvx512(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j,
                                float* product) {
  Block<16, 4, 6>(pairs, inputs, outputs, i, j, product);
}
#endif

const Kernel kBlock = JAXNETS_CHOOSE(BlockBase, BlockAvx2, BlockAvx512);

}  // namespace

void ProductBlock(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j, float* product) {
  kBlock(pairs, inputs, outputs, i, j, product);
}

}  // namespace jaxnets
