// Batch normalization with its ReLU, on a batch as rows of one pixel each, (M,C). Sums over M are
// taken chunk by chunk, each by one block, and the chunks are added in their order in double
// precision: nothing is atomic, so two runs give the same bits.
//
// A block is blockDim.x channels wide and blockDim.y rows high, so neighbouring threads read
// neighbouring channels. `room` of shared memory has a place for each thread.

// The sum of a column of threads, in the order of its rows; valid in all of them.
__device__ __forceinline__ real column_sum(real value, real* room) {
  __syncthreads();  // whatever stood in the room has been read
  room[threadIdx.y * blockDim.x + threadIdx.x] = value;
  __syncthreads();
  real sum = 0;
  for (int row = 0; row < blockDim.y; ++row) sum += room[row * blockDim.x + threadIdx.x];
  return sum;
}

// For each chunk of rows and each channel: the mean, and the sum of squared differences from it.
// The mean is taken of what the numbers differ from the chunk's first row: far from zero, sums of
// the numbers themselves would round away what they differ. The second walk finds the rows in the
// cache.
extern "C" __global__ void __launch_bounds__(THREADS) moments(
    const real* x, real* means, real* squares, offset rows, offset length, int channels) {
  __shared__ real room[THREADS];
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  offset first = blockIdx.y * length, last = first + length < rows ? first + length : rows;
  bool own = c < channels;
  real base = own ? x[first * channels + c] : 0, sum = 0;
  if (own)
    for (offset row = first + threadIdx.y; row < last; row += blockDim.y)
      sum += x[row * channels + c] - base;
  real mean = column_sum(sum, room) / (last - first), square = 0;
  if (own)
    for (offset row = first + threadIdx.y; row < last; row += blockDim.y) {
      real difference = (x[row * channels + c] - base) - mean;
      square += difference * difference;
    }
  square = column_sum(square, room);
  if (own && threadIdx.y == 0) {
    means[(offset)blockIdx.y * channels + c] = base + mean;
    squares[(offset)blockIdx.y * channels + c] = square;
  }
}

// The chunks of one channel: mean and variance of all rows, and the factor and summand with which
// normalized = (x - mean) * factor + shift.
extern "C" __global__ void join_moments(
    const real* means, const real* squares, const real* gamma, const real* beta, real* mean,
    real* variance, real* factor, real* shift, int channels, int chunks, offset rows,
    offset length, double epsilon) {
  int c = (int)own_number();
  if (c >= channels) return;
  double sum = 0, square = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    double count = chunk < chunks - 1 ? length : rows - (offset)(chunks - 1) * length;
    sum += count * means[(offset)chunk * channels + c];
  }
  double average = sum / rows;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    double count = chunk < chunks - 1 ? length : rows - (offset)(chunks - 1) * length;
    double difference = means[(offset)chunk * channels + c] - average;
    square += squares[(offset)chunk * channels + c] + count * difference * difference;
  }
  mean[c] = (real)average;
  variance[c] = (real)(square / rows);
  factor[c] = (real)((gamma == 0 ? 1 : (double)gamma[c]) / sqrt(square / rows + epsilon));
  shift[c] = beta == 0 ? 0 : beta[c];
}

extern "C" __global__ void normalize(
    const real* x, const real* mean, const real* factor, const real* shift, real* y, offset count,
    int channels, int relu) {
  offset at = own_number();
  if (at >= count) return;
  int c = (int)(at % channels);
  real value = (x[at] - mean[c]) * factor[c] + shift[c];
  y[at] = relu && value < 0 ? 0 : value;
}

// y = (x - mean) * gamma / sqrt(variance + epsilon) + beta, by statistics from before.
extern "C" __global__ void normalize_by(
    const real* x, const real* mean, const real* variance, const real* gamma, const real* beta,
    real* y, offset count, int channels, real epsilon, int relu) {
  offset at = own_number();
  if (at >= count) return;
  int c = (int)(at % channels);
  real factor = (gamma == 0 ? 1 : gamma[c]) / sqrt(variance[c] + epsilon);
  real value = (x[at] - mean[c]) * factor + (beta == 0 ? 0 : beta[c]);
  y[at] = relu && value < 0 ? 0 : value;
}

// moving = momentum * before + rest * batch, for the mean and for the variance.
extern "C" __global__ void move_statistics(
    const real* mean, const real* variance, const real* batch_mean, const real* batch_variance,
    real* moving_mean, real* moving_variance, int channels, real momentum, real rest) {
  int c = (int)own_number();
  if (c >= channels) return;
  moving_mean[c] = momentum * mean[c] + rest * batch_mean[c];
  moving_variance[c] = momentum * variance[c] + rest * batch_variance[c];
}

// For each chunk and channel: the sums of dy and of dy * (x - mean). Where y is given, the result
// went through a ReLU and dy counts where y is positive.
extern "C" __global__ void __launch_bounds__(THREADS) slopes(
    const real* dy, const real* y, const real* x, const real* mean, real* totals, real* products,
    offset rows, offset length, int channels) {
  __shared__ real room[THREADS];
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  offset first = blockIdx.y * length, last = first + length < rows ? first + length : rows;
  bool own = c < channels;
  real total = 0, product = 0;
  if (own)
    for (offset row = first + threadIdx.y; row < last; row += blockDim.y) {
      offset at = row * channels + c;
      real slope = y == 0 || y[at] > 0 ? dy[at] : 0;
      total += slope;
      product += slope * (x[at] - mean[c]);
    }
  total = column_sum(total, room);
  product = column_sum(product, room);
  if (own && threadIdx.y == 0) {
    totals[(offset)blockIdx.y * channels + c] = total;
    products[(offset)blockIdx.y * channels + c] = product;
  }
}

// The chunks of one channel: the gradients by gamma and beta, and the numbers with which
// dx = factor * dy + tilt * (x - mean) + shift.
extern "C" __global__ void join_slopes(
    const real* totals, const real* products, const real* gamma, const real* variance,
    real* by_gamma, real* by_beta, real* factor, real* tilt, real* shift, int channels, int chunks,
    offset rows, double epsilon) {
  int c = (int)own_number();
  if (c >= channels) return;
  double total = 0, product = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    total += totals[(offset)chunk * channels + c];
    product += products[(offset)chunk * channels + c];
  }
  double scale = 1 / sqrt((double)variance[c] + epsilon);
  double slope = scale * (gamma == 0 ? 1 : (double)gamma[c]);
  by_gamma[c] = (real)(product * scale);
  by_beta[c] = (real)total;
  factor[c] = (real)slope;
  tilt[c] = (real)(-slope * product * scale * scale / rows);
  shift[c] = (real)(-slope * total / rows);
}

extern "C" __global__ void normalize_gradient(
    const real* dy, const real* y, const real* x, const real* mean, const real* factor,
    const real* tilt, const real* shift, real* dx, offset count, int channels) {
  offset at = own_number();
  if (at >= count) return;
  int c = (int)(at % channels);
  real slope = y == 0 || y[at] > 0 ? dy[at] : 0;
  dx[at] = factor[c] * slope + tilt[c] * (x[at] - mean[c]) + shift[c];
}

// The sum of each channel over the rows of each chunk; add_parts in conv2d.cu adds the chunks.
// Where relu_output or indices are given, a number counts where it is positive, or they are places;
// what counts is written to `counted`, if that is given, with zeros in between.
extern "C" __global__ void __launch_bounds__(THREADS) column_sums(
    const real* x, const real* relu_output, const int* indices, real* counted, real* parts,
    offset rows, offset length, int channels) {
  __shared__ real room[THREADS];
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  offset first = blockIdx.y * length, last = first + length < rows ? first + length : rows;
  real sum = 0;
  if (c < channels)
    for (offset row = first + threadIdx.y; row < last; row += blockDim.y) {
      offset at = row * channels + c;
      bool counts = (relu_output == 0 || relu_output[at] > 0) &&
          (indices == 0 || indices[at] >= 0);
      real value = counts ? x[at] : 0;
      if (counted != 0) counted[at] = value;
      sum += value;
    }
  sum = column_sum(sum, room);
  if (c < channels && threadIdx.y == 0) parts[(offset)blockIdx.y * channels + c] = sum;
}
