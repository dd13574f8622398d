// Lists of objects, live: what `kubectl get` would print, from the same Tables.

import { follow, get } from "./api.js";
import { badge, h } from "./dom.js";

const TONES = {
  Running: "good", Ready: "good", Active: "good", Bound: "good", Complete: "good", Completed: "", Succeeded: "", Normal: "", True: "good",
  Pending: "warn", ContainerCreating: "warn", Terminating: "warn", Unknown: "warn", Warning: "warn", SchedulingDisabled: "warn",
  Failed: "bad", NotReady: "bad", Error: "bad", CrashLoopBackOff: "bad", ImagePullBackOff: "bad", Evicted: "bad", FailedScheduling: "bad",
};

const toned = new Set(["status", "type", "reason"]);

function cell(column, value) {
  const name = column.name.toLowerCase();
  const text = value === null || value === undefined ? "" : String(value);
  if (toned.has(name) && text) {
    return text.split(",").map((part) => badge(part, TONES[part] ?? ""));
  }
  const ready = /^(\d+)\/(\d+)$/.exec(text);
  if (name === "ready" && ready) {
    const [have, want] = [Number(ready[1]), Number(ready[2])];
    const width = want ? Math.min(100, (100 * have) / want) : 100;
    const bar = h("i", {});
    bar.style.width = `${width}%`;
    return [h("span", { class: `meter ${have < want ? "part" : ""}` }, bar), text];
  }
  return text;
}

export const pathOf = (r, namespace, name) =>
  `${r.group ? `/apis/${r.group}` : "/api"}/${r.version}${namespace ? `/namespaces/${namespace}` : ""}/${r.plural}${name ? `/${name}` : ""}`;

export const hrefOf = (r, metadata) =>
  `#/o/${[r.group || "core", r.version, r.plural, metadata.namespace || "-", metadata.name].map(encodeURIComponent).join("/")}`;

// One live list in a card. Resources: { group, version, plural, title }.
export function list(resource, { namespace = "", query = {}, signal, filter = () => "", sort, limit = 500, hideEmpty = false }) {
  const card = h("section", { class: "card flush" });
  const rows = new Map();
  let columns = [], trouble = null, more = 0, drawn = 0, listed = false;
  const key = (row) => `${row.object.metadata.namespace || ""}/${row.object.metadata.name}`;
  const draw = () => {
    drawn = 0;
    const wanted = filter().toLowerCase();
    let shown = [...rows.values()].filter((row) => !wanted || `${key(row)} ${row.cells.join(" ")}`.toLowerCase().includes(wanted));
    if (sort) shown.sort(sort);
    const cut = shown.length - limit;
    shown = shown.slice(0, limit);
    const visible = columns.map((column, i) => ({ ...column, i })).filter((column) => !column.priority);
    const withNamespace = !namespace && [...rows.values()].some((row) => row.object.metadata.namespace);
    const head = h("tr", {}, withNamespace ? h("th", { scope: "col" }, "Namespace") : "", visible.map((column) => h("th", { scope: "col" }, column.name)));
    const body = shown.map((row) => {
      const metadata = row.object.metadata;
      const element = h("tr", { tabindex: "0", "data-href": hrefOf(resource, metadata), "data-key": key(row) },
        withNamespace ? h("td", { class: "quiet" }, metadata.namespace || "") : "",
        visible.map((column) => h("td", { class: column.name === "Name" ? "name" : null }, cell(column, row.cells[column.i]))));
      if (row.changed) element.classList.add("changed");
      row.changed = false;
      return element;
    });
    const focused = card.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const title = h("h2", {}, resource.title, " ", h("span", { class: "quiet" }, listed ? String(rows.size + more) : ""));
    card.replaceChildren(title,
      trouble ? h("div", { class: "note" }, trouble) : "",
      shown.length ? h("table", {}, h("thead", {}, head), h("tbody", {}, body)) : h("p", { class: "empty" }, listed ? "There are none." : "…"),
      cut + more > 0 ? h("p", { class: "empty" }, `${cut + more} more: narrow it down by namespace or filter.`) : "");
    card.hidden = hideEmpty && listed && rows.size === 0;
    if (focused) card.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  };
  const soon = () => { drawn ||= setTimeout(draw, 60); };
  const take = (object, changed) => {
    if (object.columnDefinitions?.length) columns = object.columnDefinitions;
    for (const row of object.rows || []) { row.changed = changed; rows.set(key(row), row); }
  };
  follow(pathOf(resource, namespace), query, {
    list(object) { rows.clear(); take(object, false); more = object.metadata.remainingItemCount || 0; listed = true; draw(); },
    event(type, object) {
      if (type === "DELETED") for (const row of object.rows || []) rows.delete(key(row));
      else take(object, true);
      soon();
    },
    trouble(message) { trouble = message; soon(); },
  }, signal, true);
  draw();
  card.redraw = draw;
  return card;
}

const CORE = (plural, title) => ({ group: "", version: "v1", plural, title });
const APPS = (plural, title) => ({ group: "apps", version: "v1", plural, title });
const BATCH = (plural, title) => ({ group: "batch", version: "v1", plural, title });

export const PODS = CORE("pods", "Pods");
export const EVENTS = CORE("events", "Events");

// A page of lists with a filter and a choice of namespace.
export async function page(main, signal, { title, resources, namespaced, hideEmpty }) {
  const filter = h("input", { type: "search", placeholder: "Filter  ( / )", "aria-label": "Filter", id: "filter" });
  const choice = h("select", { "aria-label": "Namespace" }, h("option", { value: "" }, "All namespaces"));
  const place = h("div", {});
  let cards = [], inner = new AbortController();
  signal.addEventListener("abort", () => inner.abort());
  const fill = () => {
    inner.abort();
    inner = new AbortController();
    cards = resources.map((resource) => list(resource, {
      namespace: resource.cluster ? "" : choice.value, signal: inner.signal, filter: () => filter.value, hideEmpty,
    }));
    place.replaceChildren(...cards);
  };
  filter.addEventListener("input", () => cards.forEach((card) => card.redraw()));
  choice.addEventListener("change", () => { sessionStorage.setItem("namespace", choice.value); fill(); });
  main.replaceChildren(h("h1", {}, title), h("div", { class: "tools" }, filter, namespaced ? choice : ""), place);
  if (namespaced) {
    const namespaces = await get("/api/v1/namespaces", undefined, signal).catch(() => ({ items: [] }));
    choice.append(...namespaces.items.map((one) => h("option", { value: one.metadata.name }, one.metadata.name)));
    choice.value = sessionStorage.getItem("namespace") || "";
    if (choice.selectedIndex < 0) choice.value = "";
  }
  if (!signal.aborted) fill();
}

export const nodes = (main, signal) => page(main, signal, { title: "Nodes", resources: [{ ...CORE("nodes", "Nodes"), cluster: true }] });

export const workloads = (main, signal) => page(main, signal, {
  title: "Workloads", namespaced: true, hideEmpty: true,
  resources: [APPS("deployments", "Deployments"), APPS("statefulsets", "Stateful sets"), APPS("daemonsets", "Daemon sets"),
    BATCH("jobs", "Jobs"), BATCH("cronjobs", "Cron jobs"), APPS("replicasets", "Replica sets")],
});

export const pods = (main, signal) => page(main, signal, { title: "Pods", namespaced: true, resources: [PODS] });

// Every resource that the API serves.
export async function resources(signal) {
  const found = [];
  const take = (group, version, list) => {
    for (const one of list.resources || []) {
      if (one.name.includes("/") || !one.verbs.includes("list")) continue;
      found.push({ group, version, plural: one.name, title: one.kind, cluster: !one.namespaced });
    }
  };
  take("", "v1", await get("/api/v1", undefined, signal));
  const groups = (await get("/apis", undefined, signal)).groups;
  await Promise.all(groups.map(async (group) => {
    const { version } = group.preferredVersion;
    take(group.name, version, await get(`/apis/${group.name}/${version}`, undefined, signal));
  }));
  return found.sort((a, b) => a.title.localeCompare(b.title) || a.group.localeCompare(b.group));
}

export async function objects(main, signal, [wanted]) {
  const all = await resources(signal);
  const id = (r) => `${r.plural}.${r.group || "core"}`;
  const chosen = all.find((r) => id(r) === wanted) || all.find((r) => r.plural === "configmaps") || all[0];
  const choice = h("select", { "aria-label": "Kind" }, all.map((r) => h("option", { value: id(r), selected: r === chosen }, r.group ? `${r.title} (${r.group})` : r.title)));
  choice.addEventListener("change", () => { location.hash = `#/objects/${choice.value}`; });
  await page(main, signal, { title: "Objects", namespaced: !chosen.cluster, resources: [chosen] });
  main.querySelector(".tools")?.prepend(choice);
}
