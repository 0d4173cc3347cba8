// The gradient by the kernel as tiles of a matrix product; tile.cu tells the ideas. The matrices
// are not stored: their numbers are found in the arrays. Blocks stand along x for the rows, along
// y for the columns and along z for the groups and the parts.

// The images with (i, j, c) as rows and the outputs of one part along k.
struct Taps {
  const real* x;
  Geometry g;
  int channels, first, group_channels;
  offset begin, end;  // the outputs of this part

  struct Line {
    int h, w, c;  // from the window's first pixel; c < 0 if there is no such row
  };

  __device__ __forceinline__ Line line(int row) const {
    // Its h, w, c are i, j, c.
    Place tap = place_of(row, g.kernel_height, g.kernel_width, group_channels);
    Line found = {tap.h * g.dilation_height - g.pad_top, tap.w * g.dilation_width - g.pad_left,
                  tap.n == 0 ? first + tap.c : -1};
    return found;
  }

  __device__ __forceinline__ Vector<LEFT_VECTOR> read(const Line& line, int k) const {
    offset pixel = begin + k;
    if (line.c >= 0 && pixel < end) {
      Place out = place_of(pixel, g.out_height, g.out_width, 1);
      int h = out.h * g.stride_height + line.h, w = out.w * g.stride_width + line.w;
      if (inside(h, w, g.in_height, g.in_width)) {
        offset at = at_pixel(out.n, h, w, g.in_height, g.in_width) * channels + line.c;
        return *(const Vector<LEFT_VECTOR>*)(x + at);
      }
    }
    Vector<LEFT_VECTOR> zeros = {};
    return zeros;
  }
};

// part[(i,j,c), f] = sum of x[(i,j,c), pixel] * dy[pixel, f] over the pixels of one part; add_parts
// in conv2d.cu adds the parts in their order.
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_kernel_gradient_tiled(
    const real* __restrict__ x, const real* __restrict__ dy, real* __restrict__ parts,
    offset pixels, offset length, int channels, int filters, Geometry g) {
  __shared__ Tiles tiles;
  int group_channels = channels / g.groups, group_filters = filters / g.groups;
  int group = blockIdx.z % g.groups;
  int part = blockIdx.z / g.groups, rows = g.kernel_height * g.kernel_width * group_channels;
  offset begin = part * length, end = begin + length < pixels ? begin + length : pixels;
  Taps taps = {x, g, channels, group * group_channels, group_channels, begin, end};
  Rows slopes = {dy + begin * filters + group * group_filters, filters, group_filters, end - begin};
  int row = blockIdx.x * TILE_ROWS, column = blockIdx.y * TILE_COLUMNS;
  Courier<Taps, TILE_ROWS, LEFT_VECTOR, false> left(taps, row);
  Courier<Rows, TILE_COLUMNS, RIGHT_VECTOR, false> right(slopes, column);
  Sums sums(0, column, group_filters);
  contract(tiles, left, right, (int)(end - begin), sums);
  real* first = parts + (offset)part * rows * filters + group * group_filters;
  Results results = {first, filters, group_filters, 0};
  sums.hand_out([&](int r, int c, const Vector<Sums::RUN>& run) {
    if (row + r < rows) results.write(row + r, column + c, run);
  });
}
