// Several arrays end to end.

// Where the arrays are, and at which place of the row each begins.
struct Pieces {
  const real* at[PIECES];
  offset first[PIECES];
};

// row[i] is a number of the last piece that begins at i or before; its thread finds it by halving.
extern "C" __global__ void join(const Pieces pieces, int count, real* row, offset length) {
  offset at = own_number();
  if (at >= length) return;
  int piece = 0, end = count;
  while (end - piece > 1) {
    int middle = (piece + end) / 2;
    if (pieces.first[middle] <= at) {
      piece = middle;
    } else {
      end = middle;
    }
  }
  row[at] = pieces.at[piece][at - pieces.first[piece]];
}
