// A model's layers as a table; the arithmetic of the one that is opened stands below.

(() => {
  "use strict";

  const model = JSON.parse(document.getElementById("model").textContent);
  const root = document.getElementById("chain");
  const element = (tag, text = "", attributes = {}) => {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  /** The layer that the address asks for, if it can be opened. */
  function asked() {
    const name = new URLSearchParams(window.location.hash.slice(1)).get("layer");
    return model.layers.find((layer) => layer.name === name && layer.explanation);
  }

  const buttons = new Map();
  let viewer = null;

  function open(layer) {
    for (const [name, button] of buttons) {
      button.setAttribute("aria-pressed", String(name === layer.name));
    }
    if (viewer) viewer.update(layer.explanation);
    else viewer = globalThis.minicnnViewer.mount(below, layer.explanation, { level: 2 });
  }

  /** The rows of a layer: one, and a second one with the reason if it cannot be opened. */
  function rows(layer) {
    const made = element("tr");
    const cells = [
      element("td", layer.type),
      element("td", layer.shape.join(" × ")),
      element("td", layer.sees, { class: "number" }),
      element("td", layer.parameters.toLocaleString("en"), { class: "number" }),
    ];
    const first = element("td");
    if (layer.explanation) {
      const button = element("button", layer.name, { type: "button", "aria-pressed": "false" });
      button.addEventListener("click", () => open(layer));
      buttons.set(layer.name, button);
      first.append(button);
    } else {
      first.textContent = layer.name;
    }
    made.append(first, ...cells);
    if (layer.explanation) return [made];
    const reason = element("tr");
    reason.append(element("td", layer.reason, { class: "reason", colspan: "5" }));
    made.classList.add("unopened");
    return [made, reason];
  }

  const chain = element("div", "", { class: "chain" });
  const table = element("table");
  const head = element("tr");
  for (const name of ["layer", "type", "output", "sees of the input", "parameters"]) {
    const number = name === "parameters" || name.startsWith("sees");
    head.append(element("th", name, { scope: "col", ...(number ? { class: "number" } : {}) }));
  }
  table.append(head, ...model.layers.flatMap(rows));
  const scrolled = element("div", "", {
    class: "scrolled",
    tabindex: "0",
    role: "region",
    "aria-label": "layers",
  });
  scrolled.append(table);
  chain.append(
    element("h1", model.title),
    element("p", "A layer's name opens its arithmetic, on what enters it in this model."),
    scrolled,
  );
  const below = element("div");
  root.append(chain, below);
  const first = asked() ?? model.layers.find((layer) => layer.explanation);
  if (first) open(first);
  window.addEventListener("hashchange", () => {
    const layer = asked();
    if (layer && buttons.get(layer.name).getAttribute("aria-pressed") === "false") open(layer);
  });
})();
