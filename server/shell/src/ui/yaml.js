// An object as YAML, as kubectl would print it, in lines of spans.

import { h } from "./dom.js";

const PLAIN = /^[A-Za-z_/.][A-Za-z0-9_/.@+-]*( [A-Za-z0-9_/.@+()-]+)*$/;
const RESERVED = /^(true|false|null|yes|no|on|off|y|n|~)$/i;

function scalar(value) {
  if (value === null) return ["null", "n"];
  if (typeof value !== "string") return [String(value), "n"];
  const plain = PLAIN.test(value) && !RESERVED.test(value);
  return [plain ? value : JSON.stringify(value), "s"];
}

const isEmpty = (value) => Object.keys(value).length === 0;
const isNested = (value) => value !== null && typeof value === "object";

// Pieces of lines: [text, class] pairs.
function write(value, indent, lines) {
  const pad = " ".repeat(indent);
  if (Array.isArray(value)) {
    for (const item of value) {
      if (isNested(item) && !isEmpty(item)) {
        const inner = [];
        write(item, indent + 2, inner);
        inner[0][0] = [`${pad}- ${inner[0][0][0].slice(indent + 2)}`, ""];
        lines.push(...inner);
      } else lines.push([[`${pad}- `, ""], inline(item)]);
    }
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    const head = [[pad, ""], [PLAIN.test(key) ? key : JSON.stringify(key), "k"], [":", ""]];
    if (isNested(item) && !isEmpty(item)) {
      lines.push(head);
      write(item, Array.isArray(item) ? indent : indent + 2, lines);
    } else if (typeof item === "string" && item.includes("\n")) {
      lines.push([...head, [item.endsWith("\n") ? " |" : " |-", ""]]);
      for (const line of item.replace(/\n$/, "").split("\n")) lines.push([[`${pad}  ${line}`, "s"]]);
    } else lines.push([...head, [" ", ""], inline(item)]);
  }
}

const inline = (value) => (isNested(value) ? [Array.isArray(value) ? "[]" : "{}", ""] : scalar(value));

export function toLines(object) {
  const lines = [];
  write(object, 0, lines);
  return lines;
}

export const toText = (object) => toLines(object).map((line) => line.map(([text]) => text).join("")).join("\n");

// Renders, with lines marked that the version before did not have.
export function render(object, before) {
  const known = before && new Set(toText(before).split("\n"));
  return h("div", { class: "yaml", tabindex: "0", "aria-label": "The object as YAML" }, toLines(object).map((line) => {
    const text = line.map(([part]) => part).join("");
    const changed = known && !known.has(text);
    return h("div", { class: changed ? "changed" : null }, line.map(([part, kind]) => (kind ? h("span", { class: kind }, part) : part)));
  }));
}
