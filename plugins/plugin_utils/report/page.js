// SPDX-License-Identifier: GPL-3.0-or-later
// The tables: drawn from the data in the page, sorted by a click on a heading, filtered by words, one page at a time.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 50;
const PRINTED = 100; // rows of one table on paper
const NUMERIC = new Set(["number", "bytes", "time", "ago", "milliseconds", "percent", "share"]);
const shown = new Map(); // table's id → its TableView

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function bytes(count) {
  let value = count, unit = "B";
  for (const larger of ["kB", "MB", "GB", "TB", "PB"]) {
    if (value < 999.5) break;
    value /= 1000;
    unit = larger;
  }
  return unit === "B" ? `${count} B` : `${value.toPrecision(3)} ${unit}`;
}

function moment(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
}

function duration(seconds) {
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

// What a cell says, by the kind of its column.
const TEXTS = {
  text: (value) => value,
  number: (value) => value.toLocaleString("en"),
  bytes: (value) => (value ? bytes(value) : "–"),
  time: moment,
  ago: (value) => duration(data.taken - value),
  milliseconds: (value) => `${(value * 1000).toFixed(1)} ms`,
  percent: (value) => `${Math.round(value * 100)} %`,
  state: ([, words]) => words,
  share: (value) => `${(value * 100).toFixed(1)} %`,
  lines: (value) => value.join("\n"),
};

function words(kind, value) {
  return value === null || value === undefined ? "" : String(TEXTS[kind](value));
}

// What a cell is compared by. What grows with time, "3 min ago", is smaller for what is later.
function weight(kind, value) {
  if (value === null || value === "") return null;
  if (kind === "ago") return -value;
  if (kind === "state") return "bad attention idle good".indexOf(value[0]);
  return NUMERIC.has(kind) ? value : words(kind, value).toLowerCase();
}

function compare(first, second) {
  return typeof first === "number" ? first - second : first.localeCompare(second, "en", { numeric: true });
}

function alignment(kind) {
  if (kind === "time" || kind === "share") return "steady";
  return NUMERIC.has(kind) ? "right" : "";
}

function cell(kind, value) {
  const text = words(kind, value);
  if (text === "") return element("td", { className: `nothing ${alignment(kind)}`, textContent: "–" });
  if (kind === "state") {
    return element("td", { className: `state ${value[0]}`, textContent: `${data.glyphs[value[0]]} ${text}` });
  }
  if (kind === "share") {
    const bar = element("i");
    bar.style.width = `${Math.max(1, value * 100)}px`;
    return element("td", {}, [element("div", { className: "share" }, [bar, text])]);
  }
  if (kind === "lines") {
    return element("td", { className: "lines" }, [element("ul", {}, value.map((line) => element("li", { textContent: line })))]);
  }
  const made = element("td", { className: alignment(kind), textContent: text });
  if (kind === "ago") made.title = `${moment(value)} UTC`;
  return made;
}

class TableView {
  constructor(table, place) {
    this.table = table;
    this.page = 0;
    this.size = PAGE;
    this.column = -1; // as they came
    this.falling = false;
    this.texts = null; // of each row, lower case: made when somebody first looks for something
    this.rows = table.rows;
    this.input = element("input", { type: "search", placeholder: "Filter: all of these words" });
    this.input.setAttribute("aria-label", `Filter ${table.title}`);
    this.input.addEventListener("input", () => this.filter());
    this.before = element("button", { type: "button", textContent: "Previous" });
    this.before.addEventListener("click", () => this.turn(-1));
    this.after = element("button", { type: "button", textContent: "Next" });
    this.after.addEventListener("click", () => this.turn(1));
    this.count = element("output");
    this.headings = table.columns.map((column, index) => this.heading(column, index));
    this.body = element("tbody");
    const head = element("thead", {}, [element("tr", {}, this.headings)]);
    place.append(
      element("div", { className: "tools" }, [this.input, this.count, this.before, this.after]),
      element("div", { className: "scroll" }, [element("table", {}, [head, this.body])]),
    );
    this.draw();
  }

  heading(column, index) {
    const button = element("button", { type: "button", textContent: column.label });
    button.addEventListener("click", () => this.sort(index));
    return element("th", { scope: "col", className: alignment(column.kind) }, [button]);
  }

  filter() {
    const wanted = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { columns, rows } = this.table;
    if (wanted.length && !this.texts) {
      this.texts = new Map(
        rows.map((row) => [row, row.map((value, index) => words(columns[index].kind, value)).join("\n").toLowerCase()]),
      );
    }
    this.rows = wanted.length
      ? rows.filter((row) => wanted.every((word) => this.texts.get(row).includes(word)))
      : rows;
    this.page = 0;
    this.order();
  }

  sort(index) {
    const numeric = NUMERIC.has(this.table.columns[index].kind);
    this.falling = index === this.column ? !this.falling : numeric && this.table.columns[index].kind !== "ago";
    this.column = index;
    this.headings.forEach((heading, other) => {
      if (other === index) heading.setAttribute("aria-sort", this.falling ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    });
    this.page = 0;
    this.order();
  }

  order() {
    if (this.column >= 0) {
      const { kind } = this.table.columns[this.column];
      const weighed = this.rows.map((row) => [weight(kind, row[this.column]), row]);
      const sign = this.falling ? -1 : 1;
      // What has no value is last, either way.
      weighed.sort(([first], [second]) => {
        if (first === null || second === null) return (first === null) - (second === null);
        return sign * compare(first, second);
      });
      this.rows = weighed.map(([, row]) => row);
    }
    this.draw();
  }

  turn(pages) {
    this.page += pages;
    this.draw();
  }

  draw() {
    const { columns, rows: all } = this.table;
    const begin = this.page * this.size;
    const part = this.rows.slice(begin, begin + this.size);
    this.body.replaceChildren(
      ...part.map((row) => element("tr", {}, row.map((value, index) => cell(columns[index].kind, value)))),
    );
    if (!part.length) {
      const none = element("td", { className: "nothing", textContent: all.length ? "No row has these words." : "None." });
      none.colSpan = columns.length;
      this.body.append(element("tr", {}, [none]));
    }
    const of = this.rows.length.toLocaleString("en");
    const whole = this.rows.length === all.length ? of : `${of} found, of ${all.length.toLocaleString("en")}`;
    const several = this.rows.length > this.size;
    const range = `${(begin + 1).toLocaleString("en")}–${(begin + part.length).toLocaleString("en")} of `;
    this.count.textContent = several ? `${range}${whole}` : whole;
    this.before.hidden = this.after.hidden = !several;
    this.before.disabled = this.page === 0;
    this.after.disabled = begin + this.size >= this.rows.length;
  }

  print(size) {
    this.size = size;
    this.page = 0;
    this.draw();
  }

  find(wanted) {
    this.input.value = wanted;
    this.filter();
  }
}

for (const table of data.tables) {
  shown.set(table.id, new TableView(table, document.querySelector(`[data-place="${table.id}"]`)));
}

// A click on something in the map or in the list of problems looks for it in its table; the link itself goes there.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-wanted]");
  if (link && shown.has(link.dataset.table)) shown.get(link.dataset.table).find(link.dataset.wanted);
});
addEventListener("beforeprint", () => shown.forEach((view) => view.print(PRINTED)));
addEventListener("afterprint", () => shown.forEach((view) => view.print(PAGE)));
