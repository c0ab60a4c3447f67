// Direct 2-D convolution on CPUs, float32, called from XLA through its FFI (see jaxnets/nn/kernels/__init__.py).
//
// Small nets have few channels (3, 6, 16) and large batches, so the batch is the one axis that always fills a vector
// register. Every activation here is stored batch-minor: [batch dims..., H, W, C, N] with N contiguous. Weights are
// [batch dims..., KH, KW, I, O] in row-major order. "batch dims" come from jax.vmap; an operand may have size 1 there and is
// then shared by all.
//
// The operations (the weights' gradient is in conv_weights.cc, a faster way for some shapes in winograd.cc):
//   forward       y[p, o, n]    = sum over taps t and inputs i of  x[src(p, t), i, n] * w[t, i, o]
//   input grad    the same sum with the roles of input and output exchanged: src() inverts the stride
//
// A micro-kernel (tile.h) keeps a block of sums in registers, some channels by kVectors registers of the batch; how many
// registers that may be, 12 of 16 or 24 of 32, is in dispatch.h. What a batch leaves over takes narrower ones, down to 4 and
// single numbers. Sums are formed in an order that depends on shapes alone, never on the number of threads, so that a run
// can be repeated bit for bit.
//
// A NaN or infinity reaches the outputs whose window holds it, and no other. Padding is left out of the sums and not
// multiplied by zero: a filter that holds a NaN does not make the outputs NaN where its tap lies outside, as in oneDNN; XLA
// multiplies, and has NaN there too.
//
// What it gains: 3 to 10 times XLA's speed at the shapes of LeNet on two AVX-512 cores (README.md, "Numbers").

#include <algorithm>
#include <vector>

#include "conv.h"
#include "tile.h"
#include "winograd.h"
#include "work.h"

namespace jaxnets {
namespace {

// The source coordinate that tap `k` of target coordinate `at` reads, or -1 where it falls outside (or between strides).
JAXNETS_INLINE int64_t SourceOf(bool transposed, int64_t at, int64_t k, int64_t stride, int64_t pad, int64_t size) {
  int64_t source;
  if (transposed) {
    const int64_t shifted = at + pad - k;
    if (shifted < 0 || shifted % stride != 0) return -1;
    source = shifted / stride;
  } else {
    source = at * stride - pad + k;
  }
  return source < 0 || source >= size ? -1 : source;
}

void CollectTaps(const PixelJob& job, int64_t h, int64_t w, std::vector<Tap>& taps) {
  const Geometry& g = job.g;
  const int64_t source_h = job.transposed ? g.out_h : g.in_h, source_w = job.transposed ? g.out_w : g.in_w;
  const int64_t depth = job.Depth(), matrix = depth * job.Channels();
  taps.clear();
  for (int64_t i = 0; i < g.kernel_h; ++i) {
    const int64_t sh = SourceOf(job.transposed, h, i, g.stride, g.pad_top, source_h);
    if (sh < 0) continue;
    for (int64_t j = 0; j < g.kernel_w; ++j) {
      const int64_t sw = SourceOf(job.transposed, w, j, g.stride, g.pad_left, source_w);
      if (sw < 0) continue;
      taps.push_back({job.source + (sh * source_w + sw) * depth * g.batch,
                      job.weights + (i * g.kernel_w + j) * matrix});
    }
  }
}

// Output pixels [begin, end) of one convolution, the batch in slices from wide to narrow.
template <bool Transposed, int Lanes, int Vectors, int Sums>
JAXNETS_INLINE void PixelsOf(const PixelJob& job, int64_t begin, int64_t end) {
  const int64_t n = job.g.batch, depth = job.Depth(), channels = job.Channels(), width = job.Width();
  std::vector<Tap> taps;
  taps.reserve(job.g.kernel_h * job.g.kernel_w);
  int64_t at = 0;
  while (at < n) {
    const int64_t left = n - at;
    const int64_t slice = left >= Vectors * Lanes     ? Vectors * Lanes
                          : left >= 2 * Lanes         ? 2 * Lanes
                          : left >= Lanes             ? Lanes
                          : left >= 8 && Lanes > 8    ? 8
                          : left >= 4 && Lanes > 4    ? 4
                                                      : 1;
    for (int64_t p = begin; p < end; ++p) {
      CollectTaps(job, p / width, p % width, taps);
      const int num_taps = static_cast<int>(taps.size());
      float* out = job.out + p * channels * n;
      if (slice == Vectors * Lanes)
        PixelSlice<Transposed, Lanes, Vectors, Sums / Vectors>(taps.data(), num_taps, at, depth, n, channels, job.bias, out);
      else if (slice == 2 * Lanes)
        PixelSlice<Transposed, Lanes, 2, Sums / 2>(taps.data(), num_taps, at, depth, n, channels, job.bias, out);
      else if (slice == Lanes)
        PixelSlice<Transposed, Lanes, 1, Sums / 2>(taps.data(), num_taps, at, depth, n, channels, job.bias, out);
      else if (slice == 8)
        PixelSlice<Transposed, 8, 1, Sums / 2>(taps.data(), num_taps, at, depth, n, channels, job.bias, out);
      else if (slice == 4)
        PixelSlice<Transposed, 4, 1, Sums / 2>(taps.data(), num_taps, at, depth, n, channels, job.bias, out);
      else
        PixelSlice<Transposed, 1, 1, 8>(taps.data(), num_taps, at, depth, n, channels, job.bias, out);
    }
    at += slice;
  }
}

struct Pixels {
  using Function = void(const PixelJob&, int64_t begin, int64_t end);
  template <typename Set> JAXNETS_INLINE static void Run(const PixelJob& job, int64_t begin, int64_t end) {
    if (job.transposed) PixelsOf<true, Set::kLanes, Set::kVectors, Set::kSums>(job, begin, end);
    else PixelsOf<false, Set::kLanes, Set::kVectors, Set::kSums>(job, begin, end);
  }
};

const auto kPixels = Dispatch<Pixels>();

// ---------------------------------------------------------------------------------------------------------------------
// XLA's side. Shapes are logical: activations [batch dims..., N, H, W, C], whatever their storage order.

ffi::Error RunPixels(ffi::ThreadPool pool, const PixelJob& job, const BatchDims& source, const BatchDims& weights,
                     const BatchDims* bias, const BatchDims& out) {
  if (WinogradServes(job.g)) {
    RunWinograd(pool, job, source, weights, bias, out);
    return ffi::Error::Success();
  }
  OverUnits(pool, job.Height() * job.Width(), job, source, bias, out,
            [&](PixelJob& own, int64_t l, int64_t begin, int64_t end) {
              own.weights += weights.Offset(l, out.sizes);
              kPixels(own, begin, end);
            });
  return ffi::Error::Success();
}

ffi::Error Forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, Result y, int64_t stride, int64_t top,
                   int64_t left) {
  BatchDims xl(x.dimensions(), 4), wl(w.dimensions(), 4), bl(b.dimensions(), 1), yl(y->dimensions(), 4);
  Geometry g;
  ffi::Error error = ReadGeometry(x.dimensions(), w.dimensions(), y->dimensions(), stride, top, left, &g);
  if (error.failure()) return error;
  if (bl.item != g.out_c) return ffi::Error::InvalidArgument("conv2d: operand shapes do not fit together");
  return RunPixels(pool, {g, false, x.typed_data(), w.typed_data(), b.typed_data(), y->typed_data()}, xl, wl, &bl, yl);
}

ffi::Error InputGrad(ffi::ThreadPool pool, Buffer dy, Buffer w, Result dx, int64_t stride, int64_t top, int64_t left) {
  BatchDims yl(dy.dimensions(), 4), wl(w.dimensions(), 4), xl(dx->dimensions(), 4);
  Geometry g;
  ffi::Error error = ReadGeometry(dx->dimensions(), w.dimensions(), dy.dimensions(), stride, top, left, &g);
  if (error.failure()) return error;
  return RunPixels(pool, {g, true, dy.typed_data(), w.typed_data(), nullptr, dx->typed_data()}, yl, wl, nullptr, xl);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_conv2d_forward, Forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().JAXNETS_GEOMETRY_ATTRS);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_conv2d_input_grad, InputGrad,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().JAXNETS_GEOMETRY_ATTRS);

}  // namespace jaxnets
