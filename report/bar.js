// The bar at the bottom: the chosen step as a number to type, to move and to clear, and what every scalar was there.

const bar = document.getElementById("bar");
const field = document.getElementById("step");
const table = document.getElementById("at-step");
const opener = document.getElementById("values");

function showBar() {
  bar.hidden = !figures.some(({ layout }) => layout.meta?.steps || layout.meta?.places);
  document.getElementById("back").addEventListener("click", () => moveCursor(neighbour(everyStep(), -1)));
  document.getElementById("forth").addEventListener("click", () => moveCursor(neighbour(everyStep(), 1)));
  document.getElementById("clear").addEventListener("click", () => moveCursor(null));
  field.addEventListener("change", () => moveCursor(typed()));
  field.addEventListener("keydown", onKey);
  opener.addEventListener("click", () => open(table.hidden));
  listeners.push(tell);
  tell();
}

function typed() {
  const digits = field.value.replace(/[\s,.'’]/g, "");
  return /^\d{1,15}$/.test(digits) ? Number(digits) : null;
}

function onKey(event) {
  if (event.key === "Enter") moveCursor(typed());
  else if (event.key === "ArrowUp") moveCursor(neighbour(everyStep(), 1));
  else if (event.key === "ArrowDown") moveCursor(neighbour(everyStep(), -1));
  else if (event.key === "Escape") moveCursor(null);
  else return;
  event.preventDefault();
}

function open(wanted) {
  table.hidden = !wanted;
  opener.setAttribute("aria-expanded", String(wanted));
  tell();
}

function tell() {
  field.value = step === null ? "" : counted(step);
  document.getElementById("clear").disabled = step === null;
  opener.disabled = step === null || !scalars.length;
  if (step === null && !table.hidden) open(false);
  if (step !== null && !table.hidden) table.replaceChildren(valuesAt(step));
  document.getElementById("spoken").textContent = step === null ? "" : words.at.replace("{step}", counted(step));
}

function valuesAt(wanted) {
  const rows = new Map();
  for (const scalar of scalars) {
    if (!rows.has(scalar.name)) rows.set(scalar.name, []);
    rows.get(scalar.name)[scalar.run] = scalar;
  }
  const made = element("table");
  made.createCaption().textContent = words.at.replace("{step}", counted(wanted));
  const head = made.createTHead().insertRow();
  for (const title of [words.name, ...runs.map((run) => run || words.value)]) {
    const cell = element("th", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = made.createTBody();
  for (const [name, found] of rows) {
    const row = body.insertRow();
    row.append(element("td", name));
    runs.forEach((run, place) => row.append(valueCell(found[place], wanted)));
  }
  return made;
}

function valueCell(scalar, wanted) {
  const found = scalar ? valueAt(scalar, wanted) : null;
  if (!found) return element("td", "–");
  const cell = element("td", `${written(found[1])} ${scalar.unit}`.trim());
  if (found[0] !== wanted) cell.append(" ", element("small", words.of.replace("{step}", counted(found[0]))));
  return cell;
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
