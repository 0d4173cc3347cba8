/* Records of pooling and upsampling, and of their gradients, as in
 * minicnn/explain/records/pooling.py. */
"use strict";

const minicnnPooling = (() => {
  const { checkPair, conv2dGeometry, convolutionNotes } = minicnnGeometry;
  const { checkTerms, flatOf, forEachIndex, makeRecord, panelOf, sizeOf, unlessTooLarge } =
    minicnnRecord;
  const FORWARD = { direction: "forward" };
  const OF_X = { direction: "gradient of x" };

  const POOLS = {
    max_pool2d: {
      form: "max",
      fill: "-Infinity",
      formula: "y[n,oh,ow,c] = max over i,j of x[n, oh*S - P + i, ow*S - P + j, c]",
      padding: "Padding with minus infinity",
      back: "dx[n,h,w,c] = sum of dy over the windows whose first maximum is x[n,h,w,c]",
      meaning:
        "Each window hands its dy to its maximum, of equal ones to the first, " +
        "and nothing to the others.",
    },
    average_pool2d: {
      form: "mean",
      fill: 0,
      formula: "y[n,oh,ow,c] = mean over i,j of x[n, oh*S - P + i, ow*S - P + j, c]",
      padding: "Padding, which is not counted",
      back: "dx[n,h,w,c] = sum of dy / (size of the window) over the windows that hold x[n,h,w,c]",
      meaning: "Each window shares its dy equally among its pixels; padding gets nothing.",
    },
  };

  /** A gradient with respect to a result of this shape: the one given, or ones. */
  function gradientOf(settings, shape) {
    return { shape, values: settings.dy ?? Array(sizeOf(shape)).fill(1) };
  }

  /** An array of zeros. */
  const zeros = (shape) => ({ shape, values: Array(sizeOf(shape)).fill(0) });

  /** The explanation of max- or average-pooling. */
  function explainPooling(settings) {
    const { operation: name, input: x, pool_size } = settings;
    const window = { ...settings, kernel_size: pool_size, kernel_argument: "pool_size" };
    const geometry = conv2dGeometry(name, x.shape.slice(1, 3), {
      ...window,
      dilation: [1, 1],
      groups: 1,
    });
    const shape = [1, ...geometry.small, x.shape[3]];
    const call = {
      name,
      pool: POOLS[name],
      settings,
      x,
      geometry,
      dy: gradientOf(settings, shape),
    };
    const notes = [];
    const makers = [() => poolingRecord(call), () => poolingGradient(call)];
    const records = unlessTooLarge(makers, notes);
    return { explanation: { title: name, notes, records }, geometry };
  }

  /** Visit the elements of one window that lie inside the image, or with padding all of them. */
  function forEachInWindow({ geometry: g }, oh, ow, padded, visit) {
    forEachIndex(g.kernel, ([i, j]) => {
      const h = oh * g.strides[0] + i - (padded ? 0 : g.sides[0][0]);
      const w = ow * g.strides[1] + j - (padded ? 0 : g.sides[1][0]);
      if (padded || (h >= 0 && h < g.large[0] && w >= 0 && w < g.large[1])) visit(h, w);
    });
  }

  /** The forward record of a pooling. */
  function poolingRecord(call) {
    const { name, pool, settings, x, geometry, dy } = call;
    const result = panelOf("y", "output", zeros(dy.shape));
    checkTerms(name, result, geometry.kernel[0] * geometry.kernel[1], settings);
    const around = [[0, 0], ...geometry.sides, [0, 0]];
    const operand = panelOf("x", "input", x, { around, outside: "padding", fill: pool.fill });
    return makeRecord(
      {
        title: name,
        formula: pool.formula,
        notes: convolutionNotes(geometry, pool.padding),
        operands: [operand],
        result,
        form: pool.form,
        choice: FORWARD,
      },
      (add) =>
        forEachIndex(dy.shape, ([n, oh, ow, c]) =>
          forEachInWindow(call, oh, ow, true, (h, w) =>
            add(flatOf(dy.shape, [n, oh, ow, c]), [flatOf(operand.block, [n, h, w, c])]),
          ),
        ),
    );
  }

  /** The record of the gradient of x: dy goes to the maximum, or in equal shares to all. */
  function poolingGradient(call) {
    const { name, pool, settings, x, geometry, dy } = call;
    const title = `${name}, gradient of x`;
    const result = panelOf("dx", "input", zeros(x.shape));
    const overlap = [0, 1].map((a) => Math.ceil(geometry.kernel[a] / geometry.strides[a]));
    const share =
      pool.form === "mean"
        ? overlap[0] * overlap[1]
        : Math.ceil(dy.values.length / x.values.length);
    checkTerms(title, result, share, settings);
    return makeRecord(
      {
        title,
        formula: pool.back,
        notes: [pool.meaning],
        operands: [panelOf("dy", "output", dy)],
        result,
        choice: OF_X,
      },
      (add) =>
        forEachIndex(dy.shape, ([n, oh, ow, c]) => {
          const members = [];
          forEachInWindow(call, oh, ow, false, (h, w) =>
            members.push(flatOf(x.shape, [n, h, w, c])),
          );
          const from = [flatOf(dy.shape, [n, oh, ow, c])];
          if (pool.form === "mean") members.forEach((at) => add(at, from, 1 / members.length));
          else if (members.length) add(firstMaximum(members, x.values), from);
        }),
    );
  }

  /** The first of some elements that none of the others exceeds. */
  function firstMaximum(members, values) {
    return members.reduce((best, at) => (values[at] > values[best] ? at : best));
  }

  // Upsampling.

  /** For each output along one axis [i, j, share]: the output is (1-share)*x[i] + share*x[j]. */
  function resizeTaps(n, out, interpolation) {
    return Array.from({ length: out }, (_, o) => {
      if (interpolation === "nearest") {
        const i = Math.min(Math.floor(((2 * o + 1) * n) / (2 * out)), n - 1);
        return [i, i, 0];
      }
      const position = Math.min(Math.max(((o + 0.5) * n) / out - 0.5, 0), n - 1);
      const i = Math.floor(position);
      const j = Math.min(i + 1, n - 1);
      return [i, j, j > i ? position - i : 0];
    });
  }

  /** Visit (h, w, share) for every input pixel that enters the pixel with these taps. */
  function forEachShare([top, bottom, down], [left, right, across], visit) {
    for (const [h, rowShare] of [
      [top, 1 - down],
      [bottom, down],
    ]) {
      for (const [w, columnShare] of [
        [left, 1 - across],
        [right, across],
      ]) {
        if (rowShare * columnShare > 0) visit(h, w, rowShare * columnShare);
      }
    }
  }

  /** The explanation of an upsampling by whole factors. */
  function explainUpsampling(settings) {
    const { operation: name, input: x, size, interpolation } = settings;
    checkPair(name, "size", size, 1, (v) => ({ size: v }));
    const sizes = [0, 1].map((a) => [x.shape[1 + a], x.shape[1 + a] * size[a]]);
    const shape = [1, sizes[0][1], sizes[1][1], x.shape[3]];
    const taps = sizes.map(([n, out]) => resizeTaps(n, out, interpolation));
    const call = { name, settings, x, sizes, taps, dy: gradientOf(settings, shape) };
    const notes = [];
    const makers = [() => upsamplingRecord(call), () => upsamplingGradient(call)];
    const records = unlessTooLarge(makers, notes);
    return { explanation: { title: name, notes, records }, geometry: null };
  }

  /** The forward record of an upsampling. */
  function upsamplingRecord({ name, settings, x, sizes, taps, dy }) {
    const bilinear = settings.interpolation === "bilinear";
    const result = panelOf("y", "output", zeros(dy.shape));
    checkTerms(name, result, bilinear ? 4 : 1, settings);
    const notes = sizes.map(
      ([n, out], a) =>
        `${["Height", "Width"][a]}: ${out} from ${n}, factor ${out / n}; output pixel o looks at ` +
        `input position (o + 1/2)*${n}/${out} - 1/2.`,
    );
    if (bilinear) {
      notes.push("Each pixel is mixed of its nearest two rows and columns by their distances.");
    }
    const formula = bilinear
      ? "y[n,oh,ow,c] = sum over the nearest h,w of x[n,h,w,c] * share(h) * share(w)"
      : "y[n,oh,ow,c] = x[n,h,w,c] of the pixel whose centre is nearest";
    const operands = [panelOf("x", "input", x)];
    return makeRecord({ title: name, formula, notes, operands, result, choice: FORWARD }, (add) =>
      forEachIndex(dy.shape, ([n, oh, ow, c]) =>
        forEachShare(taps[0][oh], taps[1][ow], (h, w, share) =>
          add(flatOf(dy.shape, [n, oh, ow, c]), [flatOf(x.shape, [n, h, w, c])], share),
        ),
      ),
    );
  }

  /** The record of the gradient of an upsampling: each dy goes back in the same shares. */
  function upsamplingGradient({ name, settings, x, taps, dy }) {
    const title = `${name}, gradient of x`;
    const result = panelOf("dx", "input", zeros(x.shape));
    checkTerms(title, result, Math.ceil((4 * dy.values.length) / x.values.length), settings);
    return makeRecord(
      {
        title,
        formula:
          "dx[n,h,w,c] = sum of dy[n,oh,ow,c] * share over the outputs that x[n,h,w,c] entered",
        notes: [
          "Each output hands its dy back to the pixels that it was mixed from, in the same shares.",
        ],
        operands: [panelOf("dy", "output", dy)],
        result,
        choice: OF_X,
      },
      (add) =>
        forEachIndex(dy.shape, ([n, oh, ow, c]) =>
          forEachShare(taps[0][oh], taps[1][ow], (h, w, share) =>
            add(flatOf(x.shape, [n, h, w, c]), [flatOf(dy.shape, [n, oh, ow, c])], share),
          ),
        ),
    );
  }

  return { explainPooling, explainUpsampling, resizeTaps };
})();
