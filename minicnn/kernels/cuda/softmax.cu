// Softmax and the crossentropies of classes, on rows of one number for each class, (M,C).
//
// A row belongs to blockDim.x threads, a power of two and at least C where C is small; a block has
// blockDim.y rows. Each thread walks over its row with that step, and what the threads of a row
// found is joined in `room`, which has a place for each thread: halves meet halves, always in the
// same order, so two runs give the same bits.

struct Sum {
  __device__ real operator()(real a, real b) const { return a + b; }
};

struct Largest {
  __device__ real operator()(real a, real b) const { return a > b || a != a ? a : b; }  // or NaN
};

// What the threads of a row hold, joined; valid in all of them.
template <class Join>
__device__ __forceinline__ real joined(real value, real* room, Join join) {
  real* row = room + threadIdx.y * blockDim.x;
  __syncthreads();  // whatever stood in the room has been read
  row[threadIdx.x] = value;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) row[threadIdx.x] = join(row[threadIdx.x], row[threadIdx.x + half]);
  }
  __syncthreads();
  return row[0];
}

// The largest number of a row x, and the sum of e**(x - largest): no power overflows.
__device__ __forceinline__ real powers(
    const real* x, bool own, int classes, real* room, real* sum) {
  real largest = own ? x[0] : 0, part = 0;
  if (own)
    for (int k = threadIdx.x; k < classes; k += blockDim.x) largest = Largest()(largest, x[k]);
  largest = joined(largest, room, Largest());
  if (own)
    for (int k = threadIdx.x; k < classes; k += blockDim.x) part += exp(x[k] - largest);
  *sum = joined(part, room, Sum());
  return largest;
}

// y = e**x / sum of e**x, or its logarithm.
extern "C" __global__ void __launch_bounds__(THREADS) softmax(
    const real* x, real* y, offset rows, int classes, int logarithm) {
  __shared__ real room[THREADS];
  offset row = (offset)blockIdx.x * blockDim.y + threadIdx.y;
  bool own = row < rows;
  x += row * classes;
  y += row * classes;
  real sum, largest = powers(x, own, classes, room, &sum);
  if (!own) return;
  for (int k = threadIdx.x; k < classes; k += blockDim.x)
    y[k] = logarithm ? x[k] - largest - log(sum) : exp(x[k] - largest) / sum;
}

// dx = y * (dy - sum of dy * y), or for the logarithm dy - e**y * sum of dy.
extern "C" __global__ void __launch_bounds__(THREADS) softmax_gradient(
    const real* dy, const real* y, real* dx, offset rows, int classes, int logarithm) {
  __shared__ real room[THREADS];
  offset row = (offset)blockIdx.x * blockDim.y + threadIdx.y;
  bool own = row < rows;
  dy += row * classes;
  y += row * classes;
  dx += row * classes;
  real part = 0;
  if (own)
    for (int k = threadIdx.x; k < classes; k += blockDim.x) part += dy[k] * (logarithm ? 1 : y[k]);
  real sum = joined(part, room, Sum());
  if (!own) return;
  for (int k = threadIdx.x; k < classes; k += blockDim.x)
    dx[k] = logarithm ? dy[k] - exp(y[k]) * sum : y[k] * (dy[k] - sum);
}

// The true share of class k in a row: told in full, or by the number of the only true class, of
// which NaN comes where there is no such class.
__device__ __forceinline__ real share(
    const real* truth, const real* numbers, offset row, int k, int classes) {
  if (numbers == 0) return truth[row * classes + k];
  real number = numbers[row];
  if (number >= 0 && number < classes) return k == number;
  return nan("");
}

// loss = -sum of t * log(p) with p = softmax(x); its slope by x is p * sum of t - t.
extern "C" __global__ void __launch_bounds__(THREADS) crossentropy_of_logits(
    const real* x, const real* truth, const real* numbers, real* losses, real* slopes, offset rows,
    int classes) {
  __shared__ real room[THREADS];
  offset row = (offset)blockIdx.x * blockDim.y + threadIdx.y;
  bool own = row < rows;
  x += row * classes;
  slopes += row * classes;
  real sum, largest = powers(x, own, classes, room, &sum), shift = log(sum), loss = 0, told = 0;
  if (own)
    for (int k = threadIdx.x; k < classes; k += blockDim.x) {
      real t = share(truth, numbers, row, k, classes);
      loss -= t * (x[k] - largest - shift);
      told += t;
    }
  loss = joined(loss, room, Sum());
  told = joined(told, room, Sum());
  if (!own) return;
  if (threadIdx.x == 0) losses[row] = loss;
  for (int k = threadIdx.x; k < classes; k += blockDim.x)
    slopes[k] = exp(x[k] - largest) / sum * told - share(truth, numbers, row, k, classes);
}

// The same for p, numbers that are divided by their sum s and kept within [low, high]. With
// w = t / (p/s) where p/s lies within, else 0, the slope by p is (sum of w * p/s - w) / s.
extern "C" __global__ void __launch_bounds__(THREADS) crossentropy_of_shares(
    const real* p, const real* truth, const real* numbers, real* losses, real* slopes, offset rows,
    int classes, real low, real high) {
  __shared__ real room[THREADS];
  offset row = (offset)blockIdx.x * blockDim.y + threadIdx.y;
  bool own = row < rows;
  p += row * classes;
  slopes += row * classes;
  real part = 0, loss = 0, pull = 0;
  if (own)
    for (int k = threadIdx.x; k < classes; k += blockDim.x) part += p[k];
  real sum = joined(part, room, Sum());
  if (own)
    for (int k = threadIdx.x; k < classes; k += blockDim.x) {
      real t = share(truth, numbers, row, k, classes), q = p[k] / sum;
      loss -= t * log(q < low ? low : q > high ? high : q);
      if (low <= q && q <= high) pull += t;  // which is w * p/s
    }
  loss = joined(loss, room, Sum());
  pull = joined(pull, room, Sum());
  if (!own) return;
  if (threadIdx.x == 0) losses[row] = loss;
  for (int k = threadIdx.x; k < classes; k += blockDim.x) {
    real t = share(truth, numbers, row, k, classes), q = p[k] / sum;
    slopes[k] = (pull - (low <= q && q <= high ? t / q : 0)) / sum;
  }
}
