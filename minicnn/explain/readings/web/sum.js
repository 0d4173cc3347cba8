// The arithmetic in a line: numbers, products and sums as text, each piece with what it stands for.
//
// A line is a list of pieces: strings, or {text, role, part}, where `part` says to which part of
// the sum a piece belongs.

const NAMED_USES = 200; // a sentence with more than that is no longer read

/** A number with up to so many significant digits; whole ones without a point. As in text.py. */
function number(value, digits = 6) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const whole = Number.isInteger(value) && Math.abs(value) < 1e15;
  return (whole ? String(value) : general(value, digits)).replaceAll("-", "−");
}

/** As Python's format "g": the shorter of fixed and scientific notation, no zeros at the end. */
function general(value, digits) {
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const strip = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) return strip(value.toFixed(digits - 1 - exponent));
  const shown = String(Math.abs(exponent)).padStart(2, "0");
  return `${strip(mantissa)}e${exponent < 0 ? "-" : "+"}${shown}`;
}

/** A number for a cell: as many of its digits as fit into six characters. */
function cellNumber(value) {
  for (let digits = 6; digits > 1; digits -= 1) {
    const text = number(value, digits);
    if (text.length <= 6) return text;
  }
  if (!Number.isFinite(value)) return number(value);
  return general(value, 2)
    .replace("e+", "e")
    .replace(/e(-?)0/, "e$1")
    .replaceAll("-", "−");
}

/**
 * How the numbers of an array are written in its cells: with equally many decimals, so that they
 * line up, where six characters hold enough of each.
 */
function cellFormat(values) {
  const some = values.filter((value) => Number.isFinite(value) && value !== 0);
  const fixed = (value, decimals) => value.toFixed(decimals).replace("-", "−");
  const fits = (decimals) =>
    some.every((value) => {
      const text = fixed(value, decimals);
      const isExact = Number(value.toFixed(decimals)) === value;
      return text.length <= 6 && (isExact || Math.abs(value) >= 10 ** (1 - decimals));
    });
  const isExact = (decimals) => some.every((value) => Number(value.toFixed(decimals)) === value);
  if (isExact(0)) return cellNumber;
  const enough = [1, 2, 3, 4].find(isExact) ?? 4;
  const decimals = range(enough)
    .map((i) => enough - i)
    .find(fits);
  if (decimals === undefined) return cellNumber;
  return (value) => {
    const text = Number.isFinite(value) && value !== 0 ? fixed(value, decimals) : number(value);
    return text.length <= 7 && !/^−?0\.0+$/.test(text) ? text : cellNumber(value);
  };
}

/** Whether a number has more digits than are shown. Float32 numbers have those of float32. */
function isRounded(value) {
  const shown = Number(number(value).replaceAll("−", "-"));
  return Number.isFinite(value) && shown !== value && Math.fround(shown) !== value;
}

/** A number with all digits of its type. */
function fullNumber(value) {
  if (!isRounded(value)) return number(value);
  return Math.fround(value) === value ? number(value, 9) : String(value).replaceAll("-", "−");
}

/** A factor of a product: negative ones in brackets. */
function factor(panel, flat, part) {
  return { text: bracketed(panel.values[flat]), role: panel.role, part };
}

function bracketed(value) {
  const text = number(value);
  return text.startsWith("−") ? `(${text})` : text;
}

/** Text of Python with the signs that mathematics uses; hyphens in words stay. */
function typographic(text) {
  return text
    .replaceAll("**2", "²")
    .replaceAll("*", "×")
    .replace(/(?<= )-(?= )|-(?=\d)|(?<=^|[\s([,=])-|(?<=\d)-(?=[a-z]\b)/g, "−");
}

/** The product of a term's elements and its share. */
function productLine(record, cell, term, part) {
  const line = record
    .elements(cell, term)
    .flatMap(([operand, flat], i) => [
      ...(i ? [{ text: "×", part }] : []),
      factor(record.operands[operand], flat, part),
    ]);
  const share = record.share(cell, term);
  return share === 1 ? line : [...line, { text: `×${bracketed(share)}`, part }];
}

function joined(lines, separator) {
  return lines.flatMap((line, i) => (i ? [separator, ...line] : line));
}

/** The right side of an element's equation, without what it comes to. */
function expression(record, cell, withOutside) {
  const parts = record.parts(cell, withOutside);
  if (record.form === "formula") return formulaLine(record, cell);
  const lines = parts.map((p, i) =>
    p.bias
      ? [
          { text: "bias ", part: i },
          factor(record.operands[record.bias.operand], record.bias.cells[cell], i),
        ]
      : productLine(record, cell, p.term, i),
  );
  const products = parts.filter((p) => !p.bias).length;
  const left = record.count(cell) - products;
  if (record.form !== "sum") {
    const verb = left === 1 ? "does" : "do";
    const note = left ? ` [${left} on the padding ${verb} not count]` : "";
    if (!products) return [record.form === "max" ? "−∞" : "0", note];
    if (record.form === "max") return ["max(", ...joined(lines.map(bare), ", "), ")", note];
    return ["(", ...joined(lines, " + "), `) / ${products}`, note];
  }
  const what = left === 1 ? "product" : "products";
  const outside = left ? ` [+ ${left} ${what} with padding, ${outsideSum(record, cell)}]` : "";
  const sums = products ? joined(lines.slice(0, products), " + ") : ["0"];
  return [...sums, outside, ...lines.slice(products).flatMap((line) => [" + ", ...line])];
}

/** What the products with padding come to: 0, unless they meet infinity or NaN. */
function outsideSum(record, cell) {
  const terms = range(record.count(cell)).filter((term) => !record.isCounted(cell, term));
  return terms.every((term) => Number.isFinite(record.value(cell, term))) ? "0" : "NaN";
}

/** The template of a formula with the elements of its one term put in. */
function formulaLine(record, cell) {
  const elements = record.elements(cell, 0);
  const pieces = record.template.split(/\{(\d+)\}/);
  return pieces.map((piece, i) => {
    if (i % 2 === 0) return typographic(piece);
    const [operand, flat] = elements[Number(piece)];
    const line = [factor(record.operands[operand], flat, 0)];
    const isArgument = /\($/.test(pieces[i - 1]) && /^[,)]/.test(pieces[i + 1]);
    return (isArgument ? bare(line) : line)[0];
  });
}

/** A line whose only number needs no brackets around it: it stands between others. */
function bare(line) {
  return line.map((piece) => ({ ...piece, text: piece.text.replace(/^\((.*)\)$/, "$1") }));
}

/** Whether a number that the equation of an element shows has more digits than are shown. */
function showsRounded(record, cell, parts) {
  const values = parts.flatMap((p) =>
    p.bias
      ? [record.biasValue(cell)]
      : [
          ...record.elements(cell, p.term).map(([o, flat]) => record.operands[o].values[flat]),
          record.share(cell, p.term),
        ],
  );
  return values.some(isRounded);
}

/** An element of the result as an equation: `y[0,1] = 2×1 + 0×(−1) = 2`. */
function equation(record, cell, withOutside) {
  const parts = record.parts(cell, withOutside);
  const value = record.result.values[cell];
  const equal = isRounded(value) || showsRounded(record, cell, parts) ? "≈" : "=";
  const right = copied(record, cell) ?? expression(record, cell, withOutside);
  const middle = plain(right) === number(value) ? [] : [" = ", ...right]; // a sum of nothing
  return [
    { text: record.result.label(cell), role: record.result.role },
    ...middle,
    ` ${equal} `,
    { text: number(value), role: record.result.role },
  ];
}

/** The name of the one element that an element of the result is, if it is a copy; else null. */
function copied(record, cell) {
  const single = record.form === "sum" && record.factors.length === 1 && record.bias === null;
  if (!single || record.count(cell) !== 1 || record.share(cell, 0) !== 1) return null;
  const [[operand, flat]] = record.elements(cell, 0);
  const panel = record.operands[operand];
  return [{ text: panel.label(flat), role: panel.role, part: 0 }];
}

/** Of a sum over several matrices of the first operand, the sum of each. */
function partialSums(record, cell, withOutside) {
  if (record.form !== "sum") return [];
  const found = new Map();
  record.parts(cell, withOutside).forEach((part, i) => {
    if (part.bias) return;
    const [operand, flat] = record.elements(cell, part.term)[0];
    const label = record.operands[operand].matrixLabel(flat);
    if (!found.has(label)) found.set(label, []);
    found.get(label).push([part, i]);
  });
  if (found.size < 2) return [];
  return [...found].map(([label, parts]) => {
    const value = record.soFar(
      cell,
      parts.map(([part]) => part),
    );
    const rounded =
      isRounded(value) ||
      showsRounded(
        record,
        cell,
        parts.map(([part]) => part),
      );
    return [
      `${label}: `,
      ...joined(
        parts.map(([part, i]) => productLine(record, cell, part.term, i)),
        " + ",
      ),
      ` ${rounded ? "≈" : "="} ${number(value)}`,
    ];
  });
}

/** What has come together after some parts of an element. */
function soFarLine(record, cell, parts, upTo) {
  const part = parts[upTo - 1];
  const value = number(record.soFar(cell, parts.slice(0, upTo)));
  const what = { max: "largest so far", mean: "sum so far", sum: "sum so far" }[record.form];
  const after = record.form === "mean" ? `, to be divided by ${parts.length}` : "";
  if (part.bias) return [`Term ${upTo} of ${parts.length}, the bias: ${what} `, value];
  const names = record
    .elements(cell, part.term)
    .map(([operand, flat]) => record.operands[operand].label(flat));
  const line = productLine(record, cell, part.term, upTo - 1);
  const own = record.value(cell, part.term);
  const equal = line.length > 1 ? [` = `, number(own)] : [];
  const head = `Term ${upTo} of ${parts.length}, ${names.join(" × ")}: `;
  return [head, ...line, ...equal, `; ${what} `, value, after];
}

/** What a step of the scattered reading adds where: `y[0,1] ← 4 + 3×2 = 10`. */
function laidLines(record, source, laid, before) {
  const values = Float64Array.from(before);
  return laid.map(([cell, term], part) => {
    const had = values[cell];
    values[cell] += record.added(cell, term);
    const bias = record.bias && record.bias.cells[cell];
    const line =
      term === -1
        ? [{ text: "bias ", part }, factor(record.operands[record.bias.operand], bias, part)]
        : productLine(record, cell, term, part);
    const shown = term === -1 ? [{ bias: true }] : [{ term }];
    const rounded =
      [had, values[cell]].some(isRounded) || showsRounded(record, cell, shown) ? "≈" : "=";
    return [
      { text: record.result.label(cell), role: record.result.role, part },
      { text: ` ← ${number(had)} + `, part },
      ...line,
      { text: ` ${rounded} ${number(values[cell])}`, part },
    ];
  });
}

/** What a step of the scattered reading does, in words. */
function laidHead(record, source, count) {
  const name = record.result.name;
  const times = count === 1 ? "once" : `${count} times`;
  if (source === -1) return [`At last the bias is added, ${times}:`];
  const [first, second] = record.factors.map((o) => record.operands[o]);
  const label = { text: first.label(source), role: first.role };
  const value = number(first.values[source]);
  if (count === 0) return [label, ` = ${value} is never used.`];
  const copy = second ? `lays ${bracketed(first.values[source])} × ${second.name}` : "is added";
  return [label, ` = ${value} ${copy} into ${name}, ${times}:`];
}

/** Where an element of an operand is used, in words. */
function usesLine(record, operand, flat) {
  const panel = record.operands[operand];
  const uses = record.uses(operand)[flat];
  const outside = panel.isOutside(flat) ? `, ${panel.outside},` : "";
  const label = { text: panel.label(flat), role: panel.role };
  const head = [label, ` = ${number(panel.values[flat])}${outside}`];
  if (!uses.length) return [...head, " is never used."];
  const times = uses.length === 1 ? "once" : `${uses.length} times`;
  const verb = uses.every(([, term]) => term === -1) ? "is added" : "is used";
  const named = uses.slice(0, NAMED_USES).map((use) => useLine(record, operand, flat, use));
  const rest = uses.length - named.length;
  const more = rest ? ` and in ${rest} more, which are marked.` : ".";
  return [...head, ` ${verb} ${times}: in `, ...joined(named, ", "), more];
}

/** One use: the element of the result, and what the operand's element meets there. */
function useLine(record, operand, flat, [cell, term]) {
  const line = [{ text: record.result.label(cell), role: record.result.role }];
  if (term === -1) return line;
  if (record.form === "max") {
    return record.winner(cell) === term ? [...line, " (the largest there)"] : line;
  }
  if (record.form !== "sum") return line;
  const others = record.elements(cell, term).filter(([o, i]) => o !== operand || i !== flat);
  others.forEach(([o, i]) => {
    line.push(" times ", { text: record.operands[o].label(i), role: record.operands[o].role });
  });
  const share = record.share(cell, term);
  return share === 1 ? line : [...line, ` times ${number(share)}`];
}

/** A line as plain text. */
function plain(line) {
  return line.map((piece) => (typeof piece === "string" ? piece : piece.text)).join("");
}
