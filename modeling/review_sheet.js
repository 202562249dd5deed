"use strict";
const sheet = document.querySelector("main");
const separator = sheet.dataset.separator;
const entries = [...document.querySelectorAll("article")];
const names = new Map();
const ids = new Map();  // of a name; null where several species have it
for (const option of document.querySelectorAll("#known-species option")) {
  const name = option.label.toLowerCase();
  names.set(option.value, option.label);
  ids.set(name, ids.has(name) && ids.get(name) !== option.value ? null : option.value);
}
let saved = true;

const parts = text => text.split(separator).map(part => part.trim()).filter(part => part);
const meant = part => names.has(part) ? part : ids.get(part.toLowerCase()) ?? part;
const species = entry => [...new Set(parts(entry.querySelector(".species").value).map(meant))];

function show(entry) {
  const chosen = species(entry);
  for (const button of entry.querySelectorAll("[data-species]"))
    button.setAttribute("aria-pressed", chosen.includes(button.dataset.species));
  const unknown = chosen.filter(one => !names.has(one));
  const meaning = entry.querySelector(".meaning");
  meaning.classList.toggle("unknown", unknown.length > 0);
  meaning.textContent = unknown.length
    ? `no species is known as ${unknown.join(", ")}: it is taken in only with --new-species`
    : chosen.map(one => `${names.get(one)} (${one})`).join(", ");
  const filled = entries.filter(one => species(one).length).length;
  document.querySelector("#progress").textContent = `${filled} of ${entries.length} filled in`;
}

function choose(entry, id) {
  const chosen = species(entry);
  const rest = chosen.filter(one => one !== id);
  const several = sheet.dataset.several === "yes";
  const now = rest.length < chosen.length ? rest : several ? [...rest, id] : [id];
  entry.querySelector(".species").value = now.join(separator);
  saved = false;
  show(entry);
}

// A spreadsheet takes a cell that begins so for a formula; behind a quote it is text.
const harmless = cell => /^'*[=+\-@\t\r\n]/.test(cell) ? `'${cell}` : cell;
const quoted = cell => /[",;|\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;

function table() {
  const reviewer = document.querySelector("#reviewer").value.trim();
  const rows = entries.map(entry => {
    const chosen = species(entry);
    const typed = [chosen.join(separator), chosen.length ? reviewer : "", entry.querySelector(".note").value.trim()];
    return [...JSON.parse(entry.dataset.cells), ...typed.map(harmless)];
  });
  return [JSON.parse(sheet.dataset.header), ...rows].map(row => `${row.map(quoted).join(",")}\r\n`).join("");
}

for (const entry of entries) {
  entry.addEventListener("input", () => { saved = false; show(entry); });
  for (const button of entry.querySelectorAll("[data-species]"))
    button.addEventListener("click", () => choose(entry, button.dataset.species));
  show(entry);
}
document.querySelector("#filter")?.addEventListener("change", event => {
  for (const entry of entries)
    entry.hidden = event.target.value !== "" && !entry.dataset.reasons.split(" ").includes(event.target.value);
});
document.querySelector("#save")?.addEventListener("click", () => {
  const link = document.createElement("a");
  // The sign in front tells a spreadsheet that the text is Unicode.
  link.href = URL.createObjectURL(new Blob(["\ufeff", table()], {type: "text/csv"}));
  link.download = sheet.dataset.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);  // after the browser has read it
  saved = true;
});
window.addEventListener("beforeunload", event => { if (!saved) event.preventDefault(); });
