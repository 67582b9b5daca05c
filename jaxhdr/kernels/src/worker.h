// Part 3 of 8: the worker, the one thread that runs all calls, and functions that read
// XLA's arrays. A handler passes its work to `RunTask`.

#pragma once

#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "engine.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = ::xla::ffi;

// A queue of tasks and the thread that runs them. It is never destroyed, because XLA
// may call until the process ends.
class Worker {
 public:
  // Returns the worker of this process. Threads do not survive a fork, so a forked
  // process starts a worker of its own.
  static Worker& Get() {
    static std::mutex mutex;
    static Worker* worker = nullptr;
    const std::lock_guard<std::mutex> lock(mutex);
    if (worker == nullptr || worker->process_ != getpid()) worker = new Worker();
    return *worker;
  }

  // Runs the task on the worker's thread, waits for its end and throws what it threw.
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

// Runs the task on the worker's thread. An exception becomes an error that XLA reports.
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

// An optional argument that is not given is an array without elements.
bool IsEmpty(const ffi::AnyBuffer& buffer) { return buffer.element_count() == 0; }

float* Floats(const ffi::AnyBuffer& buffer) {
  return static_cast<float*>(buffer.untyped_data());
}

char* Bytes(const ffi::AnyBuffer& buffer) {
  return static_cast<char*>(buffer.untyped_data());
}

}  // namespace
