// Convolutions of oneDNN as calls of XLA's CPU backend (XLA FFI).
//
// Images are NHWC and dense, in float32 or bfloat16; kernels are HWIO in float32 and
// are converted to oneDNN's own layout on each call; sums are float32. The stride is 1.
//
// XLA calls from several threads at once. All work is handed to one thread that owns
// OpenMP's team, oneDNN's objects and the buffers below, one set for itself and one for
// each thread of the team: nothing here needs a lock besides its queue, and no second
// team competes for the cores.

#include <cstdint>
#include <utility>

#include "convolve.h"
#include "dense.h"
#include "engine.h"
#include "lstm.h"
#include "oneapi/dnnl/dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace {

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
