// The three maps of convolution, as in minicnn/kernels/loops.py: a thread owns one result, looks up
// every product that belongs to it, and adds them in a fixed order. No thread writes where another
// one does, so nothing has to be atomic and two runs give the same bits.
//
//   conv2d                   y[n,oh,ow,f]  = sum of x[n,h,w,c] * k[i,j,c,f]    over i, j, c
//   conv2d_input_gradient    dx[n,h,w,c]   = sum of dy[n,oh,ow,f] * k[i,j,c,f]  over i, j, f
//   conv2d_kernel_gradient   dk[i,j,c,f]   = sum of x[n,h,w,c] * dy[n,oh,ow,f]  over n, oh, ow
//
// where h = oh*S - P + i*D, and the same for w. Images are (N,H,W,C), kernels (KH,KW,C/groups,F). A
// sum begins with the bias, where there is one, and may end with a ReLU.

extern "C" __global__ void conv2d(
    const real* x, const real* kernel, const real* bias, real* y, offset count, int channels,
    int filters, int relu, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place out = place_of(at, g.out_height, g.out_width, filters);
  int f = out.c, group_channels = channels / g.groups;
  int first = f / (filters / g.groups) * group_channels;  // of the channels that f sees
  real sum = bias == 0 ? 0 : bias[f];
  for (int i = 0; i < g.kernel_height; ++i) {
    int h = out.h * g.stride_height - g.pad_top + i * g.dilation_height;
    for (int j = 0; j < g.kernel_width; ++j) {
      int w = out.w * g.stride_width - g.pad_left + j * g.dilation_width;
      if (!inside(h, w, g.in_height, g.in_width)) continue;
      const real* pixel = x + at_pixel(out.n, h, w, g.in_height, g.in_width) * channels + first;
      const real* weight = kernel + (offset)(i * g.kernel_width + j) * group_channels * filters + f;
      for (int c = 0; c < group_channels; ++c) sum += pixel[c] * weight[(offset)c * filters];
    }
  }
  y[at] = relu && sum < 0 ? 0 : sum;
}

// Each input asks which windows contain it. With a bias and a ReLU this is the layer that is called
// transposed convolution.
extern "C" __global__ void conv2d_input_gradient(
    const real* dy, const real* kernel, const real* bias, real* dx, offset count, int channels,
    int filters, int relu, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  Place in = place_of(at, g.in_height, g.in_width, channels);
  int group_channels = channels / g.groups, group_filters = filters / g.groups;
  int first = in.c / group_channels * group_filters;  // of the filters that see the channel
  real sum = bias == 0 ? 0 : bias[in.c];
  for (int i = 0; i < g.kernel_height; ++i) {
    int oh = output_over(in.h, i, g.out_height, g.stride_height, g.pad_top, g.dilation_height);
    if (oh < 0) continue;
    for (int j = 0; j < g.kernel_width; ++j) {
      int ow = output_over(in.w, j, g.out_width, g.stride_width, g.pad_left, g.dilation_width);
      if (ow < 0) continue;
      offset pixel = at_pixel(in.n, oh, ow, g.out_height, g.out_width);
      const real* slope = dy + pixel * filters + first;
      offset row = (offset)(i * g.kernel_width + j) * group_channels + in.c % group_channels;
      const real* weight = kernel + row * filters + first;
      for (int f = 0; f < group_filters; ++f) sum += slope[f] * weight[f];
    }
  }
  dx[at] = relu && sum < 0 ? 0 : sum;
}

// A kernel has few elements and each is a sum over all pixels of all images: a thread for each
// element would leave most of the card idle. So the outputs are cut into parts of `length` pixels,
// a thread owns the sum of one element over one part, and add_parts adds the parts in their order.
extern "C" __global__ void conv2d_kernel_gradient(
    const real* x, const real* dy, real* parts, offset count, offset pixels, offset length,
    int channels, int filters, Geometry g) {
  offset at = own_number();
  if (at >= count) return;
  int group_channels = channels / g.groups;
  offset elements = (offset)g.kernel_height * g.kernel_width * group_channels * filters;
  offset part = at / elements, element = at % elements;
  // Its n, h, w, c are i, j, c, f.
  Place tap = place_of(element, g.kernel_width, group_channels, filters);
  int i = tap.n, j = tap.h, f = tap.c;
  int c = f / (filters / g.groups) * group_channels + tap.w;
  offset last = (part + 1) * length < pixels ? (part + 1) * length : pixels;
  real sum = 0;
  for (offset pixel = part * length; pixel < last; ++pixel) {
    Place out = place_of(pixel, g.out_height, g.out_width, 1);
    int h = out.h * g.stride_height - g.pad_top + i * g.dilation_height;
    int w = out.w * g.stride_width - g.pad_left + j * g.dilation_width;
    if (!inside(h, w, g.in_height, g.in_width)) continue;
    sum += x[at_pixel(out.n, h, w, g.in_height, g.in_width) * channels + c] *
           dy[pixel * filters + f];
  }
  parts[at] = sum;
}

// The second pass: total[e] = parts[0,e] + parts[1,e] + ..., in double precision.
extern "C" __global__ void add_parts(const real* parts, real* total, offset elements, int count) {
  offset at = own_number();
  if (at >= elements) return;
  double sum = 0;
  for (int part = 0; part < count; ++part) sum += parts[part * elements + at];
  total[at] = (real)sum;
}

// A bias and a ReLU in place, for convolutions that are matrix products of another library.
extern "C" __global__ void finish(real* y, const real* bias, offset count, int channels, int relu) {
  offset at = own_number();
  if (at >= count) return;
  real sum = y[at] + (bias == 0 ? 0 : bias[at % channels]);
  y[at] = relu && sum < 0 ? 0 : sum;
}
