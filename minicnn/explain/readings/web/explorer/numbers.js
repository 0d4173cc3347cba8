/* Numbers that a learner types or pastes, as arrays; and arrays as text. No document is needed.
 *
 * Understood are rows of numbers with spaces, commas, tabs or semicolons between them, a blank line
 * between matrices, `#` before remarks; and nested lists of Python, JSON and NumPy, in [] or ().
 */
"use strict";

const minicnnNumbers = (() => {
  const { many } = minicnnGeometry;
  const { flatOf, forEachIndex, sizeOf } = minicnnRecord;
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const MOST = 4096;
  const DEEPEST = 20; // brackets within brackets: four axes, and round ones around them

  /** Text in which something is no number; the message says where. */
  class Unreadable extends Error {}

  /** The number that a word stands for. */
  function numberOf(word, where) {
    if (!NUMBER.test(word)) {
      const shown = word.length > 20 ? `${word.slice(0, 20)}…` : word;
      throw new Unreadable(`${where}: “${shown}” is no number.`);
    }
    const value = Number(word);
    if (!Number.isFinite(value)) throw new Unreadable(`${where}: ${word} is too large.`);
    return value;
  }

  /** The nested array {shape, values} in a text: (rows, columns), (matrices, rows, columns), ... */
  function read(text) {
    const plain = text.replaceAll("\u2212", "-").replaceAll("\r", "");
    const remarkless = plain.replace(/#.*$/gm, "");
    if (!/\S/.test(remarkless)) throw new Unreadable("There are no numbers here.");
    const array = /[[(]/.test(remarkless) ? readLists(remarkless) : readRows(plain);
    if (array.values.length > MOST) {
      throw new Unreadable(`These are ${array.values.length} numbers; at most ${MOST} are shown.`);
    }
    return array;
  }

  /** Rows of numbers, matrices with a blank line or remarks between them. */
  function readRows(text) {
    const matrices = [[]];
    text.split("\n").forEach((line, at) => {
      const kept = line.replace(/#.*$/, "").trim();
      if (kept === "") {
        if (matrices.at(-1).length) matrices.push([]);
      } else {
        matrices.at(-1).push({ at: at + 1, row: readRow(kept, at + 1) });
      }
    });
    if (!matrices.at(-1).length) matrices.pop();
    const [rows, columns] = [matrices[0].length, matrices[0][0].row.length];
    matrices.forEach((matrix, m) => {
      matrix.forEach(({ at, row }) => {
        if (row.length !== columns) {
          throw new Unreadable(
            `Line ${at} has ${many(row.length, "number")}, but line ${matrices[0][0].at} has ` +
              `${columns}; all rows must be equally long.`,
          );
        }
      });
      if (matrix.length !== rows) {
        throw new Unreadable(
          `Matrix ${m + 1} has ${many(matrix.length, "row")}, but the first has ${rows}; a blank ` +
            "line separates matrices, and all must be equally large.",
        );
      }
    });
    const shape = matrices.length > 1 ? [matrices.length, rows, columns] : [rows, columns];
    return { shape, values: matrices.flat().flatMap(({ row }) => row) };
  }

  /** The numbers of one line. Between tabs and semicolons a comma is a decimal comma. */
  function readRow(line, at) {
    const decimal = /[\t;]/.test(line) && /\d,\d/.test(line) && !/,\s|\d,\d+,/.test(line);
    const words = decimal
      ? line.split(/[\t;]+/).map((word) => word.trim().replace(",", "."))
      : line.split(/[\s,;]+/);
    const filled = words.filter((word) => word !== "");
    if (!filled.length) throw new Unreadable(`Line ${at}: there is no number.`);
    return filled.map((word, place) => numberOf(word, `Line ${at}, number ${place + 1}`));
  }

  /** Nested lists, with or without commas, and whatever NumPy writes around them. */
  function readLists(text) {
    const stripped = text
      .replace(/\b(?:np|numpy|torch|tf|jnp)?\.?(?:array|tensor|constant|asarray)\s*(?=\()/g, "")
      .replace(
        /,?\s*(?:dtype|shape|device|requires_grad)\s*=\s*(?:\([^()]*\)|'[^']*'|"[^"]*"|[\w.]+)/g,
        "",
      );
    const tokens = [...stripped.matchAll(/[[\]()]|[^\s,[\]()]+/g)];
    let next = 0;
    const lineOf = (token) => stripped.slice(0, token.index).split("\n").length;

    function list(depth = 1) {
      const open = tokens[next++];
      if (depth > DEEPEST) throw new Unreadable("There are too many brackets within brackets.");
      const items = [];
      while (next < tokens.length && !"])".includes(tokens[next][0])) {
        const token = tokens[next];
        if ("[(".includes(token[0])) items.push(list(depth + 1));
        else {
          items.push(numberOf(token[0], `Line ${lineOf(token)}`));
          next++;
        }
      }
      if (next === tokens.length) {
        throw new Unreadable(`The bracket “${open[0]}” of line ${lineOf(open)} is never closed.`);
      }
      next++;
      // As in Python, round brackets around one thing are that thing: array([[1, 2]]).
      return open[0] === "(" && items.length === 1 ? items[0] : items;
    }

    if (!"[(".includes(tokens[0][0])) {
      throw new Unreadable(
        `Line ${lineOf(tokens[0])}: “${tokens[0][0]}” stands before the bracket.`,
      );
    }
    const lists = [];
    while (next < tokens.length) {
      if (!"[(".includes(tokens[next][0])) {
        const { 0: word } = tokens[next];
        throw new Unreadable(
          `Line ${lineOf(tokens[next])}: “${word}” stands outside the brackets.`,
        );
      }
      lists.push(list());
    }
    const [first] = lists;
    return regular(lists.length > 1 || !Array.isArray(first) ? lists : first);
  }

  /** A nested list as an array; all lists of one depth must be equally long. */
  function regular(nested) {
    const shape = [];
    for (let part = nested; Array.isArray(part); part = part[0]) shape.push(part.length);
    const values = [];
    function visit(part, depth) {
      if (depth === shape.length) {
        if (Array.isArray(part)) throw new Unreadable("Some lists are nested deeper than others.");
        values.push(part);
      } else if (!Array.isArray(part) || part.length !== shape[depth]) {
        const found = Array.isArray(part) ? `one of ${part.length}` : "a single number";
        throw new Unreadable(
          `Beside a list of ${shape[depth]} there is ${found}; ` +
            `lists of one depth must be equally long.`,
        );
      } else {
        part.forEach((inner) => visit(inner, depth + 1));
      }
    }
    visit(nested, 0);
    if (!values.length) throw new Unreadable("There are no numbers here.");
    if (shape.length > 4)
      throw new Unreadable(`There are ${shape.length} axes; at most 4 are read.`);
    if (shape.length === 1) shape.unshift(1);
    return { shape, values };
  }

  /** An array with its axes in another order: axis a of the result is axis order[a] of this one. */
  function transposed({ shape, values }, order) {
    const found = { shape: order.map((axis) => shape[axis]), values: Array(values.length) };
    let flat = 0;
    forEachIndex(shape, (at) => {
      const index = order.map((axis) => at[axis]);
      found.values[flatOf(found.shape, index)] = values[flat++];
    });
    return found;
  }

  /** An array of another shape: the same numbers where it overlaps, and repeated beyond. */
  function resized({ shape, values }, wanted) {
    const found = { shape: wanted, values: [] };
    forEachIndex(wanted, (at) =>
      found.values.push(
        values[
          flatOf(
            shape,
            at.map((i, axis) => i % shape[axis]),
          )
        ],
      ),
    );
    return found;
  }

  /** Images (1,H,W,C) from what was read: one matrix for each channel, or channels last. */
  function readImage(text) {
    const found = read(text);
    let { shape } = found;
    if (shape.length === 4) {
      if (shape[0] !== 1) throw new Unreadable(`These are ${shape[0]} images; give one.`);
      shape = shape.slice(1);
    }
    if (shape.length === 2) shape = [1, ...shape];
    const array = { shape, values: found.values };
    // A last axis of one, three or four numbers beside larger ones is one of channels.
    const last = shape[2] <= 4 && shape[0] > 4 && shape[1] > shape[2];
    const image = last ? array : transposed(array, [1, 2, 0]);
    const [height, width, channels] = image.shape;
    const told =
      `Read as ${many(height, "row")}, ${many(width, "column")}, ${many(channels, "channel")}` +
      `${last ? ", channels last" : ""}.`;
    return { array: { shape: [1, ...image.shape], values: image.values }, told };
  }

  /**
   * A kernel (KH,KW,third,fourth) from what was read. Matrices come as PyTorch has them: of a
   * convolution filter by filter, `known.third` to each; of a transposed one channel by channel,
   * of which there are `known.fourth`. Four axes may also come as minicnn and Keras have them.
   */
  function readKernel(text, known) {
    const array = read(text);
    if (array.shape.length === 2) array.shape.unshift(1);
    if (array.shape.length === 3) {
      const [count, ...size] = array.shape;
      const each = known.third ?? known.fourth;
      if (count % each) throw new Unreadable(notShared(count, each, known));
      const rest = count / each;
      array.shape = [...(known.third ? [rest, each] : [each, rest]), ...size];
    } else if (isKernelLast(array.shape, known)) {
      return { array, told: toldKernel(array.shape, ", filters last") };
    }
    const kernel = transposed(array, [2, 3, 1, 0]);
    return { array: kernel, told: toldKernel(kernel.shape, "") };
  }

  /** The sentence for matrices that cannot be shared among filters or channels. */
  function notShared(count, each, known) {
    const found = `${count} ${count === 1 ? "matrix" : "matrices"}`;
    const sizes = `give ${each}, ${2 * each}, ${3 * each} ... of them.`;
    return known.third
      ? `${found} cannot be filters of ${many(each, "channel")} each; ${sizes}`
      : `${found} cannot be shared by ${many(each, "channel")}; ${sizes}`;
  }

  /** Whether four axes are (KH,KW,third,fourth) and not (fourth,third,KH,KW). */
  function isKernelLast(shape, { third, fourth }) {
    if (third) return shape[2] === third && shape[1] !== third;
    return shape[3] === fourth && shape[0] !== fourth;
  }

  /** The sentence that says how a kernel was read. */
  function toldKernel([height, width, third, fourth], order) {
    return (
      `Read as ${many(height, "row")}, ${many(width, "column")}, ${fourth} x ${third} ` +
      `${third * fourth === 1 ? "matrix" : "matrices"}${order}.`
    );
  }

  /** The numbers of a bias: all that stand there, in one row. */
  function readBias(text) {
    return /\S/.test(text) ? read(text).values : null;
  }

  /** A number as it is typed. */
  const written = (value) => String(Object.is(value, -0) ? 0 : Number(value.toPrecision(7)));

  /** Rows of numbers below each other, columns aligned. */
  function rowsText(rows, between = " ") {
    const words = rows.map((row) => row.map(written));
    const wide = words[0].map((_, column) => Math.max(...words.map((row) => row[column].length)));
    return words.map((row) => row.map((w, column) => w.padStart(wide[column])).join(between));
  }

  /** The matrices of an array over its last two axes, each a list of rows. */
  function matricesOf({ shape, values }) {
    const [rows, columns] = shape.slice(-2);
    const count = sizeOf(shape.slice(0, -2));
    return Array.from({ length: count }, (_, m) =>
      Array.from({ length: rows }, (_, r) => {
        const first = (m * rows + r) * columns;
        return values.slice(first, first + columns);
      }),
    );
  }

  /** Matrices as text: a remark above each where there are several, blank lines between. */
  function matricesText(array, name) {
    const matrices = matricesOf(array);
    return matrices
      .map((rows, m) => {
        const title = matrices.length > 1 ? [`# ${name(m)}`] : [];
        return [...title, ...rowsText(rows)].join("\n");
      })
      .join("\n\n");
  }

  /** An image as text, channel by channel. */
  function imageText({ shape, values }) {
    const channels = transposed({ shape: shape.slice(1), values }, [2, 0, 1]);
    return matricesText(channels, (m) => `channel ${m}`);
  }

  /** A kernel as text, filter by filter; of a transposed convolution channel by channel. */
  function kernelText(kernel, isTransposed = false) {
    const third = kernel.shape[2];
    return matricesText(transposed(kernel, [3, 2, 0, 1]), (m) => {
      const [outer, inner] = [Math.floor(m / third), m % third];
      return isTransposed
        ? `channel ${outer}, filter ${inner}`
        : `filter ${outer}, channel ${inner}`;
    });
  }

  return {
    Unreadable,
    imageText,
    kernelText,
    matricesOf,
    read,
    readBias,
    readImage,
    readKernel,
    resized,
    rowsText,
    transposed,
    written,
  };
})();
