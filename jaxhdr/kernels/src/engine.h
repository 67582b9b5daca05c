// Part 2 of 8: the buffers and the `Engine`, which owns oneDNN's objects and runs
// convolutions. One thread uses an engine at a time; the engine of the worker (part 3)
// has further engines for the threads of OpenMP's team.

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

constexpr size_t kMaxPlans = 512;     // kept; the least recently used is dropped first
constexpr size_t kAlignment = 64;     // bytes
constexpr size_t kKernelBuffers = 9;  // what the largest call, a dense block, needs

// Memory that is kept between calls. It grows to the largest size that was asked for.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { Release(); }

  // Returns at least so many bytes. What the buffer held before may be lost.
  void* Get(size_t bytes) {
    if (bytes > size_) {
      Release();
      const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      data_ = std::aligned_alloc(kAlignment, size);
      if (data_ == nullptr) throw std::bad_alloc();
      size_ = size;
      held_bytes += size_;
    }
    return data_;
  }

  static std::atomic<int64_t> held_bytes;  // by all buffers

 private:
  void Release() {
    std::free(data_);
    held_bytes -= size_;
    data_ = nullptr;
    size_ = 0;
  }

  void* data_ = nullptr;
  size_t size_ = 0;
};

std::atomic<int64_t> Buffer::held_bytes{0};

class Engine {
 public:
  Engine() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  // Returns the kernel as oneDNN reads it in this convolution, in `buffer`.
  memory PackKernel(const Convolution& convolution, const float* kernel,
                    Buffer& buffer) {
    Plan& plan = Find(convolution);
    memory packed = At(plan.packed_kernel, buffer.Get(plan.packed_kernel.get_size()));
    plan.repack.execute(
        stream_, {{DNNL_ARG_FROM, At(plan.kernel, kernel)}, {DNNL_ARG_TO, packed}});
    stream_.wait();
    return packed;
  }

  // Whether a convolution can read a kernel that was packed for another one.
  bool Accepts(const Convolution& convolution, const memory& packed) {
    return Find(convolution).packed_kernel == packed.get_desc();
  }

  // kForward reads `input` and writes `result`. kBackwardInput reads the gradient of
  // the result from `result` and writes the gradient of the input to `input`.
  void Run(const Convolution& convolution, void* input, const memory& kernel,
           const float* bias, const void* add, void* result) {
    Plan& plan = Find(convolution);
    const bool is_forward = convolution.kind == Kind::kForward;
    Arguments arguments = {
        {is_forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_SRC, At(plan.input, input)},
        {DNNL_ARG_WEIGHTS, kernel},
        {is_forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, At(plan.result, result)},
        {DNNL_ARG_SCRATCHPAD, At(plan.scratchpad, Scratchpad(plan))}};
    if (convolution.bias) arguments.insert({DNNL_ARG_BIAS, At(plan.bias, bias)});
    if (convolution.add) {
      const int place = DNNL_ARG_ATTR_MULTIPLE_POST_OP(convolution.accumulate ? 1 : 0);
      arguments.insert({place | DNNL_ARG_SRC_1, At(plan.result, add)});
    }
    plan.run.execute(stream_, arguments);
    stream_.wait();
  }

  // Writes the gradients of kernel and bias. With `accumulate`, that of the kernel is
  // added to what `kernel` holds.
  void RunBackwardKernel(const Convolution& convolution, const void* input,
                         const void* gradient, float* kernel, float* bias) {
    Plan& plan = Find(convolution);
    memory packed =
        At(plan.packed_kernel, packed_gradient_.Get(plan.packed_kernel.get_size()));
    Arguments arguments = {
        {DNNL_ARG_SRC, At(plan.input, input)},
        {DNNL_ARG_DIFF_DST, At(plan.result, gradient)},
        {DNNL_ARG_DIFF_WEIGHTS, packed},
        {DNNL_ARG_SCRATCHPAD, At(plan.scratchpad, Scratchpad(plan))}};
    if (convolution.bias) arguments.insert({DNNL_ARG_DIFF_BIAS, At(plan.bias, bias)});
    plan.run.execute(stream_, arguments);
    plan.repack.execute(
        stream_, {{DNNL_ARG_FROM, packed}, {DNNL_ARG_TO, At(plan.kernel, kernel)}});
    stream_.wait();
  }

  // Sets `gradient` to 0 where `result`, the result of a ReLU, is 0.
  void RunBackwardRelu(Type type, int64_t size, const void* result, void* gradient) {
    const memory::desc desc({size}, type, memory::format_tag::a);
    auto [place, is_new] =
        relu_gradients_.try_emplace({static_cast<int64_t>(type), size});
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
    if (relu_gradients_.size() > kMaxPlans) relu_gradients_.clear();
  }

  // Splits the numbers from 0 to `size` into one part for each thread of the team, and
  // runs `body(engine, first, count)` on all parts at once, each with an engine of its
  // own. How they are split depends on the number of threads only.
  template <typename Body>
  void ParallelFor(int64_t size, const Body& body) {
    const int threads = omp_get_max_threads();
    while (thread_engines_.size() < static_cast<size_t>(threads)) {
      thread_engines_.push_back(std::make_unique<Engine>());
    }
    std::vector<std::exception_ptr> errors(threads);
#pragma omp parallel num_threads(threads)
    {
      const int64_t team = omp_get_num_threads(), thread = omp_get_thread_num();
      omp_set_num_threads(1);  // oneDNN starts no threads of its own inside a part
      const int64_t first = size * thread / team;
      const int64_t count = size * (thread + 1) / team - first;
      try {
        if (count > 0) body(*thread_engines_[thread], first, count);
      } catch (...) {
        errors[thread] = std::current_exception();
      }
    }
    for (const auto& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  }

  // Does the same for `count` images if the threads get about equal shares of them.
  // Otherwise this engine takes the images one by one, with all threads on each.
  template <typename Body>
  void ParallelForImages(int64_t count, const Body& body) {
    const int64_t threads = omp_get_max_threads();
    if (count % threads == 0 || count > 4 * threads) {
      ParallelFor(count, body);
    } else {
      body(*this, 0, count);
    }
  }

  // For the callers. They keep their contents until the next call.
  Buffer kernel_buffers[kKernelBuffers], gradient_buffers[2], sum_buffer;

 private:
  memory At(const memory::desc& desc, const void* data) {
    return memory(desc, engine_, const_cast<void*>(data));
  }

  void* Scratchpad(const Plan& plan) {
    return scratchpad_.Get(std::max<size_t>(plan.scratchpad.get_size(), 1));
  }

  Plan& Find(const Convolution& convolution) {
    std::vector<int64_t> key = convolution.Key();
    const auto found = plans_.find(key);
    if (found != plans_.end()) {
      by_use_.splice(by_use_.begin(), by_use_, found->second);
      return found->second->second;
    }
    by_use_.emplace_front(key, CreatePlan(engine_, convolution));
    plans_.emplace(std::move(key), by_use_.begin());
    if (plans_.size() > kMaxPlans) {
      plans_.erase(by_use_.back().first);
      by_use_.pop_back();
    }
    return by_use_.front().second;
  }

  using Entry = std::pair<std::vector<int64_t>, Plan>;

  dnnl::engine engine_;
  dnnl::stream stream_;
  std::list<Entry> by_use_;  // most recently used first
  std::map<std::vector<int64_t>, std::list<Entry>::iterator> plans_;
  std::map<std::pair<int64_t, int64_t>, dnnl::primitive> relu_gradients_;
  Buffer scratchpad_, packed_gradient_;
  std::vector<std::unique_ptr<Engine>> thread_engines_;
};

}  // namespace
