"use strict";
// Tables that sort by any column, and a filter above the first. Without this file they stay as they were written.

const number = (cell) => (cell.dataset.sort === undefined ? null : Number(cell.dataset.sort));

function before(one, other, column, down) {
  const [a, b] = [one, other].map((row) => row.children[column]);
  const [x, y] = [number(a), number(b)];
  if (x === null && y === null) return (down ? -1 : 1) * a.textContent.localeCompare(b.textContent);
  if (x === null || y === null) return x === null ? 1 : -1; // what was not measured stays last
  return (down ? -1 : 1) * (x - y);
}

function sort(table, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    rows.sort((one, other) => before(one, other, heading.cellIndex, down));
    body.append(...rows);
  }
}

function sortable(table) {
  for (const heading of table.querySelectorAll("thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading));
    heading.append(button);
  }
}

function filter(table, words) {
  for (const body of table.tBodies) {
    const group = body.querySelector(".group");
    const rows = [...body.rows].filter((row) => row !== group);
    for (const row of rows) {
      const text = `${row.dataset.group ?? ""} ${row.textContent}`.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    if (group) group.hidden = rows.every((row) => row.hidden);
  }
}

function filterable(table) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "filter rows";
  field.setAttribute("aria-label", "filter rows");
  field.className = "filter";
  field.addEventListener("input", () => filter(table, field.value.toLowerCase().split(/\s+/).filter(Boolean)));
  table.parentElement.before(field);
}

document.querySelectorAll("table.sorted").forEach(sortable);
document.querySelectorAll("table.filtered").forEach(filterable);
