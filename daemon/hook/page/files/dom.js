import { texts } from "./texts.js";

export const $ = (id) => document.getElementById(id);

// text returns a text with its {values} filled in. Of a key that comes from the
// router, and may be newer than this page, otherwise is what is shown.
export function text(key, values = {}, otherwise = key) {
  return (texts[key] ?? otherwise).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

// clean drops what would change how a text is read: control and format characters,
// that an operator's name may hold.
export const clean = (value) => String(value ?? "").replace(/[\p{Cc}\p{Cf}]/gu, " ").trim();

// label fills in the texts that index.html names.
export function label() {
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = text(e.dataset.text);
  for (const e of document.querySelectorAll("[data-label]")) e.setAttribute("aria-label", text(e.dataset.label));
}

export function element(tag, properties, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

// say sets a text, and hides what then has none if hide. What is the same is left
// alone, for a screen reader reads it again when it is set.
export function say(id, value, hide) {
  const e = $(id), now = clean(value);
  if (e.textContent !== now) e.textContent = now;
  if (hide) e.hidden = !now;
}

// changed reports whether value is another one than the last for this name.
const known = new Map();
export function changed(name, value) {
  const now = JSON.stringify(value) ?? "";
  if (known.get(name) === now) return false;
  known.set(name, now);
  return true;
}

// list fills a <dl> with pairs of name and value; those without a value are left out.
export function list(id, pairs) {
  const rows = pairs.map(([name, value]) => [name, clean(value || "")]).filter(([, value]) => value);
  if (changed(id, rows)) {
    $(id).replaceChildren(...rows.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
  }
}

export const join = (separator, ...parts) => parts.filter(Boolean).join(separator);

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// ask puts a question into the dialog. It resolves to null for no, else to what was
// typed into its field, "" without one; wrong tells why that will not do.
export function ask({ title, body, field, value = "", ok, risky, wrong }) {
  const dialog = $("ask"), form = $("ask-form"), input = $("ask-input"), yes = $("ask-ok");
  say("ask-title", title);
  say("ask-text", body);
  say("ask-label", field);
  $("ask-field").hidden = !field;
  input.value = value;
  input.setCustomValidity("");
  input.oninput = () => input.setCustomValidity("");
  yes.textContent = ok;
  yes.className = risky ? "risky" : "main";
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const why = wrong?.(input.value.trim());
      if (why) {
        input.setCustomValidity(why);
        input.reportValidity();
        return;
      }
      resolve(field ? input.value.trim() : "");
      dialog.close();
    };
    $("ask-no").onclick = () => {
      resolve(null);
      dialog.close();
    };
    // The event comes late: the next question may be there already.
    dialog.onclose = () => { if (!dialog.open) resolve(null); };
    dialog.showModal();
    (field ? input : $("ask-no")).focus();
  });
}
