// The controls above the grids: what is chosen, the reading, and walking through the steps.

const SPEEDS = { slow: 2000, normal: 1000, fast: 300, "very fast": 80 };

const ICONS = {
  first: "M3 2h2v12H3zM14 2v12L6 8z",
  previous: "M12 2v12L4 8z",
  next: "M4 2v12l8-6z",
  last: "M11 2h2v12h-2zM2 2v12l8-6z",
  play: "M3 1.5v13L14 8z",
  pause: "M3 2h4v12H3zM9 2h4v12H9z",
};

const KEYS = [
  ["←  →", "previous and next step, where no control and no grid has the focus"],
  ["Space", "play and pause, likewise"],
  ["Tab", "from control to control and into each grid"],
  ["Arrows, Home, End", "from cell to cell in a grid; with Ctrl to its first and last cell"],
  ["Enter, Space", "pin the cell with the focus, or let it go"],
  ["Escape", "let the pinned cell go"],
];

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

let groups = 0; // radio buttons of one group share a name, which must differ between mounts

/** A choice of a few values as radio buttons; `chosen(value)` is called with the new value. */
function segments(legend, values, value, chosen) {
  groups += 1;
  const name = `minicnn-${groups}`;
  const options = values.map((each) => {
    const input = make("input", { type: "radio", name, value: each, checked: each === value });
    input.addEventListener("change", () => chosen(each));
    return make("label", {}, input, make("span", {}, each));
  });
  const box = make("div", { class: "options" }, ...options);
  const fieldset = make("fieldset", { class: "segments" }, make("legend", {}, legend), box);
  fieldset.select = (each) => {
    for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === each;
  };
  return fieldset;
}

function button(label, name, pressed) {
  const element = make("button", { type: "button", "aria-label": label, title: label }, icon(name));
  element.addEventListener("click", pressed);
  return element;
}

/** A slider with its name before it and the place `k / n` behind it. */
function slider(label, moved) {
  const place = make("output", {});
  const input = make("input", { type: "range", min: "0", value: "0", "aria-label": label });
  input.addEventListener("input", () => moved(Number(input.value)));
  const name = make("span", { "aria-hidden": "true" }, label);
  const element = make("div", { class: "slider" }, name, input, place);
  const set = (low, high, value, text, shown) => {
    input.min = low;
    input.max = high;
    input.value = value;
    input.setAttribute("aria-valuetext", text);
    place.textContent = shown;
    element.hidden = high <= low;
  };
  return { element, input, set };
}

/** First, previous, play, next, last, and the speed. */
function player(actions) {
  const play = make("button", { type: "button", class: "play", "aria-pressed": "false" });
  play.addEventListener("click", actions.play);
  const speeds = Object.keys(SPEEDS).map((name) =>
    make("option", { value: name, selected: name === "normal" }, name),
  );
  const speed = make("select", { "aria-label": "speed", title: "speed" }, ...speeds);
  speed.addEventListener("change", () => actions.speed(SPEEDS[speed.value]));
  const element = make(
    "div",
    { class: "player", role: "group", "aria-label": "steps" },
    button("first step", "first", actions.first),
    button("previous step", "previous", actions.previous),
    play,
    button("next step", "next", actions.next),
    button("last step", "last", actions.last),
    speed,
  );
  const showPlaying = (playing) => {
    play.replaceChildren(icon(playing ? "pause" : "play"), playing ? "Pause" : "Play");
    play.setAttribute("aria-pressed", String(playing));
  };
  showPlaying(false);
  return { element, showPlaying };
}

/** The button that exchanges dark and light colours of the whole page. */
function themeButton() {
  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const element = make("button", { type: "button", class: "theme" });
  const show = () => (element.textContent = isDark() ? "Light colours" : "Dark colours");
  element.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  prefersDark.addEventListener("change", show);
  // Paper is white: what is light on dark would vanish on it.
  let chosen;
  window.addEventListener("beforeprint", () => {
    chosen = root.dataset.theme;
    root.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    if (chosen) root.dataset.theme = chosen;
    else delete root.dataset.theme;
  });
  show();
  return element;
}

function help() {
  const rows = KEYS.flatMap(([keys, what]) => [make("dt", {}, keys), make("dd", {}, what)]);
  const pointing =
    "Point at a number of the result to see what enters it, at any other to see where it is " +
    "used. A click or tap pins it, a second one lets it go.";
  const readings =
    "Gather steps over the numbers of the result, each of which collects its terms. Scatter " +
    "steps over the numbers of the first array, each of which lays its multiples into the " +
    "result, which shows what has come together so far.";
  const summary = make("summary", {}, "How to use this page");
  const words = [pointing, readings].map((text) => make("p", {}, text));
  return make("details", {}, summary, ...words, make("dl", {}, ...rows));
}
