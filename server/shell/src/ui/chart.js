// Lines over time.

import { clock, svg } from "./dom.js";

const WIDTH = 640, HEIGHT = 170, LEFT = 52, RIGHT = 10, TOP = 12, BOTTOM = 22;
const MARK_TEXT_WIDTH = 74;
// A line is broken where nothing was heard for so long.
const GAP_MS = 3500;

function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

// `lines`: [{ class, points: [[ms, value], …] }], `marks`: [{ at, text }].
export function chart({ lines, marks = [], from, to, format, floor = 0, label }) {
  const values = lines.flatMap((line) => line.points.map(([, value]) => value));
  const low = floor === "data" && values.length ? Math.min(...values) : 0;
  const top = floor === "data" && values.length ? Math.max(low + 10, ...values) : ceiling(Math.max(0, ...values));
  const x = (ms) => LEFT + ((ms - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (top - low)) * (HEIGHT - TOP - BOTTOM);
  const root = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const share of [0, 0.5, 1]) {
    const value = low + (top - low) * share;
    root.append(svg("line", { class: "gridline", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  for (const share of [0, 0.5, 1]) {
    const ms = from + (to - from) * share;
    root.append(svg("text", { x: x(ms), y: HEIGHT - 5, "text-anchor": ["start", "middle", "end"][share * 2] }, clock(ms)));
  }
  let free = LEFT;
  for (const mark of marks.filter((mark) => mark.at >= from && mark.at <= to)) {
    const at = x(mark.at);
    root.append(svg("line", { class: "mark", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    // Where many come at once, the first speaks for them.
    if (at < free) continue;
    free = at + MARK_TEXT_WIDTH;
    const fits = free < WIDTH;
    root.append(svg("text", { class: "marktext", x: fits ? at + 3 : at - 3, y: TOP + 2, "text-anchor": fits ? "start" : "end" }, mark.text));
  }
  for (const line of lines) {
    let path = "", before = -Infinity;
    for (const [ms, value] of line.points) {
      if (ms < from) continue;
      path += `${ms - before > GAP_MS ? "M" : "L"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
      before = ms;
    }
    root.append(svg("path", { class: line.class, d: path || "M0 0", "vector-effect": "non-scaling-stroke" }));
  }
  return root;
}
