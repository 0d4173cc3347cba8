/* The page: settings beside the picture, which is computed anew with every change. */
"use strict";

const minicnnExplorer = (() => {
  const S = minicnnState;
  const { button, make, newId } = minicnnControls;

  class Explorer {
    constructor(root) {
      this.state = S.START;
      this.linked = true;
      this.form = minicnnForm.build(this);
      this.summary = make("p", { class: "summary", tabindex: "-1" });
      this.live = make("div", { class: "spoken", role: "status" });
      this.misfit = make("div", { class: "misfit", role: "alert", hidden: true });
      this.picture = make("section", { class: "picture", "aria-label": "arithmetic of this call" });
      this.programs = new Programs();
      const outcome = [this.summary, this.live, this.misfit, this.picture, this.programs.element];
      root.append(this.form.element, make("div", { class: "outcome" }, ...outcome));
      this.followAddress();
      window.addEventListener("hashchange", () => this.followAddress());
    }

    /** Take a change of the state, unless it needs more numbers than are shown. */
    change(change, typing = null) {
      const next = S.changed(this.state, change);
      const large = ["input", "kernel"].find((name) => next[name].values.length > S.MOST);
      if (large) {
        const { shape, values } = next[large];
        this.form.refresh(this.state, typing);
        this.showMisfit(
          `The ${large} (${shape.join(", ")}) would have ${values.length} numbers; at most ` +
            `${S.MOST} are shown.`,
        );
      } else {
        this.set(next, typing);
      }
    }

    /** Show another state; `typing` is the text from which it comes. */
    set(state, typing = null) {
      this.state = state;
      this.form.refresh(state, typing);
      this.compute();
      this.writeAddress();
    }

    /** Show a state from elsewhere; height and width stay together if they agree everywhere. */
    open(state) {
      const { input, kernel, padding, ...settings } = S.settingsOf(state);
      const pairs = [
        input.shape.slice(1, 3),
        ...(kernel ? [kernel.shape.slice(0, 2)] : []),
        ...["strides", "dilation", "output_padding", "pool_size", "size"].flatMap((name) =>
          settings[name] ? [settings[name]] : [],
        ),
      ];
      const sides = Array.isArray(padding) ? padding.flat() : [0];
      this.linked = pairs.every(([a, b]) => a === b) && sides.every((side) => side === sides[0]);
      this.set(state);
    }

    /** Compute the arithmetic and show it, or say what does not fit and keep the last picture. */
    compute() {
      const { state } = this;
      const { error, fitting, told = error, explanation, geometry } = S.explained(state);
      this.picture.classList.toggle("stale", Boolean(error));
      this.programs.element.classList.toggle("stale", Boolean(error));
      if (error) {
        this.showMisfit(told, fitting);
        return;
      }
      this.misfit.hidden = true;
      this.summary.hidden = false;
      this.showPicture(explanation);
      this.say(S.summary(state, geometry));
      this.programs.show(minicnnCalls.programs(S.settingsOf(state), geometry));
    }

    /** Show the records of the kernel as it is chosen: the form says which, not the viewer. */
    showPicture(explanation) {
      const { AS_IT_STANDS, TURNED } = minicnnConvolution;
      const kernel = this.state.turned && this.state.operation === "conv2d" ? TURNED : AS_IT_STANDS;
      const records = explanation.records.filter(
        ({ choice }) => (choice.kernel ?? kernel) === kernel,
      );
      const shown = { ...explanation, records };
      if (this.viewer) this.viewer.update(shown);
      else {
        const options = { level: 2, link: false, shortcuts: false };
        this.viewer = minicnnViewer.mount(this.picture, shown, options);
      }
    }

    /** Show the summary, and let it be spoken once the reader rests. */
    say(sentence) {
      this.summary.textContent = sentence;
      window.clearTimeout(this.speaking);
      this.speaking = window.setTimeout(() => {
        this.live.textContent = sentence;
      }, 400);
    }

    /** Say what does not fit, with a button for each change after which it does. */
    showMisfit(sentence, fitting = []) {
      const apply = (change) => {
        this.change(change);
        // The button is gone; without this the keyboard would begin at the top again.
        if (this.misfit.hidden) this.summary.focus();
        else this.misfit.querySelector("button")?.focus();
      };
      const buttons = fitting
        .slice(0, 3)
        .map(({ label, change }) => button(label, () => apply(change)));
      const stays = this.viewer ? " The picture stays as it was." : "";
      this.misfit.replaceChildren(
        make("p", {}, sentence + stays),
        make("div", { class: "buttons" }, ...buttons),
      );
      this.misfit.hidden = false;
      this.summary.hidden = this.picture.classList.contains("stale");
    }

    /** Keep the settings in the address. */
    writeAddress() {
      // A notebook shows the page as about:srcdoc, whose address may not change.
      if (window.location.protocol === "about:") return;
      this.fragment = `#${S.fragmentOf(this.state)}`;
      window.clearTimeout(this.writing);
      this.writing = window.setTimeout(() => {
        try {
          window.history.replaceState(null, "", this.fragment);
        } catch {
          // A sandboxed frame refuses it; then there is nothing to link to.
        }
      }, 200);
    }

    /** Open the settings that the address names. */
    followAddress() {
      const { hash } = window.location;
      if (hash.length < 2 || hash === this.fragment) {
        if (!this.viewer) this.open(this.state);
        return;
      }
      try {
        this.open(S.stateOf(hash.slice(1)));
      } catch (error) {
        this.open(this.state);
        this.showMisfit(`The address could not be read: ${error.message}.`);
      }
    }
  }

  /** The same call in three libraries, one shown at a time, with a button that copies it. */
  class Programs {
    constructor() {
      this.language = "minicnn";
      const name = newId();
      const choices = ["minicnn", "Keras", "PyTorch"].map((language) => {
        const box = make("input", {
          type: "radio",
          name,
          value: language,
          change: () => this.choose(language),
        });
        box.checked = language === this.language;
        return make("label", {}, box, make("span", {}, language));
      });
      const legend = make("legend", {}, "library");
      const segments = make("fieldset", { class: "segments" }, legend, ...choices);
      this.code = make("pre", { tabindex: "0", role: "region", "aria-label": "program" });
      this.told = make("span", { class: "told", role: "status" });
      const copy = button("copy", () => this.copy());
      this.element = make(
        "section",
        { class: "programs", "aria-labelledby": `${name}-title` },
        make("h2", { id: `${name}-title` }, "The same call as a program"),
        make("div", { class: "choices" }, segments, copy, this.told),
        this.code,
      );
    }

    /** Show the programs of another call. */
    show(programs) {
      this.programs = programs;
      this.choose(this.language);
    }

    choose(language) {
      this.language = language;
      this.code.textContent = this.programs[language];
      this.told.textContent = "";
    }

    /** Copy the program; where the browser does not allow that, select it. */
    async copy() {
      try {
        await navigator.clipboard.writeText(this.code.textContent);
        this.told.textContent = "Copied.";
      } catch {
        window.getSelection().selectAllChildren(this.code);
        this.told.textContent = "Selected: copy it with Ctrl+C or ⌘C.";
      }
    }
  }

  return { mount: (root) => new Explorer(root) };
})();
