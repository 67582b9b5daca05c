// Part 1 of 7: a convolution as data, and what oneDNN makes of it.

#pragma once

#include <cstdint>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace {

using dnnl::memory;
using Type = memory::data_type;

enum class Kind { kForward, kBackwardInput, kBackwardKernel };

// How a kernel lies in memory: strides of its elements, in elements.
struct KernelLayout {
  int64_t out, in, depth, row, column;
};

// One convolution. `depth` counts groups of channels that lie one after the other, so
// that an image of depth D and C channels is one of D * C channels without copying it
// together; the result has depth 1.
struct Convolution {
  Kind kind = Kind::kForward;
  Type type = Type::f32;    // of the images
  Type result = Type::f32;  // of the result of kForward
  int64_t batch = 1, depth = 1, height = 1, width = 1, in = 1, out = 1;
  int64_t rows = 1, columns = 1, dilation = 1;
  bool same = true;  // zero padding that keeps the size, or none
  bool goes_on_above = false, goes_on_below = false;  // no padding there
  bool bias = false, accumulate = false, add = false, relu = false;
  KernelLayout kernel{};

  int64_t Margin(int64_t size) const { return same ? size / 2 * dilation : 0; }
  int64_t Above() const { return goes_on_above ? 0 : Margin(rows); }
  int64_t Below() const { return goes_on_below ? 0 : Margin(rows); }
  int64_t ResultHeight() const {
    return height + Above() + Below() - (rows - 1) * dilation;
  }
  int64_t ResultWidth() const {
    return width + 2 * Margin(columns) - (columns - 1) * dilation;
  }

  std::vector<int64_t> Key() const {
    return {static_cast<int64_t>(kind),
            static_cast<int64_t>(type),
            static_cast<int64_t>(result),
            batch,
            depth,
            height,
            width,
            in,
            out,
            rows,
            columns,
            dilation,
            same,
            goes_on_above,
            goes_on_below,
            bias,
            accumulate,
            add,
            relu,
            kernel.out,
            kernel.in,
            kernel.depth,
            kernel.row,
            kernel.column};
  }
};

KernelLayout Hwio(int64_t columns, int64_t in, int64_t out) {
  return {1, out, 0, columns * in * out, in * out};
}

// HWIO whose inputs are groups: group d has the inputs d * in to (d + 1) * in.
KernelLayout GroupedHwio(int64_t columns, int64_t groups, int64_t in, int64_t out) {
  return {1, out, in * out, columns * groups * in * out, groups * in * out};
}

// What oneDNN makes of a convolution, ready to run.
struct Plan {
  dnnl::primitive run, reorder;  // `reorder` to or from the user's kernel
  memory::desc input, kernel, own_kernel, bias, result, scratchpad;
};

}  // namespace
