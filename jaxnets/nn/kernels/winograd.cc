// Convolutions of 3x3 taps and stride 1 with 2.25 times fewer products: F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks" (2015), after Winograd. See conv.cc for the storage orders.
//
// Two by two neighboring outputs y, a tile, are a function of four by four inputs d, its patch:
//
//   y = A' [ (G w G') * (B' d B) ] A      * element by element, of 16 elements, and summed over the input channels
//
//        1  1  1  0           1  0 -1  0          1    0    0
//   A' = 0  1 -1 -1      B' = 0  1  1  0      G = 1/2  1/2  1/2
//                             0 -1  1  0          1/2 -1/2  1/2
//                             0  1  0 -1          0    0    1
//
// so that each of the 16 elements asks for one product of matrices over the channels, [C_out, C_in] . [C_in, columns], where
// the columns are the batch at a few patches. An input gradient is the same with the taps in reverse order. The rounding
// error is a few units in the last place of the magnitudes of a whole patch and filter, not of one output's own terms alone.
//
// A NaN reaches exactly the outputs whose window holds it: of a side's four inputs, d0 enters the first output alone and d3
// the second alone. An infinity does not stay finite, but may become a NaN, as the transforms subtract it from itself. An
// input gradient takes taps outside as zeros: with a NaN in a filter it is NaN at a border where the sum has no such term
// (so is XLA's). The filters' gradient (winograd_weights.cc) may be NaN at all nine taps where only some of them read a NaN
// at the border of the image; inside, all nine do.

#include "winograd.h"

#include <algorithm>
#include <memory>

#include "packed.h"
#include "tile.h"

namespace jaxnets {
namespace {

// A' m A.
template <typename V> JAXNETS_INLINE void TransformSums(const V m[kSide][kSide], V y[kOutputs][kOutputs]) {
  V half[kOutputs][kSide];
  for (int j = 0; j < kSide; ++j) {
    half[0][j] = m[0][j] + m[1][j] + m[2][j];
    half[1][j] = m[1][j] - m[2][j] - m[3][j];
  }
  for (int i = 0; i < kOutputs; ++i) {
    y[i][0] = half[i][0] + half[i][1] + half[i][2];
    y[i][1] = half[i][1] - half[i][2] - half[i][3];
  }
}

// G w G' for the channels [begin, end) of a job's output, one of the equal blocks that UnitsOf takes, from taps' matrices of
// `depth` by `channels` entries, or the reverse: [elements, depth, channels of the block], the elements `step` apart.
void TransformWeights(const float* w, bool transposed, int64_t depth, int64_t channels, int64_t begin, int64_t end, float* u,
                      int64_t step) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t c = begin; c < end; ++c, ++u) {
      const int64_t at = transposed ? c * depth + k : k * channels + c;
      float half[kSide][3];
      for (int j = 0; j < 3; ++j) {
        float tap[3];
        for (int i = 0; i < 3; ++i) tap[i] = w[(transposed ? 8 - 3 * i - j : 3 * i + j) * depth * channels + at];
        half[0][j] = tap[0];
        half[1][j] = 0.5f * (tap[0] + tap[1] + tap[2]);
        half[2][j] = 0.5f * (tap[0] - tap[1] + tap[2]);
        half[3][j] = tap[2];
      }
      for (int i = 0; i < kSide; ++i) {
        float* to = u + i * kSide * step;
        to[0] = half[i][0];
        to[step] = 0.5f * (half[i][0] + half[i][1] + half[i][2]);
        to[2 * step] = 0.5f * (half[i][0] - half[i][1] + half[i][2]);
        to[3 * step] = half[i][2];
      }
    }
}

// A' m A, and the biases, of the tile whose first pixel is (h, w), for one slice of the batch, from [elements, parts, channels,
// columns of a part]. The elements lie `step` apart.
template <int Lanes>
JAXNETS_INLINE void StoreTile(const PixelJob& job, int64_t h, int64_t w, const Slice& slice, int64_t columns,
                              const float* from, int64_t step) {
  using V = typename Vector<Lanes>::Type;
  const int64_t channels = job.Channels(), n = job.g.batch;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t at = 0; at < slice.count; at += Lanes) {
      V m[kSide][kSide], y[kOutputs][kOutputs];
      for (int e = 0; e < kElements; ++e)
        m[e / kSide][e % kSide] =
            *reinterpret_cast<const V*>(from + e * step + (at / columns * channels + c) * columns + at % columns);
      TransformSums(m, y);
      const V bias = V{} + (job.bias ? job.bias[c] : 0.0f);
      for (int i = 0; i < kOutputs && h + i < job.Height(); ++i)
        for (int j = 0; j < kOutputs && w + j < job.Width(); ++j) {
          float* to = job.out + (((h + i) * job.Width() + w + j) * channels + c) * n + slice.from + at;
          Store<Lanes>(to, y[i][j] + bias, slice.count - at);
        }
    }
}

// The output tiles of units [begin, end) of work, a unit being a group of patches for one slice of the batch. A few units are
// taken at once: while one of the 16 matrices is in cache, it serves all of them, and neighbors in the batch are read and
// written together. u: G w G'.
template <int Lanes, int Vectors, int Sums>
JAXNETS_INLINE void UnitsOf(const PixelJob& job, const Patches& patches, const float* u, int64_t begin, int64_t end) {
  constexpr int64_t kWidth = Vectors * Lanes, kAtOnce = 4;
  const Geometry& g = job.g;
  const int64_t depth = job.Depth(), channels = job.Channels(), n = g.batch;
  const Image image = {job.source, job.transposed ? g.out_h : g.in_h, job.transposed ? g.out_w : g.in_w, depth, n};
  const int64_t top = job.transposed ? 2 - g.pad_top : g.pad_top, left = job.transposed ? 2 - g.pad_left : g.pad_left;
  const int64_t most = std::min(kAtOnce, end - begin), u_step = depth * channels + kPadding;
  const int64_t v_step = most * depth * kWidth + kPadding, m_step = most * channels * kWidth + kPadding;
  const Aligned v(kElements * v_step);  // [elements, units, depth, columns]
  const Aligned m(kElements * m_step);  // [elements, units, channels, columns]
  if (n % kWidth != 0) std::fill_n(v.data(), kElements * v_step, 0.0f);  // Some columns are left out by some units.
  for (int64_t from = begin, units; from < end; from += units) {
    units = std::min(most, end - from);
    // Calls visit(h, w, slice, unit, column) for every output tile of the units, and for neighbors in the batch together.
    const auto over_tiles = [&](const auto& visit) JAXNETS_INLINE_LAMBDA {
      for (int64_t unit = 0, run; unit < units; unit += run) {
        const int64_t first = (from + unit) / patches.slices * patches.together, part = (from + unit) % patches.slices;
        const int64_t last = std::min(first + patches.together, patches.down * patches.across);
        run = std::min(units - unit, patches.slices - part);
        const Slice slice = {part * patches.padded, std::min(run * patches.padded, n - part * patches.padded)};
        for (int64_t p = first; p < last; ++p)
          visit(p / patches.across * kOutputs, p % patches.across * kOutputs, slice, unit, (p - first) * patches.padded);
      }
    };
    over_tiles([&](int64_t h, int64_t w, const Slice& slice, int64_t unit, int64_t column) JAXNETS_INLINE_LAMBDA {
      PatchColumns<Lanes>(image, h - top, w - left, slice, kWidth, v.data() + unit * depth * kWidth + column, v_step);
    });
    for (int e = 0; e < kElements; ++e)
      for (int64_t unit = 0; unit < units; ++unit)
        InBlocks<Sums / Vectors>(channels, [&](int64_t c, auto count) JAXNETS_INLINE_LAMBDA {
          constexpr int kCount = decltype(count)::value;
          const Tap product = {v.data() + e * v_step + unit * depth * kWidth, u + e * u_step + c * depth};
          PixelMicroKernel<false, Lanes, Vectors, kCount>(&product, 1, depth, kWidth, kCount, nullptr,
                                                          m.data() + e * m_step + (unit * channels + c) * kWidth);
        });
    over_tiles([&](int64_t h, int64_t w, const Slice& slice, int64_t unit, int64_t column) JAXNETS_INLINE_LAMBDA {
      StoreTile<Lanes>(job, h, w, slice, kWidth, m.data() + unit * channels * kWidth + column, m_step);
    });
  }
}

struct Units {
  using Function = void(const PixelJob&, const Patches&, const float* u, int64_t begin, int64_t end);
  template <typename Set>
  JAXNETS_INLINE static void Run(const PixelJob& job, const Patches& patches, const float* u, int64_t begin, int64_t end) {
    UnitsOf<Set::kLanes, Set::kVectors, Set::kSums>(job, patches, u, begin, end);
  }
};

const auto kUnits = Dispatch<Units>();
const int64_t kLanes = ChosenConstant([](auto set) { return set.kLanes; });
const int64_t kColumns = ChosenConstant([](auto set) { return set.kVectors * set.kLanes; });
const int64_t kMostChannels = ChosenConstant([](auto set) { return set.kSums / set.kVectors; });

}  // namespace

bool WinogradServes(const Geometry& g) {
  if (g.kernel_h != 3 || g.kernel_w != 3 || g.stride != 1) return false;
  // Between few channels the transforms cost what they save: of 16 by 16 this takes 0.8 to 1.4 times the direct way's time,
  // of 24 by 24 less, of 32 by 32 two thirds to four fifths. Above 2^16 the transformed filters take more than 4 MiB;
  // the gain goes on (README.md, "Numbers"), but so does the memory.
  if (std::min(g.in_c, g.out_c) < 24 || g.in_c * g.out_c > 1 << 16) return false;
  // Tiles that lie partly outside, and columns that the batch does not fill, are computed all the same. At least a third of
  // the products must be saved to pay for the transforms.
  const Patches patches(g.out_h, g.out_w, g.batch, kLanes, kColumns);
  const int64_t products = kElements * patches.Groups() * patches.slices * kColumns;
  return 3 * products <= 2 * 9 * g.out_h * g.out_w * g.batch;
}

void RunWinograd(ffi::ThreadPool pool, const PixelJob& job, const BatchDims& source, const BatchDims& weights,
                 const BatchDims* bias, const BatchDims& out) {
  const int64_t matrix = job.Depth() * job.Channels(), transforms = weights.Count();
  BatchDims transformed = weights;
  transformed.item = kElements * (matrix + kPadding);
  const std::unique_ptr<float[]> u(new float[transforms * transformed.item]);
  const int64_t depth = job.Depth(), channels = job.Channels(), blocks = (channels + kMostChannels - 1) / kMostChannels;
  ParallelFor(pool, transforms * blocks, [&](int64_t item) {
    const int64_t l = item / blocks, b = item % blocks, begin = channels * b / blocks, end = channels * (b + 1) / blocks;
    TransformWeights(job.weights + l * weights.item, job.transposed, depth, channels, begin, end,
                     u.get() + l * transformed.item + begin * depth, matrix + kPadding);
  });

  const Patches patches(job.Height(), job.Width(), job.g.batch, kLanes, kColumns);
  OverUnits(pool, patches.Groups() * patches.slices, job, source, bias, out,
            [&](const PixelJob& own, int64_t l, int64_t begin, int64_t end) {
              kUnits(own, patches, u.get() + transformed.Offset(l, out.sizes), begin, end);
            });
}

}  // namespace jaxnets
