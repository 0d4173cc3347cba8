// The two ends of a training step, each in one pass: the squared error and Adam's update.

// Add what the threads of a block hold, in a fixed order: halves are added to halves. The result is
// valid in thread 0; `room` has a place for each thread, their number is a power of two.
__device__ __forceinline__ real block_sum(real value, real* room) {
  room[threadIdx.x] = value;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
    __syncthreads();
  }
  return room[0];
}

// Each block sums up the squares of `length` differences, and writes the gradient factor * (p - t).
extern "C" __global__ void __launch_bounds__(THREADS) squared_error(
    const real* prediction, const real* truth, real* gradient, real* parts, offset count,
    offset length, real factor) {
  __shared__ real room[THREADS];
  offset first = blockIdx.x * length, last = first + length < count ? first + length : count;
  real sum = 0;
  for (offset at = first + threadIdx.x; at < last; at += THREADS) {
    real difference = prediction[at] - truth[at];
    gradient[at] = factor * difference;
    sum += difference * difference;
  }
  sum = block_sum(sum, room);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// The mean from the blocks' sums, added in double precision by one block.
extern "C" __global__ void __launch_bounds__(THREADS) mean_of_parts(
    const real* parts, real* mean, int count, double numbers) {
  __shared__ double room[THREADS];
  double sum = 0;
  for (int part = threadIdx.x; part < count; part += THREADS) sum += parts[part];
  room[threadIdx.x] = sum;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) mean[0] = (real)(room[0] / numbers);
}

// m += rest_1 * (g - m);  v += rest_2 * (g**2 - v);  w - rate * m / (sqrt(v) + epsilon)
extern "C" __global__ void adam(
    const real* weight, const real* gradient, real* mean, real* square, real* result, offset count,
    real rest_1, real rest_2, real rate, real epsilon) {
  offset at = own_number();
  if (at >= count) return;
  real g = gradient[at];
  real m = mean[at] + (g - mean[at]) * rest_1;
  real v = square[at] + (g * g - square[at]) * rest_2;
  mean[at] = m;
  square[at] = v;
  result[at] = weight[at] - rate * m / (sqrt(v) + epsilon);
}
