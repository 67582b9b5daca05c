// Part 7 of 8: arithmetic on the cells of a convolutional LSTM, and its gradients.
//
// `Update`, at the end, runs it on some pixels. Everything is compiled twice, for
// AVX-512 and for any CPU, and `Update` chooses. The gates of a pixel lie in the order
// write, forget, candidate, output. All arithmetic is in float32.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace {

#define JAXHDR_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,fma")]]
#define JAXHDR_INLINE [[gnu::always_inline]] inline

using BFloat16 = struct {
  uint16_t bits;
};

JAXHDR_INLINE float Read(float x) { return x; }
JAXHDR_INLINE float Read(BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

JAXHDR_INLINE void Write(float value, float& to) { to = value; }
JAXHDR_INLINE void Write(float value, BFloat16& to) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  // Rounding would turn some NaN into an infinity.
  to.bits = static_cast<uint16_t>(value == value ? rounded : 0x7FC0);
}

// 1 / (1 + exp(-x)). The polynomial for exp is that of `expf` in Moshier's Cephes
// library.
JAXHDR_INLINE float Sigmoid(float x) {
  const float y = std::min(std::max(-x, -87.f), 87.f);
  // Adding and subtracting 1.5 * 2^23 rounds to an integer.
  const float n = (y * 1.44269504f + 12582912.f) - 12582912.f;
  const float r = y - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  // A NaN cannot become an integer; the result is NaN all the same, because p is.
  const int32_t bits = (static_cast<int32_t>(n == n ? n : 0.f) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return 1.f / (1.f + p * power);
}

JAXHDR_INLINE float Tanh(float x) { return 2.f * Sigmoid(2.f * x) - 1.f; }

// The arrays of some pixels.
template <typename T>
struct Cells {
  int64_t pixels, features;
  float* sums;               // before the gates' functions; overwritten by the gates
  const float* cell_before;  // null for zero
  float* cell;
  T* hidden;
  float* gates;  // null if they are not wanted
};

// Pixels that are computed together. Their gates fit into the first-level cache, and
// each loop below goes over the values of all of them: the features of one pixel of a
// narrow layer are too few for full vectors.
constexpr int64_t kBlock = 16;

template <typename T>
JAXHDR_INLINE void UpdateCells(const Cells<T>& c) {
  const int64_t f = c.features;
  // scale * sigmoid(scale * x) + 1 - scale is sigmoid(x) for a scale of 1, and tanh(x),
  // the candidate's function, for a scale of 2.
  std::vector<float> scales(kBlock * 4 * f), tanhs(kBlock * f);
  for (int64_t i = 0; i < kBlock * 4 * f; ++i) scales[i] = i / f % 4 == 2 ? 2.f : 1.f;
  const float* __restrict scale = scales.data();
  float* __restrict tanh_of_cell = tanhs.data();
  for (int64_t start = 0; start < c.pixels; start += kBlock) {
    const int64_t pixels = std::min(kBlock, c.pixels - start);
    float* __restrict sums = c.sums + start * 4 * f;
    float* __restrict cell = c.cell + start * f;
    T* __restrict hidden = c.hidden + start * f;
#pragma omp simd
    for (int64_t i = 0; i < pixels * 4 * f; ++i) {
      sums[i] = scale[i] * Sigmoid(scale[i] * sums[i]) + (1.f - scale[i]);
    }
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      const float* __restrict gates = sums + pixel * 4 * f;
      float* __restrict to = cell + pixel * f;
      if (c.cell_before == nullptr) {
#pragma omp simd
        for (int64_t i = 0; i < f; ++i) to[i] = gates[i] * gates[2 * f + i];
      } else {
        const float* __restrict before = c.cell_before + (start + pixel) * f;
#pragma omp simd
        for (int64_t i = 0; i < f; ++i) {
          to[i] = gates[i] * gates[2 * f + i] + gates[f + i] * before[i];
        }
      }
    }
#pragma omp simd
    for (int64_t i = 0; i < pixels * f; ++i) tanh_of_cell[i] = Tanh(cell[i]);
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      const float* __restrict output = sums + pixel * 4 * f + 3 * f;
#pragma omp simd
      for (int64_t i = 0; i < f; ++i) {
        Write(output[i] * tanh_of_cell[pixel * f + i], hidden[pixel * f + i]);
      }
    }
    if (c.gates != nullptr) {
      // In float32 even if T is not: the gradient of a gate near 1 depends on its small
      // distance to 1.
      std::copy_n(sums, pixels * 4 * f, c.gates + start * 4 * f);
    }
  }
}

// The arrays of some pixels for the gradients. `of_hidden` and `of_cell` are the
// gradients of this step's results; `of_cell_before` and `of_sums` are computed.
template <typename T>
struct CellGradients {
  int64_t pixels, features;
  const T* of_hidden;
  const float *gates, *of_cell, *cell_before, *cell;  // cell_before: null for zero
  float* of_cell_before;
  T* of_sums;
};

template <typename T>
JAXHDR_INLINE void UpdateGradients(const CellGradients<T>& c) {
  const int64_t f = c.features;
  for (int64_t pixel = 0; pixel < c.pixels; ++pixel) {
    const T* __restrict of_hidden = c.of_hidden + pixel * f;
    const float* __restrict gates = c.gates + pixel * 4 * f;
    const float* __restrict of_cell = c.of_cell + pixel * f;
    const float* __restrict cell = c.cell + pixel * f;
    T* __restrict of_sums = c.of_sums + pixel * 4 * f;
    const bool is_first = c.cell_before == nullptr;
    // In the first step any values will do, because they are multiplied by zero.
    const float* before = is_first ? cell : c.cell_before + pixel * f;
    const float has_before = is_first ? 0.f : 1.f;
    float* __restrict of_before = c.of_cell_before + pixel * f;
#pragma omp simd
    for (int64_t i = 0; i < f; ++i) {
      const float write = gates[i], forget = gates[f + i];
      const float candidate = gates[2 * f + i], output = gates[3 * f + i];
      const float of_h = Read(of_hidden[i]), tanh_of_cell = Tanh(cell[i]);
      const float of_c =
          of_cell[i] + of_h * output * (1.f - tanh_of_cell * tanh_of_cell);
      Write(of_c * candidate * write * (1.f - write), of_sums[i]);
      Write(has_before * of_c * before[i] * forget * (1.f - forget), of_sums[f + i]);
      Write(of_c * write * (1.f - candidate * candidate), of_sums[2 * f + i]);
      Write(of_h * tanh_of_cell * output * (1.f - output), of_sums[3 * f + i]);
      of_before[i] = of_c * forget;
    }
  }
}

template <typename T>
JAXHDR_AVX512 void UpdateWide(const Cells<T>& c) {
  UpdateCells(c);
}
template <typename T>
JAXHDR_AVX512 void UpdateWide(const CellGradients<T>& c) {
  UpdateGradients(c);
}
template <typename T>
void UpdateNarrow(const Cells<T>& c) {
  UpdateCells(c);
}
template <typename T>
void UpdateNarrow(const CellGradients<T>& c) {
  UpdateGradients(c);
}

// `pixels` is of type `Cells` or `CellGradients`.
template <typename Pixels>
void Update(const Pixels& pixels) {
  static const bool is_wide =
      dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  is_wide ? UpdateWide(pixels) : UpdateNarrow(pixels);
}

}  // namespace
