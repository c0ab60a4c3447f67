// Two-dimensional convolutions: their geometry, and what conv*.cc and winograd*.cc are asked to compute. Storage orders are
// stated in conv.cc.

#ifndef JAXNETS_NN_NATIVE_CONV_H_
#define JAXNETS_NN_NATIVE_CONV_H_

#include <algorithm>

#include "tile.h"
#include "work.h"

namespace jaxnets {

// Names follow the forward direction: x is the input, y the output.
struct Geometry {
  int64_t batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride, pad_top, pad_left;
};

// From the operands' shapes, of which the last four axes are [N, H, W, C] for x and y and [KH, KW, I, O] for w.
inline ffi::Error ReadGeometry(ffi::Span<const int64_t> x_shape, ffi::Span<const int64_t> w_shape,
                               ffi::Span<const int64_t> y_shape, int64_t stride, int64_t top, int64_t left, Geometry* g) {
  const int64_t* x = &*x_shape.end() - 4;
  const int64_t* w = &*w_shape.end() - 4;
  const int64_t* y = &*y_shape.end() - 4;
  if (x[0] != y[0] || w[2] != x[3] || w[3] != y[3])
    return ffi::Error::InvalidArgument("conv2d: operand shapes do not fit together");
  if (stride < 1 || w[0] * w[1] > kMostTaps || top < 0 || left < 0)
    return ffi::Error::InvalidArgument("conv2d: needs stride >= 1, padding >= 0 and at most 256 kernel positions");
  *g = {x[0], x[1], x[2], x[3], y[1], y[2], y[3], w[0], w[1], stride, top, left};
  return ffi::Error::Success();
}

// A convolution's output from its input, or (transposed) its input's gradient from its output's.
struct PixelJob {
  Geometry g;
  bool transposed;     // false: y from x; true: dx from dy
  const float* source;
  const float* weights;  // [KH, KW, C_in, C_out], as the convolution has them
  const float* bias;     // [channels] or null
  float* out;

  int64_t Height() const { return transposed ? g.in_h : g.out_h; }
  int64_t Width() const { return transposed ? g.in_w : g.out_w; }
  int64_t Channels() const { return transposed ? g.in_c : g.out_c; }
  int64_t Depth() const { return transposed ? g.out_c : g.in_c; }
};

// A weight gradient, and a part of it that is summed by itself.
struct WeightJob {
  Geometry g;
  const float* x;
  const float* dy;
};

struct Share {  // output rows, or rows of output tiles, [row_begin, row_end) and output channels [out_begin, out_end)
  int64_t row_begin, row_end, out_begin, out_end;
};

// Calls kernel(job, l, begin, end) for the units 0 … units - 1 of each index over batch dims l, in parts: about eight items
// a thread, each within one such index. The job's source, bias and output are those of l; its weights are left to the
// kernel.
template <typename Kernel>
void OverUnits(ffi::ThreadPool pool, int64_t units, const PixelJob& job, const BatchDims& source, const BatchDims* bias,
               const BatchDims& out, const Kernel& kernel) {
  const int64_t lead = out.Count();
  const int64_t want = std::max<int64_t>(1, 8 * pool.num_threads() / std::max<int64_t>(1, lead));
  const int64_t parts = std::min(units, want);
  ParallelFor(pool, lead * parts, [&](int64_t item) {
    const int64_t l = item / parts, part = item % parts;
    PixelJob own = job;
    own.source += source.Offset(l, out.sizes);
    if (own.bias) own.bias += bias->Offset(l, out.sizes);
    own.out += l * out.item;
    kernel(own, l, units * part / parts, units * (part + 1) / parts);
  });
}

#define JAXNETS_GEOMETRY_ATTRS Attr<int64_t>("stride").Attr<int64_t>("pad_top").Attr<int64_t>("pad_left")

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_CONV_H_
