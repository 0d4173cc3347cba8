// Resizing, as in minicnn/kernels/loops.py. Which pixels enter an output, and with which shares, is
// found once on the host by minicnn.geometry.resize_taps and given as tables for the two axes:
// output o is (1 - share[o]) * x[first[o]] + share[o] * x[second[o]].

struct Tap {
  int first, second;
  real share;
};

// The share of input `at` in an output with this tap.
__device__ __forceinline__ real share_of(const Tap& tap, int at) {
  return (at == tap.first ? 1 - tap.share : 0) + (at == tap.second ? tap.share : 0);
}

__device__ __forceinline__ Tap tap_at(const int* pixels, const real* shares, int out) {
  Tap tap;
  tap.first = pixels[2 * out];
  tap.second = pixels[2 * out + 1];
  tap.share = shares[out];
  return tap;
}

// Tables: pixels (O,2) and shares (O,) of each axis.
extern "C" __global__ void resize2d(
    const real* x, const int* row_pixels, const real* row_shares, const int* column_pixels,
    const real* column_shares, real* y, offset count, int channels, Resize size) {
  offset at = own_number();
  if (at >= count) return;
  Place out = place_of(at, size.out_height, size.out_width, channels);
  Tap row = tap_at(row_pixels, row_shares, out.h);
  Tap column = tap_at(column_pixels, column_shares, out.w);
  real sum = 0;
  for (int a = 0; a < 2; ++a) {
    real down = a == 0 ? 1 - row.share : row.share;
    int h = a == 0 ? row.first : row.second;
    for (int b = 0; b < 2; ++b) {
      real share = down * (b == 0 ? 1 - column.share : column.share);
      int w = b == 0 ? column.first : column.second;
      if (share == 0) continue;  // a pixel that has no share must not bring in its infinity
      sum += share * x[at_pixel(out.n, h, w, size.in_height, size.in_width) * channels + out.c];
    }
  }
  y[at] = sum;
}

// Each input looks at the outputs that it enters: they stand side by side, and the tables `users`
// (N,2) of each axis hold the first one and the one after the last.
extern "C" __global__ void resize2d_gradient(
    const real* dy, const int* row_pixels, const real* row_shares, const int* row_users,
    const int* column_pixels, const real* column_shares, const int* column_users, real* dx,
    offset count, int channels, Resize size) {
  offset at = own_number();
  if (at >= count) return;
  Place in = place_of(at, size.in_height, size.in_width, channels);
  real sum = 0;
  for (int oh = row_users[2 * in.h]; oh < row_users[2 * in.h + 1]; ++oh) {
    real down = share_of(tap_at(row_pixels, row_shares, oh), in.h);
    for (int ow = column_users[2 * in.w]; ow < column_users[2 * in.w + 1]; ++ow) {
      real share = down * share_of(tap_at(column_pixels, column_shares, ow), in.w);
      if (share == 0) continue;
      sum += share * dy[at_pixel(in.n, oh, ow, size.out_height, size.out_width) * channels + in.c];
    }
  }
  dx[at] = sum;
}
