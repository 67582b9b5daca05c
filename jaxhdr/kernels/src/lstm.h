// Part 7 of 7: the handlers for
// One step of a convolutional LSTM (Shi et al. 2015, equation 3)
//
// Gates lie in the order write, forget, candidate, output. The cell is float32. Rows of
// pixels are computed in stripes, so that the gates' sums stay in the cache until the
// cell has read them.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "cells.h"
#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

constexpr int64_t kStripe = 1024;  // pixels, at least one row: 1 MB of 256 gates

struct Lstm {
  int64_t batch, height, width, inputs, features, dilation;
  Type type;

  Lstm(const ffi::AnyBuffer& x, const ffi::AnyBuffer& hidden, int64_t dilation_)
      : batch(x.dimensions()[0]),
        height(x.dimensions()[1]),
        width(x.dimensions()[2]),
        inputs(x.dimensions()[3]),
        features(hidden.dimensions()[3]),
        dilation(dilation_),
        type(TypeOf(x)) {}

  int64_t Pixels() const { return height * width; }
  int64_t Bytes(int64_t elements) const {
    return elements * static_cast<int64_t>(memory::data_type_size(type));
  }

  // Of the inputs, or of the hidden state.
  Convolution Gates(Kind kind, bool of_hidden) const {
    Convolution c;
    c.kind = kind;
    c.type = type;
    c.result = Type::f32;
    c.batch = batch;
    c.height = height;
    c.width = width;
    c.in = of_hidden ? features : inputs;
    c.out = 4 * features;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = Hwio(3, inputs + features, 4 * features);
    c.bias = !of_hidden && kind != Kind::kBackwardInput;
    c.accumulate = of_hidden && kind == Kind::kForward;
    return c;
  }

  float* KernelOf(bool of_hidden, float* kernel) const {
    return kernel + (of_hidden ? inputs * 4 * features : 0);
  }
};

template <typename T>
void RunLstm(Engine& team, const Lstm& lstm, const ffi::AnyBuffer& x,
             const ffi::AnyBuffer& before, const ffi::AnyBuffer& cell_before,
             const ffi::AnyBuffer& kernel, const ffi::AnyBuffer& bias,
             const ffi::AnyBuffer& hidden, const ffi::AnyBuffer& cell,
             const ffi::AnyBuffer& gates) {
  const bool is_first = IsEmpty(before);
  const int64_t f = lstm.features;
  // Of a small image there are fewer rows in a stripe, so that all threads have some.
  const int64_t share = lstm.batch * lstm.height / omp_get_max_threads();
  const int64_t rows =
      std::clamp<int64_t>(std::min(kStripe / lstm.width, share), 1, lstm.height);
  const int64_t stripes = (lstm.height + rows - 1) / rows;
  team.Share(lstm.batch * stripes, [&](Engine& engine, int64_t from, int64_t count) {
    float* sums =
        static_cast<float*>(engine.sums.Get(rows * lstm.width * 4 * f * sizeof(float)));
    memory own[2];  // kernels, of most stripes alike
    for (int64_t stripe = from; stripe < from + count; ++stripe) {
      const int64_t n = stripe / stripes, start = stripe % stripes * rows;
      const int64_t stop = std::min(lstm.height, start + rows);
      const int64_t above = std::min(start, lstm.dilation);
      const int64_t below = std::min(lstm.height - stop, lstm.dilation);
      const int64_t seen = n * lstm.Pixels() + (start - above) * lstm.width;
      for (const bool of_hidden : {false, true}) {
        if (of_hidden && is_first) continue;
        Convolution c = lstm.Gates(Kind::kForward, of_hidden);
        c.batch = 1;
        c.height = stop - start + above + below;
        c.goes_on_above = above;
        c.goes_on_below = below;
        memory& ready = own[of_hidden];
        if (!ready || !engine.Takes(c, ready)) {
          ready = engine.Kernel(c, lstm.KernelOf(of_hidden, Floats(kernel)),
                                engine.kernels[of_hidden]);
        }
        char* image = of_hidden ? Bytes(before) + lstm.Bytes(seen * f)
                                : Bytes(x) + lstm.Bytes(seen * lstm.inputs);
        engine.Run(c, image, ready, Floats(bias), nullptr, sums);
      }
      const int64_t place = (n * lstm.Pixels() + start * lstm.width) * f;
      Update(Cells<T>{(stop - start) * lstm.width, f, sums,
                      is_first ? nullptr : Floats(cell_before) + place,
                      Floats(cell) + place, reinterpret_cast<T*>(Bytes(hidden)) + place,
                      IsEmpty(gates) ? nullptr : Floats(gates) + 4 * place});
    }
  });
}

ffi::Error LstmForward(ffi::AnyBuffer x, ffi::AnyBuffer before,
                       ffi::AnyBuffer cell_before, ffi::AnyBuffer kernel,
                       ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> hidden,
                       ffi::Result<ffi::AnyBuffer> cell,
                       ffi::Result<ffi::AnyBuffer> gates, int64_t dilation) {
  return RunTask([&](Engine& engine) {
    const Lstm lstm(x, *hidden, dilation);
    const auto run = lstm.type == Type::f32 ? RunLstm<float> : RunLstm<BFloat16>;
    run(engine, lstm, x, before, cell_before, kernel, bias, *hidden, *cell, *gates);
  });
}

template <typename T>
void RunCellGradients(Engine& team, const Lstm& lstm, const ffi::AnyBuffer& of_hidden,
                      const ffi::AnyBuffer& of_cell, const ffi::AnyBuffer& cell_before,
                      const ffi::AnyBuffer& cell, const ffi::AnyBuffer& gates,
                      const ffi::AnyBuffer& of_cell_before, void* of_sums) {
  const bool is_first = IsEmpty(cell_before);
  team.Share(lstm.batch * lstm.Pixels(), [&](Engine&, int64_t first, int64_t count) {
    const int64_t place = first * lstm.features;
    Update(CellGradients<T>{
        count, lstm.features, reinterpret_cast<const T*>(Bytes(of_hidden)) + place,
        Floats(gates) + 4 * place, Floats(of_cell) + place,
        is_first ? nullptr : Floats(cell_before) + place, Floats(cell) + place,
        Floats(of_cell_before) + place, static_cast<T*>(of_sums) + 4 * place});
  });
}

ffi::Error LstmBackward(ffi::AnyBuffer of_hidden, ffi::AnyBuffer of_cell,
                        ffi::AnyBuffer x, ffi::AnyBuffer before,
                        ffi::AnyBuffer cell_before, ffi::AnyBuffer kernel,
                        ffi::AnyBuffer cell, ffi::AnyBuffer gates,
                        ffi::Result<ffi::AnyBuffer> of_x,
                        ffi::Result<ffi::AnyBuffer> of_before,
                        ffi::Result<ffi::AnyBuffer> of_cell_before,
                        ffi::Result<ffi::AnyBuffer> of_kernel,
                        ffi::Result<ffi::AnyBuffer> of_bias, int64_t dilation) {
  return RunTask([&](Engine& engine) {
    const Lstm lstm(x, of_hidden, dilation);
    void* of_sums = engine.gradients[0].Get(
        lstm.Bytes(lstm.batch * lstm.Pixels() * 4 * lstm.features));
    const auto run =
        lstm.type == Type::f32 ? RunCellGradients<float> : RunCellGradients<BFloat16>;
    run(engine, lstm, of_hidden, of_cell, cell_before, cell, gates, *of_cell_before,
        of_sums);
    if (IsEmpty(before)) {
      std::fill_n(Floats(*of_kernel), of_kernel->element_count(), 0.f);
    }
    for (const bool part : {false, true}) {
      if (part && IsEmpty(before)) continue;
      const Convolution to_input = lstm.Gates(Kind::kBackwardInput, part);
      const memory own = engine.Kernel(to_input, lstm.KernelOf(part, Floats(kernel)),
                                       engine.kernels[part]);
      engine.Run(to_input, Bytes(part ? *of_before : *of_x), own, nullptr, nullptr,
                 of_sums);
      engine.RunBackwardKernel(
          lstm.Gates(Kind::kBackwardKernel, part), Bytes(part ? before : x), of_sums,
          lstm.KernelOf(part, Floats(*of_kernel)), part ? nullptr : Floats(*of_bias));
    }
  });
}

}  // namespace
