// Part 5 of 8: FHDR's dilated dense block (Khan et al. 2019, Fig. 3), its convolutions
// and the handler for its forward pass.
//
// The block is a 1 x 1 convolution of two inputs (compress), four dilated 3 x 3
// convolutions that each read all features before them (dense), and a 1 x 1 convolution
// (fuse). Its features lie in groups of 32 channels, [batch, group, height, width, 32]:
// each dense layer reads all groups before it as the depth of one image, and writes the
// next group. So nothing is copied to join channels.

#pragma once

#include <cstdint>
#include <vector>

#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

constexpr int64_t kGroup = 32;     // channels of a group: what one dense layer adds
constexpr int64_t kFeatures = 64;  // channels of the inputs and of the result
constexpr int64_t kFirstGroups = kFeatures / kGroup;  // that the compress layer writes
constexpr int64_t kDenseLayers = 4;
constexpr int64_t kGroups = kFirstGroups + kDenseLayers;
constexpr int64_t kBlockChannels = kGroups * kGroup;

// The forward pass keeps the most kernels at once: two halves of each first group of
// the compress layer, the dense layers and the fuse layer.
static_assert(2 * kFirstGroups + kDenseLayers + 1 <= kKernelBuffers);

// The convolutions of one block and of its gradients. But for `Pointwise`, each is that
// of one image.
struct DenseBlock {
  int64_t batch, height, width, dilation;
  Type type;

  DenseBlock(const ffi::AnyBuffer& x, int64_t dilation_)
      : batch(x.dimensions()[0]),
        height(x.dimensions()[1]),
        width(x.dimensions()[2]),
        dilation(dilation_),
        type(TypeOf(x)) {}

  int64_t Pixels() const { return height * width; }
  int64_t ImageBytes(int64_t channels) const {
    return Pixels() * channels * static_cast<int64_t>(memory::data_type_size(type));
  }

  // A 1 x 1 convolution of so many images.
  Convolution Pointwise(Kind kind, int64_t images, int64_t in, int64_t out) const {
    Convolution c;
    c.kind = kind;
    c.type = c.result_type = type;
    c.batch = images;
    c.height = height;
    c.width = width;
    c.in = in;
    c.out = out;
    c.kernel = Hwio(1, in, out);
    return c;
  }

  // One input's share of one group of the compress layer's result. The second input's
  // share is added to the first's.
  Convolution Compress(bool is_second_input) const {
    Convolution c = Pointwise(Kind::kForward, 1, kFeatures, kGroup);
    c.kernel = Hwio(1, kFeatures, kFeatures);
    c.accumulate = c.bias = is_second_input;
    return c;
  }

  Convolution Dense(Kind kind, int64_t layer) const {
    Convolution c = Pointwise(kind, 1, kGroup, kGroup);
    c.depth = kFirstGroups + layer;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = GroupedHwio(3, c.depth, kGroup, kGroup);
    c.relu = kind == Kind::kForward;
    return c;
  }

  Convolution Fuse(Kind kind) const {
    Convolution c = Pointwise(kind, 1, kGroup, kFeatures);
    c.depth = kGroups;
    c.kernel = GroupedHwio(1, kGroups, kGroup, kFeatures);
    return c;
  }

  // The gradient of some features, `channels` of them, as far as it comes through the
  // fuse layer: a convolution of the gradient of the block's result.
  Convolution GradientThroughFuse(int64_t channels) const {
    Convolution c = Pointwise(Kind::kForward, 1, kFeatures, channels);
    c.kernel = {kFeatures, 1, 0, 0, 0};
    return c;
  }

  // The rest of that gradient, which is added to it: it comes through the dense layers
  // from `first_layer` on, and is a convolution of the gradients of their results by
  // `TransposedKernels`.
  Convolution GradientThroughDense(int64_t first_layer, int64_t channels) const {
    Convolution c = Pointwise(Kind::kForward, 1, kGroup, channels);
    c.depth = kDenseLayers - first_layer;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = {1, channels, 9 * kGroup * channels, 3 * kGroup * channels,
                kGroup * channels};
    c.accumulate = true;
    return c;
  }
};

// The forward pass of one block: its arguments and results.
struct DenseForwardArrays {
  const ffi::AnyBuffer &x, &local, &compress, &bias;
  const float* dense[kDenseLayers];
  const ffi::AnyBuffer &fuse, &y, &groups;
};

// In the order of use: for each group of the compress layer that of the first input and
// that of the second; then those of the dense layers, and of the fuse layer.
std::vector<memory> PackForwardKernels(Engine& engine, const DenseBlock& block,
                                       const DenseForwardArrays& arrays) {
  Buffer* buffer = engine.kernel_buffers;
  std::vector<memory> kernels;
  for (int64_t group = 0; group < kFirstGroups; ++group) {
    for (const bool is_second : {false, true}) {
      const float* part =
          Floats(arrays.compress) + is_second * kFeatures * kFeatures + group * kGroup;
      kernels.push_back(engine.PackKernel(block.Compress(is_second), part, *buffer++));
    }
  }
  for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
    kernels.push_back(engine.PackKernel(block.Dense(Kind::kForward, layer),
                                        arrays.dense[layer], *buffer++));
  }
  kernels.push_back(
      engine.PackKernel(block.Fuse(Kind::kForward), Floats(arrays.fuse), *buffer++));
  return kernels;
}

// The forward pass of image number `n`.
void RunDenseForward(Engine& engine, const DenseBlock& block,
                     const DenseForwardArrays& arrays,
                     const std::vector<memory>& kernels, int64_t n) {
  const int64_t group_bytes = block.ImageBytes(kGroup);
  const int64_t offset = n * block.ImageBytes(kFeatures);
  char* groups = Bytes(arrays.groups) + n * block.ImageBytes(kBlockChannels);
  auto kernel = kernels.begin();
  for (int64_t group = 0; group < kFirstGroups; ++group) {
    for (const bool is_second : {false, true}) {
      char* input = Bytes(is_second ? arrays.local : arrays.x) + offset;
      const float* bias = is_second ? Floats(arrays.bias) + group * kGroup : nullptr;
      engine.Run(block.Compress(is_second), input, *kernel++, bias, nullptr,
                 groups + group * group_bytes);
    }
  }
  for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
    engine.Run(block.Dense(Kind::kForward, layer), groups, *kernel++, nullptr, nullptr,
               groups + (kFirstGroups + layer) * group_bytes);
  }
  engine.Run(block.Fuse(Kind::kForward), groups, *kernel++, nullptr, nullptr,
             Bytes(arrays.y) + offset);
}

ffi::Error DenseForward(ffi::AnyBuffer x, ffi::AnyBuffer local, ffi::AnyBuffer compress,
                        ffi::AnyBuffer bias, ffi::AnyBuffer dense_0,
                        ffi::AnyBuffer dense_1, ffi::AnyBuffer dense_2,
                        ffi::AnyBuffer dense_3, ffi::AnyBuffer fuse,
                        ffi::Result<ffi::AnyBuffer> y,
                        ffi::Result<ffi::AnyBuffer> groups, int64_t dilation) {
  return RunTask([&](Engine& worker) {
    const DenseBlock block(x, dilation);
    const DenseForwardArrays arrays = {
        x,
        local,
        compress,
        bias,
        {Floats(dense_0), Floats(dense_1), Floats(dense_2), Floats(dense_3)},
        fuse,
        *y,
        *groups};
    worker.ParallelForImages(
        block.batch, [&](Engine& engine, int64_t first, int64_t count) {
          const auto kernels = PackForwardKernels(engine, block, arrays);
          for (int64_t n = first; n < first + count; ++n) {
            RunDenseForward(engine, block, arrays, kernels, n);
          }
        });
  });
}

}  // namespace
