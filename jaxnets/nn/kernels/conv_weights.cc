// The weight gradient of a 2-D convolution on CPUs; see conv.cc for the storage orders, winograd_weights.cc for a faster way
// that some shapes take. Here it is the direct sum,
//
//   dw[t, i, o] = sum over pixels p and batch n of  x[src(p, t), i, n] * dy[p, o, n]
//
// For each output pixel a product of matrices, [rows, N] · [N, channels], where the rows are one kernel row's taps and
// inputs (neighbors in memory) and the channels a group of outputs. The pixel's dy is transposed to [N, channels] first, so
// that vectors run over channels; its sums over N are formed in registers, then added to dw. If the batch is small, a few
// neighboring pixels are taken together, as one sum.
//
// Sums of many terms stay short chains: at most 128 terms in a register, those of a band of rows one after the other, and at
// most 16 bands. A band has scratch of its own, 4 MiB for all, within a second-level cache or two.

#include <algorithm>
#include <memory>

#include "conv.h"
#include "tile.h"
#include "winograd.h"

namespace jaxnets {
namespace {

constexpr int64_t kSummed = 128;  // terms of dy, transposed: by 32 channels 16 KiB, half of a first-level cache

// The kernel's columns whose source lies inside the input, for output column w: [first, last).
struct Columns {
  int64_t first, last;
  Columns(const Geometry& g, int64_t w)
      : first(std::max<int64_t>(0, g.pad_left - w * g.stride)),
        last(std::min(g.kernel_w, g.in_w + g.pad_left - w * g.stride)) {}
  bool operator==(const Columns& other) const { return first == other.first && last == other.last; }
};

// dw of the share's channels, summed over the share's rows.
template <int Lanes, int Vectors, int Rows>
JAXNETS_INLINE void WeightsOf(const WeightJob& job, const Share& share, float* dw) {
  const Geometry& g = job.g;
  const int64_t channels = share.out_end - share.out_begin, width = Vectors * Lanes;
  for (int64_t r = 0; r < g.kernel_h * g.kernel_w * g.in_c; ++r)
    std::fill_n(dw + r * g.out_c + share.out_begin, channels, 0.0f);
  float turned[kSummed * Vectors * Lanes] = {};
  for (int64_t h = share.row_begin; h < share.row_end; ++h)
    for (int64_t w = 0, end; w < g.out_w; w = end) {
      const Columns columns(g, w);
      for (end = w + 1; end < g.out_w && (end - w + 1) * g.batch <= kSummed && columns == Columns(g, end);) ++end;
      if (columns.first >= columns.last) continue;
      const float* dy = job.dy + ((h * g.out_w + w) * g.out_c + share.out_begin) * g.batch;
      for (int64_t n = 0; n < g.batch; n += kSummed) {
        const Sum over = {end - w, std::min(kSummed, g.batch - n), g.stride * g.in_c * g.batch, 1};
        for (int64_t p = 0; p < over.pixels; ++p)
          for (int64_t c = 0; c < channels; ++c)
            for (int64_t k = 0; k < over.count; ++k)
              turned[(p * over.count + k) * width + c] = dy[(p * g.out_c + c) * g.batch + n + k];
        for (int64_t i = 0; i < g.kernel_h; ++i) {
          const int64_t source_h = h * g.stride - g.pad_top + i, source_w = w * g.stride - g.pad_left + columns.first;
          if (source_h < 0 || source_h >= g.in_h) continue;
          const float* x = job.x + (source_h * g.in_w + source_w) * g.in_c * g.batch + n;
          float* to = dw + (i * g.kernel_w + columns.first) * g.in_c * g.out_c + share.out_begin;
          WeightRows<Lanes, Vectors, Rows>((columns.last - columns.first) * g.in_c, x, g.batch, turned, over, to, g.out_c,
                                           channels);
        }
      }
    }
}

struct Weights {
  using Function = void(const WeightJob&, const Share&, float* dw);
  template <typename Set> JAXNETS_INLINE static void Run(const WeightJob& job, const Share& share, float* dw) {
    constexpr int kLanes = Set::kLanes, kRows = Set::kSums / 2;
    const int64_t channels = share.out_end - share.out_begin;
    if (channels > kLanes) WeightsOf<kLanes, 2, kRows>(job, share, dw);
    else if (kLanes > 8 && channels <= 8) WeightsOf<8, 1, kRows>(job, share, dw);
    else WeightsOf<kLanes, 1, kRows>(job, share, dw);
  }
};

const auto kWeights = Dispatch<Weights>();
const int64_t kMostChannels = ChosenConstant([](auto set) { return 2 * set.kLanes; });  // of a share

// ---------------------------------------------------------------------------------------------------------------------
// XLA's side. Shapes are logical: activations [batch dims..., N, H, W, C], whatever their storage order.

ffi::Error WeightGrad(ffi::ThreadPool pool, Buffer x, Buffer dy, Result dw, int64_t stride, int64_t top, int64_t left) {
  BatchDims xl(x.dimensions(), 4), yl(dy.dimensions(), 4), wl(dw->dimensions(), 4);
  Geometry g;
  ffi::Error error = ReadGeometry(x.dimensions(), dw->dimensions(), dy.dimensions(), stride, top, left, &g);
  if (error.failure()) return error;

  // Rows are summed in bands, each band into scratch of its own, and the bands added in order: an amount of scratch and
  // an order of summation that shapes alone decide. Large kernels get one band; output channels are shared out as well.
  constexpr int64_t kScratch = 1 << 22;  // floats
  const bool fewer_products = WinogradServes(g);
  const auto kernel = fewer_products ? WinogradWeights : kWeights;
  const int64_t lead = wl.Count(), size = wl.item, rows = fewer_products ? Tiles(g.out_h) : g.out_h;
  const int64_t bands = std::max<int64_t>(1, std::min<int64_t>({rows, 16, kScratch / std::max<int64_t>(1, size)}));
  // Wide groups transform x less often; no sum depends on the width.
  int64_t most_channels = fewer_products ? 128 : kMostChannels;
  while (most_channels > 32 && lead * bands * g.out_c / most_channels < 2 * pool.num_threads()) most_channels /= 2;
  const int64_t groups = (g.out_c + most_channels - 1) / most_channels;
  const std::unique_ptr<float[]> scratch(bands == 1 ? nullptr : new float[lead * bands * size]);
  float* target = bands == 1 ? dw->typed_data() : scratch.get();
  ParallelFor(pool, lead * bands * groups, [&](int64_t item) {
    const int64_t group = item % groups, band = item / groups % bands, l = item / groups / bands;
    const WeightJob job = {g, x.typed_data() + xl.Offset(l, wl.sizes), dy.typed_data() + yl.Offset(l, wl.sizes)};
    const Share share = {rows * band / bands, rows * (band + 1) / bands, g.out_c * group / groups,
                         g.out_c * (group + 1) / groups};
    kernel(job, share, target + (l * bands + band) * size);
  });
  if (bands > 1) {
    constexpr int64_t kPart = 4096;
    const int64_t parts = (size + kPart - 1) / kPart;
    ParallelFor(pool, lead * parts, [&](int64_t item) {
      const int64_t l = item / parts, begin = item % parts * kPart, count = std::min(kPart, size - begin);
      float* out = dw->typed_data() + l * size + begin;
      const float* from = target + l * bands * size + begin;
      std::copy_n(from, count, out);
      for (int64_t band = 1; band < bands; ++band)
        for (int64_t i = 0; i < count; ++i) out[i] += from[band * size + i];
    });
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_conv2d_weight_grad, WeightGrad,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().JAXNETS_GEOMETRY_ATTRS);

}  // namespace jaxnets
