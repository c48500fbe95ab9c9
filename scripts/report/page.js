"use strict";
// Draws the figures of DATA by Vega-Lite, and makes tables of the same rows, which sort and filter.
const PAGE_OF_ROWS = 200; // of a table at a time: ten thousand at once would be slow
const MANY_MARKS = 3000; // beyond, a canvas draws faster than SVG

const themes = window.matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");
let theme = themes.matches ? "dark" : "light";

function setTheme(name) {
  theme = name;
  document.documentElement.dataset.theme = name;
  button.textContent = name === "dark" ? "Light colours" : "Dark colours";
  return drawAll();
}

function toObjects({ columns, rows }) {
  return rows.map((row) => Object.fromEntries(columns.map((name, index) => [name, row[index]])));
}

async function draw(name, place) {
  const figure = DATA[name];
  const title = document.getElementById(`title-${name}`).textContent;
  figure.values ??= toObjects(figure);
  const spec = {
    ...figure.spec,
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    description: `${title}. The table below has the same numbers.`,
    width: "container",
    autosize: { type: "fit-x", contains: "padding" },
    data: { values: figure.values },
    config: CONFIGS[theme],
  };
  const renderer = figure.rows.length > MANY_MARKS ? "canvas" : "svg";
  const { view } = await vegaEmbed(place, spec, { renderer, actions: false, tooltip: { theme } });
  place.dataset.drawn = theme;
  return view;
}

function drawAll() {
  const places = [...document.querySelectorAll(".chart")];
  return Promise.all(places.map((place) => draw(place.id.replace("chart-", ""), place)));
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null) return 1; // what is missing comes last
  if (b === null) return -1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

function makeTable(name, place) {
  const { columns, rows, shown } = DATA[name];
  const title = document.getElementById(`title-${name}`).textContent;
  let order = [];
  let limit = PAGE_OF_ROWS;
  const filter = Object.assign(document.createElement("input"), { type: "search", placeholder: "Filter rows" });
  filter.setAttribute("aria-label", `Filter the rows of ${title}`);
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  const more = Object.assign(document.createElement("button"), { type: "button", textContent: "Show more rows" });
  const scroll = Object.assign(document.createElement("div"), { className: "scroll", tabIndex: 0 });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Table of ${title}`);
  const table = document.createElement("table");
  const body = document.createElement("tbody");
  const head = table.createTHead().insertRow();
  const headings = columns.slice(0, shown).map((column, index) => {
    const heading = document.createElement("th");
    const sort = Object.assign(document.createElement("button"), { type: "button", textContent: column });
    heading.scope = "col";
    sort.addEventListener("click", () => {
      const descending = order[0] === index && !order[1];
      order = [index, descending];
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      fill();
    });
    heading.append(sort);
    head.append(heading);
    return heading;
  });

  function fill() {
    const wanted = filter.value.toLowerCase();
    let chosen = rows.filter((row) => row.slice(0, shown).some((value) => String(value).toLowerCase().includes(wanted)));
    if (order.length) {
      const [index, descending] = order;
      chosen = chosen.toSorted((a, b) => (descending ? compare(b[index], a[index]) : compare(a[index], b[index])));
    }
    body.replaceChildren(
      ...chosen.slice(0, limit).map((row) => {
        const line = document.createElement("tr");
        row.slice(0, shown).forEach((value) => {
          const cell = line.insertCell();
          cell.textContent = value === null ? "" : typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 9 }) : value;
          if (typeof value === "number") cell.className = "number";
        });
        return line;
      }),
    );
    count.textContent = ` ${Math.min(limit, chosen.length).toLocaleString("en")} of ${chosen.length.toLocaleString("en")} rows`;
    more.hidden = chosen.length <= limit;
  }

  filter.addEventListener("input", fill);
  more.addEventListener("click", () => {
    limit *= 5;
    fill();
  });
  table.append(body);
  scroll.append(table);
  place.append(filter, count, scroll, more);
  fill();
}

for (const place of document.querySelectorAll("[data-table]")) {
  if (place.tagName === "DETAILS") {
    place.addEventListener("toggle", () => place.open && makeTable(place.dataset.table, place), { once: true });
  } else {
    makeTable(place.dataset.table, place);
  }
}
button.addEventListener("click", () => setTheme(theme === "dark" ? "light" : "dark"));
themes.addEventListener("change", () => setTheme(themes.matches ? "dark" : "light"));
setTheme(theme).then(
  () => (document.documentElement.dataset.ready = "yes"),
  (error) => {
    document.documentElement.dataset.ready = "failed";
    throw error;
  },
);
