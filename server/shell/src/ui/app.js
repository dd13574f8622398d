// Which view is shown, the keys, and light or dark.

import { signOut, signedIn, whoami } from "./api.js";
import { h } from "./dom.js";
import { show as cluster } from "./views-cluster.js";
import { nodes, objects, pods, workloads } from "./views-lists.js";
import { show as object } from "./views-object.js";

const VIEWS = [["cluster", "Cluster", cluster], ["nodes", "Nodes", nodes], ["workloads", "Workloads", workloads], ["pods", "Pods", pods], ["objects", "Objects", objects]];
const main = document.getElementById("main");
const health = document.getElementById("health");
let current = new AbortController();
let listed = "#/cluster";

function told(text, tone) {
  health.replaceChildren(h("span", { class: `dot ${tone}` }), text);
}

async function route() {
  const [view = "cluster", ...rest] = location.hash.replace(/^#\//, "").split("/").filter(Boolean).map(decodeURIComponent);
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const known = VIEWS.find(([name]) => name === view);
  if (view !== "o") listed = location.hash || "#/cluster";
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = view === "o" ? `${rest.at(-1)} · Trireme` : `${known?.[1] ?? "Trireme"} · Trireme`;
  main.replaceChildren();
  try {
    if (view === "o") await object(main, signal, rest);
    else await (known ? known[2] : cluster)(main, signal, known === VIEWS[0] || !known ? told : rest);
  } catch (error) {
    if (!signal.aborted) main.replaceChildren(h("div", { class: "note" }, error.message));
  }
}

function theme(next) {
  if (next) localStorage.setItem("theme", next);
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}

function flipTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  theme(dark ? "light" : "dark");
}

function walk(step) {
  const rows = [...main.querySelectorAll("tr[data-href]")];
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}

let going = false;
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (going) {
    going = false;
    const view = VIEWS.find(([name]) => name[0] === event.key);
    if (view) location.hash = `#/${view[0]}`;
    return;
  }
  const act = {
    g: () => { going = true; setTimeout(() => { going = false; }, 900); },
    "/": () => document.getElementById("filter")?.focus(),
    j: () => walk(1), k: () => walk(-1), ArrowDown: () => walk(1), ArrowUp: () => walk(-1),
    Enter: () => { const { href } = event.target.dataset; if (href) location.hash = href; },
    u: () => { location.hash = listed; },
    t: flipTheme,
    "?": () => document.getElementById("keys").showModal(),
  }[event.key];
  const scrolls = event.key.startsWith("Arrow") && !event.target.dataset.href;
  if (!act || scrolls || (event.key === "Enter" && !event.target.dataset.href)) return;
  event.preventDefault();
  act();
}

async function who() {
  try {
    const { username, groups = [] } = await whoami();
    const shown = document.getElementById("who");
    shown.textContent = username;
    shown.title = groups.join(", ");
  } catch { /* the views say what is wrong */ }
}

theme();
document.getElementById("nav").append(...VIEWS.map(([name, title]) => h("a", { href: `#/${name}` }, title)));
const leave = document.getElementById("leave");
leave.hidden = !signedIn();
leave.addEventListener("click", signOut);
document.getElementById("theme").addEventListener("click", flipTheme);
document.getElementById("help").addEventListener("click", () => document.getElementById("keys").showModal());
document.addEventListener("keydown", key);
main.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-href]");
  if (row && !getSelection().toString()) location.hash = row.dataset.href;
});
addEventListener("hashchange", route);
who();
route();
