// Maximum over windows on CPUs, and its gradient, float32, called from XLA through its FFI (see jaxnets/nn/pool.py). The
// gradient is what pays: XLA's select-and-scatter is many times slower (README.md, "Numbers").
//
// Activations are stored batch-minor: [batch dims..., H, W, C, N] with N contiguous. The gradient finds the maxima again
// instead of keeping their places: reading the input once more costs less than storing and reading an index for each output.
//
// A window that holds a NaN has the maximum NaN, wherever it lies. Its gradient goes where XLA's does, to the element that a
// search ends at which moves on whenever its best so far is not >= the next: to the first maximum of what follows the
// window's last NaN, or to this NaN if nothing follows. (PyTorch's goes to the last NaN in any case.)

#include <algorithm>
#include <limits>

#include "vector.h"
#include "work.h"

namespace jaxnets {
namespace {

struct Shape {
  int64_t batch, in_h, in_w, channels, out_h, out_w, window, stride;
};

// What one item of work takes of the numbers at each pixel: 2 KiB, enough neighbors for the memory's sake, few enough to
// share out.
constexpr int64_t kPart = 512;

// With dy: adds each dy to dx where its window has its maximum; without: fills y.
struct PoolJob {
  Shape s;
  const float* x;
  const float* dy;
  float* out;  // y or dx
};

// The largest number of a window.
template <int Lanes> JAXNETS_INLINE void Maximum(const Shape& s, const float* x, float* y, int64_t count) {
  using V = typename Vector<Lanes>::Type;
  const int64_t pixel = s.channels * s.batch, row = s.in_w * pixel;
  // A constant: were it `value`, GCC 12 would join both selections into one by an OR, which it takes apart lane by lane.
  const V nan = V{} + std::numeric_limits<float>::quiet_NaN();
  V best = Load<Lanes>(x, count);
  for (int64_t i = 0; i < s.window; ++i)
    for (int64_t j = i == 0; j < s.window; ++j) {
      const V value = Load<Lanes>(x + i * row + j * pixel, count);
      best = value > best ? value : best;
      best = value != value ? nan : best;
    }
  Store<Lanes>(y, best, count);
}

// Adds dy to dx where the window has its maximum; where windows do not overlap, stores dy there and zeros elsewhere.
template <bool Overlap, int Lanes>
JAXNETS_INLINE void AddGradient(const Shape& s, const float* x, const float* dy, float* dx, int64_t count) {
  using V = typename Vector<Lanes>::Type;
  using I = typename Integers<Lanes>::Type;
  const int64_t pixel = s.channels * s.batch, row = s.in_w * pixel;
  V best = Load<Lanes>(x, count);
  I where{};
  for (int64_t i = 0; i < s.window; ++i)
    for (int64_t j = i == 0; j < s.window; ++j) {
      const V value = Load<Lanes>(x + i * row + j * pixel, count);
      const auto stay = best >= value;
      best = stay ? best : value;
      where = stay ? where : I{} + static_cast<int32_t>(i * s.window + j);
    }
  const V gradient = Load<Lanes>(dy, count);
  for (int64_t i = 0; i < s.window; ++i)
    for (int64_t j = 0; j < s.window; ++j) {
      float* target = dx + i * row + j * pixel;
      const auto here = where == static_cast<int32_t>(i * s.window + j);
      const V own = here ? gradient : V{};
      Store<Lanes>(target, Overlap ? Load<Lanes>(target, count) + own : own, count);
    }
}

// The part [begin, end) of the numbers that each pixel has, channels by batch.
struct Pool {
  using Function = void(const PoolJob&, int64_t begin, int64_t end);
  template <typename Set> JAXNETS_INLINE static void Run(const PoolJob& job, int64_t begin, int64_t end) {
    constexpr int kLanes = Set::kLanes;
    const Shape& s = job.s;
    const int64_t pixel = s.channels * s.batch;
    const bool overlap = s.stride < s.window;
    const auto in_window = [&](int64_t at, int64_t windows) { return at / s.stride < windows && at % s.stride < s.window; };
    if (job.dy)
      for (int64_t p = 0; p < s.in_h * s.in_w; ++p)
        if (overlap || !in_window(p / s.in_w, s.out_h) || !in_window(p % s.in_w, s.out_w))
          std::fill(job.out + p * pixel + begin, job.out + p * pixel + end, 0.0f);
    for (int64_t h = 0; h < s.out_h; ++h)
      for (int64_t w = 0; w < s.out_w; ++w) {
        const int64_t in = (h * s.in_w + w) * s.stride * pixel, out = (h * s.out_w + w) * pixel;
        for (int64_t k = begin; k < end; k += kLanes)
          if (job.dy && overlap) AddGradient<true, kLanes>(s, job.x + in + k, job.dy + out + k, job.out + in + k, end - k);
          else if (job.dy) AddGradient<false, kLanes>(s, job.x + in + k, job.dy + out + k, job.out + in + k, end - k);
          else Maximum<kLanes>(s, job.x + in + k, job.out + out + k, end - k);
      }
  }
};

const auto kPool = Dispatch<Pool>();

// x: [batch dims..., N, H, W, C]; y, dy: [batch dims..., N, H', W', C]; dx as x. Without dy, out is y.
ffi::Error Run(ffi::ThreadPool pool, Buffer x, const Buffer* dy, Result out, int64_t window, int64_t stride) {
  BatchDims xl(x.dimensions(), 4), yl(dy ? dy->dimensions() : out->dimensions(), 4), lead(out->dimensions(), 4);
  const int64_t *xd = &*x.dimensions().end() - 4, *yd = &*(dy ? dy->dimensions() : out->dimensions()).end() - 4;
  const Shape s = {xd[0], xd[1], xd[2], xd[3], yd[1], yd[2], window, stride};
  if (yd[0] != s.batch || yd[3] != s.channels || window < 1 || stride < 1 || (s.out_h - 1) * stride + window > s.in_h ||
      (s.out_w - 1) * stride + window > s.in_w)
    return ffi::Error::InvalidArgument("max_pool: shapes do not fit together");
  const int64_t pixel = s.channels * s.batch, parts = (pixel + kPart - 1) / kPart;
  ParallelFor(pool, lead.Count() * parts, [&](int64_t item) {
    const int64_t l = item / parts, begin = item % parts * kPart;
    const PoolJob job = {s, x.typed_data() + xl.Offset(l, lead.sizes),
                         dy ? dy->typed_data() + yl.Offset(l, lead.sizes) : nullptr, out->typed_data() + l * lead.item};
    kPool(job, begin, std::min(begin + kPart, pixel));
  });
  return ffi::Error::Success();
}

ffi::Error MaxPool(ffi::ThreadPool pool, Buffer x, Result y, int64_t window, int64_t stride) {
  return Run(pool, x, nullptr, y, window, stride);
}
ffi::Error MaxPoolGrad(ffi::ThreadPool pool, Buffer x, Buffer dy, Result dx, int64_t window, int64_t stride) {
  return Run(pool, x, &dy, dx, window, stride);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_max_pool, MaxPool,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Ret<Buffer>()
                                  .Attr<int64_t>("window").Attr<int64_t>("stride"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_max_pool_grad, MaxPoolGrad,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>()
                                  .Attr<int64_t>("window").Attr<int64_t>("stride"));

}  // namespace jaxnets
