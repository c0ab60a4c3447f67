// See product.h. A piece of some columns of b is copied to lie together; for its length a block of sums stays in registers.
// A sum is thus a chain of at most 64 terms in a register, and of one addition for every 64 rows in memory.

#include "product.h"

#include <algorithm>

#include "tile.h"

namespace jaxnets {
namespace {

constexpr int64_t kPiece = 64;  // rows: a piece of b takes at most 16 KiB, half of a first-level cache

struct Block {
  using Function = void(const RowPairs (&)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j, float* product);
  template <typename Set>
  JAXNETS_INLINE static void Run(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j,
                                 float* product) {
    constexpr int64_t kWidth = Set::kVectors * Set::kLanes;
    static_assert(kBlockOutputs % kWidth == 0, "a block is a number of micro-kernels wide");
    const int64_t end_i = std::min(i + kBlockInputs, inputs);
    alignas(64) float piece[kPiece * kWidth];
    for (int64_t from = j; from < std::min(j + kBlockOutputs, outputs); from += kWidth) {
      const int64_t width = std::min(kWidth, outputs - from);
      for (int64_t r = i; r < end_i; ++r) std::fill_n(product + r * outputs + from, width, 0.0f);
      std::fill_n(piece, kPiece * kWidth, 0.0f);
      for (const RowPairs& rows : pairs)
        for (int64_t k = 0; k < rows.count; k += kPiece) {
          const Sum over = {1, std::min(kPiece, rows.count - k), 0, inputs};
          for (int64_t n = 0; n < over.count; ++n)
            std::copy_n(rows.b + (k + n) * outputs + from, width, piece + n * kWidth);
          WeightRows<Set::kLanes, Set::kVectors, Set::kSums / Set::kVectors>(
              end_i - i, rows.a + k * inputs + i, 1, piece, over, product + i * outputs + from, outputs, width);
        }
    }
  }
};

const auto kBlock = Dispatch<Block>();

}  // namespace

void ProductBlock(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j, float* product) {
  kBlock(pairs, inputs, outputs, i, j, product);
}

}  // namespace jaxnets
