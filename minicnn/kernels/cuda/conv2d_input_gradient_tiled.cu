// The gradient by the images as tiles of a matrix product; tile.cu tells the ideas. The matrices
// are not stored: their numbers are found in the arrays. Blocks stand along x for the rows, along
// y for the columns and along z for the groups and the residue classes.

// The inputs along one axis that have the same rest when divided by the stride: the same kernel
// elements meet them, `taps` of them, each `step` after the last, and from input to input the
// window of dy moves by one. So a stride splits the gradient into problems without one.
struct Residue {
  int first, inputs;     // the first input, and how many there are
  int tap, step, taps;   // the kernel elements that meet them
  int start, back;       // the output under the first element, and how far back the next one looks
};

__device__ __forceinline__ Residue residue_of(
    int rest, int size, int kernel, int stride, int pad, int dilation) {
  Residue found = {((rest - pad) % stride + stride) % stride, 0, 0, 1, 0, 0, 0};
  if (found.first < size) found.inputs = (size - 1 - found.first) / stride + 1;
  for (int tap = 0; tap < kernel; ++tap) {
    if (tap * dilation % stride != rest) continue;
    if (found.taps == 0) found.tap = tap;
    if (found.taps == 1) found.step = tap - found.tap;
    ++found.taps;
  }
  found.start = (found.first + pad - found.tap * dilation) / stride;
  found.back = found.step * dilation / stride;
  return found;
}

// The kernel with its channels as columns: down stand (tap row, tap column, filter), where the
// filters are neighbours in memory.
struct TurnedKernel {
  const real* first;  // of this group's filters
  int group_channels, filters, group_filters, width, columns;
  Residue down, across;

  typedef int Line;
  __device__ __forceinline__ Line line(int column) const { return column; }
  __device__ __forceinline__ Vector<RIGHT_VECTOR> read(int c, int k) const {
    int tap = k / group_filters, f = k % group_filters;
    if (c < columns && tap < down.taps * across.taps) {
      int i = down.tap + tap / across.taps * down.step;
      int j = across.tap + tap % across.taps * across.step;
      offset row = (offset)(i * width + j) * group_channels + c;
      return *(const Vector<RIGHT_VECTOR>*)(first + row * filters + f);
    }
    Vector<RIGHT_VECTOR> zeros = {};
    return zeros;
  }
};

// dx[pixel, c] = sum of dy[pixel's outputs, k] * kernel[c, k], for the inputs of one residue class
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_input_gradient_tiled(
    const real* __restrict__ dy, const real* __restrict__ kernel, const real* __restrict__ bias,
    real* __restrict__ dx, int images, int channels, int filters, int relu, Geometry g) {
  __shared__ Tiles tiles;
  int group_channels = channels / g.groups, group_filters = filters / g.groups;
  int group = blockIdx.z % g.groups;
  int residue = blockIdx.z / g.groups;
  Residue down = residue_of(residue / g.stride_width, g.in_height, g.kernel_height, g.stride_height,
                            g.pad_top, g.dilation_height);
  Residue across = residue_of(residue % g.stride_width, g.in_width, g.kernel_width, g.stride_width,
                              g.pad_left, g.dilation_width);
  offset pixels = (offset)images * down.inputs * across.inputs;
  offset row = (offset)blockIdx.x * TILE_ROWS;
  if (row >= pixels) return;  // the whole block: classes differ in size by a row or a column
  Windows windows = {
      dy, g.out_height, g.out_width, filters, group * group_filters, group_filters, down.taps,
      across.taps,
      -down.back, -across.back, down.inputs, across.inputs, down.start, across.start, 1, 1, pixels};
  TurnedKernel weights = {
      kernel + group * group_filters, group_channels, filters, group_filters, g.kernel_width,
      group_channels, down, across};
  int column = blockIdx.y * TILE_COLUMNS;
  Courier<Windows, TILE_ROWS, LEFT_VECTOR, true> left(windows, row);
  Courier<TurnedKernel, TILE_COLUMNS, RIGHT_VECTOR, true> right(weights, column);
  Sums sums(bias == 0 ? 0 : bias + group * group_channels, column, group_channels);
  contract(tiles, left, right, down.taps * across.taps * group_filters, sums);
  Results results = {dx + group * group_channels, channels, group_channels, relu};
  sums.hand_out([&](int r, int c, const Vector<Sums::RUN>& run) {
    if (row + r >= pixels) return;
    Place place = place_of(row + r, down.inputs, across.inputs, 1);
    int h = down.first + place.h * g.stride_height, w = across.first + place.w * g.stride_width;
    results.write(at_pixel(place.n, h, w, g.in_height, g.in_width), column + c, run);
  });
}
