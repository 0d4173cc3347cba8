// What a thread does in a tile (tile.cu) with ordinary arithmetic: THREAD_ROWS x THREAD_COLUMNS
// results in its registers, so each number from shared memory enters that many products.

// Whole vectors, so that the rows of shared memory stay aligned.
const int GAP = WIDE;

// The results of one thread. They stand in pieces of WIDE x WIDE, spread over the tile: then the
// threads of a warp read neighbouring vectors of shared memory, one after the other.
struct Sums {
  static const int RUN = WIDE;  // neighbouring results that a thread holds
  static const int ACROSS = TILE_COLUMNS / THREAD_COLUMNS, DOWN = TILE_ROWS / THREAD_ROWS;
  real at[THREAD_ROWS][THREAD_COLUMNS];

  // Sums begin with the bias, where there is one, of the `count` columns that exist.
  __device__ __forceinline__ Sums(const real* bias, int first, int count) {
#pragma unroll
    for (int c = 0; c < THREAD_COLUMNS; ++c) {
      real start = bias != 0 && first + column(c) < count ? bias[first + column(c)] : 0;
#pragma unroll
      for (int r = 0; r < THREAD_ROWS; ++r) at[r][c] = start;
    }
  }
  __device__ __forceinline__ static int row(int r) {
    return (r / WIDE * DOWN + threadIdx.x / ACROSS) * WIDE + r % WIDE;
  }
  __device__ __forceinline__ static int column(int c) {
    return (c / WIDE * ACROSS + threadIdx.x % ACROSS) * WIDE + c % WIDE;
  }

  template <int LEFT, int RIGHT>
  __device__ __forceinline__ void multiply(
      const real (&left)[TILE_DEPTH][LEFT], const real (&right)[TILE_DEPTH][RIGHT]) {
#pragma unroll
    for (int k = 0; k < TILE_DEPTH; ++k) {
      Vector<WIDE> rows[THREAD_ROWS / WIDE], columns[THREAD_COLUMNS / WIDE];
#pragma unroll
      for (int r = 0; r < THREAD_ROWS / WIDE; ++r)
        rows[r] = *(const Vector<WIDE>*)&left[k][row(r * WIDE)];
#pragma unroll
      for (int c = 0; c < THREAD_COLUMNS / WIDE; ++c)
        columns[c] = *(const Vector<WIDE>*)&right[k][column(c * WIDE)];
#pragma unroll
      for (int r = 0; r < THREAD_ROWS; ++r)
#pragma unroll
        for (int c = 0; c < THREAD_COLUMNS; ++c)
          at[r][c] += rows[r / WIDE].at[r % WIDE] * columns[c / WIDE].at[c % WIDE];
    }
  }

  // Hand every run of neighbouring results to `store(row, column, run)`.
  template <class Store>
  __device__ __forceinline__ void hand_out(const Store& store) const {
#pragma unroll
    for (int r = 0; r < THREAD_ROWS; ++r)
#pragma unroll
      for (int c = 0; c < THREAD_COLUMNS; c += RUN) {
        Vector<RUN> run;
#pragma unroll
        for (int e = 0; e < RUN; ++e) run.at[e] = at[r][c + e];
        store(row(r), column(c), run);
      }
  }
};
