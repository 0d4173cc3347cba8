// What meets what: the records of `Explanation.to_json`, with the questions that a page asks of
// them. Nothing here draws.

/** One array: its numbers, what its elements are called, and which of them lie outside it. */
class Panel {
  constructor(json) {
    Object.assign(this, json);
    this.values = json.values.map(Number); // infinities and NaN come as words
    this.strides = json.block.map((_, axis) => product(json.block.slice(axis + 1)));
  }

  /** The index in the array of an element of the block. */
  index(flat) {
    return this.strides.map(
      (stride, axis) => (Math.floor(flat / stride) % this.block[axis]) + this.origin[axis],
    );
  }

  /** The name of an element, e.g. `x[0,1,2,0]`. */
  label(flat) {
    return `${this.name}[${this.index(flat).join(",")}]`.replaceAll("-", "−");
  }

  isOutside(flat) {
    // Asked for every factor of every term, so answered once for all.
    this.outsides ??= this.values.map((_, each) =>
      this.index(each).some((i, axis) => i < 0 || i >= this.shape[axis]),
    );
    return this.outsides[flat];
  }

  hasOutside() {
    return this.block.some(
      (n, axis) => this.origin[axis] < 0 || this.origin[axis] + n > this.shape[axis],
    );
  }

  /** The name of the matrix in which an element stands, e.g. `x[0,:,:,2]`. */
  matrixLabel(flat) {
    const parts = this.index(flat).map((i, axis) => (this.axes.includes(axis) ? ":" : String(i)));
    return parts.every((part) => part === ":") ? this.name : `${this.name}[${parts.join(",")}]`;
  }

  /**
   * The block as matrices, in the order of the steps: for each its label, the indices of its rows
   * (null for a single row that is no axis) and columns, and the flat indices of its elements.
   */
  matrices(withOutside) {
    const [rowAxis, columnAxis] = this.axes;
    const kept = (axis) =>
      range(this.block[axis]).filter((i) => {
        const at = i + this.origin[axis];
        return withOutside || (at >= 0 && at < this.shape[axis]);
      });
    const others = range(this.block.length).filter((a) => a !== rowAxis && a !== columnAxis);
    // Kernels are shown filter by filter, images one after the other with their channels.
    if (rowAxis === 0 && others.length === 2) others.reverse();
    let bases = [0];
    for (const axis of others) {
      bases = bases.flatMap((base) => kept(axis).map((i) => base + i * this.strides[axis]));
    }
    const rows = rowAxis === null ? [0] : kept(rowAxis);
    const columns = kept(columnAxis);
    const down = rowAxis === null ? 0 : this.strides[rowAxis];
    return bases.map((base) => ({
      label: this.matrixLabel(base),
      rows: rows.map((i) => (rowAxis === null ? null : i + this.origin[rowAxis])),
      columns: columns.map((j) => j + this.origin[columnAxis]),
      cells: rows.map((i) => columns.map((j) => base + i * down + j * this.strides[columnAxis])),
    }));
  }
}

/** What an operation does, number by number; see `Record` in Python. */
class Arithmetic {
  constructor(json) {
    Object.assign(this, json);
    this.operands = json.operands.map((panel) => new Panel(panel));
    this.result = new Panel(json.result);
    this.panels = [...this.operands, this.result];
    this.resultNumber = this.operands.length;
    this.usesOf = new Map();
  }

  /** How many terms an element of the result has. */
  count(cell) {
    return this.terms[cell].length / this.factors.length;
  }

  /** The elements of a term: pairs of operand number and flat index. */
  elements(cell, term) {
    const first = term * this.factors.length;
    return this.factors.map((operand, i) => [operand, this.terms[cell][first + i]]);
  }

  /** Whether all elements of a term lie inside their arrays. */
  isCounted(cell, term) {
    return this.elements(cell, term).every(([o, flat]) => !this.operands[o].isOutside(flat));
  }

  /** The numbers of the terms that lie inside their arrays. */
  counted(cell) {
    return range(this.count(cell)).filter((term) => this.isCounted(cell, term));
  }

  share(cell, term) {
    return this.shares === null ? 1 : this.shares[cell][term];
  }

  /** What a term comes to. */
  value(cell, term) {
    const values = this.elements(cell, term).map(([o, flat]) => this.operands[o].values[flat]);
    return product(values) * this.share(cell, term);
  }

  biasValue(cell) {
    return this.operands[this.bias.operand].values[this.bias.cells[cell]];
  }

  /**
   * The parts of an element of the result, in order: {term: number} and at last {bias: true}.
   * Terms with an element outside its array are parts only where they show as products with 0.
   */
  parts(cell, withOutside) {
    if (this.form === "formula") return [{ term: 0 }];
    const all = this.form === "sum" && withOutside;
    const terms = all ? range(this.count(cell)) : this.counted(cell);
    const parts = terms.map((term) => ({ term }));
    return this.bias === null ? parts : [...parts, { bias: true }];
  }

  /** What the parts come to, all or so many of them: the sum, the largest, or what is divided. */
  soFar(cell, parts) {
    const values = parts.map((p) => (p.bias ? this.biasValue(cell) : this.value(cell, p.term)));
    return this.form === "max" ? Math.max(...values) : sum(values);
  }

  /** The first of the terms that are the largest; what a maximum passes on. */
  winner(cell) {
    const terms = this.counted(cell);
    const values = terms.map((term) => this.value(cell, term));
    const largest = Math.max(...values); // NaN where one of them is
    return terms[values.findIndex((value) => value === largest || Number.isNaN(value))];
  }

  /** Of each element of an operand, where it is used: pairs of result cell and term, -1: bias. */
  uses(operand) {
    if (this.usesOf.has(operand)) return this.usesOf.get(operand);
    const found = this.operands[operand].values.map(() => []);
    const places = this.factors.flatMap((o, i) => (o === operand ? [i] : []));
    const width = this.factors.length;
    this.terms.forEach((flats, cell) => {
      for (let term = 0; term * width < flats.length; term += 1) {
        const used = new Set(places.map((place) => flats[term * width + place]));
        used.forEach((flat) => found[flat].push([cell, term]));
      }
    });
    if (this.bias !== null && this.bias.operand === operand) {
      this.bias.cells.forEach((flat, cell) => found[flat].push([cell, -1]));
    }
    this.usesOf.set(operand, found);
    return found;
  }

  /** Whether it can be read from the first operand's side: each element lays copies into y. */
  canScatter() {
    if (this.form !== "sum" || new Set(this.factors).size !== this.factors.length) return false;
    if (this.factors.length === 2) return true;
    const uses = this.factors.length === 1 ? this.uses(this.factors[0]) : [];
    return this.shares !== null || uses.some((cells) => cells.length > 1);
  }

  /** The elements of the first operand in the order in which they are laid; -1: the bias, last. */
  scatterSteps() {
    const first = this.operands[this.factors[0]];
    const flats = first.matrices(false).flatMap((matrix) => matrix.cells.flat());
    return this.bias === null ? flats : [...flats, -1];
  }

  /** What a step of the scattered reading lays: pairs of result cell and term, -1: bias. */
  laid(source, withOutside) {
    if (source === -1) {
      return range(this.result.values.length)
        .filter((cell) => withOutside || !this.result.isOutside(cell))
        .map((cell) => [cell, -1]);
    }
    return this.uses(this.factors[0])[source].filter(
      ([cell, term]) => withOutside || (this.isCounted(cell, term) && !this.result.isOutside(cell)),
    );
  }

  /** What a term or the bias adds to an element of the result. */
  added(cell, term) {
    return term === -1 ? this.biasValue(cell) : this.value(cell, term);
  }

  /** The result after so many whole steps of the scattered reading. */
  accumulated(steps, count) {
    const known = this.known?.steps === steps && this.known.count <= count ? this.known : null;
    const values = known ? known.values.slice() : new Float64Array(this.result.values.length);
    for (const source of steps.slice(known?.count ?? 0, count)) {
      for (const [cell, term] of this.laid(source, true)) values[cell] += this.added(cell, term);
    }
    this.known = { steps, count, values }; // the next step goes on from there
    return values.slice();
  }
}

const range = (n) => Array.from({ length: n }, (_, i) => i);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const product = (values) => values.reduce((total, value) => total * value, 1);
