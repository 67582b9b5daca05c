// Convolutions by oneDNN as calls of XLA's CPU backend (through XLA FFI). This file
// defines what Python sees; it includes the rest, so everything is compiled as one.
//
// Read in this order:
//   plan.h            a convolution as data, and what oneDNN makes of it
//   engine.h          runs convolutions; keeps memory between calls
//   worker.h          the one thread that runs all calls
//   convolve.h        handlers: one convolution and its gradients
//   dense.h           handler: FHDR's dense block
//   dense_backward.h  handler: the gradients of the dense block
//   cells.h           arithmetic on the cells of an LSTM
//   lstm.h            handlers: one step of a convolutional LSTM and its gradients
//
// Images are NHWC without gaps, in float32 or bfloat16. Kernels are HWIO in float32 and
// are converted to oneDNN's own layout on each call. Sums are float32. The stride is 1.
//
// XLA calls from several threads at once. They hand all work to one thread, which owns
// OpenMP's team, oneDNN's objects and the buffers: one set for itself and one for each
// thread of the team. So only the queue of that thread needs a lock, and no second team
// competes for the cores.
//
// Arrays named of_x, of_kernel and so on are the gradients of x, of kernel and so on.

#include <cstdint>
#include <utility>

#include "convolve.h"
#include "dense.h"
#include "dense_backward.h"
#include "engine.h"
#include "lstm.h"
#include "oneapi/dnnl/dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace {

// Binds so many arrays as arguments and as results, and the attribute `dilation`, which
// all handlers have.
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

// Python calls these by ctypes: the bytes that are kept between calls, and whether this
// CPU has instructions for bfloat16.
extern "C" int64_t jaxhdr_held_bytes() { return Buffer::held_bytes; }
extern "C" int jaxhdr_has_bfloat16() {
  return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
}
