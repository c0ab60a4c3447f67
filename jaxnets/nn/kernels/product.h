// Sums of outer products, for the weight gradients of recurrences: all steps at once, where a scan would add them up step by
// step. Matrices are row-major.

#ifndef JAXNETS_NN_NATIVE_PRODUCT_H_
#define JAXNETS_NN_NATIVE_PRODUCT_H_

#include <cstdint>

namespace jaxnets {

// Rows of two matrices that belong together: a [count, inputs], b [count, outputs].
struct RowPairs {
  const float *a, *b;
  int64_t count;
};

// The product a' b, [inputs, outputs], is formed in blocks of so many of each, one item of work each: 32 KiB of sums, and 4
// to 16 items for the nets of 128 to 256 units that this serves. 64 is the widest panel, AVX-512's.
constexpr int64_t kBlockInputs = 128, kBlockOutputs = 64;

// One block of the sum of the products of two sets of rows; i and j are its first input and output.
void ProductBlock(const RowPairs (&pairs)[2], int64_t inputs, int64_t outputs, int64_t i, int64_t j, float* product);

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_PRODUCT_H_
