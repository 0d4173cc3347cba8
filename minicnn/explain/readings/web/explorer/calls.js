/* The same call in minicnn, Keras and PyTorch, as programs to copy. All three start from the same
 * arrays, matrices channel by channel, and end with y (F,OH,OW). No document is needed.
 */
"use strict";

const minicnnCalls = (() => {
  const { rowsText, transposed, written } = minicnnNumbers;

  /** A pair or quadruple as Python writes it. */
  const tuple = (values) => minicnnGeometry.pythonText(values);

  /** An array of several axes as nested lists, one row of numbers to a line. */
  function nested({ shape, values }, indent) {
    if (shape.length === 1) return `[${values.map(written).join(", ")}]`;
    if (shape.length === 2) {
      const rows = Array.from({ length: shape[0] }, (_, r) =>
        values.slice(r * shape[1], (r + 1) * shape[1]),
      );
      return `[${rowsText(rows, ", ")
        .map((row) => `[${row}]`)
        .join(`,\n${indent} `)}]`;
    }
    const size = values.length / shape[0];
    const parts = Array.from({ length: shape[0] }, (_, p) =>
      nested(
        { shape: shape.slice(1), values: values.slice(p * size, (p + 1) * size) },
        `${indent} `,
      ),
    );
    return `[${parts.join(`,\n${indent} `)}]`;
  }

  /** A line that makes an array. */
  function assigned(name, array, axes) {
    const begin = `${name} = np.array(`;
    return `${begin}${nested(array, " ".repeat(begin.length))}, "float32")  # ${axes}`;
  }

  /** What all three programs start from. */
  function arrays({ operation, input, kernel, bias }) {
    const image = { shape: input.shape.slice(1), values: input.values };
    const lines = [assigned("x", transposed(image, [2, 0, 1]), "(C,H,W)")];
    if (kernel) {
      const axes = operation === "conv2d" ? "(F,C/groups,KH,KW)" : "(C,F/groups,KH,KW)";
      lines.push(assigned("kernel", transposed(kernel, [3, 2, 0, 1]), axes));
    }
    if (kernel && bias)
      lines.push(assigned("bias", { shape: [bias.length], values: bias }, "(F,)"));
    return lines;
  }

  /** A call with one argument to a line. */
  function call(name, args, end = "") {
    const inside = args
      .filter(Boolean)
      .map((argument) => `    ${argument[0]},${argument[1] ?? ""}\n`);
    return `${name}(\n${inside.join("")})${end}`;
  }

  /** An argument that is written only where it is not the default. */
  const unless = (usual, value, text) =>
    JSON.stringify(usual) === JSON.stringify(value) ? null : [text];

  /** What of the settings every program needs, in short names. */
  function facts(settings, geometry) {
    const { operation, bias = null, turned = false } = settings;
    const sides = geometry?.sides ?? [
      [0, 0],
      [0, 0],
    ];
    const word = typeof settings.padding === "string";
    return {
      ...settings,
      operation,
      bias,
      turned: operation === "conv2d" && turned,
      transposed: operation === "conv2d_transpose",
      sides,
      word,
      padded: sides.some(([before, after]) => before || after),
      even: sides.every(([before, after]) => before === after),
      dilation: settings.dilation ?? [1, 1],
      groups: settings.groups ?? 1,
      geometry,
    };
  }

  /** The line that turns the kernel, where there is a true convolution. */
  const turning = (f, copy = "") =>
    f.turned
      ? [`kernel = kernel[:, :, ::-1, ::-1]${copy}  # true convolution: turned by 180 degrees`]
      : [];

  const IMAGES = ["x.transpose(1, 2, 0)[None]", "  # (N,H,W,C)"];
  const KERNEL = (f) => [
    "kernel.transpose(2, 3, 1, 0)",
    f.transposed ? "  # (KH,KW,F/groups,C)" : "  # (KH,KW,C/groups,F)",
  ];

  /** The program for minicnn. */
  function minicnn(f) {
    const padding = f.word ? `"${f.padding}"` : tuple(f.padding);
    const window = [[`strides=${tuple(f.strides)}`], [`padding=${padding}`]];
    const args =
      {
        max_pool2d: () => [IMAGES, [`pool_size=${tuple(f.pool_size)}`], ...window],
        average_pool2d: () => [IMAGES, [`pool_size=${tuple(f.pool_size)}`], ...window],
        upsample2d: () => [
          IMAGES,
          [`size=${tuple(f.size)}`],
          [`interpolation="${f.interpolation}"`],
        ],
      }[f.operation] ??
      (() => [
        IMAGES,
        KERNEL(f),
        f.bias && ["bias"],
        ...window,
        unless([1, 1], f.dilation, `dilation_rate=${tuple(f.dilation)}`),
        unless(1, f.groups, `groups=${f.groups}`),
        f.transposed && f.output_padding && [`output_padding=${tuple(f.output_padding)}`],
      ]);
    return [
      ...turning(f),
      `y = ${call(`mc.${f.operation}`, args())}`,
      "y = y.numpy()[0].transpose(2, 0, 1)  # (F,OH,OW)",
    ];
  }

  // Keras.

  /** Padding of images (H,W) of an array of four axes, channels last, in NumPy. */
  const padLast = (name, sides, more = "") =>
    `np.pad(${name}, ((0, 0), ${tuple(sides[0])}, ${tuple(sides[1])}, (0, 0))${more})`;

  /** The program for Keras. */
  function keras(f) {
    const begin = ["x = x.transpose(1, 2, 0)[None]  # (N,H,W,C)"];
    const make = {
      conv2d: kerasConvolution,
      conv2d_transpose: kerasTransposed,
      upsample2d: kerasResize,
    };
    const lines = (make[f.operation] ?? kerasPool)(f);
    const end = "y = ops.convert_to_numpy(y)[0].transpose(2, 0, 1)  # (F,OH,OW)";
    return [...begin, ...lines, ...(f.bias ? ["y = y + bias"] : []), end];
  }

  /** Keras knows "valid" and "same" alone, and strides or dilation, not both. */
  function kerasConvolution(f) {
    const both = f.strides.some((s) => s > 1) && f.dilation.some((d) => d > 1);
    const explicit = f.padded && (!f.word || both);
    const skip = both ? `[:, ::${f.strides[0]}, ::${f.strides[1]}]` : "";
    return [
      ...turning(f),
      "kernel = kernel.transpose(2, 3, 1, 0)  # (KH,KW,C/groups,F)",
      ...(explicit ? [`x = ${padLast("x", f.sides)}`] : []),
      ...(both
        ? ["# Keras takes strides or dilation: all places, then every so many of them."]
        : []),
      `y = ${call(
        "ops.conv",
        [
          ["x"],
          ["kernel"],
          [`strides=${tuple(both ? [1, 1] : f.strides)}`],
          [`padding="${explicit || !f.word ? "valid" : both ? "valid" : f.padding}"`],
          unless([1, 1], f.dilation, `dilation_rate=${tuple(f.dilation)}`),
        ],
        skip,
      )}`,
    ];
  }

  /** Keras' transposed convolution has no groups and crops for "same" alone: done by hand here. */
  function kerasTransposed(f) {
    const { geometry: g, groups, dilation } = f;
    const lines = ["kernel = kernel.transpose(2, 3, 1, 0)  # (KH,KW,F/groups,C)"];
    if (dilation.some((d) => d > 1)) {
      const span = g.kernel.map((k, a) => dilation[a] * (k - 1) + 1);
      lines.push(
        `spread = np.zeros((${span[0]}, ${span[1]}, *kernel.shape[2:]), "float32")  # dilation`,
        `spread[::${dilation[0]}, ::${dilation[1]}] = kernel`,
        "kernel = spread",
      );
    }
    const simple = f.word && !f.output_padding;
    const tail = [[`strides=${tuple(f.strides)}`], [`padding="${simple ? f.padding : "valid"}"`]];
    if (groups === 1) {
      lines.push(`y = ${call("ops.conv_transpose", [["x"], ["kernel"], ...tail])}`);
    } else {
      lines.push(
        `pairs = zip(np.split(x, ${groups}, axis=3), np.split(kernel, ${groups}, axis=3))`,
        `parts = [ops.conv_transpose(a, k, strides=${tuple(f.strides)}, ` +
          `padding="${simple ? f.padding : "valid"}") for a, k in pairs]`,
        "y = ops.concatenate(parts, axis=3)",
      );
    }
    return simple ? lines : [...lines, ...croppedLines(f, g)];
  }

  /** What is left of a whole transposed convolution: a part of it, or zeros beyond its end. */
  function croppedLines(f, g) {
    const made = [0, 1].map((a) => {
      const natural = (g.small[a] - 1) * f.strides[a] + f.dilation[a] * (g.kernel[a] - 1) + 1;
      return Math.max(natural, g.small[a] * f.strides[a]);
    });
    const last = [0, 1].map((a) => g.sides[a][0] + g.large[a]);
    const beyond = [0, 1].map((a) => [0, Math.max(0, last[a] - made[a])]);
    const longer = beyond.some(([, after]) => after);
    const cut = [0, 1].map((a) => `${g.sides[a][0]}:${last[a]}`).join(", ");
    return [
      ...(longer ? [`y = ${padLast("ops.convert_to_numpy(y)", beyond)}`] : []),
      `y = y[:, ${cut}]`,
    ];
  }

  /** Keras pools with "valid" and "same" alone. */
  function kerasPool(f) {
    const max = f.operation === "max_pool2d";
    const pool = (what) =>
      `ops.${max ? "max" : "average"}_pool(${what}, ${tuple(f.pool_size)}, ` +
      `strides=${tuple(f.strides)}, padding="${f.word ? f.padding : "valid"}")`;
    if (f.word || !f.padded) return [`y = ${pool("x")}`];
    if (max) {
      return [`x = ${padLast("x", f.sides, ", constant_values=-np.inf")}`, `y = ${pool("x")}`];
    }
    return [
      `ones = ${padLast("np.ones_like(x)", f.sides)}  # padding is not counted`,
      `x = ${padLast("x", f.sides)}`,
      `y = ${pool("x")} / ops.maximum(${pool("ones")}, 1e-9)`,
    ];
  }

  /** Keras' layer for upsampling. */
  function kerasResize(f) {
    return [`y = layers.UpSampling2D(${tuple(f.size)}, interpolation="${f.interpolation}")(x)`];
  }

  // PyTorch, where images are (N,C,H,W).

  /** The program for PyTorch. */
  function pytorch(f) {
    const begin = ["x = torch.from_numpy(x)[None]  # (N,C,H,W)"];
    const make = {
      conv2d: torchConvolution,
      conv2d_transpose: torchTransposed,
      upsample2d: torchResize,
    };
    const lines = (make[f.operation] ?? torchPool)(f);
    return [...begin, ...lines, "y = y[0].numpy()  # (F,OH,OW)"];
  }

  /** Padding of the last two axes, which PyTorch names from the last to the first. */
  const torchPad = (name, [[top, bottom], [left, right]], more = "") =>
    `F.pad(${name}, (${left}, ${right}, ${top}, ${bottom})${more})  # left, right, top, bottom`;

  /** The arguments that convolutions share. */
  const torchWeights = (f, bias) => [
    ["x"],
    [
      "torch.from_numpy(kernel)",
      f.transposed ? "  # (C,F/groups,KH,KW)" : "  # (F,C/groups,KH,KW)",
    ],
    bias && ["torch.from_numpy(bias)"],
    [`stride=${tuple(f.strides)}`],
  ];

  /** PyTorch pads both sides equally; anything else by F.pad. */
  function torchConvolution(f) {
    const explicit = f.padded && !f.even;
    return [
      ...turning(f, ".copy()"),
      ...(explicit ? [`x = ${torchPad("x", f.sides)}`] : []),
      `y = ${call("F.conv2d", [
        ...torchWeights(f, f.bias),
        !explicit && f.padded && [`padding=${tuple(f.sides.map(([before]) => before))}`],
        unless([1, 1], f.dilation, `dilation=${tuple(f.dilation)}`),
        unless(1, f.groups, `groups=${f.groups}`),
      ])}`,
    ];
  }

  /** PyTorch crops both sides equally; anything else by slicing. */
  function torchTransposed(f) {
    const { geometry: g } = f;
    const natural = [0, 1].map(
      (a) => (g.small[a] - 1) * f.strides[a] + f.dilation[a] * (g.kernel[a] - 1) + 1,
    );
    const extra = natural.map((n, a) => g.large[a] - (n - g.sides[a][0] - g.sides[a][1]));
    const direct = f.even;
    const args = [
      ...torchWeights(f, direct && f.bias),
      direct && f.padded && [`padding=${tuple(f.sides.map(([before]) => before))}`],
      direct && unless([0, 0], extra, `output_padding=${tuple(extra)}`),
      unless(1, f.groups, `groups=${f.groups}`),
      unless([1, 1], f.dilation, `dilation=${tuple(f.dilation)}`),
    ];
    const lines = [`y = ${call("F.conv_transpose2d", args)}`];
    if (direct) return lines;
    const last = [0, 1].map((a) => g.sides[a][0] + g.large[a]);
    const beyond = [0, 1].map((a) => [0, Math.max(0, last[a] - natural[a])]);
    if (beyond.some(([, after]) => after)) lines.push(`y = ${torchPad("y", beyond)}`);
    const cut = [0, 1].map((a) => `${g.sides[a][0]}:${last[a]}`).join(", ");
    lines.push(`y = y[:, :, ${cut}]`);
    if (f.bias) lines.push("y = y + torch.from_numpy(bias)[:, None, None]");
    return lines;
  }

  /** PyTorch pads windows by at most their half, both sides equally; anything else by F.pad. */
  function torchPool(f) {
    const max = f.operation === "max_pool2d";
    const direct = f.even && f.sides.every(([before], a) => 2 * before <= f.pool_size[a]);
    const amounts = tuple(f.sides.map(([before]) => before));
    const inside = f.padded && direct ? `, padding=${amounts}` : "";
    const counted = inside && !max ? ", count_include_pad=False" : "";
    const pool = (what) =>
      `F.${max ? "max" : "avg"}_pool2d(${what}, ${tuple(f.pool_size)}, ` +
      `stride=${tuple(f.strides)}${inside}${counted})`;
    if (!f.padded || direct) return [`y = ${pool("x")}`];
    if (max) return [`x = ${torchPad("x", f.sides, ', value=float("-inf")')}`, `y = ${pool("x")}`];
    return [
      `ones = ${torchPad("torch.ones_like(x)", f.sides)}; padding is not counted`,
      `x = ${torchPad("x", f.sides)}`,
      `y = ${pool("x")} / ${pool("ones")}.clamp(min=1e-9)`,
    ];
  }

  /** PyTorch's upsampling; bilinear with pixel centres at half positions. */
  function torchResize(f) {
    const corners = f.interpolation === "bilinear" ? ", align_corners=False" : "";
    return [
      `y = F.interpolate(x, scale_factor=${tuple(f.size)}, mode="${f.interpolation}"${corners})`,
    ];
  }

  /** The three programs for some settings. */
  function programs(settings, geometry) {
    const f = facts(settings, geometry);
    const layer = f.operation === "upsample2d";
    const imports = {
      minicnn: ["import minicnn as mc"],
      Keras: [layer ? "from keras import layers, ops" : "from keras import ops"],
      PyTorch: ["import torch", "import torch.nn.functional as F"],
    };
    const bodies = { minicnn: minicnn(f), Keras: keras(f), PyTorch: pytorch(f) };
    return Object.fromEntries(
      Object.entries(bodies).map(([name, lines]) => [
        name,
        [
          "import numpy as np",
          ...imports[name],
          "",
          ...arrays(f),
          "",
          ...lines,
          "print(y)",
          "",
        ].join("\n"),
      ]),
    );
  }

  return { programs };
})();
