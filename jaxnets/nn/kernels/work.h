// Sharing work out over XLA's threads, and the batch dims that jax.vmap gives to operands.

#ifndef JAXNETS_NN_NATIVE_WORK_H_
#define JAXNETS_NN_NATIVE_WORK_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace jaxnets {

namespace ffi = xla::ffi;

using Buffer = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

// Calls work(0) … work(items - 1), in any order. The caller and the pool's threads take items from one counter; the caller
// never waits for a thread that has not begun, so a busy pool costs speed, not progress.
void ParallelFor(ffi::ThreadPool pool, int64_t items, const std::function<void(int64_t)>& work);

// An operand's batch dims: those that jax.vmap has put before its last `rank` ones. Maps an index over the result's batch
// dims to an offset in the operand, whose own are of equal size or 1.
struct BatchDims {
  std::vector<int64_t> sizes;
  int64_t item;  // elements of one index

  BatchDims(ffi::Span<const int64_t> dims, size_t rank) : sizes(dims.begin(), dims.end() - rank), item(1) {
    for (size_t i = dims.size() - rank; i < dims.size(); ++i) item *= dims[i];
  }
  int64_t Count() const {
    int64_t count = 1;
    for (int64_t size : sizes) count *= size;
    return count;
  }
  int64_t Offset(int64_t index, const std::vector<int64_t>& result) const {
    int64_t offset = 0, scale = item;
    for (size_t axis = result.size(); axis-- > 0;) {
      if (sizes[axis] != 1) offset += index % result[axis] * scale;
      scale *= sizes[axis];
      index /= result[axis];
    }
    return offset;
  }
};

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_WORK_H_
