// Filters and sorts the tables of class "filtered". Without a library, so that it works offline.

function enhance(table) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const texts = rows.map(textOf);
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = table.dataset.placeholder;
  input.setAttribute("aria-label", "Filter the rows");
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  const bar = document.createElement("div");
  bar.className = "filtered-bar";
  bar.append(input, count);
  table.parentElement.before(bar);

  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      const matches = words.every((word) => texts[i].includes(word));
      row.hidden = !matches;
      shown += matches;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
  }

  function sort(column, header) {
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const sign = descending ? -1 : 1;
    const sorted = rows.map((row) => row.cells[column]);
    sorted.sort((a, b) => sign * compare(a, b));
    body.append(...sorted.map((cell) => cell.parentElement));
  }

  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    header.tabIndex = 0;
    header.addEventListener("click", () => sort(column, header));
    header.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort(column, header);
    });
  });
  input.addEventListener("input", filter);
  // "presets.html#?vit 384" opens the page filtered
  if (location.hash.startsWith("#?")) input.value = decodeURIComponent(location.hash.slice(2));
  filter();
}

function textOf(row) {
  const hints = Array.from(row.cells, (cell) => cell.title);
  return [row.textContent, ...hints].join(" ").toLowerCase();
}

function compare(a, b) {
  if (a.dataset.order !== undefined && b.dataset.order !== undefined) {
    return Number(a.dataset.order) - Number(b.dataset.order);
  }
  return a.textContent.localeCompare(b.textContent, "en", { numeric: true });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.filtered").forEach(enhance);
});
