/* The settings as a form. `page` is what it changes: page.state, page.linked, page.change(change,
 * typing) and page.open(state).
 */
"use strict";

const minicnnForm = (() => {
  const S = minicnnState;
  const { many } = minicnnGeometry;
  const { button, chooser, fixed, group, make, numberField, textField, tick } = minicnnControls;
  const { imageText, kernelText, readBias, readImage, readKernel, written } = minicnnNumbers;
  const AXES = ["height", "width"];
  const SIDES = [
    ["top", "bottom"],
    ["left", "right"],
  ];
  const OPERATIONS = [
    ["conv2d", "convolution"],
    ["conv2d_transpose", "transposed convolution"],
    ["max_pool2d", "max-pooling"],
    ["average_pool2d", "average-pooling"],
    ["upsample2d", "upsampling"],
  ];

  /** Sizes with multiplication signs, which no line break parts. */
  const times = (sizes) => sizes.join("\u00a0×\u00a0");

  /** The form for a page: {element, refresh(state, the text in which is typed)}. */
  function build(page) {
    const makers = [presets, operation, input, kernel, windowSize, factor];
    makers.push(strides, padding, dilation, more);
    const groups = makers.map((maker) => maker(page));
    const element = make(
      "form",
      { class: "controls", "aria-label": "settings", submit: (event) => event.preventDefault() },
      ...groups.map((each) => each.element),
    );
    const refresh = (state, typing = null) => groups.forEach((each) => each.refresh(state, typing));
    return { element, refresh };
  }

  /** Buttons in a row. */
  function buttons(label, names, click) {
    const made = names.map((name, place) => button(name, () => click(place)));
    return fixed(make("div", { class: "buttons", role: "group", "aria-label": label }, ...made));
  }

  /** Fields for height and width: {name, change, least, most, typed, read(state)}. */
  function pair(page, { name, change, read, shows, ...range }) {
    return AXES.map((axis, a) =>
      numberField({
        ...range,
        label: axis,
        name: `${name}, ${axis}`,
        shows,
        read: (state) => read(state)[a],
        write: (value) => {
          const both = read(page.state).map((old, b) => (page.linked || b === a ? value : old));
          page.change({ [change]: both });
        },
      }),
    );
  }

  function presets(page) {
    const { PRESETS } = minicnnPresets;
    const names = PRESETS.map(({ name }) => name);
    const start = buttons("presets", names, (p) => page.open(PRESETS[p].state));
    return group("Start from", [start], { value: () => "examples" });
  }

  function operation(page) {
    const controls = [
      chooser({
        label: "operation",
        values: OPERATIONS,
        read: (state) => state.operation,
        write: (name) => page.change({ operation: name }),
      }),
      chooser({
        label: "kernel",
        values: [
          ["no", "as it stands"],
          ["yes", "turned by 180°"],
        ],
        read: (state) => (state.turned ? "yes" : "no"),
        write: (value) => page.change({ turned: value === "yes" }),
        shows: (state) => state.operation === "conv2d",
      }),
      chooser({
        label: "pixels",
        values: [
          ["nearest", "copied: nearest"],
          ["bilinear", "mixed: bilinear"],
        ],
        read: (state) => state.interpolation,
        write: (interpolation) => page.change({ interpolation }),
        shows: (state) => state.operation === "upsample2d",
      }),
      tick({
        label: "change height and width together",
        read: () => page.linked,
        write: (isOn) => {
          page.linked = isOn;
        },
      }),
    ];
    return group("Operation", controls, {
      value: ({ operation: o }) => Object.fromEntries(OPERATIONS)[o],
    });
  }

  function input(page) {
    const { fillings, filledImage } = minicnnPresets;
    const fill = (f) => page.change({ input: filledImage(page.state.input, fillings[f]) });
    const text = textField({
      label: "numbers of the input",
      hint: "Type or paste rows; a blank line begins the next channel.",
      rows: 5,
      read: (state) => imageText(state.input),
      write: (typed, field) => {
        const { array, told } = readImage(typed);
        page.change({ input: array }, field);
        return told;
      },
    });
    const controls = [
      ...pair(page, {
        name: "input",
        change: "input_size",
        ...{ least: 1, most: 12, typed: 64 },
        read: (state) => state.input.shape.slice(1, 3),
      }),
      numberField({
        label: "channels",
        name: "input channels",
        ...{ least: 1, most: 6, typed: 64 },
        read: (state) => state.input.shape[3],
        write: (channels) => page.change({ channels }),
      }),
      buttons("fill the input with", fillings, fill),
      text,
    ];
    return group("Input", controls, { value: (state) => times(state.input.shape.slice(1)) });
  }

  function kernel(page) {
    const { kernelFillings, filledKernel } = minicnnPresets;
    const fill = (f) => page.change({ kernel: filledKernel(page.state.kernel, kernelFillings[f]) });
    const text = textField({
      label: "numbers of the kernel",
      hint: "Type or paste rows; a blank line begins the next matrix.",
      rows: 5,
      read: (state) => kernelText(state.kernel, S.isTransposed(state)),
      write: (typed, field) => {
        const { state } = page;
        const known = S.isTransposed(state)
          ? { fourth: state.input.shape[3] }
          : { third: S.channelsEach(state) ?? state.kernel.shape[2] };
        const { array, told } = readKernel(typed, known);
        page.change({ kernel: array }, field);
        return told;
      },
    });
    return group(
      "Kernel",
      [
        ...pair(page, {
          name: "kernel",
          change: "kernel_size",
          ...{ least: 1, most: 7, typed: 32 },
          read: (state) => state.kernel.shape.slice(0, 2),
        }),
        numberField({
          label: "filters",
          ...{ least: 1, most: 6, typed: 64 },
          read: (state) => state.filters,
          write: (filters) => page.change({ filters }),
        }),
        buttons("fill the kernel with", kernelFillings, fill),
        text,
        ...biases(page),
      ],
      {
        value: (s) => `${times(s.kernel.shape.slice(0, 2))}, ${many(s.filters, "filter")}`,
        shows: S.isConvolution,
      },
    );
  }

  /** Whether there is a bias, and its numbers. */
  function biases(page) {
    const text = textField({
      label: "numbers of the bias, one to a filter",
      hint: "",
      rows: 1,
      read: (state) => (state.bias ?? []).map(written).join(" "),
      write: (typed, field) => {
        const bias = readBias(typed);
        page.change({ bias }, field);
        return "";
      },
      shows: (state) => state.bias !== null,
    });
    const has = tick({
      label: "add a bias",
      read: (state) => state.bias !== null,
      write: (isOn) => page.change({ bias: isOn ? Array(page.state.filters).fill(1) : null }),
    });
    return [has, text];
  }

  /** The size of a pooling window. */
  function windowSize(page) {
    const range = { least: 1, most: 5, typed: 32 };
    const read = (state) => state.pool_size;
    const fields = pair(page, { name: "window", change: "pool_size", ...range, read });
    return group("Window", fields, { value: (state) => times(state.pool_size), shows: S.isPool });
  }

  /** The factor of an upsampling. */
  function factor(page) {
    const range = { least: 1, most: 5, typed: 32 };
    const read = (state) => state.size;
    const fields = pair(page, { name: "factor", change: "size", ...range, read });
    const shows = (state) => state.operation === "upsample2d";
    return group("Factor", fields, { value: (state) => times(state.size), shows });
  }

  const slides = (state) => state.operation !== "upsample2d";

  function strides(page) {
    const range = { least: 1, most: 4, typed: 32 };
    const read = (state) => state.strides;
    const fields = pair(page, { name: "stride", change: "strides", ...range, read });
    return group("Stride", fields, { value: (state) => times(state.strides), shows: slides });
  }

  function padding(page) {
    const isExplicit = (state) => typeof state.padding !== "string";
    const words = chooser({
      label: "padding",
      values: [
        ["valid", "valid: none"],
        ["same", "same"],
        ["numbers", "numbers for the four sides"],
      ],
      read: (state) => (isExplicit(state) ? "numbers" : state.padding),
      write: (word) => page.change({ padding: word === "numbers" ? sidesNow(page) : word }),
    });
    const fields = SIDES.flatMap((ends, axis) =>
      ends.map((side, end) =>
        numberField({
          label: side,
          name: `padding, ${side}`,
          ...{ least: 0, most: 4, typed: 32 },
          shows: isExplicit,
          read: (state) => state.padding[axis][end],
          write: (value) => {
            const old = page.state.padding;
            const one = (pair_, a) => pair_.map((v, e) => (a === axis && e === end ? value : v));
            const all = [
              [value, value],
              [value, value],
            ];
            page.change({ padding: page.linked ? all : old.map(one) });
          },
        }),
      ),
    );
    const value = (state) => (isExplicit(state) ? state.padding.flat().join(", ") : state.padding);
    return group("Padding", [words, ...fields], { value, shows: slides });
  }

  /** The amounts of padding in numbers that a word stands for at the moment. */
  function sidesNow(page) {
    const { geometry } = S.explained(page.state);
    return geometry
      ? geometry.sides
      : [
          [0, 0],
          [0, 0],
        ];
  }

  function dilation(page) {
    const range = { least: 1, most: 4, typed: 32 };
    const read = (state) => state.dilation;
    const fields = pair(page, { name: "dilation", change: "dilation", ...range, read });
    const value = (state) => times(state.dilation);
    return group("Dilation", fields, { value, shows: S.isConvolution });
  }

  /** Groups, and the extra rows and columns of a transposed convolution. */
  function more(page) {
    const hasExtra = (state) => S.isTransposed(state) && state.output_padding !== null;
    return group(
      "Groups",
      [
        numberField({
          label: "groups",
          ...{ least: 1, most: 6, typed: 64 },
          read: (state) => state.groups,
          write: (groups) => page.change({ groups }),
        }),
        tick({
          label: "give the output padding",
          read: (state) => state.output_padding !== null,
          write: (isOn) => page.change({ output_padding: isOn ? [0, 0] : null }),
          shows: S.isTransposed,
        }),
        ...pair(page, {
          name: "output padding",
          change: "output_padding",
          ...{ least: 0, most: 3, typed: 31 },
          read: (state) => state.output_padding,
          shows: hasExtra,
        }),
      ],
      {
        value: (state) =>
          hasExtra(state)
            ? `${state.groups}, output padding ${times(state.output_padding)}`
            : String(state.groups),
        shows: S.isConvolution,
      },
    );
  }

  return { build };
})();
