// Direct 2-D convolution on CPUs, float32, called from XLA through its FFI (see jaxnets/nn/cpu.py).
//
// Small nets have few channels (3, 6, 16) and large batches, so the batch is the one axis that always fills a vector
// register. Every activation here is stored batch-minor: [lead..., H, W, C, N] with N contiguous. Weights are
// [lead..., KH, KW, I, O] in row-major order. "lead" axes come from jax.vmap; an operand may have size 1 there and is
// then shared by all.
//
// The operations:
//   forward       y[p, o, n]    = sum over taps t and inputs i of  x[src(p, t), i, n] * w[t, i, o]
//   input grad    the same sum with the roles of input and output exchanged: src() inverts the stride
//   weight grad   dw[t, i, o]   = sum over pixels p and batch n of  x[src(p, t), i, n] * dy[p, o, n]
//
// The inner loops keep a tile of sums in registers. Sums are formed in an order that depends on shapes alone,
// never on the number of threads, so that a run can be repeated bit for bit.

#include <algorithm>
#include <vector>

#include "vector.h"
#include "work.h"

namespace jaxnets {
namespace {

// ---------------------------------------------------------------------------------------------------------------------
// Geometry of one convolution. Names follow the forward direction: x is the input, y the output.

struct Geometry {
  int64_t batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride, pad_top, pad_left;
};

struct Tap {
  const float* source;   // first channel of the source pixel, batch element 0
  const float* weights;  // first row of this tap's matrix
};

// ---------------------------------------------------------------------------------------------------------------------
// Forward and input gradient: a tile of `Channels` outputs by `Vectors` groups of lanes.

template <int Lanes, int Vectors, int Channels>
JAXNETS_INLINE void PixelTile(const Tap* taps, int num_taps, int64_t depth, int64_t batch, int64_t weight_row,
                              const float* bias, float* out) {
  using V = typename Vector<Lanes>::Type;
  V sum[Channels][Vectors];
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) sum[c][v] = V{} + (bias ? bias[c] : 0.0f);
  for (int t = 0; t < num_taps; ++t) {
    const float* source = taps[t].source;
    const float* weights = taps[t].weights;
    for (int64_t k = 0; k < depth; ++k, source += batch, weights += weight_row) {
      V x[Vectors];
      for (int v = 0; v < Vectors; ++v) x[v] = *reinterpret_cast<const V*>(source + v * Lanes);
      for (int c = 0; c < Channels; ++c) {
        const V w = V{} + weights[c];
        for (int v = 0; v < Vectors; ++v) sum[c][v] += w * x[v];
      }
    }
  }
  for (int c = 0; c < Channels; ++c)
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<V*>(out + c * batch + v * Lanes) = sum[c][v];
}

// Calls the tile whose channel count is `channels` (1..Most).
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelTileOf(int channels, const Tap* taps, int num_taps, int64_t depth, int64_t batch,
                                int64_t weight_row, const float* bias, float* out) {
  if constexpr (Most > 0) {
    if (channels == Most)
      PixelTile<Lanes, Vectors, Most>(taps, num_taps, depth, batch, weight_row, bias, out);
    else
      PixelTileOf<Lanes, Vectors, Most - 1>(channels, taps, num_taps, depth, batch, weight_row, bias, out);
  }
}

// All output channels of one pixel for one slice of the batch, in equal blocks of at most `Most` channels.
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void PixelSlice(const std::vector<Tap>& taps, int64_t at, int64_t depth, int64_t batch, int64_t out_c,
                               const float* bias, float* out) {
  Tap moved[256];
  const int num_taps = static_cast<int>(taps.size());
  const int64_t blocks = (out_c + Most - 1) / Most;
  for (int64_t b = 0, c = 0; b < blocks; ++b) {
    const int64_t next = out_c * (b + 1) / blocks;
    for (int t = 0; t < num_taps; ++t) moved[t] = {taps[t].source + at, taps[t].weights + c};
    PixelTileOf<Lanes, Vectors, Most>(static_cast<int>(next - c), moved, num_taps, depth, batch, out_c,
                                      bias ? bias + c : nullptr, out + c * batch + at);
    c = next;
  }
}

struct PixelJob {
  Geometry g;
  bool transposed;     // false: y from x; true: dx from dy
  const float* source;
  const float* weights;  // [KH, KW, depth, channels]
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
template <int Lanes, int Vectors, int Budget>
JAXNETS_INLINE void Pixels(const PixelJob& job, int64_t begin, int64_t end) {
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
        PixelSlice<Lanes, Vectors, Budget / Vectors>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == 2 * Lanes)
        PixelSlice<Lanes, 2, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == Lanes)
        PixelSlice<Lanes, 1, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == 8)
        PixelSlice<8, 1, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else if (slice == 4)
        PixelSlice<4, 1, Budget / 2>(taps, at, depth, n, channels, job.bias, out);
      else
        PixelSlice<1, 1, 8>(taps, at, depth, n, channels, job.bias, out);
    }
    at += slice;
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Weight gradient: for each output pixel a product of matrices, [rows, N] · [N, channels], where the rows are one kernel
// row's taps and inputs (neighbours in memory) and the channels a group of outputs. The pixel's dy is turned to [N, channels]
// first, so that vectors run over channels; its sums over N are formed in registers, then added to dw.

struct WeightJob {
  Geometry g;
  const float* x;
  const float* dy;
};

struct Share {  // output rows [row_begin, row_end) and output channels [out_begin, out_end)
  int64_t row_begin, row_end, out_begin, out_end;
};

constexpr int64_t kBatchSlice = 128;  // of dy, turned: small enough to stay in the first-level cache

// `Rows` rows of x, `batch` apart, times dy [count, Vectors * Lanes], added to as many rows of dw, `stride` apart.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void WeightTile(const float* x, int64_t batch, const float* dy, int64_t count, float* dw, int64_t stride,
                               int64_t channels) {
  using V = typename Vector<Lanes>::Type;
  V sum[Rows][Vectors] = {};
  for (int64_t n = 0; n < count; ++n, dy += Vectors * Lanes)
    for (int r = 0; r < Rows; ++r)
      for (int v = 0; v < Vectors; ++v) sum[r][v] += x[r * batch + n] * *reinterpret_cast<const V*>(dy + v * Lanes);
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) {
      float* to = dw + r * stride + v * Lanes;
      Store<Lanes>(to, Load<Lanes>(to, channels - v * Lanes) + sum[r][v], channels - v * Lanes);
    }
}

template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void WeightTileOf(int64_t rows, const float* x, int64_t batch, const float* dy, int64_t count, float* dw,
                                 int64_t stride, int64_t channels) {
  if constexpr (Most > 0) {
    if (rows == Most) WeightTile<Lanes, Vectors, Most>(x, batch, dy, count, dw, stride, channels);
    else WeightTileOf<Lanes, Vectors, Most - 1>(rows, x, batch, dy, count, dw, stride, channels);
  }
}

// dw of the share's channels, summed over the share's rows.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void WeightsOf(const WeightJob& job, const Share& share, float* dw) {
  const Geometry& g = job.g;
  const int64_t channels = share.out_end - share.out_begin;
  for (int64_t r = 0; r < g.kernel_h * g.kernel_w * g.in_c; ++r)
    std::fill_n(dw + r * g.out_c + share.out_begin, channels, 0.0f);
  float turned[kBatchSlice * Vectors * Lanes] = {};
  for (int64_t h = share.row_begin; h < share.row_end; ++h)
    for (int64_t w = 0; w < g.out_w; ++w) {
      // The kernel's columns whose source lies inside the input.
      const int64_t left = w * g.stride - g.pad_left;
      const int64_t first = std::max<int64_t>(0, -left), last = std::min(g.kernel_w, g.in_w - left);
      if (first >= last) continue;
      const float* dy = job.dy + ((h * g.out_w + w) * g.out_c + share.out_begin) * g.batch;
      for (int64_t n = 0; n < g.batch; n += kBatchSlice) {
        const int64_t count = std::min(kBatchSlice, g.batch - n);
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t k = 0; k < count; ++k) turned[k * Vectors * Lanes + c] = dy[c * g.batch + n + k];
        for (int64_t i = 0; i < g.kernel_h; ++i) {
          const int64_t source_h = h * g.stride - g.pad_top + i;
          if (source_h < 0 || source_h >= g.in_h) continue;
          const float* x = job.x + (source_h * g.in_w + left + first) * g.in_c * g.batch + n;
          float* to = dw + (i * g.kernel_w + first) * g.in_c * g.out_c + share.out_begin;
          const int64_t rows = (last - first) * g.in_c, tiles = (rows + Rows - 1) / Rows;
          for (int64_t t = 0; t < tiles; ++t) {
            const int64_t r = rows * t / tiles, next = rows * (t + 1) / tiles;
            WeightTileOf<Lanes, Vectors, Rows>(next - r, x + r * g.batch, g.batch, turned, count, to + r * g.out_c, g.out_c,
                                               channels);
          }
        }
      }
    }
}

template <int Lanes, int Rows> JAXNETS_INLINE void Weights(const WeightJob& job, const Share& share, float* dw) {
  const int64_t channels = share.out_end - share.out_begin;
  if (channels > Lanes) WeightsOf<Lanes, 2, Rows>(job, share, dw);
  else if (Lanes > 8 && channels <= 8) WeightsOf<8, 1, Rows>(job, share, dw);
  else WeightsOf<Lanes, 1, Rows>(job, share, dw);
}

// ---------------------------------------------------------------------------------------------------------------------
// One copy of the inner loops per instruction set.

struct Kernels {
  void (*pixels)(const PixelJob&, int64_t begin, int64_t end);
  void (*weights)(const WeightJob&, const Share&, float* dw);
  int64_t most_channels;  // of a share
};

void PixelsBase(const PixelJob& job, int64_t begin, int64_t end) { Pixels<4, 2, 8>(job, begin, end); }
void WeightsBase(const WeightJob& job, const Share& share, float* dw) { Weights<4, 6>(job, share, dw); }
#ifdef JAXNETS_X86
JAXNETS_AVX2 void PixelsAvx2(const PixelJob& job, int64_t begin, int64_t end) { Pixels<8, 2, 12>(job, begin, end); }
JAXNETS_AVX2 void WeightsAvx2(const WeightJob& job, const Share& share, float* dw) { Weights<8, 6>(job, share, dw); }
JAXNETS_AVX512 void PixelsAvx512(const PixelJob& job, int64_t begin, int64_t end) { Pixels<16, 4, 24>(job, begin, end); }
JAXNETS_AVX512 void WeightsAvx512(const WeightJob& job, const Share& share, float* dw) { Weights<16, 12>(job, share, dw); }
#endif

Kernels Choose() {
#ifdef JAXNETS_X86
  if (Chosen() == InstructionSet::kAvx512) return {PixelsAvx512, WeightsAvx512, 32};
  if (Chosen() == InstructionSet::kAvx2) return {PixelsAvx2, WeightsAvx2, 16};
#endif
  return {PixelsBase, WeightsBase, 8};
}
const Kernels kKernels = Choose();

// ---------------------------------------------------------------------------------------------------------------------
// XLA's side. Shapes are logical: activations [lead..., N, H, W, C], whatever their storage order.

ffi::Error Check(const Geometry& g, bool consistent) {
  if (!consistent) return ffi::Error::InvalidArgument("conv2d: operand shapes do not fit together");
  if (g.stride < 1 || g.kernel_h * g.kernel_w > 256 || g.pad_top < 0 || g.pad_left < 0)
    return ffi::Error::InvalidArgument("conv2d: needs stride >= 1, padding >= 0 and at most 256 kernel positions");
  return ffi::Error::Success();
}

Geometry MakeGeometry(const int64_t* x, const int64_t* w, const int64_t* y, int64_t stride, int64_t top, int64_t left) {
  return {x[0], x[1], x[2], x[3], y[1], y[2], y[3], w[0], w[1], stride, top, left};
}

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
    kKernels.pixels(own, pixels * part / parts, pixels * (part + 1) / parts);
  });
  return ffi::Error::Success();
}

ffi::Error Forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, Result y, int64_t stride, int64_t top,
                   int64_t left) {
  Leading xl(x.dimensions(), 4), wl(w.dimensions(), 4), bl(b.dimensions(), 1), yl(y->dimensions(), 4);
  const int64_t* xd = &*x.dimensions().end() - 4;
  const int64_t* wd = &*w.dimensions().end() - 4;
  const int64_t* yd = &*y->dimensions().end() - 4;
  Geometry g = MakeGeometry(xd, wd, yd, stride, top, left);
  ffi::Error error = Check(g, xd[0] == yd[0] && wd[2] == xd[3] && wd[3] == yd[3] && bl.item == yd[3]);
  if (error.failure()) return error;
  return RunPixels(pool, {g, false, x.typed_data(), w.typed_data(), b.typed_data(), y->typed_data()}, xl, wl, &bl, yl);
}

// `w` comes transposed: [lead..., KH, KW, O, I].
ffi::Error InputGrad(ffi::ThreadPool pool, Buffer dy, Buffer w, Result dx, int64_t stride, int64_t top, int64_t left) {
  Leading yl(dy.dimensions(), 4), wl(w.dimensions(), 4), xl(dx->dimensions(), 4);
  const int64_t* yd = &*dy.dimensions().end() - 4;
  const int64_t* wd = &*w.dimensions().end() - 4;
  const int64_t* xd = &*dx->dimensions().end() - 4;
  Geometry g = MakeGeometry(xd, wd, yd, stride, top, left);
  ffi::Error error = Check(g, xd[0] == yd[0] && wd[2] == yd[3] && wd[3] == xd[3]);
  if (error.failure()) return error;
  return RunPixels(pool, {g, true, dy.typed_data(), w.typed_data(), nullptr, dx->typed_data()}, yl, wl, nullptr, xl);
}

ffi::Error WeightGrad(ffi::ThreadPool pool, Buffer x, Buffer dy, Result dw, int64_t stride, int64_t top, int64_t left) {
  Leading xl(x.dimensions(), 4), yl(dy.dimensions(), 4), wl(dw->dimensions(), 4);
  const int64_t* xd = &*x.dimensions().end() - 4;
  const int64_t* yd = &*dy.dimensions().end() - 4;
  const int64_t* wd = &*dw->dimensions().end() - 4;
  Geometry g = MakeGeometry(xd, wd, yd, stride, top, left);
  ffi::Error error = Check(g, xd[0] == yd[0] && wd[2] == xd[3] && wd[3] == yd[3]);
  if (error.failure()) return error;

  // Rows are summed in bands, each band into scratch of its own, and the bands added in order: an amount of scratch and
  // an order of summation that shapes alone decide. Large kernels get one band; output channels are shared out as well.
  constexpr int64_t kScratch = 1 << 20;  // floats
  const int64_t lead = wl.Count(), size = wl.item;
  const int64_t bands = std::max<int64_t>(1, std::min<int64_t>({g.out_h, 16, kScratch / std::max<int64_t>(1, size)}));
  const int64_t groups = (g.out_c + kKernels.most_channels - 1) / kKernels.most_channels;
  std::vector<float> scratch(bands == 1 ? 0 : lead * bands * size);
  float* target = bands == 1 ? dw->typed_data() : scratch.data();
  ParallelFor(pool, lead * bands * groups, [&](int64_t item) {
    const int64_t group = item % groups, band = item / groups % bands, l = item / groups / bands;
    const WeightJob job = {g, x.typed_data() + xl.Offset(l, wl.sizes), dy.typed_data() + yl.Offset(l, wl.sizes)};
    const Share share = {g.out_h * band / bands, g.out_h * (band + 1) / bands, g.out_c * group / groups,
                         g.out_c * (group + 1) / groups};
    kKernels.weights(job, share, target + (l * bands + band) * size);
  });
  if (bands > 1) {
    float* out = dw->typed_data();
    for (int64_t l = 0; l < lead; ++l)
      for (int64_t i = 0; i < size; ++i) {
        float sum = 0;
        for (int64_t band = 0; band < bands; ++band) sum += scratch[(l * bands + band) * size + i];
        out[l * size + i] = sum;
      }
  }
  return ffi::Error::Success();
}

}  // namespace

#define JAXNETS_GEOMETRY_ATTRS Attr<int64_t>("stride").Attr<int64_t>("pad_top").Attr<int64_t>("pad_left")

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_conv2d_forward, Forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().JAXNETS_GEOMETRY_ATTRS);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_conv2d_input_grad, InputGrad,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().JAXNETS_GEOMETRY_ATTRS);
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_conv2d_weight_grad, WeightGrad,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().JAXNETS_GEOMETRY_ATTRS);

}  // namespace jaxnets
