/* Window arithmetic in plain integers, and the same in sentences: minicnn/geometry.py and
 * minicnn/explain/records/words.py once more, for the page. Sizes are [height, width] pairs.
 *
 *     span of the kernel   D*(K - 1) + 1
 *     output size          O = floor((N + P - D*(K - 1) - 1) / S) + 1
 *     transposed           natural size (O - 1)*S + D*(K - 1) + 1, less the padding
 */
"use strict";

const minicnnGeometry = (() => {
  const AXES = ["height", "width"];
  const SIDES = { height: ["above", "below", "row"], width: ["left", "right", "column"] };

  /** Sizes that do not fit: the sentence that says why, and changes of the settings that would. */
  class Misfit extends Error {
    constructor(message, fitting = []) {
      super(message);
      this.fitting = fitting;
    }
  }

  /** How many input positions a kernel covers. */
  const kernelSpan = (kernel, dilation) => dilation * (kernel - 1) + 1;

  /** A number of things: `1 row`, `2 rows`. */
  const many = (count, noun, plural = `${noun}s`) => `${count} ${count === 1 ? noun : plural}`;

  /** A pair with one of its two numbers exchanged. */
  const withAxis = (pair, axis, value) => pair.map((old, a) => (a === axis ? value : old));

  /** A number or string as Python writes it in messages. */
  function pythonText(value) {
    if (Array.isArray(value)) {
      const inside = value.map(pythonText).join(", ");
      return value.length === 1 ? `(${inside},)` : `(${inside})`;
    }
    return typeof value === "string" ? `'${value}'` : String(value);
  }

  /** Refuse a pair that does not consist of integers of at least `minimum`. */
  function checkPair(where, argument, value, minimum, change) {
    if (value.every((v) => Number.isInteger(v) && v >= minimum)) return value;
    const fitting = value.map((v) => Math.max(minimum, Math.round(v) || minimum));
    throw new Misfit(
      `${where}: ${argument}=${pythonText(value)}, but it must be an integer >= ${minimum} or a ` +
        "(height, width) pair of them.",
      [{ label: `use ${fitting.join(" and ")}`, change: change(fitting) }],
    );
  }

  /** The padding before and after that makes O = ceil(N / S); the odd one goes after. */
  function samePadding(n, kernel, stride, dilation) {
    const wanted = Math.ceil(n / stride);
    const total = Math.max((wanted - 1) * stride + kernelSpan(kernel, dilation) - n, 0);
    return [Math.floor(total / 2), total - Math.floor(total / 2)];
  }

  /** The checked numbers that every window operation has: strides, dilation, groups, four sides. */
  function checkedWindow(where, settings) {
    const { strides, dilation, groups } = settings;
    checkPair(where, settings.kernel_argument ?? "kernel_size", settings.kernel_size, 1, (v) => ({
      kernel_size: v,
    }));
    checkPair(where, "strides", strides, 1, (v) => ({ strides: v }));
    checkPair(where, "dilation_rate", dilation, 1, (v) => ({ dilation: v }));
    if (!Number.isInteger(groups) || groups < 1) {
      throw new Misfit(`${where}: groups=${groups}, but it must be an integer >= 1.`, [
        { label: "use 1 group", change: { groups: 1 } },
      ]);
    }
  }

  /** Refuse padding that is not whole and positive. */
  function checkSides(where, padding) {
    if (typeof padding === "string") return;
    ["padding (top, bottom)", "padding (left, right)"].forEach((argument, axis) =>
      checkPair(where, argument, padding[axis], 0, (v) => ({
        padding: withAxis(padding, axis, v),
      })),
    );
  }

  /** The integers of a convolution or pooling; a Misfit where the kernel does not fit. */
  function conv2dGeometry(where, size, settings) {
    checkedWindow(where, settings);
    checkSides(where, settings.padding);
    const { kernel_size: kernel, strides, padding, dilation, groups } = settings;
    const sides = [0, 1].map((a) =>
      padding === "valid"
        ? [0, 0]
        : padding === "same"
          ? samePadding(size[a], kernel[a], strides[a], dilation[a])
          : padding[a],
    );
    const out = [0, 1].map((a) => {
      const [before, after] = sides[a];
      const room = size[a] + before + after - kernelSpan(kernel[a], dilation[a]);
      const last = Math.floor(room / strides[a]);
      if (last < 0) throw kernelMisfit(where, a, size, sides, settings, last + 1);
      return last + 1;
    });
    return { large: [...size], small: out, kernel, strides, sides, dilation, groups };
  }

  /** The sentence for a kernel that is larger than the padded input, and what would fit. */
  function kernelMisfit(where, a, size, sides, settings, out) {
    const { kernel_size: kernel, strides, dilation } = settings;
    const [n, k, s, d, [before, after]] = [size[a], kernel[a], strides[a], dilation[a], sides[a]];
    const [first, last, noun] = SIDES[AXES[a]];
    const room = n + before + after;
    const span = kernelSpan(k, d);
    const fits = Math.floor((room - 1) / d) + 1;
    const pad = Math.ceil((span - n) / 2);
    const thing = settings.kernel_argument === "pool_size" ? "window" : "kernel";
    const fitting = [
      {
        label: `use a ${thing} of ${many(fits, noun)}`,
        change: { kernel_size: withAxis(kernel, a, fits) },
      },
      {
        label: `use padding ${pad} ${first} and ${last}`,
        change: { padding: withAxis(sides, a, [pad, pad]) },
      },
      {
        label: `use an input of ${many(span - before - after, noun)}`,
        change: { input_size: withAxis(size, a, span - before - after) },
      },
    ];
    const closer = Math.floor((room - 1) / Math.max(k - 1, 1));
    if (d > 1 && closer >= 1) {
      fitting.splice(1, 0, {
        label: `use dilation ${closer}`,
        change: { dilation: withAxis(dilation, a, closer) },
      });
    }
    const window = thing === "window" ? `pool_size=${k}` : `a kernel of ${k}`;
    return new Misfit(
      `${where}: ${window}${d > 1 ? ` with dilation_rate ${d}` : ""} spans ${span} pixels, but ` +
        `the ${AXES[a]} has only ${n} + ${before} + ${after} padding = ${room}: floor((${n} + ` +
        `${before} + ${after} - ${d}*(${k} - 1) - 1) / ${s} + 1) = ${out}. Use at most ${fits}, ` +
        "a larger input or padding='same'.",
      fitting,
    );
  }

  /** The integers of the convolution that a transposed convolution reverses. */
  function conv2dTransposeGeometry(where, size, settings) {
    checkedWindow(where, settings);
    const { kernel_size: kernel, strides, padding, dilation, groups } = settings;
    const extra = settings.output_padding ?? null;
    if (extra) {
      checkPair(where, "output_padding", extra, 0, (v) => ({ output_padding: v }));
    }
    checkSides(where, padding);
    const large = [];
    const sides = [];
    AXES.forEach((axis, a) => {
      if (extra && extra[a] >= strides[a]) {
        const most = strides[a] - 1;
        throw new Misfit(
          `${where}: output_padding=${extra[a]} for the ${axis} must be smaller than the stride ` +
            `${strides[a]}; fitting: 0 to ${most}.`,
          [
            {
              label: `use output padding ${most}`,
              change: { output_padding: withAxis(extra, a, most) },
            },
            {
              label: `use stride ${extra[a] + 1}`,
              change: { strides: withAxis(strides, a, extra[a] + 1) },
            },
          ],
        );
      }
      const [out, side] = transposedAxis(where, a, size, settings, extra ? extra[a] : null);
      large.push(out);
      sides.push(side);
    });
    return { large, small: [...size], kernel, strides, sides, dilation, groups };
  }

  /** The output size of one axis of a transposed convolution, and what is cropped from it. */
  function transposedAxis(where, a, size, settings, extra) {
    const { kernel_size: kernel, strides, dilation } = settings;
    const padding = typeof settings.padding === "string" ? settings.padding : settings.padding[a];
    const [n, stride, span] = [size[a], strides[a], kernelSpan(kernel[a], dilation[a])];
    const natural = (n - 1) * stride + span;
    const cropped = typeof padding === "string" ? 0 : padding[0] + padding[1];
    const [smallest, byDefault, padded] = {
      valid: [natural, Math.max(natural, n * stride), natural],
      same: [(n - 1) * stride + 1, n * stride, natural - 2 * Math.floor(span / 2)],
    }[padding] ?? [natural - cropped, natural - cropped, natural - cropped];
    const out = extra === null ? byDefault : padded + extra;
    if (out < 1) throw croppedMisfit(where, a, size, settings, { natural, span, smallest, out });
    if (padding === "valid") return [out, [0, 0]];
    if (padding === "same") {
      const total = Math.max(natural - out, 0);
      return [out, [Math.floor(total / 2), total - Math.floor(total / 2)]];
    }
    return [out, padding];
  }

  /** The sentence for a transposed convolution of which nothing is left, and what would fit. */
  function croppedMisfit(where, a, size, settings, { natural, span, smallest, out }) {
    const { strides, padding } = settings;
    const [n, stride] = [size[a], strides[a]];
    const [first, last, noun] = SIDES[AXES[a]];
    const word = typeof padding === "string";
    const fits = [];
    for (let v = Math.max(smallest, 1); v < smallest + stride; v++) fits.push(v);
    const rule =
      `natural size (${n} - 1)*${stride} + ${span} = ${natural}, ` +
      `padding ${pythonText(word ? padding : padding[a])}`;
    const told = fits.length ? `output sizes that fit: ${fits.join(", ")}` : "all of it is cropped";
    const longer = n + Math.ceil((1 - out) / stride);
    return new Misfit(
      `${where}: the ${AXES[a]} cannot become ${out} from an input of ${n} (${rule}); ${told}.`,
      [
        word
          ? { label: "crop nothing", change: { padding: "valid" } }
          : {
              label: `crop nothing ${first} and ${last}`,
              change: { padding: withAxis(padding, a, [0, 0]) },
            },
        {
          label: `use an input of ${many(longer, noun)}`,
          change: { input_size: withAxis(size, a, longer) },
        },
      ],
    );
  }

  // In sentences.

  /** For both axes: its name, the large and small size, kernel, stride, before, after, dilation. */
  function axesOf(g) {
    return AXES.map((axis, a) => ({
      axis,
      title: axis[0].toUpperCase() + axis.slice(1),
      noun: SIDES[axis][2],
      large: g.large[a],
      small: g.small[a],
      k: g.kernel[a],
      s: g.strides[a],
      before: g.sides[a][0],
      after: g.sides[a][1],
      d: g.dilation[a],
    }));
  }

  /** The positions of the input that no kernel element ever meets. */
  function unused({ large, small, k, s, before, d }) {
    const met = new Set();
    for (let o = 0; o < small; o++) for (let i = 0; i < k; i++) met.add(o * s - before + i * d);
    return [...Array(large).keys()].filter((p) => !met.has(p));
  }

  /** What lies on which side: `Padding with zeros: 1 row above.`; nothing where there is none. */
  function paddingNote(g, verb) {
    const told = axesOf(g).flatMap(({ axis, noun, before, after }) =>
      [before, after].flatMap((amount, end) =>
        amount ? [`${many(amount, noun)} ${SIDES[axis][end]}`] : [],
      ),
    );
    return told.length ? [`${verb}: ${told.join(", ")}.`] : [];
  }

  /** How far a dilated kernel reaches. */
  function spanNotes(g) {
    return axesOf(g).flatMap(({ noun, k, d }) =>
      d > 1 && k > 1 ? [`Dilation ${d}: the kernel's ${k} ${noun}s span ${kernelSpan(k, d)}.`] : [],
    );
  }

  /** What there is to say about the sizes of a convolution or pooling. */
  function convolutionNotes(g, padding = "Padding with zeros") {
    const axes = axesOf(g);
    const sizes = axes.map(
      ({ title, large, small, k, s, before, after, d }) =>
        `${title}: floor((${large} + ${before} + ${after} - ${d}*(${k} - 1) - 1) / ${s}) + 1 ` +
        `= ${small}.`,
    );
    const never = axes.flatMap((each) => {
      const left = unused(each);
      if (!left.length) return [];
      const reach = (each.small - 1) * each.s - each.before + (each.k - 1) * each.d;
      const why = left[0] > reach ? "left over at the end" : "stepped over by the stride";
      const names = left.slice(0, 8).join(", ") + (left.length > 8 ? " ..." : "");
      const nouns = `${each.noun}${left.length === 1 ? "" : "s"} ${names}`;
      return [`Never used: ${nouns} of the input, ${why}.`];
    });
    return [...sizes, ...paddingNote(g, padding), ...spanNotes(g), ...never];
  }

  /** What there is to say about the sizes of a transposed convolution. */
  function transposedNotes(g) {
    const axes = axesOf(g);
    const sizes = axes.map(({ title, large, small, k, s, before, after, d }) => {
      const natural = (small - 1) * s + kernelSpan(k, d);
      const rest = large - (natural - before - after);
      const changes = [
        before + after ? `, ${before + after} cropped` : "",
        rest > 0 ? `, ${rest} added at the end` : "",
      ].join("");
      const text = `${title}: natural size (${small} - 1)*${s} + ${d}*(${k} - 1) + 1 = ${natural}`;
      return changes ? `${text}${changes}: ${large}.` : `${text}.`;
    });
    const patterns = axes.flatMap(({ noun, k, s, d }) => {
      if (s > 1 && d === 1 && k % s && k > s) {
        const fewer = Math.floor(k / s);
        return [
          `The kernel's ${k} ${noun}s are no multiple of the stride ${s}: outputs are sums of ` +
            `${fewer} or ${fewer + 1} inputs in turn (a checkerboard).`,
        ];
      }
      if (k < s && d === 1) {
        return [
          `The kernel's ${many(k, noun)} do not fill the stride ${s}: the ${noun}s between the ` +
            "copies get nothing.",
        ];
      }
      return [];
    });
    return [...sizes, ...paddingNote(g, "Cropped"), ...spanNotes(g), ...patterns];
  }

  return {
    AXES,
    Misfit,
    conv2dGeometry,
    conv2dTransposeGeometry,
    convolutionNotes,
    checkPair,
    kernelSpan,
    many,
    pythonText,
    transposedNotes,
  };
})();
