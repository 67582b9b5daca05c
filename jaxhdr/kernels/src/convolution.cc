// Convolutions of oneDNN as calls of XLA's CPU backend (XLA FFI).
//
// Images are NHWC and dense, in float32 or bfloat16; kernels are HWIO in float32 and
// are converted to oneDNN's own layout on each call; sums are float32. The stride is 1.
//
// XLA calls from several threads at once. All work is handed to one thread that owns
// OpenMP's team, oneDNN's objects and the buffers below, one set for itself and one for
// each thread of the team: nothing here needs a lock besides its queue, and no second
// team competes for the cores.

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = ::xla::ffi;
using dnnl::memory;
using Type = memory::data_type;
using Arguments = std::unordered_map<int, memory>;

constexpr size_t kPlans = 512;       // kept; the least recently used goes first
constexpr size_t kAlignment = 64;    // bytes
constexpr int64_t kGroup = 32;       // channels of a group, FHDR's growth
constexpr int64_t kFeatures = 64;    // FHDR's features
constexpr int64_t kDenseLayers = 4;  // of a dense block
constexpr int64_t kGroups = kFeatures / kGroup + kDenseLayers;
constexpr int64_t kBlockChannels = kGroups * kGroup;

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

  Buffer kernels[2 * kDenseLayers + 1], gradients[2], sums;

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

// The thread that does all work. Never destroyed: XLA may call until the process ends.
class Worker {
 public:
  // That of this process: threads do not survive a fork.
  static Worker& Get() {
    static std::mutex mutex;
    static Worker* worker = nullptr;
    const std::lock_guard<std::mutex> lock(mutex);
    if (worker == nullptr || worker->process_ != getpid()) worker = new Worker();
    return *worker;
  }

  // Runs the task there and waits for its end.
  void Run(const std::function<void(Engine&)>& task) {
    Job job(&task);
    std::unique_lock<std::mutex> lock(mutex_);
    jobs_.push_back(&job);
    wake_.notify_one();
    job.finished.wait(lock, [&] { return job.is_done; });
    lock.unlock();
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  struct Job {
    explicit Job(const std::function<void(Engine&)>* task_) : task(task_) {}
    const std::function<void(Engine&)>* task;
    bool is_done = false;
    std::exception_ptr error = nullptr;
    std::condition_variable finished;
  };

  Worker() : process_(getpid()) {
    std::thread([this] { Loop(); }).detach();
  }

  void Loop() {
    Engine engine;
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return !jobs_.empty(); });
      Job* job = jobs_.front();
      jobs_.pop_front();
      lock.unlock();
      try {
        (*job->task)(engine);
      } catch (...) {
        job->error = std::current_exception();
      }
      lock.lock();
      job->is_done = true;
      job->finished.notify_one();
    }
  }

  const pid_t process_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job*> jobs_;
};

ffi::Error RunTask(const std::function<void(Engine&)>& task) {
  try {
    Worker::Get().Run(task);
    return ffi::Error::Success();
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string("oneDNN: ") + error.what());
  }
}

Type TypeOf(const ffi::AnyBuffer& buffer) {
  switch (buffer.element_type()) {
    case ffi::DataType::F32:
      return Type::f32;
    case ffi::DataType::BF16:
      return Type::bf16;
    default:
      throw std::invalid_argument("images must be float32 or bfloat16");
  }
}

bool IsEmpty(const ffi::AnyBuffer& buffer) { return buffer.element_count() == 0; }

float* Floats(const ffi::AnyBuffer& buffer) {
  return static_cast<float*>(buffer.untyped_data());
}

char* Bytes(const ffi::AnyBuffer& buffer) {
  return static_cast<char*>(buffer.untyped_data());
}

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

// ---- FHDR's dilated dense block (Khan et al. 2019, Fig. 3) -------------------------
//
// Its features lie in groups of 32 channels, [batch, group, height, width, 32]: each
// layer reads all groups before it as the depth of one image, and writes the next one.

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

// ---- One step of a convolutional LSTM (Shi et al. 2015, equation 3) ----------------
//
// Gates lie in the order write, forget, candidate, output. The cell is float32. Rows of
// pixels are computed in stripes, so that the gates' sums stay in the cache until the
// cell has read them.

constexpr int64_t kStripe = 1024;  // pixels, at least one row: 1 MB of 256 gates

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
  // Rounding would make an infinity of some NaN.
  to.bits = static_cast<uint16_t>(value == value ? rounded : 0x7FC0);
}

// 1 / (1 + exp(-x)); exp by the polynomial of `expf` in Moshier's Cephes library.
JAXHDR_INLINE float Sigmoid(float x) {
  const float y = std::min(std::max(-x, -87.f), 87.f);
  const float n = (y * 1.44269504f + 12582912.f) - 12582912.f;  // rounds: 1.5 * 2^23
  const float r = y - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  // NaN is no integer; p carries it on.
  const int32_t bits = (static_cast<int32_t>(n == n ? n : 0.f) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return 1.f / (1.f + p * power);
}

JAXHDR_INLINE float Tanh(float x) { return 2.f * Sigmoid(2.f * x) - 1.f; }

// The arrays of some pixels; `sums` are what the gates' functions are applied to.
template <typename T>
struct Cells {
  int64_t pixels, features;
  float* sums;
  const float* cell_before;  // null: zero
  float* cell;
  T* hidden;
  float* gates;  // null if not wanted
};

// A block of pixels at a time: functions go over all of its values in one loop, since
// those of one pixel are too few to fill the vectors of a narrow layer.
constexpr int64_t kBlock = 16;  // pixels, of which the gates stay in the first cache

template <typename T>
JAXHDR_INLINE void UpdateCells(const Cells<T>& c) {
  const int64_t f = c.features;
  // Of the candidate the function is tanh(x) = 2 sigmoid(2 x) - 1.
  std::vector<float> scales(kBlock * 4 * f), bents(kBlock * f);
  for (int64_t i = 0; i < kBlock * 4 * f; ++i) scales[i] = i / f % 4 == 2 ? 2.f : 1.f;
  const float* __restrict scale = scales.data();
  float* __restrict bent = bents.data();
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
    for (int64_t i = 0; i < pixels * f; ++i) bent[i] = Tanh(cell[i]);
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      const float* __restrict output = sums + pixel * 4 * f + 3 * f;
#pragma omp simd
      for (int64_t i = 0; i < f; ++i) {
        Write(output[i] * bent[pixel * f + i], hidden[pixel * f + i]);
      }
    }
    if (c.gates != nullptr) {
      // As they are: of a gate near 1 the gradient is made of the distance to it.
      std::copy_n(sums, pixels * 4 * f, c.gates + start * 4 * f);
    }
  }
}

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
    // Without a state before, any values will do: they are multiplied by zero.
    const float* before = is_first ? cell : c.cell_before + pixel * f;
    const float has_before = is_first ? 0.f : 1.f;
    float* __restrict of_before = c.of_cell_before + pixel * f;
#pragma omp simd
    for (int64_t i = 0; i < f; ++i) {
      const float write = gates[i], forget = gates[f + i];
      const float candidate = gates[2 * f + i], output = gates[3 * f + i];
      const float of_h = Read(of_hidden[i]), bent = Tanh(cell[i]);
      const float of_c = of_cell[i] + of_h * output * (1.f - bent * bent);
      Write(of_c * candidate * write * (1.f - write), of_sums[i]);
      Write(has_before * of_c * before[i] * forget * (1.f - forget), of_sums[f + i]);
      Write(of_c * write * (1.f - candidate * candidate), of_sums[2 * f + i]);
      Write(of_h * bent * output * (1.f - output), of_sums[3 * f + i]);
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

template <typename Part>
void Update(const Part& part) {
  static const bool is_wide =
      dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  is_wide ? UpdateWide(part) : UpdateNarrow(part);
}

struct Lstm {
  int64_t batch, height, width, inputs, features, dilation;
  Type type;

  Lstm(const ffi::AnyBuffer& x, const ffi::AnyBuffer& hidden, int64_t dilation_)
      : batch(x.dimensions()[0]),
        height(x.dimensions()[1]),
        width(x.dimensions()[2]),
        inputs(x.dimensions()[3]),
        features(hidden.dimensions()[3]),
        dilation(dilation_),
        type(TypeOf(x)) {}

  int64_t Pixels() const { return height * width; }
  int64_t Bytes(int64_t elements) const {
    return elements * static_cast<int64_t>(memory::data_type_size(type));
  }

  // Of the inputs, or of the hidden state.
  Convolution Gates(Kind kind, bool of_hidden) const {
    Convolution c;
    c.kind = kind;
    c.type = type;
    c.result = Type::f32;
    c.batch = batch;
    c.height = height;
    c.width = width;
    c.in = of_hidden ? features : inputs;
    c.out = 4 * features;
    c.rows = c.columns = 3;
    c.dilation = dilation;
    c.kernel = Hwio(3, inputs + features, 4 * features);
    c.bias = !of_hidden && kind != Kind::kBackwardInput;
    c.accumulate = of_hidden && kind == Kind::kForward;
    return c;
  }

  float* KernelOf(bool of_hidden, float* kernel) const {
    return kernel + (of_hidden ? inputs * 4 * features : 0);
  }
};

template <typename T>
void RunLstm(Engine& team, const Lstm& lstm, const ffi::AnyBuffer& x,
             const ffi::AnyBuffer& before, const ffi::AnyBuffer& cell_before,
             const ffi::AnyBuffer& kernel, const ffi::AnyBuffer& bias,
             const ffi::AnyBuffer& hidden, const ffi::AnyBuffer& cell,
             const ffi::AnyBuffer& gates) {
  const bool is_first = IsEmpty(before);
  const int64_t f = lstm.features;
  // Of a small image there are fewer rows in a stripe, so that all threads have some.
  const int64_t share = lstm.batch * lstm.height / omp_get_max_threads();
  const int64_t rows =
      std::clamp<int64_t>(std::min(kStripe / lstm.width, share), 1, lstm.height);
  const int64_t stripes = (lstm.height + rows - 1) / rows;
  team.Share(lstm.batch * stripes, [&](Engine& engine, int64_t from, int64_t count) {
    float* sums =
        static_cast<float*>(engine.sums.Get(rows * lstm.width * 4 * f * sizeof(float)));
    memory own[2];  // kernels, of most stripes alike
    for (int64_t stripe = from; stripe < from + count; ++stripe) {
      const int64_t n = stripe / stripes, start = stripe % stripes * rows;
      const int64_t stop = std::min(lstm.height, start + rows);
      const int64_t above = std::min(start, lstm.dilation);
      const int64_t below = std::min(lstm.height - stop, lstm.dilation);
      const int64_t seen = n * lstm.Pixels() + (start - above) * lstm.width;
      for (const bool of_hidden : {false, true}) {
        if (of_hidden && is_first) continue;
        Convolution c = lstm.Gates(Kind::kForward, of_hidden);
        c.batch = 1;
        c.height = stop - start + above + below;
        c.goes_on_above = above;
        c.goes_on_below = below;
        memory& ready = own[of_hidden];
        if (!ready || !engine.Takes(c, ready)) {
          ready = engine.Kernel(c, lstm.KernelOf(of_hidden, Floats(kernel)),
                                engine.kernels[of_hidden]);
        }
        char* image = of_hidden ? Bytes(before) + lstm.Bytes(seen * f)
                                : Bytes(x) + lstm.Bytes(seen * lstm.inputs);
        engine.Run(c, image, ready, Floats(bias), nullptr, sums);
      }
      const int64_t place = (n * lstm.Pixels() + start * lstm.width) * f;
      Update(Cells<T>{(stop - start) * lstm.width, f, sums,
                      is_first ? nullptr : Floats(cell_before) + place,
                      Floats(cell) + place, reinterpret_cast<T*>(Bytes(hidden)) + place,
                      IsEmpty(gates) ? nullptr : Floats(gates) + 4 * place});
    }
  });
}

ffi::Error LstmForward(ffi::AnyBuffer x, ffi::AnyBuffer before,
                       ffi::AnyBuffer cell_before, ffi::AnyBuffer kernel,
                       ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> hidden,
                       ffi::Result<ffi::AnyBuffer> cell,
                       ffi::Result<ffi::AnyBuffer> gates, int64_t dilation) {
  return RunTask([&](Engine& engine) {
    const Lstm lstm(x, *hidden, dilation);
    const auto run = lstm.type == Type::f32 ? RunLstm<float> : RunLstm<BFloat16>;
    run(engine, lstm, x, before, cell_before, kernel, bias, *hidden, *cell, *gates);
  });
}

template <typename T>
void RunCellGradients(Engine& team, const Lstm& lstm, const ffi::AnyBuffer& of_hidden,
                      const ffi::AnyBuffer& of_cell, const ffi::AnyBuffer& cell_before,
                      const ffi::AnyBuffer& cell, const ffi::AnyBuffer& gates,
                      const ffi::AnyBuffer& of_cell_before, void* of_sums) {
  const bool is_first = IsEmpty(cell_before);
  team.Share(lstm.batch * lstm.Pixels(), [&](Engine&, int64_t first, int64_t count) {
    const int64_t place = first * lstm.features;
    Update(CellGradients<T>{
        count, lstm.features, reinterpret_cast<const T*>(Bytes(of_hidden)) + place,
        Floats(gates) + 4 * place, Floats(of_cell) + place,
        is_first ? nullptr : Floats(cell_before) + place, Floats(cell) + place,
        Floats(of_cell_before) + place, static_cast<T*>(of_sums) + 4 * place});
  });
}

ffi::Error LstmBackward(ffi::AnyBuffer of_hidden, ffi::AnyBuffer of_cell,
                        ffi::AnyBuffer x, ffi::AnyBuffer before,
                        ffi::AnyBuffer cell_before, ffi::AnyBuffer kernel,
                        ffi::AnyBuffer cell, ffi::AnyBuffer gates,
                        ffi::Result<ffi::AnyBuffer> of_x,
                        ffi::Result<ffi::AnyBuffer> of_before,
                        ffi::Result<ffi::AnyBuffer> of_cell_before,
                        ffi::Result<ffi::AnyBuffer> of_kernel,
                        ffi::Result<ffi::AnyBuffer> of_bias, int64_t dilation) {
  return RunTask([&](Engine& engine) {
    const Lstm lstm(x, of_hidden, dilation);
    void* of_sums = engine.gradients[0].Get(
        lstm.Bytes(lstm.batch * lstm.Pixels() * 4 * lstm.features));
    const auto run =
        lstm.type == Type::f32 ? RunCellGradients<float> : RunCellGradients<BFloat16>;
    run(engine, lstm, of_hidden, of_cell, cell_before, cell, gates, *of_cell_before,
        of_sums);
    if (IsEmpty(before)) {
      std::fill_n(Floats(*of_kernel), of_kernel->element_count(), 0.f);
    }
    for (const bool part : {false, true}) {
      if (part && IsEmpty(before)) continue;
      const Convolution to_input = lstm.Gates(Kind::kBackwardInput, part);
      const memory own = engine.Kernel(to_input, lstm.KernelOf(part, Floats(kernel)),
                                       engine.kernels[part]);
      engine.Run(to_input, Bytes(part ? *of_before : *of_x), own, nullptr, nullptr,
                 of_sums);
      engine.RunBackwardKernel(
          lstm.Gates(Kind::kBackwardKernel, part), Bytes(part ? before : x), of_sums,
          lstm.KernelOf(part, Floats(*of_kernel)), part ? nullptr : Floats(*of_bias));
    }
  });
}

// A handler with so many arguments and results, and what all have in common.
template <int arguments, int results, typename Binding>
auto Buffers(Binding&& binding) {
  if constexpr (arguments > 0) {
    return Buffers<arguments - 1, results>(
        std::move(binding).template Arg<ffi::AnyBuffer>());
  } else if constexpr (results > 0) {
    return Buffers<0, results - 1>(std::move(binding).template Ret<ffi::AnyBuffer>());
  } else {
    return std::move(binding).template Attr<int64_t>("dilation");
  }
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    jaxhdr_forward, Forward,
    (Buffers<4, 1>(ffi::Ffi::Bind()).Attr<int64_t>("same").Attr<int64_t>("relu")));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxhdr_backward_input, BackwardInput,
                              (Buffers<2, 1>(ffi::Ffi::Bind()).Attr<int64_t>("same")));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxhdr_backward_kernel, BackwardKernel,
                              (Buffers<2, 2>(ffi::Ffi::Bind()).Attr<int64_t>("same")));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxhdr_dense_forward, DenseForward,
                              (Buffers<9, 2>(ffi::Ffi::Bind())));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxhdr_dense_backward, DenseBackward,
                              (Buffers<10, 9>(ffi::Ffi::Bind())));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxhdr_lstm_forward, LstmForward,
                              (Buffers<5, 3>(ffi::Ffi::Bind())));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxhdr_lstm_backward, LstmBackward,
                              (Buffers<8, 5>(ffi::Ffi::Bind())));

// For Python, by ctypes: bytes that are kept between calls, and whether this CPU
// multiplies bfloat16.
extern "C" int64_t jaxhdr_held_bytes() { return Buffer::held; }
extern "C" int jaxhdr_has_bfloat16() {
  return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
}
