/* Records of convolution, transposed convolution and their gradients, as in
 * minicnn/explain/records/convolution.py. All of them join the same products: an element of x,
 * one of the kernel and one of y. Whichever of the three is the result, the other two are the
 * operands. */
"use strict";

const minicnnConvolution = (() => {
  const { Misfit, many } = minicnnGeometry;
  const { checkTerms, flatOf, forEachIndex, makeRecord, panelOf, sizeOf, unlessTooLarge } =
    minicnnRecord;
  const [AS_IT_STANDS, TURNED] = ["as it stands", "turned by 180°"];
  const ROLES = { x: "input", kernel: "kernel", y: "output" };

  // For each direction, which of x, kernel and y is the result, and which two are the operands.
  const WANTED = {
    forward: ["y", ["x", "kernel"]],
    "gradient of x": ["x", ["y", "kernel"]],
    "gradient of kernel": ["kernel", ["x", "y"]],
  };
  const MEANINGS = {
    "gradient of x":
      "Every y that an x entered sends its dy back, times the kernel element " +
      "through which it entered.",
    "gradient of kernel":
      "Every product in which a kernel element took part sends its dy back, " +
      "times the x that it met.",
    "gradient of bias": "The bias was added to every y of its filter, so all their dy come back.",
  };

  /** A call of conv2d or conv2d_transpose: its arrays, its geometry, and which side is which. */
  function convolutionCall(settings) {
    const { operation: name, input: x, kernel, bias, groups } = settings;
    const transposed = name === "conv2d_transpose";
    const geometryOf = transposed
      ? minicnnGeometry.conv2dTransposeGeometry
      : minicnnGeometry.conv2dGeometry;
    const window = { ...settings, kernel_size: kernel.shape.slice(0, 2) };
    const geometry = geometryOf(name, x.shape.slice(1, 3), window);
    if (transposed) checkTransposedChannels(name, x.shape[3], kernel, groups);
    else checkChannels(name, x.shape[3], kernel, groups);
    const filters = transposed ? kernel.shape[2] * groups : kernel.shape[3];
    checkBias(name, bias, filters);
    const outside = transposed ? geometry.large : geometry.small;
    const shape = [1, ...outside, filters];
    const y = { shape, values: settings.dy };
    const [large, small] = transposed ? ["y", "x"] : ["x", "y"];
    const arrays = { x, kernel, y };
    const call = { settings, name, arrays, bias, geometry, transposed, large, small };
    // Refused before it is made: a large result would stop the page for seconds.
    const around = transposed ? geometry.sides : [[0], [0]];
    const count = outside.map((n, a) => around[a].reduce((sum, side) => sum + side, n));
    const values = { length: sizeOf([...count, filters]) };
    checkTerms(name, { name: "y", shape, values }, termsEach(call, "y"), settings);
    y.values ??= Array(sizeOf(shape)).fill(1);
    return call;
  }

  /** Refuse channels and filters that do not divide into groups, or do not meet. */
  function checkChannels(name, channels, kernel, groups) {
    const [taken, filters] = kernel.shape.slice(2);
    if (channels % groups || filters % groups) {
      const fits = [];
      for (let n = 1; n <= Math.min(channels, filters); n++) {
        if (channels % n === 0 && filters % n === 0) fits.push(n);
      }
      throw new Misfit(
        `${name}: groups=${groups} must divide the ${channels} input channels and the ${filters} ` +
          `filters; fitting: ${fits.join(", ")}.`,
        [...fits].reverse().map((n) => ({
          label: `use ${many(n, "group")}`,
          change: { groups: n },
        })),
      );
    }
    if (channels !== taken * groups) {
      const rule = groups === 1 ? `${taken}` : `${taken} * ${groups} groups = ${taken * groups}`;
      throw new Misfit(
        `${name}: x has ${channels} channels, but the kernel takes ${rule}; they must be equal.`,
        channelChanges(channels, taken * groups),
      );
    }
  }

  /** Refuse channels of a transposed convolution that do not meet. */
  function checkTransposedChannels(name, channels, kernel, groups) {
    const taken = kernel.shape[3];
    if (taken === channels && channels % groups === 0) return;
    const fits = Array.from({ length: channels }, (_, i) => channels - i).filter(
      (n) => channels % n === 0 && n <= groups,
    );
    throw new Misfit(
      `${name}: x has ${channels} channels and groups is ${groups}, but the kernel ` +
        `(KH,KW,F/groups,C) takes ${taken}; the channels must be equal and a multiple of groups.`,
      taken === channels
        ? fits.map((n) => ({
            label: `use ${many(n, "group")}`,
            change: { groups: n },
          }))
        : channelChanges(channels, taken),
    );
  }

  /** What makes the channels of image and kernel equal. */
  function channelChanges(channels, taken) {
    return [
      {
        label: `use a kernel for ${many(channels, "channel")}`,
        change: { kernel_channels: channels },
      },
      {
        label: `use an input of ${many(taken, "channel")}`,
        change: { input_channels: taken },
      },
    ];
  }

  /** Refuse a bias that has not one number for each filter. */
  function checkBias(name, bias, filters) {
    if (bias === null || bias.length === filters) return;
    throw new Misfit(
      `${name}: bias has shape (${bias.length},), but there are ${filters} filters; it must have ` +
        `shape (${filters},).`,
      [
        { label: `use ${many(filters, "bias", "biases")}`, change: { bias_length: filters } },
        { label: "use no bias", change: { bias_length: 0 } },
      ],
    );
  }

  /** The panel of x, kernel or y in one direction. */
  function convolutionPanel(call, noun, direction) {
    const wanted = WANTED[direction][0];
    const array = call.arrays[noun];
    const name = direction !== "forward" && (noun === "y" || noun === wanted) ? `d${noun}` : noun;
    const shown = noun === wanted ? { ...array, values: array.values.map(() => 0) } : array;
    if (noun !== call.large) {
      return panelOf(name, ROLES[noun], shown, { axes: noun === "kernel" ? [0, 1] : null });
    }
    return panelOf(name, ROLES[noun], shown, {
      around: [[0, 0], ...call.geometry.sides, [0, 0]],
      outside: noun === wanted ? "cropped" : "padding",
    });
  }

  /** How many products an element of a result has at most. */
  function termsEach(call, wanted) {
    const { small, kernel, groups } = call.geometry;
    if (wanted === "kernel") return small[0] * small[1];
    const channels = call.arrays.kernel.shape[wanted === call.small ? 2 : 3];
    return Math.floor((kernel[0] * kernel[1] * channels) / (wanted === call.small ? 1 : groups));
  }

  /** Visit every product: the indices in the blocks of x, kernel and y of what meets in it. */
  function forEachProduct(call, visit) {
    const { kernel, strides, sides, dilation, groups, large } = call.geometry;
    const [kh, kw, groupChannels, filters] = call.arrays.kernel.shape;
    const [height, width] = [0, 1].map((a) => large[a] + sides[a][0] + sides[a][1]);
    const given = (i, last) => (call.settings.turned ? last - 1 - i : i);
    forEachIndex(call.arrays[call.small].shape, ([n, oh, ow, f]) => {
      const first = Math.floor(f / (filters / groups)) * groupChannels;
      forEachIndex([...kernel, groupChannels], ([i, j, c]) => {
        const h = oh * strides[0] + i * dilation[0];
        const w = ow * strides[1] + j * dilation[1];
        if (h >= height || w >= width) return;
        visit({
          [call.large]: [n, h, w, first + c],
          [call.small]: [n, oh, ow, f],
          kernel: [given(i, kh), given(j, kw), c, f],
        });
      });
    });
  }

  /** The record of one of the three linear maps. */
  function convolutionRecord(call, direction) {
    const [wanted, order] = WANTED[direction];
    const forward = direction === "forward";
    const { settings, name, bias } = call;
    const title = forward ? name : `${name}, ${direction}`;
    const result = convolutionPanel(call, wanted, direction);
    checkTerms(title, result, termsEach(call, wanted), settings);
    const operands = order.map((noun) => convolutionPanel(call, noun, direction));
    const blocks = [...operands, result].map((panel) => panel.block);
    let added = null;
    if (forward && bias !== null) {
      operands.push(panelOf("bias", "other", { shape: [bias.length], values: bias }));
      added = { operand: 2, cells: result.values.map((_, cell) => cell % bias.length) };
    }
    const record = makeRecord(
      {
        title,
        formula: convolutionFormula(call, direction),
        notes: convolutionSentences(call, direction),
        operands,
        result,
        bias: added,
        choice: choiceOf(call, direction),
      },
      (add) =>
        forEachProduct(call, (at) =>
          add(
            flatOf(blocks[2], at[wanted]),
            order.map((noun, o) => flatOf(blocks[o], at[noun])),
          ),
        ),
    );
    return settings.turned ? withTurnedKernel(record) : record;
  }

  /** The sentences of a record of convolution. */
  function convolutionSentences({ settings, transposed, geometry }, direction) {
    const sizes = transposed ? minicnnGeometry.transposedNotes : minicnnGeometry.convolutionNotes;
    return [
      ...(direction === "forward" ? sizes(geometry) : [MEANINGS[direction]]),
      ...(settings.turned
        ? ["True convolution: the kernel is turned by 180° before it slides."]
        : []),
    ];
  }

  /** How a record of convolution differs from the others of its explanation. */
  function choiceOf({ settings }, direction) {
    return { direction, kernel: settings.turned ? TURNED : AS_IT_STANDS };
  }

  /** The definition in letters. */
  function convolutionFormula(call, direction) {
    const { settings, transposed, bias } = call;
    const end = bias === null ? "" : ` + bias[${transposed ? ofGroup(call) : "f"}]`;
    if (transposed) {
      const place = `n, h*S - P + i*D, w*S - P + j*D, ${ofGroup(call)}`;
      return {
        forward: `y[${place}] += x[n,h,w,c] * kernel[i,j,f,c]${end && ", then"}${end}`,
        "gradient of x": `dx[n,h,w,c] = sum over i,j,f of dy[${place}] * kernel[i,j,f,c]`,
        "gradient of kernel": `dkernel[i,j,f,c] = sum over n,h,w of x[n,h,w,c] * dy[${place}]`,
      }[direction];
    }
    const place = `n, oh*S - P + i*D, ow*S - P + j*D, ${ofGroup(call)}`;
    const k = settings.turned ? "kernel[KH-1-i,KW-1-j,c,f]" : "kernel[i,j,c,f]";
    return {
      forward: `y[n,oh,ow,f] = sum over i,j,c of x[${place}] * ${k}${end}`,
      "gradient of x": `dx[${place}] += dy[n,oh,ow,f] * ${k}`,
      "gradient of kernel": `d${k} = sum over n,oh,ow of x[${place}] * dy[n,oh,ow,f]`,
    }[direction];
  }

  /** The channel of the large side in letters: a kernel counts only those of one group. */
  function ofGroup({ settings: { groups }, arrays, transposed }) {
    const [own, other] = transposed ? ["f", "c"] : ["c", "f"];
    if (groups === 1) return own;
    const [inside, across] = arrays.kernel.shape.slice(2);
    const each = across / groups;
    const group = each === 1 ? other : `${other}//${each}`;
    return inside === 1 ? `${group} + ${own}` : `${group}*${inside} + ${own}`;
  }

  /** The record with a view of the kernel as it slides. */
  function withTurnedKernel(record) {
    const operand = record.operands.findIndex((panel) => panel.name === "kernel");
    if (operand < 0) return record;
    const kernel = record.operands[operand];
    const cells = [];
    const [kh, kw, c, f] = kernel.block;
    forEachIndex(kernel.block, ([i, j, ...rest]) =>
      cells.push(flatOf([kh, kw, c, f], [kh - 1 - i, kw - 1 - j, ...rest])),
    );
    const values = cells.map((flat) => kernel.values[flat]);
    const view = { ...kernel, name: "kernel, turned", values, mirror: { operand, cells } };
    return { ...record, operands: [...record.operands, view] };
  }

  /** The record of the gradient with respect to a bias along the last axis. */
  function biasRecord(call) {
    const dy = panelOf("dy", "output", call.arrays.y);
    const filters = dy.shape[3];
    const result = panelOf("dbias", "other", { shape: [filters], values: Array(filters).fill(0) });
    const title = `${call.name}, gradient of bias`;
    checkTerms(title, result, dy.values.length / filters, call.settings);
    return makeRecord(
      {
        title,
        formula: "dbias[f] = sum of dy[...,f] over all other axes",
        notes: [MEANINGS["gradient of bias"]],
        operands: [dy],
        result,
        choice: choiceOf(call, "gradient of bias"),
      },
      (add) => dy.values.forEach((_, flat) => add(flat % filters, [flat])),
    );
  }

  /** The explanation of a convolution: as the kernel stands and turned, the chosen one first. */
  function explainConvolution(settings) {
    const call = convolutionCall(settings);
    const notes = [];
    const variants = call.transposed ? [false] : [settings.turned ?? false, !settings.turned];
    const records = variants.flatMap((turned, place) => {
      const variant = { ...call, settings: { ...settings, turned } };
      const makers = Object.keys(WANTED).map(
        (direction) => () => convolutionRecord(variant, direction),
      );
      if (call.bias !== null) makers.push(() => biasRecord(variant));
      return unlessTooLarge(makers, place === 0 ? notes : []);
    });
    return { explanation: { title: call.name, notes, records }, geometry: call.geometry };
  }

  return { AS_IT_STANDS, TURNED, explainConvolution };
})();
