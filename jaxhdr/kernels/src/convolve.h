// Part 4 of 8: the handlers for one convolution and its two gradients.

#pragma once

#include <cstdint>

#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

// Returns the forward convolution of NHWC images like `image` by an HWIO kernel of the
// shape of `kernel`.
Convolution ConvolutionOf(const ffi::AnyBuffer& image, const ffi::AnyBuffer& kernel,
                          int64_t dilation, int64_t same) {
  const auto image_size = image.dimensions(), kernel_size = kernel.dimensions();
  Convolution c;
  c.type = c.result_type = TypeOf(image);
  c.batch = image_size[0];
  c.height = image_size[1];
  c.width = image_size[2];
  c.rows = kernel_size[0];
  c.columns = kernel_size[1];
  c.in = kernel_size[2];
  c.out = kernel_size[3];
  c.dilation = dilation;
  c.same = same != 0;
  c.kernel = Hwio(c.columns, c.in, c.out);
  return c;
}

ffi::Error Forward(ffi::AnyBuffer x, ffi::AnyBuffer kernel, ffi::AnyBuffer bias,
                   ffi::AnyBuffer add, ffi::Result<ffi::AnyBuffer> y, int64_t dilation,
                   int64_t same, int64_t relu) {
  return RunTask([&](Engine& engine) {
    Convolution c = ConvolutionOf(x, kernel, dilation, same);
    c.result_type = TypeOf(*y);
    c.bias = !IsEmpty(bias);
    c.add = !IsEmpty(add);
    c.relu = relu != 0;
    const memory packed =
        engine.PackKernel(c, Floats(kernel), engine.kernel_buffers[0]);
    engine.Run(c, x.untyped_data(), packed, Floats(bias), add.untyped_data(),
               y->untyped_data());
  });
}

ffi::Error BackwardInput(ffi::AnyBuffer gradient, ffi::AnyBuffer kernel,
                         ffi::Result<ffi::AnyBuffer> of_x, int64_t dilation,
                         int64_t same) {
  return RunTask([&](Engine& engine) {
    Convolution c = ConvolutionOf(*of_x, kernel, dilation, same);
    c.kind = Kind::kBackwardInput;
    const memory packed =
        engine.PackKernel(c, Floats(kernel), engine.kernel_buffers[0]);
    engine.Run(c, of_x->untyped_data(), packed, nullptr, nullptr,
               gradient.untyped_data());
  });
}

ffi::Error BackwardKernel(ffi::AnyBuffer x, ffi::AnyBuffer gradient,
                          ffi::Result<ffi::AnyBuffer> of_kernel,
                          ffi::Result<ffi::AnyBuffer> of_bias, int64_t dilation,
                          int64_t same) {
  return RunTask([&](Engine& engine) {
    Convolution c = ConvolutionOf(x, *of_kernel, dilation, same);
    c.kind = Kind::kBackwardKernel;
    c.bias = !IsEmpty(*of_bias);
    engine.RunBackwardKernel(c, x.untyped_data(), gradient.untyped_data(),
                             Floats(*of_kernel), Floats(*of_bias));
  });
}

}  // namespace
