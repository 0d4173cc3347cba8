// One tile of a matrix product, which all three maps of convolution are:
//
//   result[row, column] = sum of left[row, k] * right[k, column] over k
//
// A block of threads computes TILE_ROWS x TILE_COLUMNS results. The ideas, one by one:
//
//   shared memory     each number of a tile's operands is wanted by many threads of the block: they
//                     fetch it once from global memory, TILE_DEPTH values of k at a time
//   register tile     a thread computes many results, so each number that it reads from shared
//                     memory enters several products
//   vector loads      four floats, or two doubles, travel in one instruction of 16 bytes
//   double buffering  while the block multiplies one piece of shared memory, the numbers of the
//                     next one are on their way to registers; with two buffers, one barrier for
//                     each piece is enough
//
// Options: TILE_ROWS, TILE_COLUMNS, TILE_DEPTH and THREADS, all powers of two; LEFT_VECTOR,
// RIGHT_VECTOR and RESULT_VECTOR: how many neighbouring numbers of each array move at once. The
// multiplication itself, and who holds which results, is `Sums` in register_tile.cu or
// tensor_cores.cu, one of which stands before this file.

// Rows of shared memory are a little longer than the tile (GAP): otherwise the threads of a warp,
// when they go down a column, would all meet the same memory bank and wait for each other.
struct alignas(16) Tiles {
  real left[2][TILE_DEPTH][TILE_ROWS + GAP];
  real right[2][TILE_DEPTH][TILE_COLUMNS + GAP];
};

// One operand on its way from global memory to registers, and on to shared memory. A Source says
// where the numbers are: `line(r)` is what it remembers of one row (or column), `read(line, k)`
// returns neighbouring numbers, zeros where there are none. They are neighbours along k if
// ALONG_DEPTH, otherwise along the row or column.
template <class Source, int LENGTH, int VECTOR, bool ALONG_DEPTH>
struct Courier {
  static const int VECTORS = LENGTH * TILE_DEPTH / VECTOR;
  static const int LOADS = VECTORS < THREADS ? 1 : VECTORS / THREADS;  // of each thread
  static const int ACROSS = (ALONG_DEPTH ? TILE_DEPTH : LENGTH) / VECTOR;
  const Source& source;
  typename Source::Line lines[LOADS];
  Vector<VECTOR> carried[LOADS];

  __device__ __forceinline__ Courier(const Source& from, offset first) : source(from) {
#pragma unroll
    for (int load = 0; load < LOADS; ++load) lines[load] = source.line(first + along(load));
  }

  // Neighbouring threads fetch neighbouring vectors: together they read whole lines of memory.
  __device__ __forceinline__ int along(int load) const {
    unsigned vector = threadIdx.x + load * THREADS;
    return ALONG_DEPTH ? vector / ACROSS : vector % ACROSS * VECTOR;
  }
  __device__ __forceinline__ int depth(int load) const {
    unsigned vector = threadIdx.x + load * THREADS;
    return ALONG_DEPTH ? vector % ACROSS * VECTOR : vector / ACROSS;
  }

  __device__ __forceinline__ bool idle() const {
    return VECTORS < THREADS && threadIdx.x >= VECTORS;
  }

  __device__ __forceinline__ void fetch(int k) {
    if (idle()) return;
#pragma unroll
    for (int load = 0; load < LOADS; ++load)
      carried[load] = source.read(lines[load], k + depth(load));
  }

  // Shared memory always lies along the row or column, so what lay along k is turned here.
  template <int PITCH>
  __device__ __forceinline__ void put(real (&tile)[TILE_DEPTH][PITCH]) const {
    if (idle()) return;
#pragma unroll
    for (int load = 0; load < LOADS; ++load) {
      if (ALONG_DEPTH) {
#pragma unroll
        for (int e = 0; e < VECTOR; ++e) tile[depth(load) + e][along(load)] = carried[load].at[e];
      } else {
        *(Vector<VECTOR>*)&tile[depth(load)][along(load)] = carried[load];
      }
    }
  }
};

// Add the products for all k below `depth` to the sums of every thread of the block.
template <class Left, class Right>
__device__ __forceinline__ void contract(
    Tiles& tiles, Left& left, Right& right, int depth, Sums& sums) {
  if (depth <= 0) return;
  left.fetch(0);
  right.fetch(0);
  left.put(tiles.left[0]);
  right.put(tiles.right[0]);
  __syncthreads();
  int now = 0;
  for (int k = 0; k < depth; k += TILE_DEPTH) {
    bool more = k + TILE_DEPTH < depth;
    if (more) {  // on their way while the block multiplies
      left.fetch(k + TILE_DEPTH);
      right.fetch(k + TILE_DEPTH);
    }
    sums.multiply(tiles.left[now], tiles.right[now]);
    if (more) {  // nobody reads this buffer: the barrier below ended its use one piece ago
      left.put(tiles.left[1 - now]);
      right.put(tiles.right[1 - now]);
    }
    __syncthreads();
    now = 1 - now;
  }
}

// Where a tile's results go: rows of `pitch` numbers, of which `columns` belong to this product.
struct Results {
  real* first;
  offset pitch;
  int columns, relu;

  // Write a run of results of one row, as vectors where rows consist of whole ones.
  template <int RUN>
  __device__ __forceinline__ void write(offset row, int column, const Vector<RUN>& run) const {
    const int TOGETHER = RESULT_VECTOR < RUN ? RESULT_VECTOR : RUN;
#pragma unroll
    for (int e = 0; e < RUN; e += TOGETHER) {
      if (column + e >= columns) return;
      Vector<TOGETHER> part;
#pragma unroll
      for (int i = 0; i < TOGETHER; ++i) {
        real value = run.at[e + i];
        part.at[i] = relu && value < 0 ? 0 : value;
      }
      *(Vector<TOGETHER>*)(first + row * pitch + column + e) = part;
    }
  }
};

// Images as a matrix: its rows are pixels, and along k stand the numbers of the pixel's window,
// (tap row, tap column, channel). Forward, a window goes right and down from its first pixel;
// backward, where dy is looked up for one input, it goes left and up: the steps are negative.
struct Windows {
  const real* x;
  int height, width, channels;    // of the images
  int first, group_channels;                // the channels of this group
  int taps_height, taps_width;
  int step_height, step_width;    // from tap to tap
  int rows_height, rows_width;    // pixels of one image that are rows of the matrix
  int start_height, start_width;  // where the first row's window begins
  int jump_height, jump_width;    // from row to row
  offset rows;

  struct Line {
    offset image;
    int h, w;
  };

  __device__ __forceinline__ Line line(offset row) const {
    Line found;
    Place place = place_of(row, rows_height, rows_width, 1);
    found.image = (offset)place.n * height * width;
    // A row beyond the last one looks far outside of its image, where all numbers are zero.
    found.h = row < rows ? start_height + place.h * jump_height : -(1 << 29);
    found.w = start_width + place.w * jump_width;
    return found;
  }

  __device__ __forceinline__ Vector<LEFT_VECTOR> read(const Line& line, int k) const {
    int tap = k / group_channels, c = k % group_channels;
    int h = line.h + tap / taps_width * step_height, w = line.w + tap % taps_width * step_width;
    if (tap < taps_height * taps_width && inside(h, w, height, width)) {
      const real* pixel = x + (line.image + (offset)h * width + w) * channels;
      return *(const Vector<LEFT_VECTOR>*)(pixel + first + c);
    }
    Vector<LEFT_VECTOR> zeros = {};
    return zeros;
  }
};

// Rows of numbers as they lie in memory, k down and columns along.
struct Rows {
  const real* first;
  offset pitch;
  int columns;
  offset depth;

  typedef int Line;
  __device__ __forceinline__ Line line(int column) const { return column; }
  __device__ __forceinline__ Vector<RIGHT_VECTOR> read(int column, int k) const {
    if (column < columns && k < depth)
      return *(const Vector<RIGHT_VECTOR>*)(first + k * pitch + column);
    Vector<RIGHT_VECTOR> zeros = {};
    return zeros;
  }
};
