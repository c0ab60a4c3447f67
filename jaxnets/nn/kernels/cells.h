// The cells of recurrences, one row of one step at a time; see jaxnets/nn/recurrent.py for the formulas.
//
// Python names a cell, and what it knows of its sizes comes as shapes: no number of a cell is written down twice.

#ifndef JAXNETS_NN_NATIVE_CELLS_H_
#define JAXNETS_NN_NATIVE_CELLS_H_

#include <optional>
#include <string_view>

#include "vector.h"

namespace jaxnets {

enum class Cell { kLinear, kRnn, kLstm, kGru };

inline std::optional<Cell> CellOf(std::string_view name) {
  if (name == "linear") return Cell::kLinear;
  if (name == "rnn") return Cell::kRnn;
  if (name == "lstm") return Cell::kLstm;
  if (name == "gru") return Cell::kGru;
  return std::nullopt;
}

// Pre-activations per unit, and values per unit that the forward pass keeps for the backward pass.
inline int64_t Gates(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
inline int64_t Kept(Cell cell) { return cell == Cell::kLinear ? 0 : cell == Cell::kRnn ? 1 : 4; }

// One row of one step: gx and gh are its pre-activations' two parts.
template <int Lanes>
JAXNETS_INLINE void ForwardRow(Cell cell, int64_t n, const float* gx, const float* gh, const float* b, const float* h,
                               const float* c, float* h_new, float* c_new, float* kept) {
  using V = typename Vector<Lanes>::Type;
  for (int64_t j = 0; j < n; j += Lanes) {
    const int64_t left = n - j;
    const auto x = [&](int gate) JAXNETS_INLINE_LAMBDA { return Load<Lanes>(gx + gate * n + j, left); };
    const auto y = [&](int gate) JAXNETS_INLINE_LAMBDA {
      return Load<Lanes>(gh + gate * n + j, left) + Load<Lanes>(b + gate * n + j, left);
    };
    const auto keep = [&](int which, const V& v) JAXNETS_INLINE_LAMBDA { Store<Lanes>(kept + which * n + j, v, left); };
    V state;
    if (cell == Cell::kLinear) {
      state = x(0) + y(0);
    } else if (cell == Cell::kRnn) {
      state = Tanh<Lanes>(x(0) + y(0));
      keep(0, state);
    } else if (cell == Cell::kLstm) {
      const V i = Sigmoid<Lanes>(x(0) + y(0)), f = Sigmoid<Lanes>(x(1) + y(1));
      const V g = Tanh<Lanes>(x(2) + y(2)), o = Sigmoid<Lanes>(x(3) + y(3));
      keep(0, i), keep(1, f), keep(2, g), keep(3, o);
      const V memory = f * Load<Lanes>(c + j, left) + i * g;
      Store<Lanes>(c_new + j, memory, left);
      state = o * Tanh<Lanes>(memory);
    } else {
      const V hn = y(2);
      const V r = Sigmoid<Lanes>(x(0) + y(0)), z = Sigmoid<Lanes>(x(1) + y(1)), m = Tanh<Lanes>(x(2) + r * hn);
      keep(0, r), keep(1, z), keep(2, m), keep(3, hn);
      state = (1.0f - z) * m + z * Load<Lanes>(h + j, left);
    }
    Store<Lanes>(h_new + j, state, left);
  }
}

// Its gradient: dh and dc come in holding that of the new state and go out holding that of the old one, but for the part of
// dh that goes through W_h.
template <int Lanes>
JAXNETS_INLINE void BackwardRow(Cell cell, int64_t n, const float* kept, const float* h, const float* c,
                                const float* c_new, const float* dhs, float* dh, float* dc, float* dgx, float* dgh) {
  using V = typename Vector<Lanes>::Type;
  for (int64_t j = 0; j < n; j += Lanes) {
    const int64_t left = n - j;
    const auto k = [&](int which) JAXNETS_INLINE_LAMBDA { return Load<Lanes>(kept + which * n + j, left); };
    const auto give = [&](int gate, const V& v) JAXNETS_INLINE_LAMBDA { Store<Lanes>(dgx + gate * n + j, v, left); };
    const V d = Load<Lanes>(dh + j, left) + Load<Lanes>(dhs + j, left);
    V direct = V{};
    if (cell == Cell::kLinear) {
      give(0, d);
    } else if (cell == Cell::kRnn) {
      give(0, d * (1.0f - k(0) * k(0)));
    } else if (cell == Cell::kLstm) {
      const V i = k(0), f = k(1), g = k(2), o = k(3), top = Tanh<Lanes>(Load<Lanes>(c_new + j, left));
      const V dm = Load<Lanes>(dc + j, left) + d * o * (1.0f - top * top);
      give(0, dm * g * i * (1.0f - i));
      give(1, dm * Load<Lanes>(c + j, left) * f * (1.0f - f));
      give(2, dm * i * (1.0f - g * g));
      give(3, d * top * o * (1.0f - o));
      Store<Lanes>(dc + j, dm * f, left);
    } else {
      const V r = k(0), z = k(1), m = k(2), hn = k(3);
      const V dm = d * (1.0f - z) * (1.0f - m * m);
      const V dr = dm * hn * r * (1.0f - r), dz = d * (Load<Lanes>(h + j, left) - m) * z * (1.0f - z);
      give(0, dr), give(1, dz), give(2, dm);
      Store<Lanes>(dgh + j, dr, left);
      Store<Lanes>(dgh + n + j, dz, left);
      Store<Lanes>(dgh + 2 * n + j, dm * r, left);
      direct = d * z;
    }
    Store<Lanes>(dh + j, direct, left);
  }
}

}  // namespace jaxnets

#endif  // JAXNETS_NN_NATIVE_CELLS_H_
