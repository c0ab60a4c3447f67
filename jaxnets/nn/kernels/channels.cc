// Per-channel sums on CPUs, float32, called from XLA through its FFI (see jaxnets/nn/kernels/__init__.py).
//
//   moments   mean and variance of each channel
//   sums      of dy and of dy * (x - shift), for each channel: what the gradients of biases and BatchNorm need
//
// Activations are stored batch-minor: [batch dims..., H, W, C, N] with N contiguous.
//
// All terms are summed in double. Such sums cancel: below a BatchNorm the gradient of a bias is some thousand times smaller
// than the magnitudes of its terms, and the roundings of float sums would be much of what is left. Sums stay in registers
// from pixel to pixel and make up in small batches for what wider numbers cost; sums of two arrays take up to twice the time
// of float ones in caches, less from memory (README.md, "Numbers").
//
// NaN and infinities go into the sums as they are; the variance of a channel that holds one is NaN, as in XLA.

#include "vector.h"
#include "work.h"

namespace jaxnets {
namespace {

struct ChannelJob {
  const float* a;
  const float* b;  // may equal a
  int64_t pixels, channels, batch;
};

// Sum over all pixels of one channel of a and of (a - shift_a) * (b - shift_b). `Lanes` is that of doubles; Same: b is a.
template <int Lanes, bool Same>
JAXNETS_INLINE void SumChannel(const ChannelJob& job, int64_t channel, double shift_a, double shift_b, double* out) {
  using V = typename Vector<Lanes>::Type;
  using D = typename Doubles<Lanes>::Type;
  constexpr int kUnroll = 4;  // additions that do not wait for one another, as many as take the time of one
  D plain[kUnroll] = {}, product[kUnroll] = {};
  double rest[2] = {0, 0};
  for (int64_t p = 0; p < job.pixels; ++p) {
    const float* a = job.a + (p * job.channels + channel) * job.batch;
    const float* b = job.b + (p * job.channels + channel) * job.batch;
    const auto add = [&](int u, int64_t at) JAXNETS_INLINE_LAMBDA {
      const D va = __builtin_convertvector(*reinterpret_cast<const V*>(a + at), D);
      const D vb = Same ? va : __builtin_convertvector(*reinterpret_cast<const V*>(b + at), D);
      plain[u] += va;
      product[u] += (va - shift_a) * (vb - shift_b);
    };
    int64_t n = 0;
    for (; n + kUnroll * Lanes <= job.batch; n += kUnroll * Lanes)
      for (int u = 0; u < kUnroll; ++u) add(u, n + u * Lanes);
    for (int u = 0; u < kUnroll - 1; ++u)
      if (n + Lanes <= job.batch) add(u, n), n += Lanes;
    for (; n < job.batch; ++n) {
      rest[0] += a[n];
      rest[1] += (a[n] - shift_a) * (b[n] - shift_b);
    }
  }
  plain[0] += plain[1] + plain[2] + plain[3];
  product[0] += product[1] + product[2] + product[3];
  for (int i = 0; i < Lanes; ++i) rest[0] += plain[0][i], rest[1] += product[0][i];
  out[0] = rest[0], out[1] = rest[1];
}

struct Channel {
  using Function = void(const ChannelJob&, int64_t channel, double shift_a, double shift_b, double* out);
  template <typename Set>
  JAXNETS_INLINE static void Run(const ChannelJob& job, int64_t channel, double shift_a, double shift_b, double* out) {
    constexpr int kLanes = Set::kLanes / 2;
    if (job.a == job.b) SumChannel<kLanes, true>(job, channel, shift_a, shift_b, out);
    else SumChannel<kLanes, false>(job, channel, shift_a, shift_b, out);
  }
};

const auto kChannel = Dispatch<Channel>();

// x: [batch dims..., N, H, W, C] -> [batch dims..., C] each. The variance is over N (not N - 1). One pass suffices: the sum
// of squares is around one of the channel's own values, whose distance from the mean is at most sqrt(count) standard
// deviations, so that the difference below cancels at most the binary digits of `count` from the 53 of a double.
ffi::Error Moments(ffi::ThreadPool pool, Buffer x, Result mean, Result variance) {
  BatchDims xl(x.dimensions(), 4);
  const int64_t* xd = &*x.dimensions().end() - 4;
  const int64_t lead = xl.Count(), channels = xd[3], count = xd[0] * xd[1] * xd[2];
  ParallelFor(pool, lead * channels, [&](int64_t item) {
    const int64_t l = item / channels, c = item % channels;
    const float* data = x.typed_data() + l * xl.item;
    const double shift = count ? data[c * xd[0]] : 0;
    double sums[2];
    kChannel({data, data, xd[1] * xd[2], channels, xd[0]}, c, shift, shift, sums);
    const double center = sums[0] / count, squares = sums[1] / count - (center - shift) * (center - shift);
    mean->typed_data()[item] = static_cast<float>(center);
    variance->typed_data()[item] = squares < 0 ? 0 : static_cast<float>(squares);  // NaN stays NaN.
  });
  return ffi::Error::Success();
}

// dy, x: [batch dims..., N, H, W, C], shift: [batch dims..., C] -> sums of dy and of dy * (x - shift), [batch dims..., C]
// each.
ffi::Error Sums(ffi::ThreadPool pool, Buffer dy, Buffer x, Buffer shift, Result plain, Result product) {
  BatchDims yl(dy.dimensions(), 4), xl(x.dimensions(), 4), sl(shift.dimensions(), 1), out(plain->dimensions(), 1);
  const int64_t* xd = &*x.dimensions().end() - 4;
  if (yl.item != xl.item || sl.item != xd[3]) return ffi::Error::InvalidArgument("sums: shapes do not fit together");
  const int64_t lead = out.Count(), channels = xd[3];
  ParallelFor(pool, lead * channels, [&](int64_t item) {
    const int64_t l = item / channels, c = item % channels;
    const ChannelJob job = {dy.typed_data() + yl.Offset(l, out.sizes), x.typed_data() + xl.Offset(l, out.sizes),
                            xd[1] * xd[2], channels, xd[0]};
    double sums[2];
    kChannel(job, c, 0, shift.typed_data()[sl.Offset(l, out.sizes) + c], sums);
    plain->typed_data()[item] = static_cast<float>(sums[0]);
    product->typed_data()[item] = static_cast<float>(sums[1]);
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_channel_moments, Moments,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Ret<Buffer>().Ret<Buffer>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_channel_sums, Sums,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>());

}  // namespace jaxnets
