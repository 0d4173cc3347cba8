/* Settings to start from, and patterns with which to fill arrays. No document is needed. */
"use strict";

const minicnnPresets = (() => {
  const { START } = minicnnState;
  const { transposed } = minicnnNumbers;

  /** An image (1,H,W,C) from the matrices of its channels. */
  function image(...matrices) {
    const shape = [matrices.length, matrices[0].length, matrices[0][0].length];
    const array = transposed({ shape, values: matrices.flat(2) }, [1, 2, 0]);
    return { shape: [1, ...array.shape], values: array.values };
  }

  /** A kernel (KH,KW,third,fourth) from lists of matrices, filter by filter. */
  function kernel(...filters) {
    const [matrix] = filters[0];
    const shape = [filters.length, filters[0].length, matrix.length, matrix[0].length];
    return transposed({ shape, values: filters.flat(3) }, [2, 3, 1, 0]);
  }

  const counted = image([
    [0, 1, 2],
    [3, 4, 5],
    [6, 7, 8],
  ]);
  const squares = image([
    [0, 1],
    [2, 3],
  ]);
  const step = image([
    [0, 0, 0, 9, 9, 9, 9],
    [0, 0, 0, 9, 9, 9, 9],
    [0, 0, 0, 9, 9, 9, 9],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
  ]);
  const spot = image([
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 16, 0, 0, 0, 0],
    [0, 0, 0, 0, 16, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
  ]);
  const ramp = (rows, columns, start = 1) =>
    Array.from({ length: rows }, (_, r) =>
      Array.from({ length: columns }, (_, c) => start + r * columns + c),
    );
  const waves = (rows, columns) =>
    Array.from({ length: rows }, (_, r) =>
      Array.from({ length: columns }, (_, c) => (r * r + 2 * c * c) % 10),
    );
  const ones = (rows, columns) => Array.from({ length: rows }, () => Array(columns).fill(1));
  const pooled = image([
    [1, 3, 2, 9],
    [5, 4, 1, 1],
    [5, 8, 2, 3],
    [4, 2, 1, 0],
  ]);

  const twoFilters = {
    input: image(
      [
        [2, 0, 0, 0, 0],
        [2, 2, 2, 1, 0],
        [2, 1, 1, 2, 2],
        [1, 1, 1, 2, 2],
        [0, 0, 1, 0, 0],
      ],
      [
        [1, 1, 1, 2, 1],
        [1, 2, 1, 0, 0],
        [1, 2, 0, 2, 1],
        [2, 0, 1, 1, 1],
        [1, 1, 1, 2, 2],
      ],
      [
        [0, 0, 0, 2, 0],
        [2, 1, 1, 1, 2],
        [1, 1, 2, 0, 2],
        [1, 2, 1, 2, 0],
        [0, 0, 0, 2, 1],
      ],
    ),
    kernel: kernel(
      [
        [
          [1, -1, 0],
          [1, 1, 1],
          [0, 1, 1],
        ],
        [
          [1, 1, 0],
          [-1, -1, 1],
          [1, -1, -1],
        ],
        [
          [1, -1, 1],
          [-1, 0, 1],
          [1, 1, 1],
        ],
      ],
      [
        [
          [-1, 1, 0],
          [1, -1, -1],
          [0, 1, 1],
        ],
        [
          [0, -1, -1],
          [0, -1, 0],
          [0, 1, 1],
        ],
        [
          [0, -1, -1],
          [0, 0, 0],
          [-1, 1, 0],
        ],
      ],
    ),
  };

  /** Each preset: its name, and in what it differs from the state at the start. */
  const PRESETS = [
    ["3×3 with 2×2", {}],
    [
      "Sobel",
      {
        input: step,
        kernel: kernel([
          [
            [-1, -2, -1],
            [0, 0, 0],
            [1, 2, 1],
          ],
        ]),
        padding: "same",
      },
    ],
    [
      "Blur",
      {
        input: spot,
        kernel: kernel([
          [
            [1, 2, 1],
            [2, 4, 2],
            [1, 2, 1],
          ].map((row) => row.map((v) => v / 16)),
        ]),
        padding: "same",
      },
    ],
    [
      "Sharpen",
      {
        input: step,
        kernel: kernel([
          [
            [0, -1, 0],
            [-1, 5, -1],
            [0, -1, 0],
          ],
        ]),
        padding: "same",
      },
    ],
    [
      "Two filters, 5×5×3",
      {
        ...twoFilters,
        filters: 2,
        bias: [1, 0],
        strides: [2, 2],
        padding: [
          [1, 1],
          [1, 1],
        ],
      },
    ],
    [
      "True convolution",
      {
        input: spot,
        kernel: kernel([
          [
            [1, 2, 3],
            [4, 5, 6],
          ],
        ]),
        turned: true,
      },
    ],
    [
      "Dilated",
      {
        input: image(waves(7, 8)),
        kernel: kernel([
          [
            [1, 0, -1],
            [2, 0, -2],
            [1, 0, -1],
          ],
        ]),
        dilation: [2, 2],
      },
    ],
    [
      "Grouped",
      {
        input: image(ramp(3, 4), ones(3, 4), waves(3, 4), ramp(3, 4, -5)),
        kernel: kernel(
          [
            [
              [1, 0],
              [0, 1],
            ],
            [
              [1, 2],
              [0, 0],
            ],
          ],
          [
            [
              [0, 1],
              [1, 0],
            ],
            [
              [1, -1],
              [1, -1],
            ],
          ],
        ),
        filters: 2,
        groups: 2,
      },
    ],
    [
      "Depthwise",
      {
        input: image(waves(4, 5), ramp(4, 5, -9), ones(4, 5)),
        kernel: kernel([[[1, 0, -1]]], [[[1, 1, 1]]], [[[0, 2, 0]]]),
        filters: 3,
        groups: 3,
      },
    ],
    ["Transposed 2×2", { operation: "conv2d_transpose", input: squares }],
    [
      "Checkerboard 3/2",
      {
        operation: "conv2d_transpose",
        input: image(ones(3, 4)),
        kernel: kernel([ones(3, 3)]),
        strides: [2, 2],
      },
    ],
    ["Max-pool", { operation: "max_pool2d", input: pooled, strides: [2, 2] }],
    ["Average-pool", { operation: "average_pool2d", input: pooled, strides: [2, 2] }],
    ["Upsample, nearest", { operation: "upsample2d", input: squares }],
    [
      "Upsample, bilinear",
      {
        operation: "upsample2d",
        input: image([
          [0, 8, 4],
          [4, 0, 8],
        ]),
        interpolation: "bilinear",
      },
    ],
  ].map(([name, state]) => ({ name, state: { ...START, input: counted, ...state } }));

  /** For each filling, the number at row r, column c, channel k of an image of some size. */
  const FILLINGS = {
    "random numbers": () => () => Math.floor(Math.random() * 10),
    edges: (height, width) => (r, c, k) =>
      2 * c >= width !== (k % 2 === 1 && 2 * r >= height) ? 9 : 0,
    gradient: () => (r, c, k) => (k % 2 ? r : c) + (k > 1 ? r : 0),
  };

  /** For each filling of a kernel, the number at row i, column j of a kernel of some size. */
  const KERNELS = {
    "random numbers": () => () => Math.floor(Math.random() * 7) - 3,
    ones: () => () => 1,
    "middle one": (height, width) => (i, j) =>
      i === Math.floor(height / 2) && j === Math.floor(width / 2) ? 1 : 0,
  };

  /** An array with the same shape and other numbers; `axes` are those of rows and columns. */
  function filled({ shape }, filling, [rows, columns, others]) {
    const value = filling(shape[rows], shape[columns]);
    const values = [];
    minicnnRecord.forEachIndex(shape, (at) =>
      values.push(value(at[rows], at[columns], at[others])),
    );
    return { shape, values };
  }

  return {
    PRESETS,
    fillings: Object.keys(FILLINGS),
    kernelFillings: Object.keys(KERNELS),
    filledImage: (array, name) => filled(array, FILLINGS[name], [1, 2, 3]),
    filledKernel: (array, name) => filled(array, KERNELS[name], [0, 1, 2]),
  };
})();
