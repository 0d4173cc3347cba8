// Arrays as grids of numbers, one for each matrix, and the marks on their cells.

/** An element with attributes and children; strings become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const COLOURED_PIECES = 1500; // longer lines are drawn in as few elements as possible

/**
 * A line of the arithmetic as an element; numbers have the colours of their arrays. Of the parts
 * of a sum, `upTo` (0: all) are taken, the last of these stands out, those behind it step back.
 */
function drawLine(tag, className, line, upTo) {
  const isLong = line.length > COLOURED_PIECES;
  const runs = [];
  for (const piece of line) {
    const { text, part, role = "" } = typeof piece === "string" ? { text: piece } : piece;
    const state = part === undefined ? "" : stateOf(part, upTo).at(-1).replace("on", "");
    const shown = isLong ? "" : role;
    const last = runs.at(-1);
    if (last && last.state === state && last.role === shown) last.text += text;
    else runs.push({ text, state, role: shown });
  }
  const element = make(tag, { class: className });
  let group = element;
  let groupState = "";
  for (const { text, state, role: name } of runs) {
    if (state !== groupState) {
      group = state ? element.appendChild(make("span", { class: state })) : element;
      groupState = state;
    }
    group.append(name ? make("span", { "data-role": name }, text) : text);
  }
  return element;
}

/** The grids of all arrays of a record. */
class Grids {
  constructor(record, withOutside, level) {
    this.record = record;
    this.cells = record.panels.map(() => new Map());
    this.places = new WeakMap();
    this.marked = new Set();
    this.shown = new Map();
    this.twins = record.panels.map(() => new Map());
    record.panels.forEach((panel, which) => {
      panel.mirror?.cells.forEach((flat, cell) => {
        this.twins[panel.mirror.operand].set(flat, [which, cell]);
      });
    });
    this.element = make("div", { class: "panels" });
    record.panels.forEach((panel, which) => {
      this.element.append(this.panel(panel, which, withOutside, level));
    });
  }

  panel(panel, which, withOutside, level) {
    const shape = panel.shape.length ? panel.shape.join(" × ") : "one number";
    const title = make("h" + level, {}, panel.name, " ", make("small", {}, shape));
    const isResult = which === this.record.resultNumber;
    const section = make("section", { class: "panel", "data-role": panel.role });
    if (isResult) section.classList.add("result");
    const box = make("div", { class: "box" });
    const format = cellFormat(panel.values);
    if (isResult) this.format = format;
    const texts = panel.values.map(format);
    const width = Math.max(2, ...new Set(texts.map((text) => text.length)));
    box.style.setProperty("--width", `${width + 1.4}ch`);
    for (const matrix of panel.matrices(withOutside)) {
      box.append(this.matrix(panel, which, matrix, texts));
    }
    section.append(title, box);
    return section;
  }

  matrix(panel, which, matrix, texts) {
    const size = `${matrix.rows.length} × ${matrix.columns.length}`;
    const grid = make("div", { role: "grid", "aria-label": `${matrix.label}, ${size}` });
    grid.style.setProperty("--columns", matrix.columns.length);
    const corner = make("span", { "aria-hidden": "true" });
    const heads = matrix.columns.map((j) => make("span", { role: "columnheader" }, number(j)));
    const withRows = matrix.rows[0] !== null;
    grid.classList.toggle("flat", !withRows);
    grid.append(make("div", { role: "row" }, ...(withRows ? [corner] : []), ...heads));
    matrix.cells.forEach((cells, r) => {
      const row = make("div", { role: "row" });
      if (withRows) row.append(make("span", { role: "rowheader" }, number(matrix.rows[r])));
      row.append(...cells.map((flat) => this.cell(panel, which, flat, texts[flat])));
      grid.append(row);
    });
    grid.querySelector("[role=gridcell]")?.setAttribute("tabindex", "0");
    // The only matrix of an array has its name, which stands above already. So has a second view.
    const name = panel.mirror ? this.record.operands[panel.mirror.operand].name : panel.name;
    const label = matrix.label.replace(panel.name, name);
    const caption = label === name ? [] : [make("figcaption", {}, label)];
    return make("figure", { class: "matrix" }, ...caption, grid);
  }

  cell(panel, which, flat, text) {
    const outside = panel.isOutside(flat) ? panel.outside || "outside" : "";
    const value = fullNumber(panel.values[flat]);
    const label = `${panel.label(flat)} = ${value}`;
    const attributes = {
      role: "gridcell",
      tabindex: "-1",
      class: outside ? "cell outside" : "cell",
      "aria-label": outside ? `${label}, ${outside}` : label,
      title: text === value ? null : value,
    };
    const cell = make("div", attributes, text);
    this.cells[which].set(flat, cell);
    this.places.set(cell, { panel: which, flat });
    return cell;
  }

  /** The place {panel, flat} of the cell in which an event happened, if any. */
  placeOf(target) {
    const cell = target instanceof Element ? target.closest("[role=gridcell]") : null;
    return (cell && this.places.get(cell)) || null;
  }

  at(panel, flat) {
    return this.cells[panel].get(flat) ?? null;
  }

  /** Mark an element, and its twin in a second view of its array. */
  mark(panel, flat, name) {
    const twin = this.twins[panel].get(flat);
    const cells = [this.at(panel, flat), twin ? this.at(...twin) : null];
    for (const cell of cells.filter(Boolean)) {
      cell.classList.add(name);
      this.marked.add(cell);
      if (name === "pinned") cell.setAttribute("aria-selected", "true");
    }
  }

  clear() {
    for (const cell of this.marked) {
      cell.classList.remove("on", "ahead", "now", "question", "pinned", "winner");
      cell.removeAttribute("aria-selected");
    }
    this.marked.clear();
  }

  /** Show numbers in the result: its own, or what has come together so far. */
  write(values, isSoFar) {
    const panel = this.record.result;
    for (const [flat, cell] of this.cells[this.record.resultNumber]) {
      const far = isSoFar(flat) ? " so far" : "";
      const shown = `${values[flat]}${far}`;
      if (this.shown.get(flat) === shown) continue;
      this.shown.set(flat, shown);
      cell.textContent = this.format(values[flat]);
      const outside = panel.isOutside(flat) ? `, ${panel.outside || "outside"}` : "";
      const label = `${panel.label(flat)} = ${fullNumber(values[flat])}${far}${outside}`;
      cell.setAttribute("aria-label", label);
    }
  }

  /** Let an element be seen in its box, without moving the page. */
  reveal(panel, flat) {
    const cell = this.at(panel, flat);
    if (!cell) return;
    const box = cell.closest(".box");
    const [inner, outer] = [cell.getBoundingClientRect(), box.getBoundingClientRect()];
    if (inner.left < outer.left) box.scrollLeft += inner.left - outer.left - 40;
    if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right + 8;
    if (inner.top < outer.top) box.scrollTop += inner.top - outer.top - 40;
    if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom + 8;
  }
}

/** Make a cell the one at which the Tab key enters its grid. */
function enterAt(cell) {
  const grid = cell.closest("[role=grid]");
  grid.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
  cell.setAttribute("tabindex", "0");
}

/** The cell that a key leads to, or null. */
function cellByKey(cell, key, withControl) {
  const rows = [...cell.closest("[role=grid]").querySelectorAll("[role=row]")]
    .map((row) => [...row.querySelectorAll("[role=gridcell]")])
    .filter((cells) => cells.length);
  const r = rows.findIndex((cells) => cells.includes(cell));
  const c = rows[r].indexOf(cell);
  const last = rows[r].length - 1;
  const moves = {
    ArrowLeft: [r, c - 1],
    ArrowRight: [r, c + 1],
    ArrowUp: [r - 1, c],
    ArrowDown: [r + 1, c],
    Home: [withControl ? 0 : r, 0],
    End: [withControl ? rows.length - 1 : r, last],
  };
  if (!(key in moves)) return null;
  const [row, column] = moves[key];
  return rows[row]?.[column] ?? cell;
}
