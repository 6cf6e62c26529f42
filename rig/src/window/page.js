// Runs in the window, once for each question. Finds things as a person does: by what they are, what
// they are called, and whether they can be seen.
const KINDS = {
  link: "a[href]",
  button: "button, [role=button], summary",
  textbox: "textarea, input:not([type]), input[type=text], input[type=url], [role=textbox]",
  slider: "[role=slider], input[type=range]",
  radio: "input[type=radio], [role=radio]",
  switch: "[role=switch]",
  menuitem: "[role=menuitem]",
  combobox: "select, [role=combobox]",
  option: "[role=option]",
  dialog: "[role=dialog]",
  img: "[role=img]",
  group: "[role=group]",
};

function seen(element) {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility === "visible";
}

// The accessible name, as far as this window needs it; the driver is asked for the real one afterwards.
function nameOf(element) {
  const labelled = element.getAttribute("aria-label");
  if (labelled) return labelled;
  const by = element.getAttribute("aria-labelledby");
  if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  if (element.labels?.length) return element.labels[0].textContent;
  return element.textContent;
}

const tidy = (text) => text.replace(/\s+/g, " ").trim();
const text = () => tidy(document.body.innerText);

// The first that can be seen, of a kind, with a name; a `*` in it stands for anything.
function find(kind, name) {
  const parts = name.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const fits = new RegExp(`^${parts.join(".*")}$`, "s");
  return [...document.querySelectorAll(KINDS[kind])].find(
    (element) => seen(element) && fits.test(tidy(nameOf(element))),
  );
}

const look = {
  text: (wanted) => text().includes(wanted) || null,
  no_text: (unwanted) => !text().includes(unwanted) || null,
  find: (kind, name) => find(kind, name) ?? null,
  // As `find`, and can be pressed: a person waits until a button is not grey.
  ready: (kind, name) => {
    const found = find(kind, name);
    if (!found || found.disabled) return null;
    // As a person does; WebKit's driver does not where only a part of the page scrolls.
    found.scrollIntoView({ block: "nearest" });
    return found;
  },
  gone: (kind, name) => !find(kind, name) || null,
  // Whatever moves without end is as it is to be.
  still: () =>
    document
      .getAnimations()
      .every((it) => it.playState !== "running" || it.effect.getComputedTiming().endTime === Infinity) || null,
  attention: () => document.hasFocus() || null,
  no_attention: () => !document.hasFocus() || null,
  focused: (kind, name) => (document.activeElement === find(kind, name)) || null,
};

const [question, parts, patience, done] = arguments;
const end = performance.now() + patience;
(function ask() {
  const answer = look[question](...parts);
  if (answer) return done({ answer });
  if (performance.now() > end) return done({ shows: text() });
  setTimeout(ask, 20);
})();
