// Pooling and what carries its gradients, as in minicnn/kernels/loops.py: a thread owns one result.

// The largest value of a window and the place h*W + w of the first such. Padding counts as minus
// infinity, a window that lies wholly on it gives `nothing`, which is that, and -1; a NaN is larger
// than every number.
extern "C" __global__ void max_pool2d(
    const real* x, real* values, int* indices, offset count, int channels, real nothing,
    Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place out = place_of(at, g.out_height, g.out_width, channels);
  real largest = nothing;
  int found = -1;
  for (int i = 0; i < g.kernel_height; ++i) {
    int h = out.h * g.stride_height - g.pad_top + i * g.dilation_height;
    for (int j = 0; j < g.kernel_width; ++j) {
      int w = out.w * g.stride_width - g.pad_left + j * g.dilation_width;
      if (!inside(h, w, g.in_height, g.in_width)) continue;
      real value = x[at_pixel(out.n, h, w, g.in_height, g.in_width) * channels + out.c];
      bool first_nan = value != value && largest == largest;
      if (found < 0 || value > largest || first_nan) {
        largest = value;
        found = h * g.in_width + w;
      }
    }
  }
  values[at] = largest;
  indices[at] = found;
}

// Each input looks at the windows that contain it, and takes what is meant for it: `indices` holds
// places inside each output's own window, as max_pool2d finds them. Where truth is given, an
// output's gradient counts where that is positive.
extern "C" __global__ void scatter(
    const real* dy, const real* truth, const int* indices, real* dx, offset count, int channels,
    Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place in = place_of(at, g.in_height, g.in_width, channels);
  int place = in.h * g.in_width + in.w;
  real sum = 0;
  for (int i = g.kernel_height - 1; i >= 0; --i) {  // so that outputs come in row-major order
    int oh = output_over(in.h, i, g.out_height, g.stride_height, g.pad_top, g.dilation_height);
    if (oh < 0) continue;
    for (int j = g.kernel_width - 1; j >= 0; --j) {
      int ow = output_over(in.w, j, g.out_width, g.stride_width, g.pad_left, g.dilation_width);
      if (ow < 0) continue;
      offset from = at_pixel(in.n, oh, ow, g.out_height, g.out_width) * channels + in.c;
      if (indices[from] == place && (truth == 0 || truth[from] > 0)) sum += dy[from];
    }
  }
  dx[at] = sum;
}

// The value at the place that `indices` names; -1 gives zero.
extern "C" __global__ void gather(
    const real* x, const int* indices, real* y, offset count, int channels, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place out = place_of(at, g.out_height, g.out_width, channels);
  offset image = (offset)out.n * g.in_height * g.in_width;
  int place = indices[at];
  y[at] = place < 0 ? 0 : x[(image + place) * channels + out.c];
}

// How many elements of a window lie inside the image along one axis.
__device__ __forceinline__ int counted(
    int out, int size, int kernel, int stride, int pad, int dilation) {
  int count = 0;
  for (int tap = 0; tap < kernel; ++tap) {
    int at = out * stride - pad + tap * dilation;
    count += 0 <= at && at < size;
  }
  return count;
}

__device__ __forceinline__ int window_pixels(int oh, int ow, const Geometry& g) {
  return counted(oh, g.in_height, g.kernel_height, g.stride_height, g.pad_top, g.dilation_height) *
         counted(ow, g.in_width, g.kernel_width, g.stride_width, g.pad_left, g.dilation_width);
}

// The mean of a window; padding is not counted.
extern "C" __global__ void average_pool2d(
    const real* x, real* y, offset count, int channels, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place out = place_of(at, g.out_height, g.out_width, channels);
  real sum = 0;
  int pixels = 0;
  for (int i = 0; i < g.kernel_height; ++i) {
    int h = out.h * g.stride_height - g.pad_top + i * g.dilation_height;
    for (int j = 0; j < g.kernel_width; ++j) {
      int w = out.w * g.stride_width - g.pad_left + j * g.dilation_width;
      if (!inside(h, w, g.in_height, g.in_width)) continue;
      sum += x[at_pixel(out.n, h, w, g.in_height, g.in_width) * channels + out.c];
      ++pixels;
    }
  }
  y[at] = pixels == 0 ? 0 : sum / pixels;
}

// Each input takes its share from every window that contains it.
extern "C" __global__ void average_pool2d_gradient(
    const real* dy, real* dx, offset count, int channels, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place in = place_of(at, g.in_height, g.in_width, channels);
  real sum = 0;
  for (int i = g.kernel_height - 1; i >= 0; --i) {
    int oh = output_over(in.h, i, g.out_height, g.stride_height, g.pad_top, g.dilation_height);
    if (oh < 0) continue;
    for (int j = g.kernel_width - 1; j >= 0; --j) {
      int ow = output_over(in.w, j, g.out_width, g.stride_width, g.pad_left, g.dilation_width);
      if (ow < 0) continue;
      offset from = at_pixel(in.n, oh, ow, g.out_height, g.out_width) * channels + in.c;
      sum += dy[from] / window_pixels(oh, ow, g);
    }
  }
  dx[at] = sum;
}

// The gradient before a ReLU: it counts where the result, `truth`, is positive.
extern "C" __global__ void relu_gradient(
    const real* dy, const real* truth, real* dx, offset count) {
  offset at = own_number();
  if (at >= count) return;
  dx[at] = truth[at] > 0 ? dy[at] : 0;
}
