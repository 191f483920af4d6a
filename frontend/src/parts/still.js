// @ts-check
/** What stands in the page before any script: tables are sorted and saved, pictures saved. */
import { valuesOf } from "../data.js";
import { compared } from "../sorting.js";
import { saveCsv, savePng, saveSvg } from "./saving.js";

/** @typedef {{names: string[], rows: (string | number | null)[][]}} Numbers */

/**
 * Give every still table and picture its buttons.
 *
 * @param {Record<string, unknown>} blocks the names of the blocks of the page
 */
export function serveStill(blocks) {
  for (const table of document.querySelectorAll("table")) {
    if (isCovered(table)) continue;
    const rest = table.id in blocks && table.dataset.every !== undefined;
    sortable(table, rest);
    const bar = barAfter(/** @type {HTMLElement} */ (table.closest(".scroll") ?? table));
    if (rest) bar.append(button(`Show all ${Number(table.dataset.every).toLocaleString("en")} rows`, (one) => showAll(table, one)));
    bar.append(button("Save table (CSV)", () => saveTable(table, rest)));
  }
  for (const figure of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("figure.still"))) {
    if (isCovered(figure)) continue;
    const file = `moexray-${figure.closest("section")?.id ?? "figure"}`;
    const bar = barAfter(figure);
    bar.append(button("Save SVG", () => saveSvg(figure, file)), button("Save PNG", () => savePng(figure, file)));
    numbersButton(figure.closest("section")?.id ?? "", blocks, bar);
  }
  for (const section of document.querySelectorAll(".study:not(:has(figure.still))")) {
    const command = /** @type {HTMLElement} */ (section.querySelector(".command"));
    const bar = document.createElement("div");
    bar.className = "saving";
    if (numbersButton(section.id, blocks, bar)) command.before(bar);
  }
}

/** Whether a live view takes the place of a still part. @param {Element} element @returns {boolean} */
function isCovered(element) {
  return element.closest(".still") !== null && element.closest("section")?.querySelector('.live[data-view]:not([data-view=""])') != null;
}

/** @param {string} section @param {Record<string, unknown>} blocks @param {HTMLElement} bar @returns {boolean} */
function numbersButton(section, blocks, bar) {
  const name = `${section}-numbers`;
  if (!(name in blocks)) return false;
  bar.append(
    button("Save numbers (CSV)", async () => {
      const { names, rows } = /** @type {Numbers} */ (await valuesOf(name));
      saveCsv(names, rows, `moexray-${section}`);
    }),
  );
  return true;
}

/** @param {HTMLElement} element @returns {HTMLElement} */
function barAfter(element) {
  const bar = document.createElement("div");
  bar.className = "saving";
  element.after(bar);
  return bar;
}

/** @param {string} text @param {(button: HTMLButtonElement) => unknown} does @returns {HTMLButtonElement} */
function button(text, does) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => does(made));
  return made;
}

/** Save the cells of a table as they are shown, of all its rows. @param {HTMLTableElement} table @param {boolean} rest */
async function saveTable(table, rest) {
  const names = [...(table.tHead?.rows[0]?.cells ?? [])].map((cell) => cell.textContent ?? "");
  const rows = rest && !table.dataset.whole ? /** @type {string[][]} */ (await valuesOf(table.id)) : textsOf(table);
  const section = table.closest("section[id]")?.id ?? "report";
  const file = table.id.startsWith(section) ? table.id : [section, table.id].filter(Boolean).join("-");
  const lines = rows.map((row) => row.map((cell) => cell.replaceAll(/\s*\n\s*/g, " ")));
  const numeric = [...table.tBodies[0].rows[0].cells].map((cell) => cell.classList.contains("number"));
  saveCsv(names.length ? names : null, lines, `moexray-${file}`, numeric);
}

/** @param {HTMLTableElement} table @returns {string[][]} */
function textsOf(table) {
  return [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent ?? ""));
}

/** Put the rows into a table that the page does not show at first. @param {HTMLTableElement} table @param {HTMLButtonElement} asked */
async function showAll(table, asked) {
  const rows = /** @type {string[][]} */ (await valuesOf(table.id));
  const body = table.tBodies[0];
  const like = [...body.rows[0].cells];
  for (const row of rows.slice(body.rows.length)) {
    const line = body.insertRow();
    row.forEach((text, i) => {
      const cell = /** @type {HTMLElement} */ (like[i].cloneNode());
      cell.textContent = text;
      line.append(cell);
    });
  }
  table.dataset.whole = "yes";
  table.closest(".scroll")?.parentElement?.querySelector(`.part[data-of="${table.id}"]`)?.remove();
  asked.remove();
  sortable(table, false);
}

/** Make the names of columns buttons that sort by them; a part of a table would be sorted in vain. @param {HTMLTableElement} table @param {boolean} rest */
function sortable(table, rest) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  if (rest || table.tBodies[0].rows.length < 3) return;
  heads.forEach((head, column) => {
    const name = head.textContent ?? "";
    if (!name) return;
    const sort = button(name, () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => /** @type {const} */ ([row, row.cells[column].textContent ?? ""]));
      rows.sort(([, one], [, other]) => compared(one, other, head.classList.contains("number"), down));
      table.tBodies[0].append(...rows.map(([row]) => row));
    });
    sort.className = "sort";
    head.replaceChildren(sort);
  });
}
