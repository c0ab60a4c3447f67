// Per-channel sums on CPUs, float32, called from XLA through its FFI (see jaxnets/nn/cpu.py).
//
//   moments   mean and variance of each channel
//   sums      of dy and of dy * (x - shift), for each channel: what the gradients of biases and BatchNorm need
//
// Activations are stored batch-minor: [lead..., H, W, C, N] with N contiguous.

#include <algorithm>

#include "vector.h"
#include "work.h"

namespace jaxnets {
namespace {

struct ChannelJob {
  const float* a;
  const float* b;        // may equal a
  const float* a_shift;  // [channels] each, or null for zeros
  const float* b_shift;
  int64_t pixels, channels, batch;
};

struct Totals {
  double plain, product;
};

constexpr int64_t kMost = 32;  // channels of a call

// For each of the channels [begin, end), at most kMost: the sum over pixels and batch of a, and of
// (a - a_shift) * (b - b_shift). A lane sums a few terms in float, what comes of that is summed in double.
template <int Lanes>
JAXNETS_INLINE void Channels(const ChannelJob& job, int64_t begin, int64_t end, Totals* totals) {
  using V = typename Vector<Lanes>::Type;
  const int64_t whole = job.batch / Lanes * Lanes;
  const int64_t together = std::max<int64_t>(1, 16 * Lanes / std::max<int64_t>(1, job.batch));
  std::fill_n(totals, end - begin, Totals{0, 0});
  for (int64_t first = 0; first < job.pixels; first += together) {
    V plain[kMost] = {}, product[kMost] = {};
    for (int64_t p = first; p < std::min(first + together, job.pixels); ++p)
      for (int64_t c = begin; c < end; ++c) {
        const float* a = job.a + (p * job.channels + c) * job.batch;
        const float* b = job.b + (p * job.channels + c) * job.batch;
        const float a_shift = job.a_shift ? job.a_shift[c] : 0.0f, b_shift = job.b_shift ? job.b_shift[c] : 0.0f;
        V sum = plain[c - begin], products = product[c - begin];
        for (int64_t n = 0; n < whole; n += Lanes) {
          const V va = *reinterpret_cast<const V*>(a + n), vb = *reinterpret_cast<const V*>(b + n);
          sum += va;
          products += (va - a_shift) * (vb - b_shift);
        }
        plain[c - begin] = sum;
        product[c - begin] = products;
        for (int64_t n = whole; n < job.batch; ++n) {
          totals[c - begin].plain += a[n];
          totals[c - begin].product += (a[n] - a_shift) * (b[n] - b_shift);
        }
      }
    for (int64_t c = 0; c < end - begin; ++c) {
      totals[c].plain += SumLanes<Lanes>(plain[c]);
      totals[c].product += SumLanes<Lanes>(product[c]);
    }
  }
}

using Kernel = void (*)(const ChannelJob&, int64_t begin, int64_t end, Totals*);

void ChannelsBase(const ChannelJob& job, int64_t begin, int64_t end, Totals* totals) {
  Channels<4>(job, begin, end, totals);
}
#ifdef JAXNETS_X86
JAXNETS_AVX2 void ChannelsAvx2(const ChannelJob& job, int64_t begin, int64_t end, Totals* totals) {
  Channels<8>(job, begin, end, totals);
}
JAXNETS_AVX512 void ChannelsAvx512(const ChannelJob& job, int64_t begin, int64_t end, Totals* totals) {
  Channels<16>(job, begin, end, totals);
}
#endif

Kernel Choose() {
#ifdef JAXNETS_X86
  if (Chosen() == InstructionSet::kAvx512) return ChannelsAvx512;
  if (Chosen() == InstructionSet::kAvx2) return ChannelsAvx2;
#endif
  return ChannelsBase;
}
const Kernel kChannels = Choose();

// Calls work(l, begin, end) for groups of channels of each leading index: neighbours in memory, up to a page at each pixel,
// but some groups for each thread.
template <typename Work>
void OverChannels(ffi::ThreadPool pool, int64_t lead, int64_t channels, int64_t batch, const Work& work) {
  const int64_t page = std::min(kMost, 1024 / std::max<int64_t>(1, batch));
  const int64_t size = std::max<int64_t>(1, std::min(page, lead * channels / (4 * pool.num_threads())));
  const int64_t groups = (channels + size - 1) / size;
  ParallelFor(pool, lead * groups, [&](int64_t item) {
    const int64_t begin = item % groups * size;
    work(item / groups, begin, std::min(begin + size, channels));
  });
}

// x: [lead..., N, H, W, C] -> [lead..., C] each. The variance is over N (not N - 1), around the mean, in two passes.
ffi::Error Moments(ffi::ThreadPool pool, Buffer x, Result mean, Result variance) {
  Leading xl(x.dimensions(), 4);
  const int64_t* xd = &*x.dimensions().end() - 4;
  const int64_t channels = xd[3], count = xd[0] * xd[1] * xd[2];
  OverChannels(pool, xl.Count(), channels, xd[0], [&](int64_t l, int64_t begin, int64_t end) {
    const float* data = x.typed_data() + l * xl.item;
    float* centre = mean->typed_data() + l * channels;
    Totals totals[kMost];
    kChannels({data, data, nullptr, nullptr, xd[1] * xd[2], channels, xd[0]}, begin, end, totals);
    for (int64_t c = begin; c < end; ++c) centre[c] = static_cast<float>(totals[c - begin].plain / count);
    kChannels({data, data, centre, centre, xd[1] * xd[2], channels, xd[0]}, begin, end, totals);
    for (int64_t c = begin; c < end; ++c)
      variance->typed_data()[l * channels + c] = static_cast<float>(totals[c - begin].product / count);
  });
  return ffi::Error::Success();
}

// dy, x: [lead..., N, H, W, C], shift: [lead..., C] -> sums of dy and of dy * (x - shift), [lead..., C] each.
ffi::Error Sums(ffi::ThreadPool pool, Buffer dy, Buffer x, Buffer shift, Result plain, Result product) {
  Leading yl(dy.dimensions(), 4), xl(x.dimensions(), 4), sl(shift.dimensions(), 1), out(plain->dimensions(), 1);
  const int64_t* xd = &*x.dimensions().end() - 4;
  if (yl.item != xl.item || sl.item != xd[3]) return ffi::Error::InvalidArgument("sums: shapes do not fit together");
  const int64_t channels = xd[3];
  OverChannels(pool, out.Count(), channels, xd[0], [&](int64_t l, int64_t begin, int64_t end) {
    Totals totals[kMost];
    kChannels({dy.typed_data() + yl.Offset(l, out.sizes), x.typed_data() + xl.Offset(l, out.sizes), nullptr,
               shift.typed_data() + sl.Offset(l, out.sizes), xd[1] * xd[2], channels, xd[0]},
              begin, end, totals);
    for (int64_t c = begin; c < end; ++c) {
      plain->typed_data()[l * channels + c] = static_cast<float>(totals[c - begin].plain);
      product->typed_data()[l * channels + c] = static_cast<float>(totals[c - begin].product);
    }
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
