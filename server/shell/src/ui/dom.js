// Elements, and how numbers and times are written.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const badge = (text, tone = "") => h("span", { class: `badge ${tone}` }, text);
export const series = (id) => `s${((id - 1) % 7) + 1}`;

export function count(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value >= 1e7 ? 0 : 1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toString() : value.toFixed(1);
}

export function micros(us) {
  if (!us) return "–";
  if (us >= 1e6) return `${(us / 1e6).toFixed(1)} s`;
  return us >= 1000 ? `${(us / 1000).toFixed(us >= 1e4 ? 0 : 1)} ms` : `${us} µs`;
}

export const bytes = (b) => (b >= 1 << 30 ? `${(b / (1 << 30)).toFixed(1)} GiB` : `${Math.round(b / (1 << 20))} MiB`);

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  return s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}

export const age = (time) => (time ? span((Date.now() - Date.parse(time)) / 1000) : "–");
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

// A table whose rows can be walked with j and k and opened with Enter.
export function table(columns, rows, open) {
  const cell = (column, row) => h("td", { class: column.class }, column.cell(row) ?? "");
  return h("table", {},
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { class: column.class, scope: "col" }, column.title)))),
    h("tbody", {}, rows.map((row) => {
      const go = open && open(row);
      const element = h("tr", go ? { tabindex: "0", "data-href": go } : {}, columns.map((column) => cell(column, row)));
      if (row.changed) element.classList.add("changed");
      return element;
    })));
}
