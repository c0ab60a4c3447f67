// Direct 2-D convolution on CPUs, float32, called from XLA through its FFI (see jaxnets/nn/cpu.py).
//
// Small nets have few channels (3, 6, 16) and large batches, so the batch is the one axis that always fills a vector
// register. Every activation here is stored batch-minor: [lead..., H, W, C, N] with N contiguous. Weights are
// [lead..., KH, KW, I, O] in row-major order. "lead" axes come from jax.vmap; an operand may have size 1 there and is
// then shared by all.
//
// The operations (the weights' gradient is in conv_weights.cc):
//   forward       y[p, o, n]    = sum over taps t and inputs i of  x[src(p, t), i, n] * w[t, i, o]
//   input grad    the same sum with the roles of input and output exchanged: src() inverts the stride
//
// The inner loops keep a tile of sums in registers. Sums are formed in an order that depends on shapes alone,
// never on the number of threads, so that a run can be repeated bit for bit.

#include <algorithm>
#include <vector>

#include "conv.h"
#include "vector.h"
#include "work.h"

namespace jaxnets {
namespace {

struct Tap {
  const float* source;   // first channel of the source pixel, batch element 0
  const float* weights;  // first row of this tap's matrix
};

// ---------------------------------------------------------------------------------------------------------------------
// Forward and input gradient: a tile of `Channels` outputs by `Vectors` groups of lanes.

// A tap's matrix is [depth, Channels], or [Channels, depth] if Transposed; `weight_row` lies between its rows.
template <bool Transposed, int Lanes, int Vectors, int Channels>
JAXNETS_INLINE void PixelTile(const Tap* taps, int num_taps, int64_t depth, int64_t batch, int64_t weight_row,
                              const float* bias, float* out) {
  using V = typename Vector<Lanes>::Type;
  const int64_t deeper = Transposed ? 1 : weight_row, next_channel = Transposed ? weight_row : 1;
  V sum[Channels][Vectors];
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) sum[c][v] = V{} + (bias ? bias[c] : 0.0f);
  for (int t = 0; t < num_taps; ++t) {
    const float* source = taps[t].source;
    const float* weights = taps[t].weights;
    for (int64_t k = 0; k < depth; ++k, source += batch, weights += deeper) {
      V x[Vectors];
      for (int v = 0; v < Vectors; ++v) x[v] = *reinterpret_cast<const V*>(source + v * Lanes);
      for (int c = 0; c < Channels; ++c) {
        const V w = V{} + weights[c * next_channel];
        for (int v = 0; v < Vectors; ++v) sum[c][v] += w * x[v];
      }
    }
  }
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<V*>(out + c * batch + v * Lanes) = sum[c][v];
}

// Calls the tile whose channel count is `channels` (1..Most).
template <bool Transposed, int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelTileOf(int channels, const Tap* taps, int num_taps, int64_t depth, int64_t batch,
                                int64_t weight_row, const float* bias, float* out) {
  if constexpr (Most > 0) {
    if (channels == Most)
      PixelTile<Transposed, Lanes, Vectors, Most>(taps, num_taps, depth, batch, weight_row, bias, out);
    else
      PixelTileOf<Transposed, Lanes, Vectors, Most - 1>(channels, taps, num_taps, depth, batch, weight_row, bias, out);
  }
}

// All output channels of one pixel for one slice of the batch, in equal blocks of at most `Most` channels.
template <bool Transposed, int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelSlice(const std::vector<Tap>& taps, int64_t at, int64_t depth, int64_t batch, int64_t out_c,
                               const float* bias, float* out) {
  const int64_t weight_row = Transposed ? depth : out_c;
  Tap moved[256];
  const int num_taps = static_cast<int>(taps.size());
  const int64_t blocks = (out_c + Most - 1) / Most;
  for (int64_t b = 0, c = 0; b < blocks; ++b) {
    const int64_t next = out_c * (b + 1) / blocks;
    for (int t = 0; t < num_taps; ++t) moved[t] = {taps[t].source + at, taps[t].weights + c * (Transposed ? weight_row : 1)};
    PixelTileOf<Transposed, Lanes, Vectors, Most>(static_cast<int>(next - c), moved, num_taps, depth, batch, weight_row,
                                                  bias ? bias + c : nullptr, out + c * batch + at);
    c = next;
  }
}

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
template <bool Transposed, int Lanes, int Vectors, int Budget>
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
      float* out = job.out + p * channels * n;
      if (slice == Vectors * Lanes)
        PixelSlice<Transposed, Lanes, Vectors, Budget / Vectors>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == 2 * Lanes)
        PixelSlice<Transposed, Lanes, 2, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == Lanes)
        PixelSlice<Transposed, Lanes, 1, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == 8)
        PixelSlice<Transposed, 8, 1, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == 4)
        PixelSlice<Transposed, 4, 1, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else
        PixelSlice<Transposed, 1, 1, 8>(taps, at, depth, n, channels, job.bias, out);
    }
    at += slice;
  }
}

template <int Lanes, int Vectors, int Budget>
JAXNETS_INLINE void Pixels(const PixelJob& job, int64_t begin, int64_t end) {
  if (job.transposed) PixelsOf<true, Lanes, Vectors, Budget>(job, begin, end);
  else PixelsOf<false, Lanes, Vectors, Budget>(job, begin, end);
}

// ---------------------------------------------------------------------------------------------------------------------
// One copy of the inner loops per instruction set.

void PixelsBase(const PixelJob& job, int64_t begin, int64_t end) { Pixels<4, 2, 8>(job, begin, end); }
#ifdef JAXNETS_X86
JAXNETS_AVX2 void PixelsAvx2(const PixelJob& job, int64_t begin, int64_t end) { Pixels<8, 2, 12>(job, begin, end); }
JAXNETS_AVX512 void PixelsAvx512(const PixelJob& job, int64_t begin, int64_t end) { Pixels<16, 4, 24>(job, begin, end); }
#endif

auto Choose() {
#ifdef JAXNETS_X86
  if (Chosen() == InstructionSet::kAvx512) return PixelsAvx512;
  if (Chosen() == InstructionSet::kAvx2) return PixelsAvx2;
#endif
  return PixelsBase;
}
const auto kPixels = Choose();

// ---------------------------------------------------------------------------------------------------------------------
// XLA's side. Shapes are logical: activations [lead..., N, H, W, C], whatever their storage order.

ffi::Error RunPixels(ffi::ThreadPool pool, const PixelJob& job, const Leading& source, const Leading& weights,
                     const Leading* bias, const Leading& out) {
  const int64_t lead = out.Count(), pixels = job.Height() * job.Width();
  // About eight items a thread, each within one leading index.
  const int64_t want = std::max<int64_t>(1, 8 * pool.num_threads() / std::max<int64_t>(1, lead));
  const int64_t parts = std::min(pixels, want);
  ParallelFor(pool, lead * parts, [&](int64_t item) {
    const int64_t l = item / parts, part = item % parts;
    PixelJob own = job;
    own.source += source.Offset(l, out.sizes);
    own.weights += weights.Offset(l, out.sizes);
    if (own.bias) own.bias += bias->Offset(l, out.sizes);
    own.out += l * out.item;
    kPixels(own, pixels * part / parts, pixels * (part + 1) / parts);
  });
  return ffi::Error::Success();
}

ffi::Error Forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, Result y, int64_t stride, int64_t top,
                   int64_t left) {
  Leading xl(x.dimensions(), 4), wl(w.dimensions(), 4), bl(b.dimensions(), 1), yl(y->dimensions(), 4);
  Geometry g;
  ffi::Error error = ReadGeometry(x.dimensions(), w.dimensions(), y->dimensions(), stride, top, left, &g);
  if (error.failure()) return error;
  if (bl.item != g.out_c) return ffi::Error::InvalidArgument("conv2d: operand shapes do not fit together");
  return RunPixels(pool, {g, false, x.typed_data(), w.typed_data(), b.typed_data(), y->typed_data()}, xl, wl, &bl, yl);
}

ffi::Error InputGrad(ffi::ThreadPool pool, Buffer dy, Buffer w, Result dx, int64_t stride, int64_t top, int64_t left) {
  Leading yl(dy.dimensions(), 4), wl(w.dimensions(), 4), xl(dx->dimensions(), 4);
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
