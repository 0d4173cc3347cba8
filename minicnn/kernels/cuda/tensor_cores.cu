// What a warp does in a tile (tile.cu) with tensor cores.
//
// One instruction of a warp multiplies 16 x 8 by 8 x 8 numbers of TF32, which have float's exponent
// and 10 bits behind the point, and adds the products in float. With SPLIT 1 that is all: about
// three digits. With SPLIT 3 each number is a large part and the small rest that TF32 leaves of it;
// large*large + large*rest + rest*large misses only rest*rest, so the result is nearly that of
// float, for three instructions. Option: WARP_ROWS.
//
// Source: NVIDIA, PTX ISA, mma.sync.aligned.m16n8k8 and its fragments; compute capability 8.0.

// A fragment goes down four rows of shared memory at once, whose banks must be eight apart.
const int GAP = 8;

#ifdef __CUDA_ARCH__
__device__ __forceinline__ void mma_m16n8k8(
    float (&sums)[4], const unsigned (&left)[4], const unsigned (&right)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
}
__device__ __forceinline__ unsigned rounded_to_tf32(float value) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}
#endif

// A number as TF32, and what that leaves of it.
template <int COUNT>
struct Parts {
  unsigned large[COUNT];
#if SPLIT == 3
  unsigned rest[COUNT];
#endif
  __device__ __forceinline__ void take(int e, float value) {
    large[e] = rounded_to_tf32(value);
#if SPLIT == 3
    rest[e] = rounded_to_tf32(value - __uint_as_float(large[e]));
#endif
  }
};

// The results of one warp are WARP_ROWS x 32, in pieces of 16 x 8. Of each piece a thread holds two
// neighbours in the row lane / 4 and two in the eighth row below.
struct Sums {
  static const int RUN = 2;
  static const int DOWN = WARP_ROWS / 16, ACROSS = 4, WARPS_DOWN = TILE_ROWS / WARP_ROWS;
  float at[DOWN][ACROSS][4];

  // Sums begin with the bias, where there is one, of the `count` columns that exist.
  __device__ __forceinline__ Sums(const real* bias, int first, int count) {
    first += first_column() + threadIdx.x % 4 * 2;
#pragma unroll
    for (int q = 0; q < ACROSS; ++q)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int column = first + 8 * q + e % 2;
        real start = bias != 0 && column < count ? bias[column] : 0;
#pragma unroll
        for (int p = 0; p < DOWN; ++p) at[p][q][e] = start;
      }
  }
  __device__ __forceinline__ static int first_row() {
    return threadIdx.x / 32 % WARPS_DOWN * WARP_ROWS + threadIdx.x % 32 / 4;
  }
  __device__ __forceinline__ static int first_column() {
    return threadIdx.x / 32 / WARPS_DOWN * 32;
  }

  template <int LEFT, int RIGHT>
  __device__ __forceinline__ void multiply(
      const real (&left)[TILE_DEPTH][LEFT], const real (&right)[TILE_DEPTH][RIGHT]) {
    int row = first_row(), column = first_column() + threadIdx.x % 32 / 4;
    __syncwarp();  // threads may have come by different ways; the instruction is one of the warp
#pragma unroll
    for (int k = 0; k < TILE_DEPTH; k += 8) {
      int mine = k + threadIdx.x % 4;  // of the eight k of an instruction, this thread holds two
      Parts<4> a[DOWN];
      Parts<2> b[ACROSS];
#pragma unroll
      for (int p = 0; p < DOWN; ++p)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          a[p].take(e, left[mine + 4 * (e / 2)][row + 16 * p + 8 * (e % 2)]);
#pragma unroll
      for (int q = 0; q < ACROSS; ++q)
#pragma unroll
        for (int e = 0; e < 2; ++e) b[q].take(e, right[mine + 4 * e][column + 8 * q]);
#pragma unroll
      for (int p = 0; p < DOWN; ++p)
#pragma unroll
        for (int q = 0; q < ACROSS; ++q) {
#if SPLIT == 3
          mma_m16n8k8(at[p][q], a[p].rest, b[q].large);  // the small products first
          mma_m16n8k8(at[p][q], a[p].large, b[q].rest);
#endif
          mma_m16n8k8(at[p][q], a[p].large, b[q].large);
        }
    }
  }

  template <class Store>
  __device__ __forceinline__ void hand_out(const Store& store) const {
    int row = first_row(), column = first_column() + threadIdx.x % 4 * 2;
#pragma unroll
    for (int p = 0; p < DOWN; ++p)
#pragma unroll
      for (int q = 0; q < ACROSS; ++q)
#pragma unroll
        for (int e = 0; e < 4; e += 2) {
          Vector<RUN> run;
          run.at[0] = at[p][q][e];
          run.at[1] = at[p][q][e + 1];
          store(row + 16 * p + 4 * e, column + 8 * q, run);
        }
  }
};
