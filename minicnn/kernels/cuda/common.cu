// What every kernel file begins with: the type of its numbers, the sizes, and the way from the
// number of a thread to the output that it owns. The options say -DREAL=float or double, and
// -DOFFSET=int, or long long where an array has 2**31 numbers or more: its divisions take longer.

typedef REAL real;
typedef OFFSET offset;  // a place in an array

const int WIDE = 16 / sizeof(real);  // the numbers that one instruction can move

// Numbers that move together: the alignment lets one instruction do it.
template <int COUNT>
struct alignas(COUNT * sizeof(real)) Vector {
  real at[COUNT];
};

// The integers of minicnn/geometry.py, under the same names and in the same order.
struct Geometry {
  int in_height, in_width, out_height, out_width;
  int kernel_height, kernel_width, stride_height, stride_width;
  int pad_top, pad_bottom, pad_left, pad_right;
  int dilation_height, dilation_width, groups;
};

struct Resize {
  int in_height, in_width, out_height, out_width;
};

// One number of a batch of images (N,H,W,C).
struct Place {
  int n, h, w, c;
};

// The number of this thread among all threads of the launch. The launch rounds their number up to
// whole blocks, so each kernel first asks whether its thread has an output at all.
__device__ __forceinline__ offset own_number() {
  return (offset)blockIdx.x * blockDim.x + threadIdx.x;
}

// The reverse of at = ((n*height + h)*width + w)*channels + c.
__device__ __forceinline__ Place place_of(offset at, int height, int width, int channels) {
  Place place;
  place.c = (int)(at % channels);
  at /= channels;
  place.w = (int)(at % width);
  at /= width;
  place.h = (int)(at % height);
  place.n = (int)(at / height);
  return place;
}

__device__ __forceinline__ offset at_pixel(int n, int h, int w, int height, int width) {
  return ((offset)n * height + h) * width + w;
}

__device__ __forceinline__ bool inside(int h, int w, int height, int width) {
  return 0 <= h && h < height && 0 <= w && w < width;
}

// The output whose window has its kernel element `tap` on the input `at`, along one axis, or -1:
// the reverse of at = out*stride - pad + tap*dilation.
__device__ __forceinline__ int output_over(
    int at, int tap, int outputs, int stride, int pad, int dilation) {
  int start = at + pad - tap * dilation;
  if (start < 0 || start % stride != 0 || start / stride >= outputs) return -1;
  return start / stride;
}
