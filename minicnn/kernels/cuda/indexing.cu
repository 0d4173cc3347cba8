// Sums by place: many rows go to few places, and each place adds its own.
//
// The rows are told in the order of their places, so those of one place are neighbours; a thread
// that owns a number of the result finds the first of them by halving, and adds them one after the
// other. Rows of one place keep their order, so two runs give the same bits.

// result[p,c] = sum of values[order[i],c] over all i with places[i] = p; places are sorted
extern "C" __global__ void add_at(
    const real* values, const long long* order, const long long* places, real* result,
    offset count, offset rows, int channels) {
  offset at = own_number();
  if (at >= count) return;
  offset place = at / channels, c = at % channels;
  offset first = 0, end = rows;
  while (first < end) {
    offset middle = first + (end - first) / 2;
    if (places[middle] < place) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  real sum = 0;
  for (offset i = first; i < rows && places[i] == place; ++i) {
    sum += values[order[i] * channels + c];
  }
  result[at] = sum;
}
