#!/bin/sh -e
# pack.sh: on a machine with nvcc and without a GPU, builds the programs and packs into .gpu/ what a bare machine with a
# GPU lacks: them, the libraries beside glibc and CUDA that they want, and Fashion-MNIST. Then copy the repository there
# with .gpu/, and run gpu_day.sh. ARCHS: the GPUs that they are for (default: sm_90, the H100).
cd "$(dirname "$0")/../../.."
build=build/gpu_day bin=build/gpu_day/cuda data=${DATA:-/usr/share/datasets/fashion-mnist}
programs="test_gpu bench train ladder"
# The machine there may have another processor, and has no libraries for bfloat16 on it, WebP and TIFF.
make -j"$(nproc)" $(printf "$bin/%s " $programs) CUDA=1 B=$build CUDA_ARCHS="${ARCHS:-sm_90}" ARCH=x86-64-v3 \
  AUTO_DEPS=0 ONEDNN_LIBS= ONEDNN_CFLAGS= WEBP_LIBS= TIFF_LIBS=

rm -rf .gpu
mkdir -p .gpu/bin .gpu/lib .gpu/data
for program in $programs; do strip -o .gpu/bin/$program $bin/$program; done
ldd .gpu/bin/* | awk '$2 == "=>" && $3 ~ "^/" { print $3 }' | sort -u |
  grep -Ev '/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|libgomp|libcuda|libcudart|libcublas|libcublasLt)\.so' |
  xargs -I{} cp -L {} .gpu/lib
# What is packed travels better; a file that is one already stays one.
tar -C .gpu -c bin lib | xz -T0 -6 > .gpu/programs.tar.xz
rm -r .gpu/bin .gpu/lib
if [ -d "$data" ]; then cp "$data"/*.gz .gpu/data; else echo "pack.sh: $data, Fashion-MNIST, is not there: packed without" >&2; fi
du -sh .gpu
