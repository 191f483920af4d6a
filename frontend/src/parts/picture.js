// @ts-check
/** What stands in an element as one picture in SVG: charts, canvases, texts and the tints behind them. */

const SVG = "http://www.w3.org/2000/svg";
const STYLES = [
  ...["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family"],
  ...["font-weight", "text-anchor", "dominant-baseline", "paint-order"],
];
const AROUND = 8;
const LEFT_OUT = ".saving, .controls, .says, .sr, button, select, [hidden]";

/** @typedef {{text: string, width: number, height: number}} Picture */

/**
 * Return an element as a picture that stands alone; null if there is nothing in it. The page must be light and
 * unfolded: see `onPaper`.
 *
 * @param {HTMLElement} element
 * @returns {Picture | null}
 */
export function pictureOf(element) {
  const parts = document.createElementNS(SVG, "g");
  const frame = new Frame();
  draw(element, parts, frame);
  if (!parts.childElementCount) return null;
  const { x, y, width, height } = frame.box();
  const root = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
  parts.setAttribute("transform", `translate(${-x} ${-y})`);
  root.append(make("rect", { width, height, fill: "#ffffff" }), parts);
  return { text: new XMLSerializer().serializeToString(root), width, height };
}

/** How far what was drawn reaches. */
class Frame {
  left = Infinity;
  top = Infinity;
  right = -Infinity;
  bottom = -Infinity;

  /** @param {{x: number, y: number, width: number, height: number}} box */
  add(box) {
    this.left = Math.min(this.left, box.x);
    this.top = Math.min(this.top, box.y);
    this.right = Math.max(this.right, box.x + box.width);
    this.bottom = Math.max(this.bottom, box.y + box.height);
  }

  box() {
    const [x, y] = [Math.floor(this.left) - AROUND, Math.floor(this.top) - AROUND];
    return { x, y, width: Math.ceil(this.right) + AROUND - x, height: Math.ceil(this.bottom) + AROUND - y };
  }
}

/** @param {Element} element @param {Element} into @param {Frame} frame */
function draw(element, into, frame) {
  if (element.matches(LEFT_OUT)) return;
  const box = element.getBoundingClientRect();
  if (element instanceof SVGSVGElement) {
    frame.add(box);
    into.append(chart(element, box, frame));
  } else if (element instanceof HTMLCanvasElement) {
    if (!box.width || !element.width) return;
    frame.add(box);
    into.append(canvas(element, box));
  } else {
    const style = getComputedStyle(element);
    if (style.display === "none") return;
    behind(element, style, into, frame);
    for (const child of element.childNodes) {
      if (child instanceof Element) draw(child, into, frame);
      else if (child instanceof Text) write(child, style, into, frame);
    }
  }
}

/** @param {SVGSVGElement} shown @param {DOMRect} box @param {Frame} frame @returns {Element} */
function chart(shown, box, frame) {
  const copy = /** @type {SVGSVGElement} */ (shown.cloneNode(true));
  const [originals, copies] = [shown, copy].map((one) => [one, ...one.querySelectorAll("*")]);
  originals.forEach((original, i) => {
    const style = getComputedStyle(original);
    for (const name of STYLES) copies[i].setAttribute(name, plain(style.getPropertyValue(name)));
    for (const { name } of [...copies[i].attributes]) {
      if (/^(class|tabindex|role|id|aria-.*|data-.*)$/.test(name)) copies[i].removeAttribute(name);
    }
    // Labels may stand outside of the chart's own box.
    if (original instanceof SVGTextElement) frame.add(original.getBoundingClientRect());
  });
  for (const [name, value] of Object.entries({ x: box.x, y: box.y, width: box.width, height: box.height })) {
    copy.setAttribute(name, String(value));
  }
  copy.setAttribute("fill", "none");
  copy.setAttribute("overflow", "visible");
  return copy;
}

/** @param {HTMLCanvasElement} element @param {DOMRect} box @returns {Element} */
function canvas(element, box) {
  const pixels = { preserveAspectRatio: "none", "image-rendering": "pixelated", href: element.toDataURL() };
  return make("image", { x: box.x, y: box.y, width: box.width, height: box.height, ...pixels });
}

/** Draw the tint behind a token or a chip, and the line under it. @param {Element} element @param {CSSStyleDeclaration} style @param {Element} into @param {Frame} frame */
function behind(element, style, into, frame) {
  if (!style.display.startsWith("inline")) return;
  const fill = plain(style.backgroundColor);
  const line = parseFloat(style.borderBottomWidth);
  for (const { x, y, width, height } of element.getClientRects()) {
    if (!width) continue;
    frame.add({ x, y, width, height });
    if (fill !== "none") into.append(make("rect", { x, y, width, height: height - line, rx: 2, fill }));
    if (line > 0) into.append(make("rect", { x, y: y + height - line, width, height: line, fill: plain(style.borderBottomColor) }));
  }
}

/** @param {Text} node @param {CSSStyleDeclaration} style of its element @param {Element} into @param {Frame} frame */
function write(node, style, into, frame) {
  for (const { text, box } of linesOf(node)) {
    frame.add(box);
    const line = make("text", {
      x: box.x,
      y: box.y + box.height - below(style),
      textLength: box.width,
      lengthAdjust: "spacingAndGlyphs",
      "font-family": style.fontFamily,
      "font-size": style.fontSize,
      "font-weight": style.fontWeight,
      fill: plain(style.color),
    });
    line.textContent = style.whiteSpace.startsWith("pre") ? text.replaceAll(" ", "\u00a0") : text.replaceAll(/\s+/g, " ");
    into.append(line);
  }
}

/**
 * Return the lines that a text is broken into, without the space around them.
 *
 * @param {Text} node
 * @returns {{text: string, box: DOMRect}[]}
 */
function linesOf(node) {
  const { data } = node;
  const [from, to] = [data.length - data.trimStart().length, data.trimEnd().length];
  if (from >= to) return [];
  const range = document.createRange();
  /** @param {number} start @param {number} end */
  const boxOf = (start, end) => {
    range.setStart(node, start);
    range.setEnd(node, end);
    return range;
  };
  const all = boxOf(from, to).getClientRects();
  if (all.length === 1) return [{ text: data.slice(from, to), box: all[0] }];
  /** @type {{start: number, end: number, top: number}[]} */
  const lines = [];
  let at = from;
  for (const letter of data.slice(from, to)) {
    const box = boxOf(at, at + letter.length).getBoundingClientRect();
    const last = lines.at(-1);
    if (box.width && letter.trim()) {
      if (last && Math.abs(last.top - box.y) < 2) last.end = at + letter.length;
      else lines.push({ start: at, end: at + letter.length, top: box.y });
    }
    at += letter.length;
  }
  return lines.map(({ start, end }) => ({ text: data.slice(start, end), box: boxOf(start, end).getBoundingClientRect() }));
}

/** @type {Map<string, number>} */
const depths = new Map();

/** Return how far the letters of a font reach below the line. @param {CSSStyleDeclaration} style @returns {number} */
function below(style) {
  const font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const known = depths.get(font);
  if (known !== undefined) return known;
  const context = document.createElement("canvas").getContext("2d");
  if (context) context.font = font;
  const found = context?.measureText("x").fontBoundingBoxDescent ?? parseFloat(style.fontSize) / 4;
  depths.set(font, found);
  return found;
}

/** Return a colour in the letters that every reader of SVG knows. @param {string} value @returns {string} */
function plain(value) {
  if (value === "rgba(0, 0, 0, 0)" || value === "transparent") return "none";
  const mixed = /^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)/.exec(value);
  return mixed ? `rgb(${mixed.slice(1, 4).map((part) => Math.round(255 * Number(part))).join(", ")})` : value;
}

/** @param {string} name @param {Record<string, string | number>} values @returns {Element} */
function make(name, values) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, String(value));
  return element;
}
