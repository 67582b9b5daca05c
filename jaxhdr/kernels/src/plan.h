// Part 1 of 8: a convolution as data (`Convolution`), and the objects of oneDNN that
// run it (`Plan`). `CreatePlan`, at the end, makes the second from the first.

#pragma once

#include <cstdint>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

namespace {

using dnnl::memory;
using Type = memory::data_type;

enum class Kind { kForward, kBackwardInput, kBackwardKernel };

// How far apart neighbouring elements of a kernel lie in memory along each of its axes,
// counted in elements.
struct KernelLayout {
  int64_t out, in, depth, row, column;
};

// One convolution or one of its gradients.
//
// An image of depth D with C channels stands for an image of D * C channels whose
// groups of C channels lie one after the other in memory. So a convolution can read
// several arrays as one without copying them together. The result has depth 1.
struct Convolution {
  Kind kind = Kind::kForward;
  Type type = Type::f32;         // of the images
  Type result_type = Type::f32;  // of the result of kForward
  int64_t batch = 1, depth = 1, height = 1, width = 1, in = 1, out = 1;
  int64_t rows = 1, columns = 1, dilation = 1;  // of the kernel
  bool same = true;  // pad with zeros so that the result has the size of the input
  // The image is a stripe of a larger one: it holds the rows that the kernel reads
  // above or below the result, and these sides are not padded.
  bool continues_above = false, continues_below = false;
  bool bias = false;        // kForward: add one; kBackwardKernel: return its gradient
  bool accumulate = false;  // add to what the result array holds
  bool add = false;         // add another image
  bool relu = false;        // apply a ReLU at the end
  KernelLayout kernel{};

  int64_t Padding(int64_t size) const { return same ? size / 2 * dilation : 0; }
  int64_t PaddingAbove() const { return continues_above ? 0 : Padding(rows); }
  int64_t PaddingBelow() const { return continues_below ? 0 : Padding(rows); }
  int64_t ResultHeight() const {
    return height + PaddingAbove() + PaddingBelow() - (rows - 1) * dilation;
  }
  int64_t ResultWidth() const {
    return width + 2 * Padding(columns) - (columns - 1) * dilation;
  }

  // All fields, so that plans can be looked up.
  std::vector<int64_t> Key() const {
    return {static_cast<int64_t>(kind),
            static_cast<int64_t>(type),
            static_cast<int64_t>(result_type),
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
            continues_above,
            continues_below,
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

// HWIO for an image with a depth: its group d meets the kernel's inputs d * in to
// (d + 1) * in.
KernelLayout GroupedHwio(int64_t columns, int64_t groups, int64_t in, int64_t out) {
  return {1, out, in * out, columns * groups * in * out, groups * in * out};
}

// The shapes of a convolution in oneDNN's terms. They have an axis for the depth only
// if the depth is more than 1.
struct Geometry {
  memory::desc input, result, bias;
  memory::desc kernel;  // the caller's, in float32
  memory::dims kernel_size, stride, dilation, padding_before, padding_after;
};

Geometry GeometryOf(const Convolution& c) {
  const bool is_deep = c.depth > 1;
  const auto dims = [&](int64_t a, int64_t b, int64_t depth, int64_t rows,
                        int64_t columns) {
    return is_deep ? memory::dims{a, b, depth, rows, columns}
                   : memory::dims{a, b, rows, columns};
  };
  const auto spatial = [&](int64_t depth, int64_t rows, int64_t columns) {
    return is_deep ? memory::dims{depth, rows, columns} : memory::dims{rows, columns};
  };
  const auto channels_last =
      is_deep ? memory::format_tag::ndhwc : memory::format_tag::nhwc;
  const KernelLayout& k = c.kernel;
  Geometry g;
  g.input = memory::desc(dims(c.batch, c.in, c.depth, c.height, c.width), c.type,
                         channels_last);
  g.result =
      memory::desc(dims(c.batch, c.out, 1, c.ResultHeight(), c.ResultWidth()),
                   c.kind == Kind::kForward ? c.result_type : c.type, channels_last);
  if (c.bias) g.bias = memory::desc({c.out}, Type::f32, memory::format_tag::a);
  g.kernel_size = dims(c.out, c.in, c.depth, c.rows, c.columns);
  g.kernel = memory::desc(g.kernel_size, Type::f32,
                          dims(k.out, k.in, k.depth, k.row, k.column));
  g.stride = spatial(1, 1, 1);
  g.dilation = spatial(0, c.dilation - 1, c.dilation - 1);
  g.padding_before = spatial(0, c.PaddingAbove(), c.Padding(c.columns));
  g.padding_after = spatial(0, c.PaddingBelow(), c.Padding(c.columns));
  return g;
}

// What follows the convolution itself in a forward pass, in this order.
dnnl::post_ops PostOps(const Convolution& c, const memory::desc& result) {
  dnnl::post_ops operations;
  if (c.accumulate) operations.append_sum(1.f);
  if (c.add) operations.append_binary(dnnl::algorithm::binary_add, result);
  if (c.relu) operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
  return operations;
}

// What oneDNN makes of a convolution, ready to run. oneDNN reads a packed kernel: one
// in a layout and type of its own choice. `repack` converts the caller's kernel to it,
// or, for a kernel's gradient, converts from it.
struct Plan {
  dnnl::primitive run, repack;
  memory::desc input, kernel, packed_kernel, bias, result, scratchpad;
};

dnnl::primitive CreateRepack(const dnnl::engine& engine, const Convolution& c,
                             const Plan& plan) {
  const bool is_gradient = c.kind == Kind::kBackwardKernel;
  dnnl::primitive_attr attributes;
  if (is_gradient && c.accumulate) {
    dnnl::post_ops operations;
    operations.append_sum(1.f);
    attributes.set_post_ops(operations);
  }
  const memory::desc& from = is_gradient ? plan.packed_kernel : plan.kernel;
  const memory::desc& to = is_gradient ? plan.kernel : plan.packed_kernel;
  return dnnl::reorder(
      dnnl::reorder::primitive_desc(engine, from, engine, to, attributes));
}

Plan CreatePlan(const dnnl::engine& engine, const Convolution& c) {
  const Geometry g = GeometryOf(c);
  const bool is_forward = c.kind == Kind::kForward;
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc any_kernel(g.kernel_size, c.type, memory::format_tag::any);
  const memory::desc any_gradient(g.kernel_size, Type::f32, memory::format_tag::any);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (is_forward) attributes.set_post_ops(PostOps(c, g.result));
  // The gradients need it as well: oneDNN takes it as a hint.
  const dnnl::convolution_forward::primitive_desc forward(
      engine, dnnl::prop_kind::forward_training, direct, g.input, any_kernel, g.bias,
      g.result, g.stride, g.dilation, g.padding_before, g.padding_after, attributes);
  Plan plan;
  plan.input = g.input;
  plan.kernel = g.kernel;
  plan.bias = g.bias;
  plan.result = g.result;
  if (is_forward) {
    plan.run = dnnl::convolution_forward(forward);
    plan.packed_kernel = forward.weights_desc();
    plan.scratchpad = forward.scratchpad_desc();
  } else if (c.kind == Kind::kBackwardInput) {
    const dnnl::convolution_backward_data::primitive_desc backward(
        engine, direct, g.input, any_kernel, g.result, g.stride, g.dilation,
        g.padding_before, g.padding_after, forward, attributes);
    plan.run = dnnl::convolution_backward_data(backward);
    plan.packed_kernel = backward.weights_desc();
    plan.scratchpad = backward.scratchpad_desc();
  } else {
    const dnnl::convolution_backward_weights::primitive_desc backward(
        engine, direct, g.input, any_gradient, g.bias, g.result, g.stride, g.dilation,
        g.padding_before, g.padding_after, forward, attributes);
    plan.run = dnnl::convolution_backward_weights(backward);
    plan.packed_kernel = backward.diff_weights_desc();
    plan.scratchpad = backward.scratchpad_desc();
  }
  plan.repack = CreateRepack(engine, c, plan);
  return plan;
}

}  // namespace
