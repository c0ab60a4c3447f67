// The geometry of a two-dimensional convolution, for conv.cc and conv_weights.cc.

#ifndef JAXNETS_NN_NATIVE_CONV_H_
#define JAXNETS_NN_NATIVE_CONV_H_

#include "work.h"

namespace jaxnets {

// Names follow the forward direction: x is the input, y the output.
struct Geometry {
  int64_t batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride, pad_top, pad_left;
};

inline ffi::Error Check(const Geometry& g, bool consistent) {
  if (!consistent) return ffi::Error::InvalidArgument("conv2d: operand shapes do not fit together");
  if (g.stride < 1 || g.kernel_h * g.kernel_w > 256 || g.pad_top < 0 || g.pad_left < 0)
    return ffi::Error::InvalidArgument("conv2d: needs stride >= 1, padding >= 0 and at most 256 kernel positions");
  return ffi::Error::Success();
}

inline Geometry MakeGeometry(const int64_t* x, const int64_t* w, const int64_t* y, int64_t stride, int64_t top, int64_t left) {
  return {x[0], x[1], x[2], x[3], y[1], y[2], y[3], w[0], w[1], stride, top, left};
}

#define JAXNETS_GEOMETRY_ATTRS Attr<int64_t>("stride").Attr<int64_t>("pad_top").Attr<int64_t>("pad_left")

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_CONV_H_
