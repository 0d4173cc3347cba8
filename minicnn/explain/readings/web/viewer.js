// An explanation to walk through: its state, and what is shown of it.

const DEFAULTS = { level: 1, theme: true, link: true, shortcuts: true };
const CONTROL = "input,select,textarea,button,summary,a[href],[role=gridcell],[contenteditable]";

class Viewer {
  constructor(root, explanation, options) {
    this.options = { ...DEFAULTS, ...options };
    this.reading = "gather";
    this.withOutside = true;
    this.step = 0;
    this.part = 0; // of the step, 0 for all of them
    this.look = { hover: null, focus: null, pinned: null };
    this.interval = SPEEDS.normal;
    this.timer = 0;
    this.element = make("div", { class: "minicnn-viewer" });
    root.append(this.element);
    this.build();
    this.update(explanation);
    if (this.options.link) this.listenToLinks();
    if (this.options.shortcuts) document.addEventListener("keydown", (e) => this.shortcut(e));
    window.addEventListener("resize", () => this.reserveLines());
  }

  build() {
    const level = this.options.level;
    this.title = make("h" + level, {});
    this.formula = make("p", { class: "formula" });
    this.notes = make("ul", { class: "notes" });
    this.choices = make("div", { class: "choices" });
    this.player = player({
      first: () => this.goTo(0),
      previous: () => this.goTo(this.step - 1),
      play: () => this.playOrPause(),
      next: () => this.goTo(this.step + 1),
      last: () => this.goTo(this.steps.length - 1),
      speed: (interval) => this.setSpeed(interval),
    });
    this.stepSlider = slider("step", (value) => this.goTo(value - 1));
    this.partSlider = slider("term", (value) => this.goTo(this.step, value));
    this.sum = make("div", {
      class: "sum",
      role: "region",
      "aria-label": "arithmetic",
      tabindex: "0",
    });
    this.panels = make("div", {});
    this.live = make("div", { class: "spoken", "aria-live": "polite" });
    const theme = this.options.theme ? [themeButton()] : [];
    const sliders = make("div", { class: "sliders" });
    sliders.append(this.stepSlider.element, this.partSlider.element);
    const walk = make("div", { class: "walk" }, this.player.element, sliders);
    const head = make("header", {}, make("div", { class: "title" }, this.title, ...theme));
    head.append(this.formula, this.notes);
    this.element.append(head, this.choices, walk, this.sum, this.panels, help(), this.live);
    this.listenToCells();
  }

  /** Show another explanation; what is chosen and the element in question stay if they exist. */
  update(explanation) {
    const label = this.record && this.step >= 0 ? this.stepLabel(this.step) : null;
    const choice = this.record ? this.record.choice : {};
    this.explanation = explanation;
    this.records = explanation.records.map((json) => new Arithmetic(json));
    this.open(this.nearest(choice, null), label);
    this.drawChoices();
  }

  /** The record with most of these choices, and certainly with the one of `key`. */
  nearest(choice, key) {
    const agreeing = (record) =>
      Object.keys(choice).filter((name) => record.choice[name] === choice[name]).length;
    const fitting = this.records.filter((r) => key === null || r.choice[key] === choice[key]);
    return fitting.reduce((best, r) => (agreeing(r) > agreeing(best) ? r : best), fitting[0]);
  }

  /** Show a record, at the step with this label if there is one. */
  open(record, label = null) {
    this.record = record;
    if (!record.canScatter()) this.reading = "gather";
    this.title.textContent = record.title;
    this.formula.textContent = typographic(record.formula);
    const notes = [...record.notes, ...this.explanation.notes];
    this.notes.replaceChildren(...notes.map((note) => make("li", {}, typographic(note))));
    this.letGo();
    this.readSteps(label);
    this.drawGrids();
  }

  readSteps(label) {
    const scatters = this.reading === "scatter";
    this.steps = scatters ? this.record.scatterSteps() : this.record.steps;
    const found = label === null ? -1 : this.steps.findIndex((_, s) => this.stepLabel(s) === label);
    this.step = Math.max(0, found);
    this.part = 0;
  }

  drawGrids() {
    this.grids = new Grids(this.record, this.withOutside, this.options.level + 1);
    this.panels.replaceChildren(this.grids.element);
    this.reserveLines();
    this.show();
  }

  drawChoices() {
    const values = new Map();
    for (const { choice } of this.records) {
      for (const [key, value] of Object.entries(choice)) {
        values.set(key, (values.get(key) ?? new Set()).add(value));
      }
    }
    const groups = [...values].filter(([, set]) => set.size > 1);
    this.choiceGroups = new Map(
      groups.map(([key, set]) => [
        key,
        segments(key, [...set], this.record.choice[key], (v) => this.choose(key, v)),
      ]),
    );
    const readings = ["gather", "scatter"];
    this.readingGroup = segments("reading", readings, this.reading, (v) => this.read(v));
    const outsides = ["shown", "hidden"];
    const shown = this.withOutside ? "shown" : "hidden";
    const showOutside = (value) => this.showOutside(value === "shown");
    this.outsideGroup = segments("padding", outsides, shown, showOutside);
    this.choices.replaceChildren(
      ...this.choiceGroups.values(),
      this.readingGroup,
      this.outsideGroup,
    );
    this.showChoices();
  }

  /** Let the controls say what is chosen; those that would change nothing disappear. */
  showChoices() {
    for (const [key, group] of this.choiceGroups) {
      group.hidden = !(key in this.record.choice);
      group.select(this.record.choice[key]);
    }
    this.readingGroup.hidden = !this.record.canScatter();
    this.readingGroup.select(this.reading);
    this.outsideGroup.hidden = !this.record.panels.some((panel) => panel.hasOutside());
    this.outsideGroup.select(this.withOutside ? "shown" : "hidden");
    const names = new Set(this.record.panels.filter((p) => p.hasOutside()).map((p) => p.outside));
    this.outsideGroup.querySelector("legend").textContent = [...names].join(" and ") || "padding";
  }

  choose(key, value) {
    this.pause();
    const label = this.stepLabel(this.step);
    this.open(this.nearest({ ...this.record.choice, [key]: value }, key), label);
    this.showChoices();
  }

  read(reading) {
    this.pause();
    this.letGo();
    this.reading = reading;
    this.readSteps(null);
    this.showChoices();
    this.show();
  }

  showOutside(withOutside) {
    this.withOutside = withOutside;
    this.part = 0;
    this.letGo();
    this.showChoices();
    this.drawGrids();
  }

  // Walking through the steps

  get scatters() {
    return this.reading === "scatter";
  }

  stepLabel(step) {
    const flat = this.steps[step];
    if (!this.scatters) return this.record.result.label(flat);
    return flat === -1 ? "bias" : this.record.operands[this.record.factors[0]].label(flat);
  }

  /** How many parts a step has, by default the present one. */
  partCount(step = this.step) {
    const at = this.steps[step];
    if (this.scatters) return this.record.laid(at, this.withOutside).length;
    return this.record.parts(at, this.withOutside).length;
  }

  /** How many parts the longest step has: with one, there is nothing to walk through. */
  mostParts() {
    const key = `${this.reading} ${this.withOutside}`;
    if (this.most?.record !== this.record || this.most.key !== key) {
      const value = Math.max(...this.steps.map((_, step) => this.partCount(step)));
      this.most = { record: this.record, key, value };
    }
    return this.most.value;
  }

  goTo(step, part = 0) {
    this.pause();
    this.letGo();
    this.moveTo(step, part);
  }

  moveTo(step, part = 0) {
    this.step = Math.max(0, Math.min(this.steps.length - 1, step));
    this.part = this.mostParts() < 2 ? 0 : Math.max(0, Math.min(this.partCount(), part));
    this.show();
  }

  playOrPause() {
    if (this.timer) {
      this.pause();
      return;
    }
    this.letGo();
    if (this.step === this.steps.length - 1) this.moveTo(0);
    this.timer = window.setInterval(() => {
      this.moveTo(this.step + 1);
      if (this.step === this.steps.length - 1) this.pause();
    }, this.interval);
    this.player.showPlaying(true);
  }

  pause() {
    if (!this.timer) return;
    window.clearInterval(this.timer);
    this.timer = 0;
    this.player.showPlaying(false);
    this.announce();
    this.writeLink();
  }

  setSpeed(interval) {
    this.interval = interval;
    if (!this.timer) return;
    window.clearInterval(this.timer);
    this.timer = 0;
    this.playOrPause();
  }

  shortcut(event) {
    if (event.key === "Escape") this.unpin();
    const inControl = event.target instanceof Element && event.target.closest(CONTROL);
    if (inControl || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const actions = {
      ArrowLeft: () => this.goTo(this.step - 1),
      ArrowRight: () => this.goTo(this.step + 1),
      " ": () => this.playOrPause(),
    };
    if (!(event.key in actions) || event.target === this.sum) return;
    event.preventDefault();
    actions[event.key]();
  }

  // Pointing at cells

  listenToCells() {
    const place = (event) => this.grids.placeOf(event.target);
    this.panels.addEventListener("pointerover", (e) => {
      if (e.pointerType !== "touch") this.lookAt("hover", place(e));
    });
    this.panels.addEventListener("pointerleave", () => this.lookAt("hover", null));
    this.panels.addEventListener("focusin", (e) => {
      // A click moves the focus too; then the pin says what is shown.
      if (place(e) && e.target.matches(":focus-visible")) this.lookAt("focus", place(e));
      if (place(e)) enterAt(e.target);
    });
    this.panels.addEventListener("focusout", () => this.lookAt("focus", null));
    this.panels.addEventListener("click", (e) => place(e) && this.pin(place(e)));
    this.panels.addEventListener("keydown", (e) => {
      if (!place(e)) return;
      if (e.key === "Enter" || e.key === " ") this.pin(place(e));
      else if (!cellByKey(e.target, e.key, e.ctrlKey)) return;
      else cellByKey(e.target, e.key, e.ctrlKey).focus();
      e.preventDefault();
    });
  }

  lookAt(how, place) {
    const before = this.look[how];
    if (before?.panel === place?.panel && before?.flat === place?.flat) return;
    this.look[how] = place;
    if (!this.look.pinned && !this.timer) this.show();
  }

  pin(place) {
    const same = this.look.pinned;
    if (same && same.panel === place.panel && same.flat === place.flat) {
      this.unpin();
      return;
    }
    this.pause();
    this.look.pinned = place;
    const step = this.stepOf(place);
    if (step >= 0) this.moveTo(step);
    else this.show();
  }

  unpin() {
    if (!this.look.pinned) return;
    this.look.pinned = null;
    this.show("Let go. ");
  }

  /** Forget what was pinned: the steps go on. */
  letGo() {
    this.look = { hover: null, focus: null, pinned: null };
  }

  /** The step in which an element is the one in question; -1 if there is none. */
  stepOf(place) {
    const panel = this.scatters ? this.record.factors[0] : this.record.resultNumber;
    return place.panel === panel ? this.steps.indexOf(place.flat) : -1;
  }

  // Showing

  /** What is to be seen: of the element pointed at, or else of the step. */
  view() {
    const { record, steps, step, part, withOutside } = this;
    const place = this.look.pinned ?? this.look.hover ?? this.look.focus;
    if (place && this.stepOf(place) !== step) {
      if (place.panel !== record.resultNumber) return lookAtUses(record, place.panel, place.flat);
      // What the result shows stays: it belongs to the step.
      return { ...lookAtResult(record, place.flat, 0, withOutside), values: null };
    }
    if (this.scatters) return lookAtLaid(record, steps, step, part, withOutside);
    return lookAtResult(record, steps[step], part, withOutside);
  }

  show(before = "") {
    const { grids, record } = this;
    const { pinned } = this.look;
    const view = this.view();
    const pointed = pinned ?? this.look.hover ?? this.look.focus;
    const upTo = pointed && this.stepOf(pointed) !== this.step ? 0 : this.part;
    grids.clear();
    for (const [panel, flat, name] of view.marks) grids.mark(panel, flat, name);
    if (pinned) grids.mark(pinned.panel, pinned.flat, "pinned");
    if (view.values) grids.write(view.values, view.isSoFar);
    this.drawSum(view.lines, upTo);
    this.showSliders();
    if (!this.look.hover) this.revealMarks(view.marks);
    this.spoken = before + (pinned ? "Pinned. " : "") + view.spoken;
    this.announce();
    this.writeLink();
    this.element.dataset.step = this.step + 1;
    this.element.dataset.title = record.title;
  }

  drawSum(lines, upTo) {
    const drawn = lines.map(([name, line]) => drawLine("p", name, line, upTo));
    const badge = this.look.pinned
      ? [make("p", { class: "badge" }, "pinned: a second click or tap, or Escape, lets it go")]
      : [];
    this.sum.replaceChildren(...badge, ...drawn);
    this.sum.classList.toggle("is-pinned", this.look.pinned !== null);
    this.sum.scrollTop = 0;
  }

  showSliders() {
    const label = this.stepLabel(this.step);
    const [at, steps] = [this.step + 1, this.steps.length];
    this.stepSlider.set(1, steps, at, `${label}, ${at} of ${steps}`, `${at} / ${steps}`);
    const parts = this.partCount();
    const shown = this.part ? `${this.part} / ${parts}` : `all ${parts}`;
    this.partSlider.set(0, parts, this.part, this.part ? `${shown}` : `all ${parts} terms`, shown);
    this.partSlider.element.hidden = this.mostParts() < 2;
    this.partSlider.input.disabled = parts < 2;
  }

  /** Let the first and the last marked element of each array be seen. */
  revealMarks(marks) {
    const edges = new Map();
    for (const [panel, flat, name] of marks) {
      if (name === "question" && this.grids.at(panel, flat)) enterAt(this.grids.at(panel, flat));
      const [low, high] = edges.get(panel) ?? [flat, flat];
      edges.set(panel, [Math.min(low, flat), Math.max(high, flat)]);
    }
    for (const [panel, [low, high]] of edges) {
      this.grids.reveal(panel, high);
      this.grids.reveal(panel, low);
    }
  }

  /** Room for the longest equation, so that the grids stay where they are. */
  reserveLines() {
    const { record } = this;
    const cells = record.steps.filter((_, i) => i % Math.ceil(record.steps.length / 40) === 0);
    const perLine = Math.max(20, Math.floor((this.sum.clientWidth - 24) / 8.2));
    const lines = cells.map((cell) => {
      const partial = partialSums(record, cell, this.withOutside);
      const all = [equation(record, cell, this.withOutside), ...partial];
      return sum(all.map((line) => Math.ceil(plain(line).length / perLine)));
    });
    this.sum.style.setProperty("--lines", Math.max(3, ...lines) + 1);
  }

  // Saying and linking

  /** Say the sentence of what is shown, once it stays: not of each step of fast play. */
  announce() {
    window.clearTimeout(this.speaking);
    this.speaking = window.setTimeout(() => {
      if (this.live.textContent !== this.spoken) this.live.textContent = this.spoken;
    }, 400);
  }

  writeLink() {
    window.clearTimeout(this.linking);
    if (!this.options.link || this.timer) return;
    const { step, part, reading, withOutside } = this;
    const { choice } = this.record;
    const fragment = fragmentOf({ step, part, reading, withOutside, choice });
    this.linking = window.setTimeout(() => writeFragment(fragment), 150);
  }

  listenToLinks() {
    window.addEventListener("hashchange", () => this.follow(readFragment(window.location.hash)));
    this.follow(readFragment(window.location.hash));
  }

  /** Go where a link leads; what it asks for and does not exist is passed over. */
  follow(asked) {
    if (!asked) return;
    this.pause();
    this.withOutside = asked.withOutside;
    this.reading = asked.reading;
    this.open(this.nearest(asked.choice, null));
    this.showChoices();
    this.moveTo(asked.step, asked.part);
  }
}

globalThis.minicnnViewer = {
  /**
   * Show an explanation (`Explanation.to_json()`) at the end of an element.
   *
   * Options: `level`, the level of its heading, default 1; and, true unless told otherwise,
   * `theme`: with a button for dark and light, `link`: keep the step in the page's address,
   * `shortcuts`: listen to keys outside its controls.
   */
  mount(root, explanation, options = {}) {
    const viewer = new Viewer(root, explanation, options);
    return { element: viewer.element, update: (other) => viewer.update(other) };
  },
};
