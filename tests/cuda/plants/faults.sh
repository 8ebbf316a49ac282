# Mistakes that somebody could make in the kernels, for run.sh to plant one by one:
#
#   plant WHAT FILE TESTS OLD NEW [OLD NEW]...
#
# puts NEW in the place of OLD, which must occur exactly once in tensor/cuda/FILE, and runs the tests of these names.

# --- barriers ---------------------------------------------------------------------------------------------
plant 'a tile is overwritten while others still read it' attention.cu 'attention*' \
  '    if (begin > 0) __syncthreads();  // others may still read the tiles
    const int here' '    const int here'

plant 'a tile is read before it is loaded' attention.cu 'attention*' \
  '    load<D>(dYs, dY + head.query, begin, head.queries, head);
    __syncthreads();
' '    load<D>(dYs, dY + head.query, begin, head.queries, head);
'

plant 'a sum of columns does not wait for the other warps' columns.h sums \
  '  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
' '  sums[threadIdx.y][threadIdx.x] = sum;
'

plant 'tensor cores read a tile that others still overwrite' attention_mma.cu 'attention*' \
  '  const auto load_keys = [&](int begin) {
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
    __syncthreads();
' '  const auto load_keys = [&](int begin) {
    load<D>(keys, k + head.key, begin, head.keys, head);
    load<D>(values, v + head.key, begin, head.keys, head);
'

plant 'tiles are overwritten in the backward pass over the keys' attention_mma.cu 'attention*' \
  '      __syncthreads();
      load_keys(begin);' '      load_keys(begin);'

plant 'a barrier that only some warps come to' attention.cu 'attention*' \
  '    if (begin > 0) __syncthreads();  // others may still read the tiles
    const int here' \
  '    if (begin > 0 && rows.warp_has_one()) __syncthreads();
    const int here'

plant 'threads return before a barrier' layer_norm.cu 'layer norm*' \
  '  x += column;
' '  if (column >= cols) return;
  x += column;
'

plant 'a shuffle that only some lanes come to' reduce.cu 'sums,norm' \
  '  sum = warp_sum(sum);' \
  '  if (p.begin + threadIdx.x < p.end) sum = warp_sum(sum);'

# --- who writes what --------------------------------------------------------------------------------------
plant 'warps add to one word, and the second stage is left out' reduce.cu 'sums,norm' \
  '  if (threadIdx.x == 0) y[p.number] = sum;' \
  '  if (threadIdx.x == 0) y[p.row] += sum;' \
  '  const auto partial = pieces > 1 ? scratch<Out>(rows * pieces) : nullptr;' \
  '  check_cuda(cudaMemsetAsync(y, 0, static_cast<std::size_t>(rows) * sizeof(Out), stream()), "cudaMemsetAsync");' \
  '         pieces > 1 ? partial.get() : y, rows, n);
  if (pieces > 1) sum_rows(Itself{}, partial.get(), y, rows, pieces);' \
  '         y, rows, n);'

plant 'scratch memory is added to, though nobody has made it 0' reduce.cu 'sums,norm' \
  '  if (threadIdx.x == 0) y[p.number] = sum;' \
  '  if (threadIdx.x == 0) y[p.number] += sum;'

plant 'the grid has a block too few' dropout.cu 'GELU*' \
  'blocks_of_fours(n)' \
  'std::max(blocks_of_fours(n), 2u) - 1'

plant 'blocks begin where no other ends' dropout.cu 'dropout*' \
  'blocks_of_fours(n), block_size' \
  'blocks_of_fours(n), block_size / 2'

plant 'a thread too many writes' elementwise.cu 'functions of one number' \
  'store4(y + i, four, n - i);' \
  'store4(y + i, four, n - i + 1);'

plant 'the last numbers are read as if there were four' four.h 'functions of one number' \
  '  if (left >= 4 && aligned(x)) return' '  if (aligned(x)) return'

plant 'a thread too many reads' softmax.cu 'cross entropy*' \
  '  for (Index c = threadIdx.x; c < n; c += warp_size) largest' \
  '  for (Index c = threadIdx.x; c <= n; c += warp_size) largest'

plant 'the last piece of a row is taken for a whole one' reduce.cu 'sums,norm' \
  '        end(min(begin + piece, n)) {}' \
  '        end(begin + piece) {}'

plant 'the padding of an image is read from it' conv2d.cu 'images*' \
  'down.has(row) && across.has(column) ? x[' 'down.has(row) ? x['

plant 'a depthwise convolution reads the next row in place of padding' conv2d.cu 'convolutions*' \
  'if (down.has(row) && across.has(column)) sum += to_real(x[Index{row} * across.size + column]) * to_real(*W);' \
  'if (down.has(row)) sum += to_real(x[Index{row} * across.size + column]) * to_real(*W);'

plant 'a convolution takes the last piece of images for a whole one' conv2d.cu 'convolutions*' \
  'images = std::min(piece, s.batch - first), of_y' 'images = piece, of_y'

plant 'a row of columns begins before the last one has ended' conv2d.cu 'convolutions*' \
  'row = (piece * places + 7) / 8 * 8;' 'row = piece * places / 8 * 8 + 1;'

plant 'a row of shared memory is too short' columns.h sums \
  'SHARED(Sum[warps][warp_size], sums);' \
  'SHARED(Sum[warps][warp_size - 1], sums);'

plant 'four numbers are written at once, at any address' four.h 'moved*' \
  '  if (left >= 4 && aligned(y)) return write(y, four);' '  if (left >= 4) return write(y, four);'

plant 'four columns are read at once, at any address' reduce.cu sums \
  'inner % 4 == 0 && aligned(x) && aligned(y);' 'inner % 4 == 0;'

plant 'a row is held that does not fit' layer_norm.cu 'layer norm and*' \
  'cols <= many ? layer_norm_kernel' 'cols <= 2 * many ? layer_norm_kernel'

# --- the wrong numbers ------------------------------------------------------------------------------------
plant 'a broadcast takes the stride of the other operand' elementwise.cu 'binary*' \
  '      a += index * walk.stride_a[axis];' '      a += index * walk.stride_b[axis];'

plant 'four neighbours come from two rows' elementwise.cu 'binary*' \
  'walk.rank == 1 || walk.size[last] % 4 == 0;' 'true;'

plant 'four numbers of a copy go beyond their row' shapes.cu 'moved*' \
  'cols % 4 == 0 ? 4 : 1;' 'cols > 4 ? 4 : 1;'

plant 'the leading dimensions are exchanged' products.cu '*products' \
  'b.at, type_of<T>, ldb, a.at, type_of<T>, lda,' \
  'b.at, type_of<T>, lda, a.at, type_of<T>, ldb,'

plant 'a batch goes on by the stride of the other matrix' products.cu '*products' \
  'b.stride, a.at, type_of<T>, lda, a.stride,' \
  'a.stride, a.at, type_of<T>, lda, b.stride,'

plant 'only the first product of a batch has a bias' products.cu '*products' \
  'copy_rows(p.bias, 0, c.at + i * c.stride, c.ld' 'copy_rows(p.bias, 0, c.at, c.ld'

plant 'a product overwrites its bias' products.cu '*products' \
  'p.bias || add ?' 'add ?'

plant 'the groups of a convolution share the kernels of the first' conv2d.cu 'convolutions*' \
  'W, depth, false, out * depth' 'W, depth, false, 0'

plant 'a product with a bias is taken for one of other depth' products.cu '*products' \
  'key{p.m, p.n, p.k, a.ld,' 'key{p.m, p.n, 0, a.ld,'

plant 'a product with a bias is taken for one with the transposed matrix' products.cu '*products' \
  'b.ld, b.transposed, c.ld,' 'b.ld, 0, c.ld,'

plant 'cublasLt is told of rows as columns' products.cu '*products' \
  'static_cast<std::uint64_t>(cols),
                                            static_cast<std::uint64_t>(rows), ld)' \
  'static_cast<std::uint64_t>(rows),
                                            static_cast<std::uint64_t>(cols), ld)'

plant 'cublasLt adds a bias at any address' products.cu '*products' \
  ' || !is_aligned(bias)' ''

plant 'an algorithm for better aligned matrices than come' products.cu '*products' \
  '      want(matrix, alignment);' '      want(matrix, 2 * alignment);'

plant 'the workspace is half as large as cublasLt hears' products.cu '*products' \
  'allocate(workspace_bytes);' 'allocate(workspace_bytes / 2);'

plant 'a rounded result forgets its bias' products.cu 'rounded results*' \
  'if (!p.bias) return blas_gemm' 'if (p.batch < 9) return blas_gemm'

plant 'cublasLt may round parts of the sums' products.cu 'rounded results*' \
  'std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE}' 'std::uint32_t{CUBLASLT_REDUCTION_SCHEME_MASK}'

plant 'rounded numbers are added up by the first of four' reduce.cu sums \
  'to_real(numbers.at[j])' 'to_real(numbers.at[0])'

plant 'a product by rounded numbers takes the first of four' elementwise.cu 'GELU*' \
  'to_real(four.at[j]) * to_float' 'to_real(four.at[0]) * to_float'

plant 'parts of a sum may be rounded' device.cu 'rounded results*' \
  'CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION' 'CUBLAS_DEFAULT_MATH'

plant 'the gradient of kernels is that of the last images' conv2d.cu 'convolutions*' \
  'first > 0' 'false'

plant 'dilation skips no pixel in the backward pass' window.h 'convolutions*' \
  'return distance % dilation == 0 ? distance / dilation : -1;' 'return distance / dilation;'

plant 'the multiplier in place of a division is rounded down' divisor.h 'convolutions*,a product and*' \
  '((std::uint64_t{1} << shift_) + clipped(d) - 1) / clipped(d)' '(std::uint64_t{1} << shift_) / clipped(d)'

plant 'a pixel does not ask the last row of windows that see it' pool.cu '*pooling*' \
  '  for (int py = down.first(row); py <= down.last(row); ++py)
    for (int px = first; px <= last; ++px) {' \
  '  for (int py = down.first(row); py < down.last(row); ++py)
    for (int px = first; px <= last; ++px) {'

plant 'a lane counts the numbers that its piece has not' batch_norm.cu 'batch norm*' \
  'dbeta_sum += p.has(k) ? dy : real{0};' 'dbeta_sum += dy;'

plant 'a query sees one key too many' attention.h 'attention*' \
  'return u < seen ? product' 'return u <= seen ? product'

plant 'queries that see all keys of the next tile are passed over' attention_mma.cu 'attention*' \
  'if (head.reach(begin, Rows<D>::count) <= first) continue;' \
  'if (head.reach(begin, Rows<D>::count) <= first + Rows<D>::count) continue;'

plant 'lanes do not agree how far their queries see' attention.h 'attention*' \
  'for (int distance = 1; distance < warp_size; distance *= 2)
      reach' 'for (int distance = 2; distance < warp_size; distance *= 2)
      reach'

plant 'the rows of a fragment are exchanged' attention_mma.cu 'attention*' \
  '{low[w + t], high[w + t], low[w + t + 4], high[w + t + 4]}' \
  '{low[w + t], low[w + t + 4], high[w + t], high[w + t + 4]}'

plant 'the wrong half of a word' attention_mma.cu 'attention of rounded*' \
  'right[1][half] = first >> 16 | (second & 0xffff0000);' 'right[1][half] = (first & 0xffff) | (second & 0xffff0000);'

plant 'two lanes of a row do not hear of the other two' attention_mma.cu 'attention*' \
  '  x = f(x, __shfl_xor_sync(0xffffffff, x, 1));
  return f(x, __shfl_xor_sync(0xffffffff, x, 2));' '  return f(x, __shfl_xor_sync(0xffffffff, x, 1));'

plant 'the last columns of unaligned rows are not 0' attention_mma.cu 'attention of rounded*' \
  '(there > 1 ? std::uint32_t{two[1].bits} << 16 : 0u)' '(std::uint32_t{two[1].bits} << 16)'

plant 'rows are read 16 bytes at a time, at any address' attention_mma.cu 'attention of rounded*' \
  'if (head.size % 8 == 0 && Group<bfloat16, 8>::aligned(x)) {' 'if (head.size % 8 == 0) {'

plant 'four numbers are stored at once, beyond the last column' attention_mma.cu 'attention*' \
  '    if (there >= n && aligned(at)) {
      *' '    if (aligned(at)) {
      *'

plant 'the fifth block of random numbers is forgotten' attention_mma.cu 'attention*' \
  '(t == r ? fifth << 16 : 0)' '(t == r ? fifth & 0 : 0)'

plant 'dK and dV take the dropout of the next 16 keys' attention_mma.cu 'attention*' \
  'kept_weights[head.kept(begin + i, first + of_warp)]' \
  'kept_weights[head.kept(begin + i, min(first + of_warp + 16, head.keys - 1))]'

plant 'the last queries give no gradient to the keys' attention.cu 'attention*' \
  'for (int begin = 0; begin < head.queries; begin += tile<D>)' \
  'for (int begin = 0; begin + tile<D> <= head.queries; begin += tile<D>)'

plant 'the last 16 queries give no gradient to the keys' attention_mma.cu 'attention*' \
  'begin + at < head.queries; at += 16)' 'begin + at + 16 <= head.queries; at += 16)'

plant 'the backward pass drops other weights' attention.cu 'attention*' \
  'kept_weights[head.kept(begin + t, rows.index(0))]' 'kept_weights[head.kept(begin + t, 0)]'

plant 'the lanes of a row forget the fifth block of random numbers' attention.cu 'attention*' \
  'block < 5' 'block < 4'

plant 'half of the lanes of a row do not hear of the others' attention.cu 'attention*' \
  'distance < Part::lanes' '2 * distance < Part::lanes'

plant 'keys behind the last are what shared memory held' attention.cu 'attention*' \
  '(rows - first + 3) / 4 * 4' 'rows - first'

plant 'operands of one shape are exchanged' elementwise.cu 'binary*' \
  'for (int j = 0; j < 4; ++j) as.at[j] = f(as.at[j], bs.at[j]);' \
  'for (int j = 0; j < 4; ++j) as.at[j] = f(bs.at[j], as.at[j]);'

plant 'four random words in the wrong order' dropout.cu 'GELU*' \
  'dropout(word[j], at.derivative)' \
  'dropout(word[3 - j], at.derivative)'

plant 'only the first rows have a gradient of beta' layer_norm.cu 'layer norm*' \
  'there ? pieces : 0' '!there ? 0 : column < cols ? pieces : 1'

plant 'the velocity is not kept' update.cu 'a step of SGD' \
  '    update(step, n, w, rounded, dW, velocity);' \
  '  {
    const auto unkept = scratch<real>(n);
    check_cuda(cudaMemcpyAsync(unkept.get(), velocity, static_cast<std::size_t>(n) * sizeof(real),
                               cudaMemcpyDeviceToDevice, stream()), "cudaMemcpyAsync");
    update(step, n, w, rounded, dW, unkept.get());
    launch_updates();
  }'

plant 'a parameter begins where the blocks of the one before end but one' update.cu 'steps of many*' \
  'All::blocks += blocks(n, each * block_size);' 'All::blocks += n / (each * block_size);'

plant 'the 32 updates that wait are forgotten' update.cu 'steps of many*' \
  '|| All::updates.count == most) launch_waiting();' \
  ') launch_waiting();
  if (All::updates.count == most) All::updates.count = 0;'

plant 'what an update rounds is the number before' update.cu 'steps of many*' \
  'if (u.rounded) u.rounded[i] = to_bfloat16(u.w[i]);' 'if (u.rounded) u.rounded[i] = to_bfloat16(u.dW[i]);'

plant 'a number is wrong in the code for the GPU alone' update.cu 'a step of SGD' \
  '  int k = 0;' \
  '#ifdef __CUDA_ARCH__
  if (thread_number() == 36) return;
#endif
  int k = 0;'

# --- rounding ---------------------------------------------------------------------------------------------
plant 'the sum of exponentials overflows' attention.cu 'attention*' \
  'return largest + std::log(total);' 'return std::log(std::exp(largest) * total);'

plant 'a softmax without its largest number' softmax.cu 'softmax*' \
  '  const real largest = largest_of(x, len);' '  const real largest = 0;'

plant 'the variance as a difference of large numbers' layer_norm.cu 'layer norm*' \
  '    const real difference = numbers(c, k) - m;
    return difference * difference;
  });' '    return numbers(c, k) * numbers(c, k);
  }) - m * m;'

plant 'bfloat16 is cut off, not rounded' products.cu 'rounding*' \
  'store(to.at[j], to_real(from.at[j]));' \
  'if constexpr (std::is_same_v<Y, bfloat16>)
      to.at[j] = {static_cast<std::uint16_t>(math::detail::to_bits(static_cast<float>(from.at[j])) >> 16)};
    else
      store(to.at[j], to_real(from.at[j]));'

plant 'weights of rounded operands are rounded twice' attention_mma.cu 'attention of rounded*' \
  '          x = P * (kept[r] >> column & 1 ? keep : 0.0f);' \
  '          x = to_float(to_bfloat16(P)) * (kept[r] >> column & 1 ? keep : 0.0f);'

plant 'a product with rounded numbers takes the factor of a neighbour' elementwise.cu 'GELU*' \
  'to_float(factors.at[j])' 'to_float(factors.at[j ^ 1])'

plant 'what attention rounds for products is not what it stores' attention_mma.cu 'attention of rounded*' \
  'rounded.x[i] = to_bfloat16(four.x[i]);' 'rounded.x[i] = to_bfloat16(sum[m][i % 2][2 * r + i / 2]);'

plant 'the rounded weights do not belong to their sum' attention_mma.cu 'attention of rounded*' \
  'return m + std::log(sum_of_row(largest == m ? total : total * std::exp(largest - m)));' \
  'return m + std::log(sum_of_row(total));'

plant 'squares that single precision cannot hold' reduce.cu 'norm' \
  'return double{x} * x;' 'return x * x;'

# --- the program and the GPU ------------------------------------------------------------------------------
plant 'a kernel gets a pointer of the program' shapes.cu 'moved*' \
  'x, device_index.get(), y, rows, cols);' 'x, index, y, rows, cols);'

plant 'a copy from memory that is not pinned' memory.cu 'what is being copied*' \
  '  return copy_in_order<int>(block, n);' \
  '  const std::shared_ptr<int> numbers = scratch<int>(n);
  check_cuda(cudaMemcpyAsync(numbers.get(), host, bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
  return numbers;'

plant 'pinned memory is reused before it is copied' memory.cu 'what is being copied*' \
  '        cudaGetLastError();  // it is no error, but CUDA keeps it as one for whoever asks next
        return;
      }
      check_cuda(status, "cudaEventQuery");' \
  '      } else {
        check_cuda(status, "cudaEventQuery");
      }'

plant 'an event before the copy that it stands for' memory.cu 'what is being copied*' \
  '    check_cuda(cudaMemcpyAsync(to, from, bytes, kind, in), "cudaMemcpyAsync");
    const cudaError_t status = cudaEventRecord(done.get(), in);' \
  '    const cudaError_t status = cudaEventRecord(done.get(), in);
    check_cuda(cudaMemcpyAsync(to, from, bytes, kind, in), "cudaMemcpyAsync");'

plant 'a copy in a stream that nobody waits for' memory.cu 'what is being copied*' \
  'cudaMemcpyAsync(to, from, bytes, kind, in)' 'cudaMemcpyAsync(to, from, bytes, kind, nullptr)'

plant 'kernels do not wait for the batch' memory.cu 'batches are copied*' \
  'cudaStreamWaitEvent(stream(), done.get(), 0)' 'cudaStreamWaitEvent(copy_stream(), done.get(), 0)'

plant 'a batch is copied over the one that kernels read' memory.cu 'batches are copied*' \
  '    check_cuda(cudaStreamWaitEvent(copy_stream(), block.free.get(), 0), "cudaStreamWaitEvent");
' ''

plant 'memory is free for a copy from when it was last copied to' memory.cu 'batches are copied*' \
  '    block.free = nullptr;            // the next take() says when
' ''

plant 'products in another stream' device.cu '*products' \
  '    check_cublas(cublasSetStream(blas, stream), "cublasSetStream");
' ''

plant 'an impossible block, and nobody asks whether it ran' conv2d.cu 'images*' \
  '  launch("patches", patches_kernel, blocks(n, block_size), block_size, x, y, g, n);' \
  '  Conv2dGeometry geometry = g;
  Index count = n;
  void* arguments[] = {&x, &y, &geometry, &count};
  cudaLaunchKernel(patches_kernel, blocks(n, 2048), 2048, arguments, 0, stream());'
