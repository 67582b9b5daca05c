// Part 5 of 7: the handlers for
// FHDR's dilated dense block (Khan et al. 2019, Fig. 3)
//
// Its features lie in groups of 32 channels, [batch, group, height, width, 32]: each
// layer reads all groups before it as the depth of one image, and writes the next one.

#pragma once

#include <cstdint>
#include <iterator>
#include <numeric>
#include <vector>

#include "worker.h"
#include "xla/ffi/api/ffi.h"

namespace {

constexpr int64_t kGroup = 32;       // channels of a group, FHDR's growth
constexpr int64_t kFeatures = 64;    // FHDR's features
constexpr int64_t kDenseLayers = 4;  // of a dense block
constexpr int64_t kGroups = kFeatures / kGroup + kDenseLayers;
constexpr int64_t kBlockChannels = kGroups * kGroup;
static_assert(2 * kDenseLayers + 1 <= kKernels);

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

  Convolution Of(Kind kind, int64_t images, int64_t in, int64_t out) const {
    Convolution c;
    c.kind = kind;
    c.type = c.result = type;
    c.batch = images;
    c.height = height;
    c.width = width;
    c.in = in;
    c.out = out;
    c.kernel = Hwio(1, in, out);
    return c;
  }

  // One half of the first layer, for one group of its outputs.
  Convolution Compress(bool is_second) const {
    Convolution c = Of(Kind::kForward, 1, kFeatures, kGroup);
    c.kernel = Hwio(1, kFeatures, kFeatures);
    c.accumulate = c.bias = is_second;
    return c;
  }

  Convolution Dense(Kind kind, int64_t layer) const {
    Convolution c = Of(kind, 1, kGroup, kGroup);
    c.depth = kFeatures / kGroup + layer;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = GroupedHwio(3, c.depth, kGroup, kGroup);
    c.relu = kind == Kind::kForward;
    return c;
  }

  Convolution Fuse(Kind kind) const {
    Convolution c = Of(kind, 1, kGroup, kFeatures);
    c.depth = kGroups;
    c.kernel = GroupedHwio(1, kGroups, kGroup, kFeatures);
    return c;
  }

  // The gradient of `out` channels from that of the block's result.
  Convolution FuseInput(int64_t out) const {
    Convolution c = Of(Kind::kForward, 1, kFeatures, out);
    c.kernel = {kFeatures, 1, 0, 0, 0};
    return c;
  }

  // What the layers from `first` on add to it.
  Convolution DenseInput(int64_t first, int64_t out) const {
    Convolution c = Of(Kind::kForward, 1, kGroup, out);
    c.depth = kDenseLayers - first;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = {1, out, 9 * kGroup * out, 3 * kGroup * out, kGroup * out};
    c.accumulate = true;
    return c;
  }
};

// Kernels of the layers from `first` on, turned and transposed, for the channels from
// `channel` on: [layer, 3, 3, gradient's channels, out].
std::vector<float> Transposed(const std::vector<const float*>& dense, int64_t first,
                              int64_t channel, int64_t out) {
  std::vector<float> turned;
  turned.reserve((kDenseLayers - first) * 9 * kGroup * out);
  for (int64_t layer = first; layer < kDenseLayers; ++layer) {
    const int64_t inputs = kFeatures + layer * kGroup;
    for (int64_t tap = 8; tap >= 0; --tap) {
      const float* kernel = dense[layer] + (tap * inputs + channel) * kGroup;
      for (int64_t i = 0; i < kGroup; ++i) {
        for (int64_t o = 0; o < out; ++o) turned.push_back(kernel[o * kGroup + i]);
      }
    }
  }
  return turned;
}

ffi::Error DenseForward(ffi::AnyBuffer x, ffi::AnyBuffer local, ffi::AnyBuffer compress,
                        ffi::AnyBuffer bias, ffi::AnyBuffer dense_0,
                        ffi::AnyBuffer dense_1, ffi::AnyBuffer dense_2,
                        ffi::AnyBuffer dense_3, ffi::AnyBuffer fuse,
                        ffi::Result<ffi::AnyBuffer> y,
                        ffi::Result<ffi::AnyBuffer> groups, int64_t dilation) {
  return RunTask([&](Engine& team) {
    const DenseBlock block(x, dilation);
    const float* dense[] = {Floats(dense_0), Floats(dense_1), Floats(dense_2),
                            Floats(dense_3)};
    const Convolution first = block.Compress(false), second = block.Compress(true);
    const Convolution last = block.Fuse(Kind::kForward);
    const int64_t group_bytes = block.ImageBytes(kGroup);
    const auto run = [&](Engine& engine, int64_t from, int64_t count) {
      Buffer* buffer = engine.kernels;
      std::vector<memory> kernels;
      for (int64_t half = 0; half < 2; ++half) {
        for (int64_t group = 0; group < 2; ++group) {
          const float* part =
              Floats(compress) + half * kFeatures * kFeatures + group * kGroup;
          kernels.push_back(engine.Kernel(half ? second : first, part, *buffer++));
        }
      }
      for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
        kernels.push_back(
            engine.Kernel(block.Dense(Kind::kForward, layer), dense[layer], *buffer++));
      }
      kernels.push_back(engine.Kernel(last, Floats(fuse), *buffer++));
      for (int64_t n = from; n < from + count; ++n) {
        const int64_t offset = n * block.ImageBytes(kFeatures);
        char* own = Bytes(*groups) + n * block.ImageBytes(kBlockChannels);
        for (int64_t group = 0; group < 2; ++group) {
          char* result = own + group * group_bytes;
          engine.Run(first, Bytes(x) + offset, kernels[group], nullptr, nullptr,
                     result);
          engine.Run(second, Bytes(local) + offset, kernels[2 + group],
                     Floats(bias) + group * kGroup, nullptr, result);
        }
        for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
          engine.Run(block.Dense(Kind::kForward, layer), own, kernels[4 + layer],
                     nullptr, nullptr, own + (2 + layer) * group_bytes);
        }
        engine.Run(last, own, kernels[4 + kDenseLayers], nullptr, nullptr,
                   Bytes(*y) + offset);
      }
    };
    team.ShareImages(block.batch, run);
  });
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
  return RunTask([&](Engine& team) {
    const DenseBlock block(x, dilation);
    const std::vector<const float*> dense = {Floats(dense_0), Floats(dense_1),
                                             Floats(dense_2), Floats(dense_3)};
    // Of the last layer and of the dilated ones: the results, and their sizes.
    float* const of_kernels[] = {Floats(*of_fuse), Floats(*of_dense_0),
                                 Floats(*of_dense_1), Floats(*of_dense_2),
                                 Floats(*of_dense_3)};
    std::vector<int64_t> sizes = {kBlockChannels * kFeatures};
    for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
      sizes.push_back(9 * (kFeatures + layer * kGroup) * kGroup);
    }
    const int64_t group_bytes = block.ImageBytes(kGroup);
    const int64_t feature_bytes = block.ImageBytes(kFeatures);
    char* of_compressed =
        static_cast<char*>(team.gradients[1].Get(block.batch * feature_bytes));
    // Each part has sums of its own over its images, by the first of them.
    std::vector<std::vector<float*>> sums(block.batch);
    const auto run = [&](Engine& engine, int64_t from, int64_t count) {
      if (from == 0) {
        sums[0].assign(std::begin(of_kernels), std::end(of_kernels));
      } else {
        const int64_t size = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
        float* place = static_cast<float*>(engine.sums.Get(size * sizeof(float)));
        for (const int64_t of_one : sizes) {
          sums[from].push_back(place);
          place += of_one;
        }
      }
      Buffer* buffer = engine.kernels;
      std::vector<memory> fuse_kernels, dense_kernels;
      for (int64_t layer = 0; layer < kDenseLayers; ++layer) {
        const int64_t channel = kFeatures + layer * kGroup;
        fuse_kernels.push_back(engine.Kernel(
            block.FuseInput(kGroup), Floats(fuse) + channel * kFeatures, *buffer++));
        if (layer + 1 == kDenseLayers) continue;
        dense_kernels.push_back(engine.Kernel(
            block.DenseInput(layer + 1, kGroup),
            Transposed(dense, layer + 1, channel, kGroup).data(), *buffer++));
      }
      const memory fuse_first =
          engine.Kernel(block.FuseInput(kFeatures), Floats(fuse), *buffer++);
      const memory dense_first =
          engine.Kernel(block.DenseInput(0, kFeatures),
                        Transposed(dense, 0, 0, kFeatures).data(), *buffer++);
      char* of_layers =
          static_cast<char*>(engine.gradients[0].Get(kDenseLayers * group_bytes));
      for (int64_t n = from; n < from + count; ++n) {
        char* own = Bytes(groups) + n * block.ImageBytes(kBlockChannels);
        char* gradient_of_one = Bytes(gradient) + n * feature_bytes;
        const auto accumulated = [&](Convolution c) {
          c.accumulate = n > from;
          return c;
        };
        engine.RunBackwardKernel(accumulated(block.Fuse(Kind::kBackwardKernel)), own,
                                 gradient_of_one, sums[from][0], nullptr);
        for (int64_t layer = kDenseLayers - 1; layer >= 0; --layer) {
          char* of_layer = of_layers + layer * group_bytes;
          engine.Run(block.FuseInput(kGroup), gradient_of_one, fuse_kernels[layer],
                     nullptr, nullptr, of_layer);
          if (layer + 1 < kDenseLayers) {
            engine.Run(block.DenseInput(layer + 1, kGroup), of_layer + group_bytes,
                       dense_kernels[layer], nullptr, nullptr, of_layer);
          }
          engine.ReluBackward(block.type, block.Pixels() * kGroup,
                              own + (2 + layer) * group_bytes, of_layer);
          engine.RunBackwardKernel(
              accumulated(block.Dense(Kind::kBackwardKernel, layer)), own, of_layer,
              sums[from][1 + layer], nullptr);
        }
        char* of_first = of_compressed + n * feature_bytes;
        engine.Run(block.FuseInput(kFeatures), gradient_of_one, fuse_first, nullptr,
                   nullptr, of_first);
        engine.Run(block.DenseInput(0, kFeatures), of_layers, dense_first, nullptr,
                   nullptr, of_first);
      }
    };
    team.ShareImages(block.batch, run);
    for (int64_t from = 1; from < block.batch; ++from) {
      for (size_t i = 0; i < sums[from].size(); ++i) {
        for (int64_t k = 0; k < sizes[i]; ++k) of_kernels[i][k] += sums[from][i][k];
      }
    }
    const auto features = [&](Kind kind, bool bias) {
      Convolution c = block.Of(kind, block.batch, kFeatures, kFeatures);
      c.bias = bias;
      return c;
    };
    const Convolution of_input = features(Kind::kBackwardInput, false);
    const int64_t half = kFeatures * kFeatures;
    team.RunBackwardKernel(features(Kind::kBackwardKernel, true), x.untyped_data(),
                           of_compressed, Floats(*of_compress), Floats(*of_bias));
    team.RunBackwardKernel(features(Kind::kBackwardKernel, false), local.untyped_data(),
                           of_compressed, Floats(*of_compress) + half, nullptr);
    const memory first = team.Kernel(of_input, Floats(compress), team.kernels[0]);
    team.Run(of_input, of_x->untyped_data(), first, nullptr, nullptr, of_compressed);
    const memory second =
        team.Kernel(of_input, Floats(compress) + half, team.kernels[1]);
    team.Run(of_input, of_local->untyped_data(), second, nullptr, nullptr,
             of_compressed);
  });
}

}  // namespace
