// Recurrences over time on CPUs, float32, called from XLA through its FFI (see jaxnets/nn/recurrent.py for the formulas).
//
// One call runs all time steps. Sequences do not depend on one another, so each thread takes some rows of the batch
// through all of time and no step waits for another thread. Per step there is a product of the rows' states with W_h, whose
// matrix is packed once per call into panels as wide as a micro-kernel, and then element-wise work on rows that are
// still in cache. All arrays are row-major: [batch dims..., T, N, features]; "batch dims" come from jax.vmap.
//
// The weights' gradient is one product after the backward pass, of the states as they lie there (product.cc).
//
// Rows are taken longest first, so that those still running at a step are the first ones and padding costs next to nothing.
//
// A row's sums are formed in an order that depends on the widths alone, never on the other rows or the number of threads.
//
// What lies after a sequence's end is never read: junk there, NaN included, changes nothing. A NaN within a sequence stays
// in it, and spoils the weights' gradient as it does in XLA's scan.
//
// What it gains is in README.md, "Numbers"; benchmarks/recurrence.py compares other ways to write a scan.

#include <algorithm>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

#include "cells.h"
#include "packed.h"
#include "product.h"
#include "work.h"

namespace jaxnets {
namespace {

// Rows [begin, end) of the batch, longest first, and how many of them run at a step.
class Running {
 public:
  Running(const int32_t* lengths, int64_t begin, int64_t end) : lengths_(lengths), row_(end - begin), at_(end - begin) {
    std::iota(row_.begin(), row_.end(), begin);
    std::stable_sort(row_.begin(), row_.end(), [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
  }
  int64_t Rows() const { return static_cast<int64_t>(row_.size()); }
  int64_t Row(int64_t i) const { return row_[i]; }
  int64_t At(int64_t step) const {
    const auto over = [&](int64_t row) { return lengths_[row] > step; };
    return std::partition_point(row_.begin(), row_.end(), over) - row_.begin();
  }
  // Where each row of a matrix begins.
  const float* const* Pointers(const float* matrix, int64_t width) {
    for (int64_t i = 0; i < Rows(); ++i) at_[i] = matrix + row_[i] * width;
    return at_.data();
  }

 private:
  const int32_t* lengths_;
  std::vector<int64_t> row_;
  std::vector<const float*> at_;
};

struct ForwardJob {
  Cell cell;
  int64_t steps, batch, hidden;
  const Packed* w;
  const float *gx, *b, *h, *c;
  const int32_t* lengths;
  float *hs, *cs, *kept;
};

// Rows [begin, end) of the batch through all time.
template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void ForwardRows(const ForwardJob& job, int64_t begin, int64_t end) {
  const int64_t n = job.hidden, gates = Gates(job.cell) * n, kept = Kept(job.cell) * n;
  const bool memory = job.cell == Cell::kLstm;
  Running running(job.lengths, begin, end);
  const Aligned products(running.Rows() * job.w->Padded());
  for (int64_t t = 0; t < job.steps; ++t) {
    const float* h = t ? job.hs + (t - 1) * job.batch * n : job.h;
    const float* c = t && memory ? job.cs + (t - 1) * job.batch * n : job.c;
    const int64_t count = running.At(t);
    Multiply<Lanes, Vectors, Most>(running.Pointers(h, n), count, *job.w, products.data());
    for (int64_t i = 0; i < running.Rows(); ++i) {
      const int64_t r = running.Row(i), at = t * job.batch + r;
      float* c_new = memory ? job.cs + at * n : nullptr;
      if (i < count) {
        ForwardRow<Lanes>(job.cell, n, job.gx + at * gates, products.data() + i * job.w->Padded(), job.b, h + r * n,
                          c + r * n, job.hs + at * n, c_new, job.kept + at * kept);
      } else {
        std::copy_n(h + r * n, n, job.hs + at * n);
        if (memory) std::copy_n(c + r * n, n, c_new);
        std::fill_n(job.kept + at * kept, kept, 0.0f);
      }
    }
  }
}

struct BackwardJob {
  Cell cell;
  int64_t steps, batch, hidden;
  const Packed* w;  // of the transposed matrix
  const float *h, *c, *hs, *cs, *kept, *dhs;
  const int32_t* lengths;
  float *dgx, *dgh;  // dgh is null where it equals dgx
  float *dh, *dc;    // come in holding the gradient of the last state, go out holding that of the first
};

template <int Lanes, int Vectors, int Most>
JAXNETS_INLINE void BackwardRows(const BackwardJob& job, int64_t begin, int64_t end) {
  const int64_t n = job.hidden, gates = Gates(job.cell) * n, kept = Kept(job.cell) * n;
  const bool memory = job.cell == Cell::kLstm;
  Running running(job.lengths, begin, end);
  const Aligned products(running.Rows() * job.w->Padded());
  for (int64_t t = job.steps - 1; t >= 0; --t) {
    const float* h = t ? job.hs + (t - 1) * job.batch * n : job.h;
    const float* c = t && memory ? job.cs + (t - 1) * job.batch * n : job.c;
    const int64_t count = running.At(t);
    for (int64_t i = 0; i < running.Rows(); ++i) {
      const int64_t r = running.Row(i), at = t * job.batch + r;
      float* dgh = job.dgh ? job.dgh + at * gates : nullptr;
      if (i < count) {
        BackwardRow<Lanes>(job.cell, n, job.kept + at * kept, h + r * n, c + r * n, memory ? job.cs + at * n : nullptr,
                           job.dhs + at * n, job.dh + r * n, job.dc + r * n, job.dgx + at * gates, dgh);
      } else {
        std::fill_n(job.dgx + at * gates, gates, 0.0f);
        if (dgh) std::fill_n(dgh, gates, 0.0f);
      }
    }
    const float* through = (job.dgh ? job.dgh : job.dgx) + t * job.batch * gates;
    Multiply<Lanes, Vectors, Most>(running.Pointers(through, gates), count, *job.w, products.data());
    for (int64_t i = 0; i < count; ++i) {
      float* dh = job.dh + running.Row(i) * n;
      const float* product = products.data() + i * job.w->Padded();
      for (int64_t j = 0; j < n; j += Lanes)
        Store<Lanes>(dh + j, Load<Lanes>(dh + j, n - j) + Load<Lanes>(product + j, n - j), n - j);
    }
  }
}

struct ForwardKernel {
  using Function = void(const ForwardJob&, int64_t begin, int64_t end);
  template <typename Set> JAXNETS_INLINE static void Run(const ForwardJob& job, int64_t begin, int64_t end) {
    ForwardRows<Set::kLanes, Set::kVectors, Set::kSums / Set::kVectors>(job, begin, end);
  }
};
struct BackwardKernel {
  using Function = void(const BackwardJob&, int64_t begin, int64_t end);
  template <typename Set> JAXNETS_INLINE static void Run(const BackwardJob& job, int64_t begin, int64_t end) {
    BackwardRows<Set::kLanes, Set::kVectors, Set::kSums / Set::kVectors>(job, begin, end);
  }
};

const auto kForward = Dispatch<ForwardKernel>();
const auto kBackward = Dispatch<BackwardKernel>();
const int64_t kPanel = ChosenConstant([](auto set) { return set.kVectors * set.kLanes; });

// ---------------------------------------------------------------------------------------------------------------------
// XLA's side.

using Lengths = ffi::Buffer<ffi::S32>;

// W_h [depth, width], or W_h's transpose, packed for each of its batch dims.
std::vector<Packed> Pack(ffi::ThreadPool pool, const Buffer& w, const BatchDims& lead, int64_t depth, int64_t width,
                         bool transposed) {
  std::vector<Packed> packed;
  for (int64_t l = 0; l < lead.Count(); ++l) packed.emplace_back(depth, width, kPanel);
  const int64_t panels = packed.empty() ? 0 : packed[0].panels;
  ParallelFor(pool, lead.Count() * panels, [&](int64_t item) {
    const int64_t l = item / panels;
    packed[l].Fill(item % panels, w.typed_data() + l * lead.item, transposed);
  });
  return packed;
}

// Splits the batch's rows into one part for each thread, or a few, each within one index over batch dims. A part has 8 rows
// or more if it can: with fewer the micro-kernels' rows are not filled, and every part reads all of W_h.
template <typename Work> void OverRows(ffi::ThreadPool pool, int64_t lead, int64_t batch, const Work& work) {
  const int64_t threads = std::max<int64_t>(1, pool.num_threads());
  const int64_t parts = std::max<int64_t>(1, std::min((batch + 7) / 8, (threads + lead - 1) / lead));
  ParallelFor(pool, lead * parts, [&](int64_t item) {
    const int64_t l = item / parts, part = item % parts;
    work(l, batch * part / parts, batch * (part + 1) / parts);
  });
}

// The operand's place for an index over batch dims, in units of its item: with one W_h for all, one packed matrix serves.
int64_t Index(const BatchDims& operand, int64_t l, const std::vector<int64_t>& result) {
  return operand.Offset(l, result) / std::max<int64_t>(1, operand.item);
}

ffi::Error Forward(ffi::ThreadPool pool, Buffer gx, Buffer w, Buffer b, Buffer h, Buffer c, Lengths lengths, Result hs,
                   Result cs, Result kept, std::string_view name) {
  const std::optional<Cell> cell = CellOf(name);
  if (!cell) return ffi::Error::InvalidArgument("recurrence: unknown cell");
  BatchDims xl(gx.dimensions(), 3), wl(w.dimensions(), 2), bl(b.dimensions(), 1), hl(h.dimensions(), 2),
      cl(c.dimensions(), 2), nl(lengths.dimensions(), 1), out(hs->dimensions(), 3), cs_out(cs->dimensions(), 3),
      kept_out(kept->dimensions(), 3);
  const int64_t* d = &*hs->dimensions().end() - 3;
  const int64_t steps = d[0], batch = d[1], n = d[2], gates = Gates(*cell) * n;
  if (xl.item != steps * batch * gates || wl.item != n * gates || bl.item != gates || hl.item != batch * n ||
      nl.item != batch || kept_out.item != steps * batch * Kept(*cell) * n)
    return ffi::Error::InvalidArgument("recurrence: operand shapes do not fit together");
  const std::vector<Packed> packed = Pack(pool, w, wl, n, gates, false);
  OverRows(pool, out.Count(), batch, [&](int64_t l, int64_t begin, int64_t end) {
    const auto at = [&](const Buffer& x, const BatchDims& lead) { return x.typed_data() + lead.Offset(l, out.sizes); };
    kForward({*cell, steps, batch, n, &packed[Index(wl, l, out.sizes)], at(gx, xl), at(b, bl), at(h, hl),
                      at(c, cl), lengths.typed_data() + nl.Offset(l, out.sizes), hs->typed_data() + l * out.item,
                      cs->typed_data() + l * cs_out.item, kept->typed_data() + l * kept_out.item},
                     begin, end);
  });
  return ffi::Error::Success();
}

ffi::Error Backward(ffi::ThreadPool pool, Buffer w, Buffer h, Buffer c, Buffer hs, Buffer cs, Buffer kept, Buffer dhs,
                    Buffer dh_last, Buffer dc_last, Lengths lengths, Result dgx, Result dgh, Result dh, Result dc,
                    Result dw, std::string_view name) {
  const std::optional<Cell> cell = CellOf(name);
  if (!cell) return ffi::Error::InvalidArgument("recurrence gradient: unknown cell");
  BatchDims wl(w.dimensions(), 2), hl(h.dimensions(), 2), cl(c.dimensions(), 2), sl(hs.dimensions(), 3),
      csl(cs.dimensions(), 3), kl(kept.dimensions(), 3), dsl(dhs.dimensions(), 3), dhl(dh_last.dimensions(), 2),
      dcl(dc_last.dimensions(), 2), nl(lengths.dimensions(), 1), out(dgx->dimensions(), 3), through(dgh->dimensions(), 3),
      state(dh->dimensions(), 2), dwl(dw->dimensions(), 2);
  const int64_t* d = &*dgx->dimensions().end() - 3;
  const int64_t steps = d[0], batch = d[1], gates = d[2], n = gates / Gates(*cell);
  if (wl.item != n * gates || sl.item != steps * batch * n || dsl.item != sl.item || state.item != batch * n ||
      nl.item != batch || kl.item != steps * batch * Kept(*cell) * n)
    return ffi::Error::InvalidArgument("recurrence gradient: operand shapes do not fit together");
  const std::vector<Packed> packed = Pack(pool, w, wl, gates, n, true);
  OverRows(pool, out.Count(), batch, [&](int64_t l, int64_t begin, int64_t end) {
    const auto at = [&](const Buffer& x, const BatchDims& lead) { return x.typed_data() + lead.Offset(l, out.sizes); };
    float* own_dh = dh->typed_data() + l * state.item;
    float* own_dc = dc->typed_data() + l * state.item;
    std::copy(at(dh_last, dhl) + begin * n, at(dh_last, dhl) + end * n, own_dh + begin * n);
    std::copy(at(dc_last, dcl) + begin * n, at(dc_last, dcl) + end * n, own_dc + begin * n);
    kBackward({*cell, steps, batch, n, &packed[Index(wl, l, out.sizes)], at(h, hl), at(c, cl), at(hs, sl),
                       at(cs, csl), at(kept, kl), at(dhs, dsl), lengths.typed_data() + nl.Offset(l, out.sizes),
                       dgx->typed_data() + l * out.item,
                       through.item ? dgh->typed_data() + l * through.item : nullptr, own_dh, own_dc},
                      begin, end);
  });
  // W_h's gradient: each step's state before it, times the gradient of what it became.
  const int64_t down = (n + kBlockInputs - 1) / kBlockInputs, across = (gates + kBlockOutputs - 1) / kBlockOutputs;
  ParallelFor(pool, out.Count() * down * across, [&](int64_t item) {
    const int64_t l = item / (down * across), i = item / across % down * kBlockInputs, j = item % across * kBlockOutputs;
    const float* g = through.item ? dgh->typed_data() + l * through.item : dgx->typed_data() + l * out.item;
    const RowPairs pairs[2] = {
        {h.typed_data() + hl.Offset(l, out.sizes), g, steps ? batch : 0},
        {hs.typed_data() + sl.Offset(l, out.sizes), g + batch * gates, (steps - 1) * batch},
    };
    ProductBlock(pairs, n, gates, i, j, dw->typed_data() + l * dwl.item);
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_recurrence, Forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Lengths>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>()
                                  .Attr<std::string_view>("cell"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxnets_recurrence_grad, Backward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Arg<Lengths>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>()
                                  .Attr<std::string_view>("cell"));

}  // namespace jaxnets
