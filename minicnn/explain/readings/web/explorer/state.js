/* What the page is set to: a call's settings, how they change, and their address. No document.
 *
 * A state is the settings of arithmetic.js for every operation at once, and `filters`, which a
 * transposed convolution does not show in its kernel (KH,KW,F/groups,C) alone.
 */
"use strict";

const minicnnState = (() => {
  const { kernelSpan, many } = minicnnGeometry;
  const { sizeOf } = minicnnRecord;
  const { resized, written } = minicnnNumbers;
  const CONVOLUTIONS = ["conv2d", "conv2d_transpose"];
  const POOLS = ["max_pool2d", "average_pool2d"];
  const OPERATIONS = [...CONVOLUTIONS, ...POOLS, "upsample2d"];
  const MOST = 4096;

  const START = {
    operation: "conv2d",
    turned: false,
    input: { shape: [1, 3, 3, 1], values: [0, 1, 2, 3, 4, 5, 6, 7, 8] },
    kernel: { shape: [2, 2, 1, 1], values: [0, 1, 2, 3] },
    filters: 1,
    bias: null,
    strides: [1, 1],
    padding: "valid",
    dilation: [1, 1],
    groups: 1,
    output_padding: null,
    pool_size: [2, 2],
    size: [2, 2],
    interpolation: "nearest",
  };

  const isConvolution = ({ operation }) => CONVOLUTIONS.includes(operation);
  const isTransposed = ({ operation }) => operation === "conv2d_transpose";
  const isPool = ({ operation }) => POOLS.includes(operation);

  /** The fields of a state that its operation takes. */
  function settingsOf(state) {
    const names = ["operation", "input"];
    if (isConvolution(state)) names.push("kernel", "bias", "dilation", "groups");
    if (state.operation === "conv2d") names.push("turned");
    if (isTransposed(state)) names.push("output_padding");
    if (isPool(state)) names.push("pool_size");
    if (state.operation === "upsample2d") names.push("size", "interpolation");
    else names.push("strides", "padding");
    return Object.fromEntries(names.map((name) => [name, state[name]]));
  }

  /** How many channels of the input each filter sees; null where groups do not divide them. */
  function channelsEach({ input, groups }) {
    const each = input.shape[3] / groups;
    return Number.isInteger(each) ? each : null;
  }

  /** The state with a kernel that fits its channels, filters and groups, wherever these divide. */
  function adapted(state) {
    const { filters, groups, input, kernel } = state;
    const [height, width, third, fourth] = kernel.shape;
    const shape = isTransposed(state)
      ? [height, width, filters % groups ? third : filters / groups, input.shape[3]]
      : [height, width, channelsEach(state) ?? third, filters];
    const bias =
      state.bias && resized({ shape: [state.bias.length], values: state.bias }, [filters]);
    const same = shape.every((n, axis) => n === [height, width, third, fourth][axis]);
    return { ...state, kernel: same ? kernel : resized(kernel, shape), bias: bias && bias.values };
  }

  /** A state after a change, as the controls and the suggestions of arithmetic.js name them. */
  function changed(state, change) {
    return Object.entries(change).reduce(
      (next, [name, value]) => CHANGES[name]?.(next, value) ?? { ...next, [name]: value },
      state,
    );
  }

  const CHANGES = {
    input_size: (state, [height, width]) => ({
      ...state,
      input: resized(state.input, [1, height, width, state.input.shape[3]]),
    }),
    channels: (state, channels) => adapted(CHANGES.input_channels(state, channels)),
    input_channels: (state, channels) => ({
      ...state,
      input: resized(state.input, [...state.input.shape.slice(0, 3), channels]),
    }),
    kernel_channels: (state) => adapted(state),
    kernel_size: (state, size) =>
      isPool(state)
        ? { ...state, pool_size: size }
        : { ...state, kernel: resized(state.kernel, [...size, ...state.kernel.shape.slice(2)]) },
    filters: (state, filters) => adapted({ ...state, filters }),
    groups: (state, groups) => adapted({ ...state, groups }),
    bias_length: (state, length) => ({ ...state, bias: length ? adapted(state).bias : null }),
    operation: (state, operation) => {
      const next = { ...state, operation };
      if (isPool(next) && !isPool(state)) next.strides = next.pool_size;
      if (!isPool(next) && isPool(state)) next.strides = [1, 1];
      return isConvolution(next) ? adapted(next) : next;
    },
    input: (state, input) => ({ ...state, input }),
    kernel: (state, kernel) => ({
      ...state,
      kernel,
      filters: isTransposed(state) ? kernel.shape[2] * state.groups : kernel.shape[3],
    }),
  };

  /** What a state comes to: as arithmetic.js explains it, and for groups that divide no filters. */
  function explained(state) {
    const { filters, groups } = state;
    if (isTransposed(state) && filters % groups) {
      const fits = Array.from({ length: filters }, (_, i) => filters - i).filter(
        (n) => filters % n === 0 && state.input.shape[3] % n === 0,
      );
      return {
        error:
          `conv2d_transpose: groups=${groups} must divide the ${state.input.shape[3]} input ` +
          `channels and the ${filters} filters; fitting: ${[...fits].reverse().join(", ")}.`,
        fitting: fits.map((n) => ({ label: `use ${many(n, "group")}`, change: { groups: n } })),
      };
    }
    return minicnnArithmetic.explain(settingsOf(state));
  }

  /** Sizes, parameters, multiply-adds and receptive field of a call. */
  function costs(state, geometry) {
    const { input, kernel, bias } = state;
    const channels = input.shape[3];
    if (!isConvolution(state)) {
      const seen = isPool(state) ? state.pool_size : [0, 1].map((a) => (isMixed(state, a) ? 2 : 1));
      const out = geometry ? geometry.small : [0, 1].map((a) => input.shape[1 + a] * state.size[a]);
      return { output: [1, ...out, channels], weights: 0, biases: 0, multiplyAdds: null, seen };
    }
    const weights = sizeOf(kernel.shape);
    const { small, large, strides, dilation } = geometry;
    const spans = geometry.kernel.map((k, a) => kernelSpan(k, dilation[a]));
    // An output of a transposed convolution is met by as many copies as its taps fall on.
    const seen = isTransposed(state)
      ? geometry.kernel.map((k, a) => Math.min(small[a], metBy(k, strides[a], dilation[a])))
      : spans;
    return {
      output: [1, ...(isTransposed(state) ? large : small), state.filters],
      weights,
      biases: bias ? bias.length : 0,
      multiplyAdds: small[0] * small[1] * weights,
      seen,
    };
  }

  /** Whether an upsampling mixes two neighbours along an axis. */
  function isMixed({ input, interpolation, size }, axis) {
    return interpolation === "bilinear" && input.shape[1 + axis] > 1 && size[axis] > 1;
  }

  /** How many neighbouring inputs reach one output of a transposed convolution at most. */
  function metBy(kernel, stride, dilation) {
    const first = Array(stride).fill(null);
    const count = Array(stride).fill(0);
    for (let i = 0; i < kernel; i++) {
      const place = i * dilation;
      first[place % stride] ??= Math.floor(place / stride);
      count[place % stride] = Math.floor(place / stride) - first[place % stride] + 1;
    }
    return Math.max(...count);
  }

  /** The costs in a sentence. */
  function summary(state, geometry) {
    const { output, weights, biases, multiplyAdds, seen } = costs(state, geometry);
    const times = (sizes) => sizes.join("\u00a0×\u00a0"); // no line break parts them
    const [from, to] = [state.input.shape, output].map((shape) => times(shape.slice(1)));
    const parts = [`Input ${from}, output ${to} (height × width × channels)`];
    if (weights) {
      const which = biases ? ` (${weights} weights, ${many(biases, "bias", "biases")})` : "";
      parts.push(
        `${many(weights + biases, "parameter")}${which}`,
        many(multiplyAdds, "multiply-add"),
      );
    } else {
      parts.push("no parameters");
    }
    parts.push(`an output sees up to ${times(seen)} of the input`);
    return `${parts.join("; ")}.`;
  }

  // The address.

  const listed = (values) => values.map((v) => written(v).replace("+", "")).join(",");
  const arrayText = ({ shape, values }) => `${shape.join(",")}:${listed(values)}`;

  /** The fragment that leads to a state. */
  function fragmentOf(state) {
    const settings = settingsOf(state);
    const text = {
      input: arrayText,
      kernel: arrayText,
      bias: listed,
      padding: (value) => (typeof value === "string" ? value : value.flat().join(",")),
      turned: () => "yes",
    };
    return Object.entries(settings)
      .filter(([, value]) => value !== null && value !== false)
      .map(([name, value]) => `${name}=${(text[name] ?? String)(value)}`)
      .join("&");
  }

  /** The state that a fragment leads to; an Error that says what is wrong with it. */
  function stateOf(fragment) {
    const given = Object.fromEntries(
      fragment.split("&").map((part) => {
        const [name, ...value] = part.split("=");
        return [name, decodeURIComponent(value.join("="))];
      }),
    );
    const state = { ...START, padding: given.padding ?? START.padding };
    choice(OPERATIONS, given.operation);
    state.operation = given.operation;
    state.turned = given.turned === "yes";
    state.interpolation = choice(["nearest", "bilinear"], given.interpolation ?? "nearest");
    state.input = arrayOf(given.input, "input");
    if (given.input && state.input.shape[0] !== 1) throw new Error("input: give one image");
    if (isConvolution(state)) state.kernel = arrayOf(given.kernel, "kernel");
    if (!["valid", "same"].includes(state.padding)) {
      const [top, bottom, left, right] = integers(state.padding, 4, 0);
      state.padding = [
        [top, bottom],
        [left, right],
      ];
    }
    for (const name of ["strides", "dilation", "pool_size", "size"]) {
      if (given[name]) state[name] = integers(given[name], 2, 1);
    }
    if (given.output_padding) state.output_padding = integers(given.output_padding, 2, 0);
    if (given.groups) [state.groups] = integers(given.groups, 1, 1);
    if (given.bias) state.bias = numbers(given.bias);
    return isConvolution(state) ? CHANGES.kernel(state, state.kernel) : state;
  }

  /** One of the known words. */
  function choice(known, value) {
    if (!known.includes(value)) throw new Error(`“${value}” is none of ${known.join(", ")}`);
    return value;
  }

  /** Numbers between commas. */
  function numbers(text) {
    const values = text.split(",").map((word) => (word.trim() === "" ? NaN : Number(word)));
    if (!values.every(Number.isFinite)) throw new Error(`“${text.slice(0, 40)}” are no numbers`);
    return values;
  }

  /** So many whole numbers. */
  function integers(text, count, least) {
    const values = numbers(text);
    const fits =
      values.length === count &&
      values.every((v) => Number.isInteger(v) && v >= least && v <= MOST);
    if (!fits)
      throw new Error(`“${text.slice(0, 40)}” are not ${count} whole numbers from ${least}`);
    return values;
  }

  /** An array of four axes. */
  function arrayOf(text, name) {
    const [sizes, values] = (text ?? "").split(":");
    const array = { shape: integers(sizes, 4, 1), values: numbers(values ?? "") };
    if (array.values.length > MOST || sizeOf(array.shape) !== array.values.length) {
      throw new Error(`${name}: ${array.values.length} numbers are no array ${sizes}`);
    }
    return array;
  }

  return {
    MOST,
    OPERATIONS,
    START,
    changed,
    channelsEach,
    costs,
    explained,
    fragmentOf,
    isConvolution,
    isPool,
    isTransposed,
    settingsOf,
    stateOf,
    summary,
  };
})();
