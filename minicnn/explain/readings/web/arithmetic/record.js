/* Panels and records, as in minicnn/explain/records/panel.py and record.py: one array as it is
 * shown, and which numbers meet in each number of a result. Everything here is plain data, just
 * as Explanation.to_json() gives it in Python. */
"use strict";

const minicnnRecord = (() => {
  const { Misfit, pythonText } = minicnnGeometry;
  const MAX_TERMS = 20000;

  /** How many elements an array of this shape has. */
  const sizeOf = (shape) => shape.reduce((product, n) => product * n, 1);

  /** The flat index of an element of a block, in row-major order. */
  const flatOf = (block, at) => at.reduce((flat, i, axis) => flat * block[axis] + i, 0);

  /** Call a function with every index of an array of this shape, in row-major order. */
  function forEachIndex(shape, visit) {
    const at = shape.map(() => 0);
    for (let left = sizeOf(shape); left > 0; left--) {
      visit(at);
      for (let axis = shape.length - 1; axis >= 0 && ++at[axis] === shape[axis]; axis--)
        at[axis] = 0;
    }
  }

  // One array in the picture.

  /** Which axes are drawn as rows and columns: of images (N,H,W,C), H and W. */
  function matrixAxes(dimensions) {
    if (dimensions === 4) return [1, 2];
    return dimensions === 2 ? [0, 1] : [null, 0];
  }

  /** The panel of a whole array; with [[before, after], ...] elements of `fill` around it. */
  function panelOf(name, role, array, { axes = null, around = null, outside = "", fill = 0 } = {}) {
    const { shape, values } = array;
    const panel = {
      name,
      role,
      shape: [...shape],
      block: [...shape],
      origin: shape.map(() => 0),
      axes: axes ?? matrixAxes(shape.length),
      outside,
      values: [...values],
      mirror: null,
    };
    if (around === null) return panel;
    panel.block = shape.map((n, axis) => around[axis][0] + n + around[axis][1]);
    panel.origin = around.map(([before]) => 0 - before);
    panel.values = Array(sizeOf(panel.block)).fill(fill);
    let next = 0;
    forEachIndex(shape, (at) => {
      const moved = at.map((i, axis) => i - panel.origin[axis]);
      panel.values[flatOf(panel.block, moved)] = values[next++];
    });
    return panel;
  }

  /** Whether an element of the block lies outside the array. */
  function isOutside(panel, flat) {
    for (let axis = panel.block.length - 1; axis >= 0; axis--) {
      const i = (flat % panel.block[axis]) + panel.origin[axis];
      if (i < 0 || i >= panel.shape[axis]) return true;
      flat = Math.floor(flat / panel.block[axis]);
    }
    return false;
  }

  /** The elements of a result in the order in which they are shown, matrix by matrix. */
  function stepsOf(panel) {
    const [rows, columns] = panel.axes;
    const others = panel.block.map((_, axis) => axis).filter((a) => a !== rows && a !== columns);
    if (rows === 0 && others.length === 2) others.reverse(); // kernels: filter by filter
    const order = [...others, ...(rows === null ? [] : [rows]), columns];
    const found = [];
    forEachIndex(
      order.map((axis) => panel.block[axis]),
      (at) => {
        const index = panel.block.map((_, axis) => at[order.indexOf(axis)]);
        const flat = flatOf(panel.block, index);
        if (!isOutside(panel, flat)) found.push(flat);
      },
    );
    return found;
  }

  // One record of which numbers meet.

  /**
   * The record of an operation, filled with the numbers that its terms come to.
   *
   * `visit(add)` calls add(flat index in the result, [flat indices in the operands], share) for
   * every term. `given` are the fields of the record that are known beforehand.
   */
  function makeRecord(given, visit) {
    const size = given.result.values.length;
    const terms = Array.from({ length: size }, () => []);
    const shares = Array.from({ length: size }, () => []);
    visit((cell, elements, share = 1) => {
      terms[cell].push(...elements);
      shares[cell].push(share);
    });
    const record = {
      form: "sum",
      template: "",
      notes: [],
      bias: null,
      factors: given.operands.map((_, o) => o).filter((o) => o !== given.bias?.operand),
      ...given,
      terms,
      shares: shares.every((each) => each.every((share) => share === 1)) ? null : shares,
      steps: stepsOf(given.result),
    };
    for (let cell = 0; cell < size; cell++) record.result.values[cell] = valueOf(record, cell);
    return record;
  }

  /** What the terms of an element of the result come to. */
  function valueOf(record, cell) {
    const { operands, factors, form, bias } = record;
    const numbers = [];
    for (let t = 0; t * factors.length < record.terms[cell].length; t++) {
      const elements = record.terms[cell].slice(t * factors.length, (t + 1) * factors.length);
      const counted = !elements.some((flat, f) => isOutside(operands[factors[f]], flat));
      if (form === "sum" || counted) {
        const product = elements.reduce((p, flat, f) => p * operands[factors[f]].values[flat], 1);
        numbers.push(record.shares === null ? product : product * record.shares[cell][t]);
      }
    }
    const sum = exactSum(numbers);
    if (form === "max") return numbers.length ? Math.max(...numbers) : "-Infinity";
    if (form === "mean") return numbers.length ? sum / numbers.length : 0;
    return sum + (bias ? operands[bias.operand].values[bias.cells[cell]] : 0);
  }

  /** A sum in which the digits that each addition loses are added at the end. */
  function exactSum(numbers) {
    let [sum, lost] = [0, 0];
    for (const value of numbers) {
      const next = sum + value;
      lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
      sum = next;
    }
    return Number.isFinite(sum) ? sum + lost : sum;
  }

  /** More products than may be shown: its message, the sentence for a note, and for the page. */
  class TooLarge extends Misfit {
    constructor(message, fitting, leftOut, told) {
      super(message, fitting);
      Object.assign(this, { leftOut, told });
    }
  }

  /** Refuse a record with more products than may be shown. */
  function checkTerms(title, result, termsEach, settings) {
    const most = settings.max_terms ?? MAX_TERMS;
    const count = termsEach * result.values.length;
    if (count <= most) return;
    const [found, allowed] = [count, most].map((n) => String(n).replace(/\B(?=(\d{3})+$)/g, ","));
    const size = settings.input.shape.slice(1, 3);
    const half = size.map((n) => Math.ceil(n / 2));
    throw new TooLarge(
      `explain: ${title} has ${found} products here, more than max_terms=${allowed}. Show a part ` +
        `of ${result.name} ${pythonText(result.shape)} by window=(rows, columns), e.g. ` +
        "window=((0, 3), (0, 4)), give fewer images, or raise max_terms.",
      size.every((n) => n === 1)
        ? []
        : [{ label: `use an input of ${half[0]} x ${half[1]}`, change: { input_size: half } }],
      `Not shown: ${title}, with ${found} products where max_terms allows ${allowed}.`,
      `${title} has ${found} products with these settings; the page shows at most ${allowed}. ` +
        "Use a smaller input, fewer channels or filters, or less padding.",
    );
  }

  /** The records of a call; a gradient that is too large becomes a sentence in `leftOut`. */
  function unlessTooLarge(makers, leftOut) {
    return makers.flatMap((make, place) => {
      try {
        return [make()];
      } catch (error) {
        if (place === 0 || !(error instanceof TooLarge)) throw error;
        leftOut.push(error.leftOut);
        return [];
      }
    });
  }

  return { checkTerms, flatOf, forEachIndex, makeRecord, panelOf, sizeOf, unlessTooLarge };
})();
