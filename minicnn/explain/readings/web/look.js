// What there is to see of a record: of one element of the result, of one that is laid into it, or
// of one operand's element and its uses. Each function returns a view:
//
//   lines    [class, line] from top to bottom
//   marks    [panel, flat index, name]: "on" takes part, "ahead" will later, "now" is the term in
//            question, "winner" the largest, "question" is what the view is about
//   values   what the result shows, if not its own numbers; `isSoFar(flat)` tells which are partial
//   spoken   the view in a sentence

const SPOKEN_TERMS = 12; // longer sums are said by what they come to

/** How the marks of a part differ while only so many parts are taken, 0 standing for all. */
function stateOf(part, upTo) {
  if (upTo === 0 || part < upTo - 1) return ["on"];
  return part === upTo - 1 ? ["on", "now"] : ["ahead"];
}

/** Marks of the elements of a term, or of the bias. */
function termMarks(record, cell, term, names) {
  const elements =
    term === -1 ? [[record.bias.operand, record.bias.cells[cell]]] : record.elements(cell, term);
  return elements.flatMap(([operand, flat]) => names.map((name) => [operand, flat, name]));
}

/** One element of the result: which elements enter it, and its equation. */
function lookAtResult(record, cell, upTo, withOutside) {
  const result = record.resultNumber;
  const parts = record.parts(cell, withOutside);
  const marks = [];
  if (upTo === 0) {
    // All terms, those too that do not count: they are where the window lies.
    const terms = record.bias === null ? [] : [-1];
    terms.push(...range(record.count(cell)));
    for (const term of terms) marks.push(...termMarks(record, cell, term, ["on"]));
  } else {
    parts.forEach((part, i) => {
      marks.push(...termMarks(record, cell, part.bias ? -1 : part.term, stateOf(i, upTo)));
    });
  }
  if (record.form === "max" && upTo === 0 && parts.length) {
    marks.push(...termMarks(record, cell, record.winner(cell), ["winner"]));
  }
  marks.push([result, cell, "on"], [result, cell, "question"]);
  const line = equation(record, cell, withOutside);
  const lines = [["equation", line]];
  lines.push(...partialSums(record, cell, withOutside).map((sums) => ["partial", sums]));
  if (record.result.isOutside(cell)) lines.push(["remark", [outsideRemark(record, cell)]]);
  if (upTo) lines.unshift(["so-far", soFarLine(record, cell, parts, upTo)]);
  const values = Float64Array.from(record.result.values);
  const isPartial = upTo > 0 && ["sum", "max"].includes(record.form);
  if (isPartial) values[cell] = record.soFar(cell, parts.slice(0, upTo));
  const value = number(record.result.values[cell]);
  const name = record.result.label(cell);
  const short = `${name} = ${value}, from ${parts.length} numbers or products.`;
  const spoken = upTo ? plain(lines[0][1]) : parts.length > SPOKEN_TERMS ? short : plain(line);
  return { lines, marks, values, isSoFar: (flat) => isPartial && flat === cell, spoken };
}

function outsideRemark(record, cell) {
  const { result } = record;
  const why = result.outside === "cropped" ? "cropped" : `${result.outside || "outside"}`;
  return `${result.label(cell)} is ${why}: it lies outside ${result.name}.`;
}

/** One step of the scattered reading: an element of the first operand and what it lays where. */
function lookAtLaid(record, steps, step, upTo, withOutside) {
  const source = steps[step];
  const laid = record.laid(source, withOutside);
  const before = record.accumulated(steps, step);
  const marks = laid.flatMap(([cell, term], part) => {
    const names = stateOf(part, upTo);
    const own = names.map((name) => [record.resultNumber, cell, name]);
    return [...own, ...termMarks(record, cell, term, names)];
  });
  if (source !== -1) {
    marks.push([record.factors[0], source, "on"], [record.factors[0], source, "question"]);
  }
  const isLast = step === steps.length - 1 && upTo === 0;
  let values = record.result.values;
  if (!isLast) {
    values = before.slice();
    const taken = upTo ? laid.slice(0, upTo) : record.laid(source, true);
    taken.forEach(([cell, term]) => (values[cell] += record.added(cell, term)));
  }
  const head = laidHead(record, source, laid.length);
  const lines = [["laid-head", head]];
  lines.push(...laidLines(record, source, laid, before).map((line) => ["laid", line]));
  const now = upTo ? plain(lines[upTo][1]) : "";
  return { lines, marks, values, isSoFar: () => !isLast, spoken: `${plain(head)} ${now}`.trim() };
}

/** One element of an operand: all its uses. */
function lookAtUses(record, operand, flat) {
  const mirror = record.operands[operand].mirror;
  const [panel, own] = mirror ? [mirror.operand, mirror.cells[flat]] : [operand, flat];
  const uses = record.uses(panel)[own];
  const marks = uses.flatMap(([cell, term]) => [
    [record.resultNumber, cell, "on"],
    ...termMarks(record, cell, term, ["on"]),
  ]);
  marks.push([panel, own, "on"], [panel, own, "question"]);
  const line = usesLine(record, panel, own);
  const twin = mirror ? [`${record.operands[operand].label(flat)} is `] : [];
  const isLong = uses.length > SPOKEN_TERMS;
  const short = `${record.operands[panel].label(own)} is used ${uses.length} times.`;
  return {
    lines: [["uses", [...twin, ...line]]],
    marks,
    values: null,
    isSoFar: () => false,
    spoken: isLong ? short : plain([...twin, ...line]),
  };
}
