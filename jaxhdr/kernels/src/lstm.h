// Part 8 of 8: the handlers for one step of a convolutional LSTM (Shi et al. 2015,
// equation 3) and for its gradients.
//
// The gates' sums are the convolution of the input plus that of the hidden state. The
// forward pass computes them a few rows of pixels at a time, a stripe, so that they are
// still in the cache when the cells (part 7) read them. The cell is float32.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "cells.h"
#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

// Pixels of a stripe, which has at least one row: the sums of 256 gates take 1 MB.
constexpr int64_t kStripe = 1024;

// The convolutions of one step.
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

  // The convolution of the hidden state, or else of the input. The first one is added
  // to the second, which adds the bias.
  Convolution Gates(Kind kind, bool reads_hidden) const {
    Convolution c;
    c.kind = kind;
    c.type = type;
    c.result_type = Type::f32;
    c.batch = batch;
    c.height = height;
    c.width = width;
    c.in = reads_hidden ? features : inputs;
    c.out = 4 * features;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = Hwio(3, inputs + features, 4 * features);
    c.bias = !reads_hidden && kind != Kind::kBackwardInput;
    c.accumulate = reads_hidden && kind == Kind::kForward;
    return c;
  }

  // Where the part of the kernel begins that reads the hidden state, or else the input.
  float* KernelPart(bool reads_hidden, float* kernel) const {
    return kernel + (reads_hidden ? inputs * 4 * features : 0);
  }
};

// The forward pass: its arguments and results. In the first step, `hidden_before` and
// `cell_before` are empty; `gates` is empty unless the gradient will need them.
struct LstmArrays {
  const ffi::AnyBuffer &x, &hidden_before, &cell_before, &kernel, &bias;
  const ffi::AnyBuffer &hidden, &cell, &gates;
};

// The rows of image `n` from `start` to `stop`.
struct Stripe {
  int64_t n, start, stop;
};

// Packed kernels of the input and of the hidden state, empty at first.
struct GateKernels {
  memory input, hidden;
};

// Writes the gates' sums of a stripe to `sums`. Stripes inside an image can read the
// same packed kernels, so these are packed again only if oneDNN asks for another
// layout.
void RunGates(Engine& engine, const Lstm& lstm, const LstmArrays& arrays,
              const Stripe& stripe, GateKernels& kernels, float* sums) {
  const int64_t above = std::min(stripe.start, lstm.dilation);
  const int64_t below = std::min(lstm.height - stripe.stop, lstm.dilation);
  const int64_t first_pixel =
      stripe.n * lstm.Pixels() + (stripe.start - above) * lstm.width;
  for (const bool reads_hidden : {false, true}) {
    const ffi::AnyBuffer& images = reads_hidden ? arrays.hidden_before : arrays.x;
    if (reads_hidden && IsEmpty(images)) continue;
    Convolution c = lstm.Gates(Kind::kForward, reads_hidden);
    c.batch = 1;
    c.height = stripe.stop - stripe.start + above + below;
    c.continues_above = above > 0;
    c.continues_below = below > 0;
    memory& packed = reads_hidden ? kernels.hidden : kernels.input;
    if (!packed || !engine.Accepts(c, packed)) {
      packed =
          engine.PackKernel(c, lstm.KernelPart(reads_hidden, Floats(arrays.kernel)),
                            engine.kernel_buffers[reads_hidden]);
    }
    engine.Run(c, Bytes(images) + lstm.Bytes(first_pixel * c.in), packed,
               Floats(arrays.bias), nullptr, sums);
  }
}

template <typename T>
void RunLstm(Engine& worker, const Lstm& lstm, const LstmArrays& arrays) {
  const bool is_first = IsEmpty(arrays.hidden_before);
  const int64_t f = lstm.features;
  // Stripes of a small image have fewer rows, so that every thread gets some.
  const int64_t share = lstm.batch * lstm.height / omp_get_max_threads();
  const int64_t rows =
      std::clamp<int64_t>(std::min(kStripe / lstm.width, share), 1, lstm.height);
  const int64_t stripes = (lstm.height + rows - 1) / rows;  // of an image
  const auto run = [&](Engine& engine, int64_t first, int64_t count) {
    float* sums = static_cast<float*>(
        engine.sum_buffer.Get(rows * lstm.width * 4 * f * sizeof(float)));
    GateKernels kernels;
    for (int64_t i = first; i < first + count; ++i) {
      const int64_t start = i % stripes * rows;
      const Stripe stripe = {i / stripes, start, std::min(lstm.height, start + rows)};
      RunGates(engine, lstm, arrays, stripe, kernels, sums);
      const int64_t place = (stripe.n * lstm.Pixels() + start * lstm.width) * f;
      Update(
          Cells<T>{(stripe.stop - start) * lstm.width, f, sums,
                   is_first ? nullptr : Floats(arrays.cell_before) + place,
                   Floats(arrays.cell) + place,
                   reinterpret_cast<T*>(Bytes(arrays.hidden)) + place,
                   IsEmpty(arrays.gates) ? nullptr : Floats(arrays.gates) + 4 * place});
    }
  };
  worker.ParallelFor(lstm.batch * stripes, run);
}

ffi::Error LstmForward(ffi::AnyBuffer x, ffi::AnyBuffer hidden_before,
                       ffi::AnyBuffer cell_before, ffi::AnyBuffer kernel,
                       ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> hidden,
                       ffi::Result<ffi::AnyBuffer> cell,
                       ffi::Result<ffi::AnyBuffer> gates, int64_t dilation) {
  return RunTask([&](Engine& worker) {
    const Lstm lstm(x, *hidden, dilation);
    const auto run = lstm.type == Type::f32 ? RunLstm<float> : RunLstm<BFloat16>;
    run(worker, lstm,
        {x, hidden_before, cell_before, kernel, bias, *hidden, *cell, *gates});
  });
}

// What the gradients of the cells are computed from.
struct LstmGradientArrays {
  const ffi::AnyBuffer &of_hidden, &of_cell, &cell_before, &cell, &gates;
};

// Writes the gradients of the cell before and of the gates' sums.
template <typename T>
void RunCellGradients(Engine& worker, const Lstm& lstm,
                      const LstmGradientArrays& arrays,
                      const ffi::AnyBuffer& of_cell_before, void* of_sums) {
  const bool is_first = IsEmpty(arrays.cell_before);
  const auto run = [&](Engine&, int64_t first, int64_t count) {
    const int64_t place = first * lstm.features;
    Update(CellGradients<T>{count, lstm.features,
                            reinterpret_cast<const T*>(Bytes(arrays.of_hidden)) + place,
                            Floats(arrays.gates) + 4 * place,
                            Floats(arrays.of_cell) + place,
                            is_first ? nullptr : Floats(arrays.cell_before) + place,
                            Floats(arrays.cell) + place, Floats(of_cell_before) + place,
                            static_cast<T*>(of_sums) + 4 * place});
  };
  worker.ParallelFor(lstm.batch * lstm.Pixels(), run);
}

ffi::Error LstmBackward(ffi::AnyBuffer of_hidden, ffi::AnyBuffer of_cell,
                        ffi::AnyBuffer x, ffi::AnyBuffer hidden_before,
                        ffi::AnyBuffer cell_before, ffi::AnyBuffer kernel,
                        ffi::AnyBuffer cell, ffi::AnyBuffer gates,
                        ffi::Result<ffi::AnyBuffer> of_x,
                        ffi::Result<ffi::AnyBuffer> of_hidden_before,
                        ffi::Result<ffi::AnyBuffer> of_cell_before,
                        ffi::Result<ffi::AnyBuffer> of_kernel,
                        ffi::Result<ffi::AnyBuffer> of_bias, int64_t dilation) {
  return RunTask([&](Engine& worker) {
    const Lstm lstm(x, of_hidden, dilation);
    void* of_sums = worker.gradient_buffers[0].Get(
        lstm.Bytes(lstm.batch * lstm.Pixels() * 4 * lstm.features));
    const auto run =
        lstm.type == Type::f32 ? RunCellGradients<float> : RunCellGradients<BFloat16>;
    run(worker, lstm, {of_hidden, of_cell, cell_before, cell, gates}, *of_cell_before,
        of_sums);
    const bool is_first = IsEmpty(hidden_before);
    // In the first step nothing below writes the part that reads the hidden state.
    if (is_first) std::fill_n(Floats(*of_kernel), of_kernel->element_count(), 0.f);
    for (const bool reads_hidden : {false, true}) {
      if (reads_hidden && is_first) continue;
      const Convolution to_input = lstm.Gates(Kind::kBackwardInput, reads_hidden);
      const memory packed =
          worker.PackKernel(to_input, lstm.KernelPart(reads_hidden, Floats(kernel)),
                            worker.kernel_buffers[reads_hidden]);
      worker.Run(to_input, Bytes(reads_hidden ? *of_hidden_before : *of_x), packed,
                 nullptr, nullptr, of_sums);
      worker.RunBackwardKernel(lstm.Gates(Kind::kBackwardKernel, reads_hidden),
                               Bytes(reads_hidden ? hidden_before : x), of_sums,
                               lstm.KernelPart(reads_hidden, Floats(*of_kernel)),
                               reads_hidden ? nullptr : Floats(*of_bias));
    }
  });
}

}  // namespace
