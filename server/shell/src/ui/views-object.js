// One object: its YAML as it changes, its events, and of a pod what the scheduler said and how its containers are.

import { follow, get } from "./api.js";
import { age, badge, clock, h } from "./dom.js";
import { EVENTS, list, pathOf, PODS } from "./views-lists.js";
import { render, toText } from "./yaml.js";

const toneOf = (status) => ({ True: "good", False: "bad", Unknown: "warn" })[status] || "";
// Of these a False is the good news.
const INVERSE = /Pressure$|Unavailable$|^Failed$|Failure$/;

function facts(object) {
  const { metadata } = object;
  const labels = Object.entries(metadata.labels || {}).map(([key, value]) => [badge(`${key}=${value}`), " "]);
  const owners = (metadata.ownerReferences || []).map((owner) => `${owner.kind} ${owner.name}`).join(", ");
  const rows = [["Created", `${age(metadata.creationTimestamp)} ago`], ["Revision", metadata.resourceVersion], ["Labels", labels.length ? labels.flat() : null], ["Owner", owners || null]];
  if (object.kind === "Pod") rows.push(["Phase", object.status?.phase], ["Node", object.spec.nodeName], ["Address", object.status?.podIP]);
  if (metadata.deletionTimestamp) rows.push(["Leaving since", clock(Date.parse(metadata.deletionTimestamp))]);
  return h("dl", { class: "facts" }, rows.filter(([, value]) => value).flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

function conditions(object) {
  const all = object.status?.conditions || [];
  if (!all.length) return null;
  const tone = (c) => (INVERSE.test(c.type) ? toneOf({ True: "False", False: "True" }[c.status]) : toneOf(c.status));
  return h("section", { class: "card flush" }, h("h2", {}, "Conditions"), h("table", {}, h("tbody", {}, all.map((c) =>
    h("tr", {}, h("td", { class: "name" }, c.type), h("td", {}, badge(c.status, tone(c))), h("td", {}, c.reason || ""), h("td", { class: "quiet" }, c.message || ""),
      h("td", { class: "num quiet" }, age(c.lastTransitionTime)))))));
}

// What the scheduler said: the condition as it stands, then its events, the latest first.
function scheduler(pod, events) {
  const condition = (pod.status?.conditions || []).find((c) => c.type === "PodScheduled");
  const said = events.filter((e) => (e.source?.component || e.reportingComponent || "").includes("scheduler"))
    .sort((a, b) => Date.parse(b.lastTimestamp || b.eventTime) - Date.parse(a.lastTimestamp || a.eventTime));
  const now = pod.spec.nodeName
    ? h("div", { class: "said good" }, `Placed on ${pod.spec.nodeName}.`)
    : h("div", { class: "said bad" }, condition?.message || "Not tried yet.");
  const reasons = !pod.spec.nodeName && condition?.message ? splitReasons(condition.message) : [];
  return h("section", { class: "card" }, h("h2", {}, "What the scheduler said"), now,
    reasons.length ? h("ul", {}, reasons.map((reason) => h("li", {}, reason))) : "",
    said.map((e) => h("p", { class: "quiet" }, `${age(e.lastTimestamp || e.eventTime)} ago: `, badge(e.reason, e.type === "Warning" ? "bad" : "good"), ` ${e.message}`, e.count > 1 ? ` (${e.count} times)` : "")));
}

// "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint…" by reason.
function splitReasons(message) {
  const list = /available: (.*?)(?:\. preemption|\.? *$)/s.exec(message)?.[1];
  return list ? list.split(/, (?=\d)/) : [];
}

function containers(pod) {
  const specs = [...(pod.spec.initContainers || []), ...pod.spec.containers];
  const statuses = new Map([...(pod.status?.initContainerStatuses || []), ...(pod.status?.containerStatuses || [])].map((s) => [s.name, s]));
  const state = (s) => {
    if (!s) return badge("not started");
    const [name, detail] = Object.entries(s.state || {})[0] || ["waiting", {}];
    const tone = name === "running" ? (s.ready ? "good" : "warn") : name === "waiting" ? "warn" : detail.exitCode ? "bad" : "";
    return [badge(name, tone), " ", detail.reason || "", detail.message ? `: ${detail.message}` : ""];
  };
  return h("section", { class: "card flush" }, h("h2", {}, "Containers"), h("table", {}, h("tbody", {}, specs.map((c) =>
    h("tr", {}, h("td", { class: "name" }, c.name), h("td", {}, c.image), h("td", {}, state(statuses.get(c.name))),
      h("td", { class: "num" }, `${statuses.get(c.name)?.restartCount || 0} restarts`))))));
}

function podsOf(object, signal) {
  const labels = object.spec?.selector?.matchLabels || (object.kind === "Service" ? object.spec?.selector : null);
  if (!labels || object.kind === "Pod") return null;
  const labelSelector = Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(",");
  return list(PODS, { namespace: object.metadata.namespace, query: { labelSelector }, signal, limit: 50 });
}

export async function show(main, signal, [group, version, plural, namespace, name]) {
  const resource = { group: group === "core" ? "" : group, version, plural };
  const ns = namespace === "-" ? "" : namespace;
  const found = await get(pathOf(resource, ns, name), undefined, signal);
  const head = h("div", {}), detail = h("div", {}), yaml = h("section", { class: "card flush" }), events = [];
  const copy = h("button", { type: "button" }, "Copy");
  let object = null, gone = false, trouble = null;
  const drawHead = () => head.replaceChildren(
    h("h1", {}, name), h("p", { class: "lead" }, found.kind, ns ? ` in ${ns}` : "", gone ? [" ", badge("deleted", "bad")] : "", trouble ? [" ", badge(trouble, "bad")] : ""));
  const drawDetail = () => detail.replaceChildren(h("div", { class: "grid" },
    h("section", { class: "card" }, h("h2", {}, "About"), facts(object)),
    found.kind === "Pod" ? scheduler(object, events) : "", found.kind === "Pod" ? containers(object) : "", conditions(object) || ""));
  const take = (next) => {
    const shown = structuredClone(next);
    delete shown.metadata.managedFields;
    // A list's items do not name their kind.
    const whole = { apiVersion: found.apiVersion, kind: found.kind, ...shown };
    yaml.replaceChildren(h("h2", {}, "YAML, live ", copy), render(whole, object));
    copy.onclick = () => navigator.clipboard?.writeText(toText(whole));
    object = whole;
    drawHead();
    drawDetail();
  };
  main.replaceChildren(head, detail);
  take(found);
  const owned = podsOf(found, signal);
  if (owned) main.append(owned);
  const about = { fieldSelector: `involvedObject.uid=${found.metadata.uid}` };
  main.append(list({ ...EVENTS, title: "Events" }, { namespace: ns, query: about, signal, limit: 50 }), yaml);
  follow(pathOf(resource, ns), { fieldSelector: `metadata.name=${name}` }, {
    list(all) {
      gone = all.items.length === 0;
      if (!gone && all.items[0].metadata.resourceVersion !== object.metadata.resourceVersion) take(all.items[0]);
      else drawHead();
    },
    event(type, changed) { gone = type === "DELETED"; if (gone) drawHead(); else take(changed); },
    trouble(message) { trouble = message; drawHead(); },
  }, signal);
  if (found.kind === "Pod") {
    const keep = (e) => { const at = events.findIndex((known) => known.metadata.uid === e.metadata.uid); if (at < 0) events.push(e); else events[at] = e; };
    follow(pathOf(EVENTS, ns), about, {
      list(all) { all.items.forEach(keep); drawDetail(); },
      event(type, e) { if (type !== "DELETED") keep(e); drawDetail(); },
      trouble() {},
    }, signal);
  }
}
