// Convolution as tiles of a matrix product; tile.cu tells the ideas. The matrices are
// not stored: their numbers are found in the arrays. Blocks stand along x for the rows, along y for
// the columns and along z for the groups.

// y[pixel, f] = sum of window[pixel, k] * kernel[k, f]
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_tiled(
    const real* __restrict__ x, const real* __restrict__ kernel, const real* __restrict__ bias,
    real* __restrict__ y, int images, int channels, int filters, int relu, Geometry g) {
  __shared__ Tiles tiles;
  int group_channels = channels / g.groups, group_filters = filters / g.groups, group = blockIdx.z;
  int taps = g.kernel_height * g.kernel_width;
  offset pixels = (offset)images * g.out_height * g.out_width;
  Windows windows = {
      x, g.in_height, g.in_width, channels, group * group_channels, group_channels,
      g.kernel_height, g.kernel_width,
      g.dilation_height, g.dilation_width, g.out_height, g.out_width, -g.pad_top, -g.pad_left,
      g.stride_height, g.stride_width, pixels};
  Rows weights = {kernel + group * group_filters, filters, group_filters, taps * group_channels};
  offset row = (offset)blockIdx.x * TILE_ROWS;
  int column = blockIdx.y * TILE_COLUMNS;
  Courier<Windows, TILE_ROWS, LEFT_VECTOR, true> left(windows, row);
  Courier<Rows, TILE_COLUMNS, RIGHT_VECTOR, false> right(weights, column);
  Sums sums(bias == 0 ? 0 : bias + group * group_filters, column, group_filters);
  contract(tiles, left, right, taps * group_channels, sums);
  Results results = {y + group * group_filters, filters, group_filters, relu};
  sums.hand_out([&](int r, int c, const Vector<Sums::RUN>& run) {
    if (row + r < pixels) results.write(row + r, column + c, run);
  });
}
