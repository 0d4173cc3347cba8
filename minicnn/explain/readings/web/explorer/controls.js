/* Controls of the page, each an object with an element and refresh(state). */
"use strict";

const minicnnControls = (() => {
  let count = 0;

  /** An identifier that no other element has. */
  const newId = () => `explorer-${++count}`;

  /** An element with attributes and children; strings become text, never markup. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** A button. */
  const button = (label, click) => make("button", { type: "button", click }, label);

  /**
   * A group of controls under a heading, to be opened; closed, it says what is set.
   *
   * `value(state)` is what it says, `shows(state)` whether it is there at all.
   */
  function group(title, controls, { value = () => "", shows = () => true } = {}) {
    const set = make("small", {});
    const head = make("summary", {}, make("span", {}, title), " ", set);
    const inside = make("div", {}, ...controls.map((control) => control.element));
    // Beside the picture there is room for all; above it, as on a phone, for the headings.
    const isWide = window.matchMedia("(width >= 1000px)").matches;
    const element = make("details", { class: "group", open: isWide }, head, inside);
    return {
      element,
      refresh(state, typing) {
        element.hidden = !shows(state);
        if (element.hidden) return;
        set.textContent = value(state);
        controls.forEach((control) => control.refresh(state, typing));
      },
    };
  }

  /** Something that does not change. */
  const fixed = (element) => ({ element, refresh() {} });

  /**
   * A whole number to type or slide: {label, name, least, most, typed, read(state), write(value)}.
   * `name` says more than the label where a screen reader needs it.
   */
  function numberField({ label, name = label, least, most, typed = most, read, write, shows }) {
    const id = newId();
    const number = make("input", {
      type: "number",
      id,
      min: least,
      max: typed,
      step: 1,
      inputmode: "numeric",
    });
    const range = make("input", {
      type: "range",
      min: least,
      max: most,
      step: 1,
      "aria-label": `${name}, slider`,
    });
    const trouble = make("p", { class: "trouble", id: `${id}-trouble`, role: "alert" });
    trouble.hidden = true;
    number.setAttribute("aria-label", name);
    number.setAttribute("aria-describedby", trouble.id);

    function take(text) {
      const value = Number(text);
      const fits =
        text.trim() !== "" && Number.isInteger(value) && value >= least && value <= typed;
      trouble.hidden = fits;
      trouble.textContent = fits ? "" : `Give a whole number from ${least} to ${typed}.`;
      number.setAttribute("aria-invalid", String(!fits));
      if (fits) write(value);
    }
    number.addEventListener("input", () => take(number.value));
    range.addEventListener("input", () => take(range.value));
    const element = make(
      "div",
      { class: "field" },
      make("label", { for: id }, label),
      range,
      number,
      trouble,
    );
    return {
      element,
      refresh(state) {
        element.hidden = shows ? !shows(state) : false;
        if (element.hidden) return;
        const value = read(state);
        range.value = value;
        if (document.activeElement !== number || number.getAttribute("aria-invalid") !== "true") {
          if (Number(number.value) !== value || number.value === "") number.value = value;
          number.setAttribute("aria-invalid", "false");
          trouble.hidden = true;
        }
      },
    };
  }

  /** A choice of words: {label, values: [[value, text], ...], read(state), write(value)}. */
  function chooser({ label, values, read, write, shows }) {
    const id = newId();
    const options = values.map(([value, text]) => make("option", { value }, text));
    const select = make("select", { id, change: () => write(select.value) }, ...options);
    const element = make("div", { class: "field" }, make("label", { for: id }, label), select);
    return {
      element,
      refresh(state) {
        element.hidden = shows ? !shows(state) : false;
        select.value = read(state);
      },
    };
  }

  /** A box to tick: {label, read(state), write(isOn)}. */
  function tick({ label, read, write, shows }) {
    const box = make("input", { type: "checkbox", change: () => write(box.checked) });
    const element = make("label", { class: "tick" }, box, label);
    return {
      element,
      refresh(state) {
        element.hidden = shows ? !shows(state) : false;
        box.checked = read(state);
      },
    };
  }

  /**
   * Numbers to type or paste: {label, hint, rows, read(state) -> text,
   * write(text, field) -> sentence}.
   * What is no number is said, and the last good numbers stay.
   */
  function textField({ label, hint, rows, read, write, shows }) {
    const id = newId();
    const area = make("textarea", {
      id,
      rows,
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      wrap: "off",
      "aria-describedby": `${id}-told`,
    });
    const told = make("p", { class: "told", id: `${id}-told`, "aria-live": "polite" }, hint);
    let given = null; // the text that was written here, until the reader types another one

    function say(sentence, isTrouble) {
      told.textContent = sentence;
      told.classList.toggle("trouble", isTrouble);
      area.setAttribute("aria-invalid", String(isTrouble));
    }
    area.addEventListener("input", () => {
      given = null;
      try {
        say(write(area.value, field), false);
      } catch (error) {
        if (!(error instanceof minicnnNumbers.Unreadable)) throw error;
        say(`${error.message} The last good numbers stay.`, true);
      }
    });
    const element = make(
      "div",
      { class: "numbers" },
      make("label", { for: id }, label),
      area,
      told,
    );
    const field = {
      element,
      refresh(state, typing = null) {
        element.hidden = shows ? !shows(state) : false;
        const text = read(state);
        if (typing === field || text === given) return;
        given = area.value = text;
        say(hint, false);
      },
    };
    return field;
  }

  return { button, chooser, fixed, group, make, newId, numberField, textField, tick };
})();
