// The windows of `count / row` outputs from `first` on, side by side as rows of a matrix
// (outputs, KH*KW*C/groups), for one group: what turns a convolution into a matrix product.
extern "C" __global__ void windows(
    const real* x, real* rows, offset count, offset first, int channels, int group, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  int mine = channels / g.groups;
  Place tap = place_of(at, g.kernel_height, g.kernel_width, mine);  // n, h, w, c: output, i, j, c
  Place out = place_of(first + tap.n, g.out_height, g.out_width, 1);
  int h = out.h * g.stride_height - g.pad_top + tap.h * g.dilation_height;
  int w = out.w * g.stride_width - g.pad_left + tap.w * g.dilation_width;
  real value = 0;
  if (inside(h, w, g.in_height, g.in_width)) {
    offset pixel = at_pixel(out.n, h, w, g.in_height, g.in_width);
    value = x[pixel * channels + group * mine + tap.c];
  }
  rows[at] = value;
}
