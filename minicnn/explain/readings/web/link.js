// The step in the page's address: `#step=3&direction=gradient+of+x&reading=scatter`.

/** The fragment that leads to what is shown; what is as at the beginning is left out. */
function fragmentOf(state) {
  const fields = new URLSearchParams({ step: state.step + 1 });
  if (state.part) fields.set("term", state.part);
  for (const [key, value] of Object.entries(state.choice)) fields.set(key, value);
  if (state.reading !== "gather") fields.set("reading", state.reading);
  if (!state.withOutside) fields.set("padding", "hidden");
  return `#${fields}`;
}

/** What a fragment asks for, or null if it names no step. */
function readFragment(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  if (!fields.has("step")) return null;
  const { step, term, reading, padding, ...choice } = Object.fromEntries(fields);
  const whole = (text) => (/^\d+$/.test(text ?? "") ? Number(text) : 0);
  return {
    step: Math.max(0, whole(step) - 1),
    part: whole(term),
    reading: reading === "scatter" ? "scatter" : "gather",
    withOutside: padding !== "hidden",
    choice,
  };
}

/** Write a fragment into the address, where the page has one of its own. */
function writeFragment(fragment) {
  // A notebook shows the page as about:srcdoc, whose address may not change.
  if (window.location.protocol === "about:" || window.location.hash === fragment) return;
  try {
    window.history.replaceState(null, "", fragment);
  } catch {
    // A sandboxed frame refuses it; then there is nothing to link to.
  }
}
