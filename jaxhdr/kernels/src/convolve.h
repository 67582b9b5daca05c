// Part 4 of 7: the handlers for one convolution and its two gradients.

#pragma once

#include <cstdint>

#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

// The convolution of an image (NHWC) by a kernel of sides `rows` x `columns`.
Convolution Describe(const ffi::AnyBuffer& image, int64_t in, int64_t out, int64_t rows,
                     int64_t columns, int64_t dilation, int64_t same) {
  const auto size = image.dimensions();
  Convolution c;
  c.type = c.result = TypeOf(image);
  c.batch = size[0];
  c.height = size[1];
  c.width = size[2];
  c.in = in;
  c.out = out;
  c.rows = rows;
  c.columns = columns;
  c.dilation = dilation;
  c.same = same != 0;
  c.kernel = Hwio(columns, in, out);
  return c;
}

ffi::Error Forward(ffi::AnyBuffer x, ffi::AnyBuffer kernel, ffi::AnyBuffer bias,
                   ffi::AnyBuffer add, ffi::Result<ffi::AnyBuffer> y, int64_t dilation,
                   int64_t same, int64_t relu) {
  return RunTask([&](Engine& engine) {
    const auto k = kernel.dimensions();
    Convolution c = Describe(x, k[2], k[3], k[0], k[1], dilation, same);
    c.result = TypeOf(*y);
    c.bias = !IsEmpty(bias);
    c.add = !IsEmpty(add);
    c.relu = relu != 0;
    const memory own = engine.Kernel(c, Floats(kernel), engine.kernels[0]);
    engine.Run(c, x.untyped_data(), own, Floats(bias), add.untyped_data(),
               y->untyped_data());
  });
}

ffi::Error BackwardInput(ffi::AnyBuffer gradient, ffi::AnyBuffer kernel,
                         ffi::Result<ffi::AnyBuffer> of_x, int64_t dilation,
                         int64_t same) {
  return RunTask([&](Engine& engine) {
    const auto k = kernel.dimensions();
    Convolution c = Describe(*of_x, k[2], k[3], k[0], k[1], dilation, same);
    c.kind = Kind::kBackwardInput;
    const memory own = engine.Kernel(c, Floats(kernel), engine.kernels[0]);
    engine.Run(c, of_x->untyped_data(), own, nullptr, nullptr, gradient.untyped_data());
  });
}

ffi::Error BackwardKernel(ffi::AnyBuffer x, ffi::AnyBuffer gradient,
                          ffi::Result<ffi::AnyBuffer> of_kernel,
                          ffi::Result<ffi::AnyBuffer> of_bias, int64_t dilation,
                          int64_t same) {
  return RunTask([&](Engine& engine) {
    const auto k = of_kernel->dimensions();
    Convolution c = Describe(x, k[2], k[3], k[0], k[1], dilation, same);
    c.kind = Kind::kBackwardKernel;
    c.bias = !IsEmpty(*of_bias);
    engine.RunBackwardKernel(c, x.untyped_data(), gradient.untyped_data(),
                             Floats(*of_kernel), Floats(*of_bias));
  });
}

}  // namespace
