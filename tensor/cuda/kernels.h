#pragma once
#include "tensor/kernels.h"

/// The kernels for an NVIDIA GPU. They are those of tensor/kernels.h, name by name and argument by argument, without
/// biased_attention() and its like, and with what tensor/device.h asks of a GPU. Only where the numbers lie is another
/// matter: a `real*` points to memory of the GPU, an `int*` to the program's own.
///
/// Each call puts its work into one stream and returns at once. What a result is read by, that is to_host(), norms(),
/// argmax() and range(), waits for it. One thread calls them at a time. Each throws NoDevice if there is no GPU, and
/// Error, with the name of the call, if CUDA or cuBLAS reports one.
namespace bobbin::cuda {

template <class F>
void unary(const F& f, const real* x, real* y, Index n);
template <class F>
void binary(const F& f, const Broadcast& walk, const real* a, const real* b, real* y);
template <class Y, class D, class F>
void dropout(const F& f, const real* x, Y* y, D* derivative, Index n, real p, Draw draw);
decltype(cpu::where) where;
template <class X, class Z>
void multiply_rounded(const X* x, const bfloat16* y, Z* z, Index n);
template <class X>
void sum(const X* x, real* y, Index outer, Index n, Index inner);
decltype(cpu::norms) norms;
decltype(cpu::argmax) argmax;
decltype(cpu::range) range;
decltype(cpu::gemm) gemm;
void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const ResultMatrix& c);
void gemm_rounded(const Product& p, const RoundedMatrix& a, const RoundedMatrix& b, const RoundedResultMatrix& c);
decltype(cpu::round_to_bfloat16) round_to_bfloat16;
decltype(cpu::widen) widen;
decltype(cpu::softmax) softmax;
decltype(cpu::softmax_backward) softmax_backward;
decltype(cpu::log_softmax) log_softmax;
decltype(cpu::logsumexp) logsumexp;
decltype(cpu::cross_entropy) cross_entropy;
decltype(cpu::cross_entropy_backward) cross_entropy_backward;
decltype(cpu::cross_entropy_of_labels) cross_entropy_of_labels;
decltype(cpu::cross_entropy_of_labels_backward) cross_entropy_of_labels_backward;
template <class Y>
void layer_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* rstd, Index rows,
                Index cols);
decltype(cpu::layer_norm_backward) layer_norm_backward;
template <class Y>
void batch_norm(const real* x, const real* gamma, const real* beta, real eps, Y* y, real* mean, real* variance,
                real* rstd, const BatchNormSizes& s);
template <class Y>
void batch_norm_by(const real* x, const real* gamma, const real* beta, const real* mean, const real* rstd, Y* y,
                   const BatchNormSizes& s);
decltype(cpu::batch_norm_backward) batch_norm_backward;
decltype(cpu::attention_keeps) attention_keeps;
decltype(cpu::attention_keeps_y) attention_keeps_y;
decltype(cpu::attention) attention;
decltype(cpu::attention_backward) attention_backward;
decltype(cpu::attention_rounded) attention_rounded;
decltype(cpu::attention_rounded_backward) attention_rounded_backward;
decltype(cpu::conv2d) conv2d;
decltype(cpu::conv2d_backward_x) conv2d_backward_x;
decltype(cpu::conv2d_backward_w) conv2d_backward_w;
decltype(cpu::conv2d_rounded) conv2d_rounded;
decltype(cpu::conv2d_rounded_backward_x) conv2d_rounded_backward_x;
decltype(cpu::conv2d_rounded_backward_w) conv2d_rounded_backward_w;
decltype(cpu::im2col) im2col;
decltype(cpu::col2im) col2im;
decltype(cpu::patches) patches;
decltype(cpu::patches_backward) patches_backward;
decltype(cpu::avg_pool2d) avg_pool2d;
decltype(cpu::avg_pool2d_backward) avg_pool2d_backward;
decltype(cpu::max_pool2d) max_pool2d;
decltype(cpu::max_pool2d_backward) max_pool2d_backward;
decltype(cpu::adaptive_avg_pool2d) adaptive_avg_pool2d;
decltype(cpu::adaptive_avg_pool2d_backward) adaptive_avg_pool2d_backward;
decltype(cpu::fill) fill;
decltype(cpu::permute) permute;
decltype(cpu::copy_rows) copy_rows;
decltype(cpu::pad_reflect) pad_reflect;
decltype(cpu::pad_reflect_backward) pad_reflect_backward;
decltype(cpu::gather) gather;
decltype(cpu::gather_backward) gather_backward;
decltype(cpu::index_select) index_select;
decltype(cpu::index_select_backward) index_select_backward;
decltype(cpu::sgd) sgd;
decltype(cpu::adamw) adamw;

}  // namespace bobbin::cuda
