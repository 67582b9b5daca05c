// Part 6 of 8: the handler for the gradients of FHDR's dense block (part 5).
//
// For each image, the gradients of the features are computed from the last group to the
// first, and the gradients of the kernels are summed over the images. Threads that take
// images of their own have sums of their own, which are added up at the end. The
// gradients of the compress layer follow, for all images at once.

#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "dense.h"
#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

// Returns the kernels of the dense layers from `first_layer` on as the gradient of the
// features reads them: rotated by half a turn, with inputs and outputs exchanged, for
// the features from `channel` on: [layer, 3, 3, outputs, channels].
std::vector<float> TransposedKernels(const std::vector<const float*>& dense,
                                     int64_t first_layer, int64_t channel,
                                     int64_t channels) {
  std::vector<float> transposed;
  transposed.reserve((kDenseLayers - first_layer) * 9 * kGroup * channels);
  for (int64_t layer = first_layer; layer < kDenseLayers; ++layer) {
    const int64_t inputs = kFeatures + layer * kGroup;
    for (int64_t tap = 8; tap >= 0; --tap) {
      const float* kernel = dense[layer] + (tap * inputs + channel) * kGroup;
      for (int64_t i = 0; i < kGroup; ++i) {
        for (int64_t c = 0; c < channels; ++c) {
          transposed.push_back(kernel[c * kGroup + i]);
        }
      }
    }
  }
  return transposed;
}

// The packed kernels by which the gradients of features are computed. `fuse` and
// `dense` are for the group that each dense layer writes (nothing reads the last one
// but the fuse layer), the others for the groups that the compress layer writes.
struct GradientKernels {
  std::vector<memory> fuse, dense;
  memory fuse_of_first, dense_of_first;
};

GradientKernels PackGradientKernels(Engine& engine, const DenseBlock& block,
                                    const std::vector<const float*>& dense,
                                    const float* fuse) {
  Buffer* buffer = engine.kernel_buffers;
  GradientKernels kernels;
  for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
    const int64_t channel = kFeatures + layer * kGroup, next = layer + 1;
    kernels.fuse.push_back(engine.PackKernel(block.GradientThroughFuse(kGroup),
                                             fuse + channel * kFeatures, *buffer++));
    if (next == kDenseLayers) continue;
    kernels.dense.push_back(engine.PackKernel(
        block.GradientThroughDense(next, kGroup),
        TransposedKernels(dense, next, channel, kGroup).data(), *buffer++));
  }
  kernels.fuse_of_first =
      engine.PackKernel(block.GradientThroughFuse(kFeatures), fuse, *buffer++);
  kernels.dense_of_first =
      engine.PackKernel(block.GradientThroughDense(0, kFeatures),
                        TransposedKernels(dense, 0, 0, kFeatures).data(), *buffer++);
  return kernels;
}

// The gradients of the kernels: that of the fuse layer, then those of the dense layers.
using KernelGradients = std::vector<float*>;

std::vector<int64_t> KernelSizes() {
  std::vector<int64_t> sizes = {kBlockChannels * kFeatures};
  for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
    sizes.push_back(9 * (kFeatures + layer * kGroup) * kGroup);
  }
  return sizes;
}

// Returns places for the gradients in a buffer of the engine.
KernelGradients OwnSums(Engine& engine) {
  const std::vector<int64_t> sizes = KernelSizes();
  const int64_t size = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  float* place = static_cast<float*>(engine.sum_buffer.Get(size * sizeof(float)));
  KernelGradients sums;
  for (const int64_t of_one : sizes) {
    sums.push_back(place);
    place += of_one;
  }
  return sums;
}

// The arrays of one image.
struct DenseImage {
  char *groups, *gradient;  // the block's features, and the gradient of its result
  char* of_layers;          // the gradients of what the dense layers write
  char* of_first;           // the gradient of what the compress layer writes: a result
};

// Computes the gradients for one image but those of the compress layer. `accumulate`:
// add to the kernels' gradients instead of overwriting them.
void RunDenseBackward(Engine& engine, const DenseBlock& block,
                      const GradientKernels& kernels, const DenseImage& image,
                      const KernelGradients& of_kernels, bool accumulate) {
  const int64_t group_bytes = block.ImageBytes(kGroup);
  Convolution fuse = block.Fuse(Kind::kBackwardKernel);
  fuse.accumulate = accumulate;
  engine.RunBackwardKernel(fuse, image.groups, image.gradient, of_kernels[0], nullptr);
  for (int64_t layer = kDenseLayers - 1; layer >= 0; --layer) {
    char* of_layer = image.of_layers + layer * group_bytes;
    engine.Run(block.GradientThroughFuse(kGroup), image.gradient, kernels.fuse[layer],
               nullptr, nullptr, of_layer);
    if (layer + 1 < kDenseLayers) {
      engine.Run(block.GradientThroughDense(layer + 1, kGroup), of_layer + group_bytes,
                 kernels.dense[layer], nullptr, nullptr, of_layer);
    }
    engine.RunBackwardRelu(block.type, block.Pixels() * kGroup,
                           image.groups + (kFirstGroups + layer) * group_bytes,
                           of_layer);
    Convolution dense = block.Dense(Kind::kBackwardKernel, layer);
    dense.accumulate = accumulate;
    engine.RunBackwardKernel(dense, image.groups, of_layer, of_kernels[1 + layer],
                             nullptr);
  }
  engine.Run(block.GradientThroughFuse(kFeatures), image.gradient,
             kernels.fuse_of_first, nullptr, nullptr, image.of_first);
  engine.Run(block.GradientThroughDense(0, kFeatures), image.of_layers,
             kernels.dense_of_first, nullptr, nullptr, image.of_first);
}

// Computes the gradients of one input and of its half of the compress layer from the
// gradient of that layer's result, for all images. `of_bias` may be null.
void RunCompressBackward(Engine& engine, const DenseBlock& block,
                         const ffi::AnyBuffer& input, const float* kernel,
                         void* of_result, const ffi::AnyBuffer& of_input,
                         float* of_kernel, float* of_bias) {
  const auto compress = [&](Kind kind) {
    return block.Pointwise(kind, block.batch, kFeatures, kFeatures);
  };
  Convolution to_kernel = compress(Kind::kBackwardKernel);
  to_kernel.bias = of_bias != nullptr;
  engine.RunBackwardKernel(to_kernel, input.untyped_data(), of_result, of_kernel,
                           of_bias);
  const Convolution to_input = compress(Kind::kBackwardInput);
  const memory packed = engine.PackKernel(to_input, kernel, engine.kernel_buffers[0]);
  engine.Run(to_input, of_input.untyped_data(), packed, nullptr, nullptr, of_result);
}

ffi::Error DenseBackward(
    ffi::AnyBuffer gradient, ffi::AnyBuffer x, ffi::AnyBuffer local,
    ffi::AnyBuffer groups, ffi::AnyBuffer compress, ffi::AnyBuffer dense_0,
    ffi::AnyBuffer dense_1, ffi::AnyBuffer dense_2, ffi::AnyBuffer dense_3,
    ffi::AnyBuffer fuse, ffi::Result<ffi::AnyBuffer> of_x,
    ffi::Result<ffi::AnyBuffer> of_local, ffi::Result<ffi::AnyBuffer> of_compress,
    ffi::Result<ffi::AnyBuffer> of_bias, ffi::Result<ffi::AnyBuffer> of_dense_0,
    ffi::Result<ffi::AnyBuffer> of_dense_1, ffi::Result<ffi::AnyBuffer> of_dense_2,
    ffi::Result<ffi::AnyBuffer> of_dense_3, ffi::Result<ffi::AnyBuffer> of_fuse,
    int64_t dilation) {
  return RunTask([&](Engine& worker) {
    const DenseBlock block(x, dilation);
    const std::vector<const float*> dense = {Floats(dense_0), Floats(dense_1),
                                             Floats(dense_2), Floats(dense_3)};
    const KernelGradients of_kernels = {Floats(*of_fuse), Floats(*of_dense_0),
                                        Floats(*of_dense_1), Floats(*of_dense_2),
                                        Floats(*of_dense_3)};
    const int64_t feature_bytes = block.ImageBytes(kFeatures);
    char* of_first =
        static_cast<char*>(worker.gradient_buffers[1].Get(block.batch * feature_bytes));
    // The part that begins with image 0 writes to the results; every other part writes
    // to sums of its own, which are found here under its first image.
    std::vector<KernelGradients> sums(block.batch);
    const auto run = [&](Engine& engine, int64_t first, int64_t count) {
      sums[first] = first == 0 ? of_kernels : OwnSums(engine);
      const auto kernels = PackGradientKernels(engine, block, dense, Floats(fuse));
      char* of_layers = static_cast<char*>(
          engine.gradient_buffers[0].Get(kDenseLayers * block.ImageBytes(kGroup)));
      for (int64_t n = first; n < first + count; ++n) {
        const DenseImage image = {Bytes(groups) + n * block.ImageBytes(kBlockChannels),
                                  Bytes(gradient) + n * feature_bytes, of_layers,
                                  of_first + n * feature_bytes};
        RunDenseBackward(engine, block, kernels, image, sums[first], n > first);
      }
    };
    worker.ParallelForImages(block.batch, run);
    const std::vector<int64_t> sizes = KernelSizes();
    for (int64_t first = 1; first < block.batch; ++first) {
      for (size_t i = 0; i < sums[first].size(); ++i) {
        for (int64_t k = 0; k < sizes[i]; ++k) of_kernels[i][k] += sums[first][i][k];
      }
    }
    const int64_t half = kFeatures * kFeatures;
    RunCompressBackward(worker, block, x, Floats(compress), of_first, *of_x,
                        Floats(*of_compress), Floats(*of_bias));
    RunCompressBackward(worker, block, local, Floats(compress) + half, of_first,
                        *of_local, Floats(*of_compress) + half, nullptr);
  });
}

}  // namespace
