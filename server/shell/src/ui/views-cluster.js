// The cluster: members, terms, log and lag over time, failovers.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { badge, bytes, clock, count, h, micros, series, span, table } from "./dom.js";

const WINDOW_MS = 5 * 60 * 1000, WINDOW_MIN_MS = 30 * 1000;
const seen = new Map(); // member id → { samples, changes }
let newest = -1;

function remember(cluster) {
  for (const member of cluster.members) {
    const known = seen.get(member.id) || { samples: [], changes: [] };
    const last = known.samples.at(-1)?.atMs ?? -1;
    known.samples.push(...(member.history?.samples || []).filter((sample) => sample.atMs > last));
    known.samples = known.samples.slice(-900);
    const lastChange = known.changes.at(-1)?.atMs ?? -1;
    known.changes.push(...(member.history?.changes || []).filter((change) => change.atMs > lastChange));
    seen.set(member.id, known);
  }
  // Behind this, everybody who answered has told everything.
  const ends = cluster.members.filter((m) => m.report).map((m) => seen.get(m.id).samples.at(-1)?.atMs ?? 0);
  newest = ends.length ? Math.min(...ends) : newest;
}

// Changes of leader as the members saw them, each once: the first who saw a term's leader counts. `without` is how long
// before that nobody was known to lead.
export function failovers(histories) {
  const elected = new Map();
  const lost = [];
  for (const { changes } of histories) {
    for (const change of changes) {
      if (!change.leader) { lost.push(change.atMs); continue; }
      const first = elected.get(change.term);
      if (!first || change.atMs < first.atMs) elected.set(change.term, change);
    }
  }
  const order = [...elected.values()].sort((a, b) => a.term - b.term);
  return order.map((change, i) => {
    const before = order[i - 1];
    const gone = lost.filter((at) => before && at > before.atMs && at <= change.atMs);
    const without = gone.length ? change.atMs - Math.min(...gone) : 0;
    return { at: change.atMs, term: change.term, to: change.leader, from: before?.leader, without };
  });
}

function tiles(cluster, leader) {
  const reports = cluster.members.map((member) => member.report).filter(Boolean);
  const sum = (of) => reports.reduce((total, report) => total + of(report), 0);
  const lag = Math.max(0, ...Object.values(leader?.lag || {}));
  const tile = (value, text) => h("div", { class: "tile" }, h("b", {}, value), h("span", {}, text));
  return h("div", { class: "tiles" },
    tile(leader ? leader.name : "none", "leader"),
    tile(String(Math.max(0, ...reports.map((report) => report.term))), "term"),
    tile(count(leader?.revision ?? Math.max(0, ...reports.map((report) => report.revision))), "revision"),
    tile(`${count(leader?.recent.entriesPerS || 0)}/s`, "log entries"),
    tile(`${count(sum((report) => report.recent.requestsPerS))}/s`, "requests"),
    tile(micros(leader?.recent.commitP99Us), "commit, 99 %"),
    tile(leader ? count(lag) : "–", "entries of lag"),
    tile(count(sum((report) => report.watches)), "watches"),
    leader?.backups ? tile(lastBackup(leader.backups), "since the last backup") : null);
}

function lastBackup(backups) {
  const since = backups.lastS ? span(Date.now() / 1000 - backups.lastS) : "none yet";
  return backups.failing ? badge(since, "bad") : since;
}

function state(member) {
  const report = member.report;
  if (!report) return badge("does not answer", "bad");
  if (report.leads) return badge("leader", "accent");
  if (!report.ready) return badge("not ready", "warn");
  return badge(report.role, "good");
}

function soonest(report) {
  const left = (report.certificates || []).map((certificate) => certificate.notAfter - Date.now() / 1000);
  return left.length ? Math.min(...left) : Infinity;
}

function members(cluster, leader) {
  const of = (read) => (member) => (member.report ? read(member.report) : "–");
  const lagOf = (member) => {
    if (!leader) return "–";
    if (member.id === leader.id) return "";
    // A leader does not know what a member holds that has not answered it yet.
    return leader.lag[member.id] === undefined ? "–" : count(leader.lag[member.id]);
  };
  const columns = [
    { title: "Member", class: "name", cell: (m) => [h("span", { class: `key ${series(m.id)}` }), m.name] },
    { title: "State", cell: (m) => [state(m), m.voter ? "" : badge("learner")] },
    { title: "Term", class: "num", cell: of((r) => r.term) },
    { title: "Log", class: "num", cell: of((r) => r.lastIndex) },
    { title: "Applied", class: "num", cell: of((r) => r.appliedIndex) },
    { title: "Lag", class: "num", cell: lagOf },
    { title: "Snapshot", class: "num", cell: of((r) => r.snapshotIndex || "–") },
    { title: "fsync 50 / 99 %", class: "num", cell: of((r) => `${micros(r.recent.fsyncP50Us)} / ${micros(r.recent.fsyncP99Us)}`) },
    { title: "Requests", class: "num", cell: of((r) => `${count(r.recent.requestsPerS)}/s`) },
    { title: "Watches", class: "num", cell: of((r) => r.watches) },
    { title: "Memory", class: "num", cell: of((r) => bytes(r.process.residentBytes)) },
    { title: "CPU", class: "num", cell: of((r) => `${Math.round(r.recent.cpu * 100)} %`) },
    { title: "Up", class: "num", cell: of((r) => span(r.uptimeS)) },
    { title: "Certificates", class: "num", cell: of((r) => certificate(soonest(r))) },
    { title: "API", class: "quiet", cell: (m) => m.apiAddress },
  ];
  return h("section", { class: "card flush" }, h("h2", {}, "Members"), table(columns, cluster.members));
}

function certificate(left) {
  if (left === Infinity) return "–";
  if (left <= 0) return badge("expired", "bad");
  return left < 14 * 86400 ? badge(span(left), "warn") : span(left);
}

function charts(cluster) {
  const to = cluster.atMs;
  // A cluster that is young fills its charts all the same.
  const begun = Math.min(to - WINDOW_MIN_MS, ...[...seen.values()].flatMap(({ samples }) => samples.slice(0, 1).map((sample) => sample.atMs)));
  const from = Math.max(to - WINDOW_MS, begun);
  const names = new Map(cluster.members.map((member) => [member.id, member.name]));
  const marks = failovers([...seen.values()]).filter((f) => f.from !== undefined)
    .map((f) => ({ at: f.at, text: `→ ${names.get(f.to) || f.to}` }));
  const line = (read) => cluster.members.map((member) => ({
    class: series(member.id),
    points: (seen.get(member.id)?.samples || []).map((sample) => [sample.atMs, read(sample)]),
  }));
  const lags = cluster.members.map((member) => ({
    class: series(member.id),
    points: [...seen.values()].flatMap(({ samples }) => samples)
      .filter((sample) => sample.lag[member.id] !== undefined)
      .map((sample) => [sample.atMs, sample.lag[member.id]]).sort((a, b) => a[0] - b[0]),
  }));
  const leading = [{ class: "s1", points: [...seen.entries()].flatMap(([id, { samples }]) =>
    samples.filter((sample) => sample.leader === id && sample.commitP99Us).map((sample) => [sample.atMs, sample.commitP99Us])).sort((a, b) => a[0] - b[0]) }];
  const legend = () => h("div", { class: "legend" }, cluster.members.map((member) => h("span", {}, h("span", { class: `key ${series(member.id)}` }), member.name)));
  const card = (title, options, withLegend = true) => h("section", { class: "card" }, h("h2", {}, title),
    chart({ from, to, marks, label: title, ...options }), withLegend ? legend() : "");
  return h("div", { class: "grid" },
    card("Log: last entry applied", { lines: line((sample) => sample.appliedIndex), format: count, floor: "data" }),
    card("Lag: entries that a follower lacks", { lines: lags, format: count }),
    card("Commit at the leader, 99 %", { lines: leading, format: micros }, false),
    card("Requests a second", { lines: line((sample) => sample.requestsPerS), format: count }));
}

function history(cluster) {
  const names = new Map(cluster.members.map((member) => [member.id, member.name]));
  const rows = failovers([...seen.values()]).reverse().slice(0, 12);
  const name = (id) => names.get(id) || (id === undefined ? "" : `member ${id}`);
  const columns = [
    { title: "When", cell: (f) => clock(f.at) },
    { title: "Term", class: "num", cell: (f) => f.term },
    { title: "From", cell: (f) => name(f.from) },
    { title: "To", class: "name", cell: (f) => name(f.to) },
    { title: "No leader known for", class: "num", cell: (f) => (f.from === undefined ? "" : `${f.without} ms`) },
  ];
  return h("section", { class: "card flush" }, h("h2", {}, "Leaders, the latest first"),
    rows.length ? table(columns, rows) : h("p", { class: "empty" }, "No change of leader has been seen."));
}

function manager(leader) {
  const now = leader?.manager;
  if (!now) return h("section", { class: "card" }, h("h2", {}, "Controllers"), h("p", { class: "quiet" }, "No manager is in office."));
  const columns = [
    { title: "Controller", class: "name", cell: (q) => q.name },
    { title: "Waiting", class: "num", cell: (q) => q.ready },
    { title: "In flight", class: "num", cell: (q) => q.inFlight },
    { title: "Failing", class: "num", cell: (q) => (q.failing ? badge(String(q.failing), "warn") : "0") },
  ];
  const pods = `Scheduler: ${now.podsActive} to place, ${now.podsBackoff} backing off, ${now.podsUnschedulable} fit nowhere, ${now.bound} bound so far`;
  return h("section", { class: "card flush" }, h("h2", {}, `Controllers at ${leader.name}, epoch ${now.epoch}`),
    h("p", { class: "lead", style: null }, h("span", { class: "empty" }, pods)), table(columns, now.controllers));
}

export async function show(main, signal, told) {
  for (;;) {
    try {
      const cluster = await get(`/trireme/cluster?historyAfterMs=${newest}`, undefined, signal);
      remember(cluster);
      const leader = cluster.members.map((member) => member.report).find((report) => report?.leads);
      const asked = cluster.members.find((member) => member.id === cluster.asked);
      told(leader ? `${leader.name} leads` : "no leader", leader ? "good" : "bad");
      const up = cluster.members.filter((member) => member.report).length;
      main.replaceChildren(
        h("h1", {}, "Cluster"),
        h("p", { class: "lead" }, `${up} of ${cluster.members.length} members answer. Seen through ${asked?.name}, version ${asked?.report.version}.`),
        tiles(cluster, leader), members(cluster, leader), charts(cluster),
        h("div", { class: "grid" }, history(cluster), manager(leader)));
    } catch (error) {
      if (signal.aborted) return;
      // The page says why at length.
      told(error.code === 403 ? "not allowed" : error.message, "bad");
      if (!main.childElementCount) main.replaceChildren(h("div", { class: "note" }, error.message));
    }
    await new Promise((done) => setTimeout(done, 1000));
    if (signal.aborted) return;
  }
}
