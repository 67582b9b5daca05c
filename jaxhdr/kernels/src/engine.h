// Part 2 of 7: oneDNN's objects and the memory kept between calls, for one thread.

#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "plan.h"

namespace {

using Arguments = std::unordered_map<int, memory>;

constexpr size_t kPlans = 512;     // kept; the least recently used goes first
constexpr size_t kAlignment = 64;  // bytes
constexpr size_t kKernels = 9;     // buffers for kernels

// Memory that is kept between calls and grows to what the largest one needed.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { Release(); }

  void* Get(size_t bytes) {
    if (bytes > size_) {
      Release();
      const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      data_ = std::aligned_alloc(kAlignment, size);
      if (data_ == nullptr) throw std::bad_alloc();
      size_ = size;
      held += size_;
    }
    return data_;
  }

  static std::atomic<int64_t> held;  // bytes, of all buffers

 private:
  void Release() {
    std::free(data_);
    held -= size_;
    data_ = nullptr;
    size_ = 0;
  }

  void* data_ = nullptr;
  size_t size_ = 0;
};

std::atomic<int64_t> Buffer::held{0};

class Engine {
 public:
  Engine() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  // The kernel of `what` in oneDNN's own layout, in `buffer`.
  memory Kernel(const Convolution& what, const float* kernel, Buffer& buffer) {
    Plan& plan = Find(what);
    memory user(plan.kernel, engine_, const_cast<float*>(kernel));
    memory own(plan.own_kernel, engine_, buffer.Get(plan.own_kernel.get_size()));
    plan.reorder.execute(stream_, {{DNNL_ARG_FROM, user}, {DNNL_ARG_TO, own}});
    stream_.wait();
    return own;
  }

  // Whether `what` reads a kernel that was made for another convolution.
  bool Takes(const Convolution& what, const memory& kernel) {
    return Find(what).own_kernel == kernel.get_desc();
  }

  // kForward: input and result are x and y; kBackwardInput: the gradients of x and y.
  void Run(const Convolution& what, void* input, const memory& kernel,
           const float* bias, const void* add, void* result) {
    Plan& plan = Find(what);
    const bool forward = what.kind == Kind::kForward;
    Arguments arguments = {
        {forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_SRC, At(plan.input, input)},
        {DNNL_ARG_WEIGHTS, kernel},
        {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, At(plan.result, result)},
        {DNNL_ARG_SCRATCHPAD, At(plan.scratchpad, Scratchpad(plan))}};
    if (what.bias) arguments.insert({DNNL_ARG_BIAS, At(plan.bias, bias)});
    if (what.add) {
      const int place = DNNL_ARG_ATTR_MULTIPLE_POST_OP(what.accumulate ? 1 : 0);
      arguments.insert({place | DNNL_ARG_SRC_1, At(plan.result, add)});
    }
    plan.run.execute(stream_, arguments);
    stream_.wait();
  }

  // The gradients of kernel and bias; with `accumulate`, added to those of the kernel.
  void RunBackwardKernel(const Convolution& what, const void* input,
                         const void* gradient, float* kernel, float* bias) {
    Plan& plan = Find(what);
    memory own = At(plan.own_kernel, own_gradient_.Get(plan.own_kernel.get_size()));
    Arguments arguments = {
        {DNNL_ARG_SRC, At(plan.input, input)},
        {DNNL_ARG_DIFF_DST, At(plan.result, gradient)},
        {DNNL_ARG_DIFF_WEIGHTS, own},
        {DNNL_ARG_SCRATCHPAD, At(plan.scratchpad, Scratchpad(plan))}};
    if (what.bias) arguments.insert({DNNL_ARG_DIFF_BIAS, At(plan.bias, bias)});
    plan.run.execute(stream_, arguments);
    plan.reorder.execute(
        stream_, {{DNNL_ARG_FROM, own}, {DNNL_ARG_TO, At(plan.kernel, kernel)}});
    stream_.wait();
  }

  // gradient = 0 where the result of a ReLU was 0.
  void ReluBackward(Type type, int64_t size, const void* result, void* gradient) {
    const memory::desc desc({size}, type, memory::format_tag::a);
    auto [place, is_new] = relus_.try_emplace({static_cast<int64_t>(type), size});
    if (is_new) {
      const auto relu = dnnl::algorithm::eltwise_relu_use_dst_for_bwd;
      const dnnl::eltwise_forward::primitive_desc hint(
          engine_, dnnl::prop_kind::forward_training, relu, desc, desc, 0.f);
      place->second = dnnl::eltwise_backward(dnnl::eltwise_backward::primitive_desc(
          engine_, relu, desc, desc, desc, 0.f, 0.f, hint));
    }
    place->second.execute(stream_, {{DNNL_ARG_DST, At(desc, result)},
                                    {DNNL_ARG_DIFF_DST, At(desc, gradient)},
                                    {DNNL_ARG_DIFF_SRC, At(desc, gradient)}});
    stream_.wait();
    if (relus_.size() > kPlans) relus_.clear();
  }

  // Runs `body(engine, first, count)` for parts of `size` at once, each on one thread
  // of the team with an engine of its own. Parts depend on the number of threads alone.
  template <typename Body>
  void Share(int64_t size, const Body& body) {
    const int threads = omp_get_max_threads();
    while (lanes_.size() < static_cast<size_t>(threads)) {
      lanes_.push_back(std::make_unique<Engine>());
    }
    std::vector<std::exception_ptr> errors(threads);
#pragma omp parallel num_threads(threads)
    {
      const int64_t team = omp_get_num_threads(), thread = omp_get_thread_num();
      omp_set_num_threads(1);  // for what oneDNN makes in here
      const int64_t first = size * thread / team;
      const int64_t count = size * (thread + 1) / team - first;
      try {
        if (count > 0) body(*lanes_[thread], first, count);
      } catch (...) {
        errors[thread] = std::current_exception();
      }
    }
    for (const auto& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  }

  // The same for `count` images, or by this engine alone, with all threads for each
  // image, where the threads would not be busy alike.
  template <typename Body>
  void ShareImages(int64_t count, const Body& body) {
    const int64_t threads = omp_get_max_threads();
    if (count % threads == 0 || count > 4 * threads) {
      Share(count, body);
    } else {
      body(*this, 0, count);
    }
  }

  Buffer kernels[kKernels], gradients[2], sums;

 private:
  memory At(const memory::desc& desc, const void* data) {
    return memory(desc, engine_, const_cast<void*>(data));
  }

  void* Scratchpad(const Plan& plan) {
    return scratchpad_.Get(std::max<size_t>(plan.scratchpad.get_size(), 1));
  }

  Plan& Find(const Convolution& what) {
    std::vector<int64_t> key = what.Key();
    const auto found = plans_.find(key);
    if (found != plans_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return found->second->second;
    }
    order_.emplace_front(key, Create(what));
    plans_.emplace(std::move(key), order_.begin());
    if (plans_.size() > kPlans) {
      plans_.erase(order_.back().first);
      order_.pop_back();
    }
    return order_.front().second;
  }

  Plan Create(const Convolution& c) {
    const bool deep = c.depth > 1;
    const auto dims = [&](int64_t a, int64_t b, int64_t depth, int64_t rows,
                          int64_t columns) {
      return deep ? memory::dims{a, b, depth, rows, columns}
                  : memory::dims{a, b, rows, columns};
    };
    const auto spatial = [&](int64_t depth, int64_t rows, int64_t columns) {
      return deep ? memory::dims{depth, rows, columns} : memory::dims{rows, columns};
    };
    const auto dense = deep ? memory::format_tag::ndhwc : memory::format_tag::nhwc;
    const memory::desc input(dims(c.batch, c.in, c.depth, c.height, c.width), c.type,
                             dense);
    const memory::desc result(
        dims(c.batch, c.out, 1, c.ResultHeight(), c.ResultWidth()),
        c.kind == Kind::kForward ? c.result : c.type, dense);
    const auto kernel_dims = dims(c.out, c.in, c.depth, c.rows, c.columns);
    const KernelLayout& k = c.kernel;
    const memory::desc kernel(kernel_dims, Type::f32,
                              dims(k.out, k.in, k.depth, k.row, k.column));
    const bool to_kernel = c.kind == Kind::kBackwardKernel;
    const memory::desc any_kernel(kernel_dims, to_kernel ? Type::f32 : c.type,
                                  memory::format_tag::any);
    const memory::desc bias =
        c.bias ? memory::desc({c.out}, Type::f32, memory::format_tag::a)
               : memory::desc();
    const auto stride = spatial(1, 1, 1);
    const auto dilation = spatial(0, c.dilation - 1, c.dilation - 1);
    const auto before = spatial(0, c.Above(), c.Margin(c.columns));
    const auto after_it = spatial(0, c.Below(), c.Margin(c.columns));
    const auto direct = dnnl::algorithm::convolution_direct;

    dnnl::post_ops after;
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (!to_kernel) {
      if (c.accumulate) after.append_sum(1.f);
      if (c.add) after.append_binary(dnnl::algorithm::binary_add, result);
      if (c.relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
    }
    dnnl::primitive_attr with_post_ops = attributes;
    with_post_ops.set_post_ops(after);

    const dnnl::convolution_forward::primitive_desc forward(
        engine_, dnnl::prop_kind::forward_training, direct, input,
        memory::desc(kernel_dims, c.type, memory::format_tag::any), bias, result,
        stride, dilation, before, after_it,
        c.kind == Kind::kForward ? with_post_ops : attributes);
    Plan plan;
    plan.input = input;
    plan.kernel = kernel;
    plan.bias = bias;
    plan.result = result;
    if (c.kind == Kind::kForward) {
      Finish(plan, forward, forward.weights_desc());
      plan.run = dnnl::convolution_forward(forward);
    } else if (c.kind == Kind::kBackwardInput) {
      const dnnl::convolution_backward_data::primitive_desc backward(
          engine_, direct, input, any_kernel, result, stride, dilation, before,
          after_it, forward, attributes);
      Finish(plan, backward, backward.weights_desc());
      plan.run = dnnl::convolution_backward_data(backward);
    } else {
      const dnnl::convolution_backward_weights::primitive_desc backward(
          engine_, direct, input, any_kernel, bias, result, stride, dilation, before,
          after_it, forward, attributes);
      Finish(plan, backward, backward.diff_weights_desc());
      plan.run = dnnl::convolution_backward_weights(backward);
    }
    dnnl::primitive_attr sum;
    if (to_kernel && c.accumulate) {
      dnnl::post_ops add;
      add.append_sum(1.f);
      sum.set_post_ops(add);
    }
    const memory::desc& from = to_kernel ? plan.own_kernel : plan.kernel;
    const memory::desc& to = to_kernel ? plan.kernel : plan.own_kernel;
    plan.reorder =
        dnnl::reorder(dnnl::reorder::primitive_desc(engine_, from, engine_, to, sum));
    return plan;
  }

  template <typename Descriptor>
  static void Finish(Plan& plan, const Descriptor& descriptor, memory::desc kernel) {
    plan.own_kernel = std::move(kernel);
    plan.scratchpad = descriptor.scratchpad_desc();
  }

  using Entry = std::pair<std::vector<int64_t>, Plan>;

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::list<Entry> order_;  // most recently used first
  std::map<std::vector<int64_t>, std::list<Entry>::iterator> plans_;
  std::map<std::pair<int64_t, int64_t>, dnnl::primitive> relus_;
  Buffer scratchpad_, own_gradient_;
  std::vector<std::unique_ptr<Engine>> lanes_;  // of single threads
};

}  // namespace
