// Part 3 of 7: the one thread that runs all calls, and access to XLA's arrays.

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

}  // namespace
