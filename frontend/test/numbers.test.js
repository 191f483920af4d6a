import assert from "node:assert/strict";
import { test } from "node:test";
import { csv } from "../src/csv.js";
import { countsOf, sumsOf } from "../src/data.js";
import { digitsOf, estimate, number, pText, percent } from "../src/format.js";
import { format, parse } from "../src/fragment.js";
import { affinity, categoryShares, leadingExperts, nearest, search, sharesWithout, similarities, unitRows } from "../src/numbers.js";
import { compared } from "../src/sorting.js";
import { byCategory, byExpert, byLeading, countInLayer, countTokens, takes, tokensOfImages } from "../src/tinting.js";
import { shortened, shortenedAll, tokenText, visible } from "../src/visible.js";

const near = (found, expected) =>
  assert.ok(Math.abs(found - expected) < 1e-12, `${found} is not ${expected}`);

test("signatures are shares within each layer, of unit length", () => {
  // Two prompts, two layers of two experts: shares (3/4, 1/4 | 1, 0) and (1/2, 1/2 | 0, 1).
  const { rows, width } = unitRows([3, 1, 2, 0, 5, 5, 0, 4], [2, 2, 2], null);
  assert.equal(width, 4);
  const length = Math.sqrt(9 / 16 + 1 / 16 + 1);
  near(rows[0], 0.75 / length);
  near(rows[2], 1 / length);
  const found = similarities(rows, width);
  near(found[1], (0.75 * 0.5 + 0.25 * 0.5) / (length * Math.sqrt(0.25 + 0.25 + 1)));
  assert.equal(found[1], found[2]);
});

test("one layer is taken alone", () => {
  const { rows, width } = unitRows([3, 1, 2, 0, 5, 5, 0, 4], [2, 2, 2], 1);
  assert.equal(width, 2);
  assert.deepEqual([...rows], [1, 0, 0, 1]);
  assert.equal(similarities(rows, width)[1], 0);
});

test("a prompt without a selection is similar to none", () => {
  const { rows, width } = unitRows([0, 0, 1, 1], [2, 1, 2], null);
  assert.ok(Number.isNaN(similarities(rows, width)[1]));
});

test("shares of categories add up to one, and leave experts out that a layer does not have", () => {
  const { shares, all } = categoryShares([1, 3, 0, 6, 2, 0], [2, 1, 3], 0, 2);
  assert.deepEqual([...shares[0]], [0.25, 0.75]);
  assert.deepEqual([...shares[1]], [0.75, 0.25]);
  near(all[0], 7 / 12);
});

test("the leading experts of a prompt are those of most of its tokens", () => {
  const where = { start: 1, end: 4, layers: 1, k: 2, none: 255 };
  const experts = [9, 9, 4, 2, 4, 255, 2, 4];
  assert.deepEqual(leadingExperts(experts, where, 0, { first: true, most: 7 }), [
    { expert: 4, tokens: 2 },
    { expert: 2, tokens: 1 },
  ]);
  assert.deepEqual(leadingExperts(experts, where, 0, { first: false, most: 1 }), [{ expert: 4, tokens: 3 }]);
});

test("affinity is even where categories use experts alike, and leaves unused experts out", () => {
  assert.deepEqual(affinity([0, 1], [Float64Array.of(0.5, 0.1, 0), Float64Array.of(0.5, 0.3, 0)]), [0.375, 0.625]);
  assert.deepEqual(affinity([2], [Float64Array.of(1, 0, 0), Float64Array.of(1, 0, 0)]), [NaN, NaN]);
});

test("a prompt has no part in what its own category prefers", () => {
  const [own, others] = sharesWithout([5, 3, 1, 1], [2, 1, 2], 0, { category: 0, counts: [4, 0] });
  assert.deepEqual([...own], [0.25, 0.75]);
  assert.deepEqual([...others], [0.5, 0.5]);
});

test("an arrow goes to the nearest point in its direction, or nowhere", () => {
  const points = [[0, 0], [1, 0], [0.5, 5], [-3, 1]];
  assert.equal(nearest(points, 0, [1, 0]), 1);
  assert.equal(nearest(points, 0, [0, 1]), 2);
  assert.equal(nearest(points, 0, [-1, 0]), 3);
  assert.equal(nearest(points, 0, [0, -1]), 0);
});

test("a search reads every text of a prompt, in any case of letters", () => {
  assert.deepEqual(search("Two", [["one", undefined], ["1", "twofold"], ["TWO"]]), [1, 2]);
  assert.deepEqual(search("  ", [["one"]]), []);
});

test("numbers are written as Python writes them", () => {
  assert.equal(number(0.125), "0.12");
  assert.equal(number(0.375), "0.38");
  assert.equal(number(2.675), "2.67");
  assert.equal(number(-0.125), "-0.12");
  assert.equal(number(null), "\u2013");
  assert.equal(percent(0.0125), "1.2 %");
  assert.equal(percent(0.625), "62.5 %");
  assert.equal(estimate(0.7834, [0.466, 1.0941]), "0.78 [0.47, 1.09]");
  assert.equal(pText(0.0004), "p < 0.001");
  assert.equal(pText(0.0125), "p = 0.013");
});

test("what nobody would see is written out", () => {
  assert.equal(visible("story\x1b[2J"), "story\\x1b[2J");
  assert.equal(visible("a\u202eb\u{e0041}"), "a\\u202eb\\U000e0041");
  assert.equal(visible("a\nb\tc"), "a\\nb\\tc");
  assert.equal(visible("a\nb", "\n"), "a\nb");
  assert.equal(visible("\u0915\u094d\u200d"), "\u0915\u094d\u200d");
  assert.equal(visible("a\u200d"), "a\\u200d");
  assert.equal(visible("\u{1f600}\u200d\u{1f600}\u200d\u200d\n", "\n"), "\u{1f600}\u200d\u{1f600}\u200d\\u200d\n");
  assert.equal(visible("\ud83d\u200d"), "\\ud83d\\u200d");
  assert.equal(visible("a\uffff\u{1fffe}\ufdd0"), "a\\uffff\\U0001fffe\\ufdd0");
  assert.equal(tokenText("\n"), "\u23ce\n");
});

test("a selection is read as it was written, whatever the ids hold", () => {
  const chosen = { prompt: "a&b=#c %\u202e", layer: 7, expert: 0, category: "x y", other: "=" };
  assert.deepEqual(parse(format(chosen)), chosen);
  assert.deepEqual(parse("#layer=-1&expert=1e9&prompt=p"), { prompt: "p" });
  assert.deepEqual(parse(""), {});
});

test("a table holds no formula and every letter", () => {
  const text = csv(["a", "b"], [["=1+1", 2], ['say "x"', null], ["-5", NaN], ["\n=1", 1], ["\uff1d1", 1]]);
  assert.equal(text, 'a,b\r\n\'=1+1,2\r\n"say ""x""",\r\n\'-5,\r\n"\'\n=1",1\r\n\'\uff1d1,1\r\n');
  // In a column of numbers a sign is one; anything more is a formula there, too.
  assert.equal(csv(null, [["+0.31", "-1.5 %", "-1+1", "+5"]], [true, true, true]), "+0.31,-1.5 %,'-1+1,'+5\r\n");
});

test("cells are sorted by their first number, with its unit, and what is none comes last", () => {
  const sorted = (cells, numeric, down) => [...cells].sort((one, other) => compared(one, other, numeric, down));
  const shown = ["12.6 MB", "999 B", "–", "1.2 kB"];
  assert.deepEqual(sorted(shown, true, false), ["999 B", "1.2 kB", "12.6 MB", "–"]);
  assert.deepEqual(sorted(shown, true, true), ["12.6 MB", "1.2 kB", "999 B", "–"]);
  assert.deepEqual(sorted(["0.78 [0.1, 0.9]", "-1", "< 0.001", "1,024"], true, false), ["-1", "< 0.001", "0.78 [0.1, 0.9]", "1,024"]);
  // A column of intervals is sorted by their lower ends.
  assert.deepEqual(sorted(["[0.58, 0.92]", "–", "[-3.1, -0.9]", "[3.4 %, 3.9 %]"], true, false), ["[-3.1, -0.9]", "[0.58, 0.92]", "[3.4 %, 3.9 %]", "–"]);
  assert.deepEqual(sorted(["p10", "p9", "a"], false, false), ["a", "p9", "p10"]);
  assert.deepEqual(sorted(["p10", "p9", "a"], false, true), ["p10", "p9", "a"]);
  assert.deepEqual(sorted(["9,000", "1,234,567"], true, true), ["1,234,567", "9,000"]);
  assert.deepEqual(sorted(["1020 B", "1.01 kB"], true, false), ["1.01 kB", "1020 B"]);
});

test("a token has the tint of its first choice, if that leads", () => {
  const where = { start: 0, end: 4, layers: 1, k: 2, none: 255 };
  const experts = [5, 1, 5, 2, 9, 5, 255, 255];
  const found = byLeading(experts, where, 0, true);
  assert.deepEqual(found.leading, [{ expert: 5, tokens: 2 }, { expert: 9, tokens: 1 }]);
  assert.deepEqual(found.tints.map((one) => one.tint), ["t1", "t1", "t2", "t0"]);
  // Where the order says nothing, the expert of a token that most tokens share.
  assert.deepEqual(byLeading(experts, where, 0, false).tints.map((one) => one.number), ["5", "5", "5", ""]);
});

test("beyond seven leading experts there is one tint for all others", () => {
  const experts = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7];
  const found = byLeading(experts, { start: 0, end: 15, layers: 1, k: 1, none: 255 }, 0, true);
  assert.equal(found.leading.length, 7);
  assert.equal(found.tints[14].tint, "t0");
});

test("one expert tints by weight, else by rank, else evenly", () => {
  const where = { start: 0, end: 3, layers: 1, k: 4, none: 255 };
  const experts = [3, 1, 2, 0, 1, 2, 0, 3, 4, 5, 6, 7];
  const how = { expert: 3, weights: null, steps: 255, ranked: true };
  assert.deepEqual(byExpert(experts, where, 0, how).map((one) => one.tint), ["w4", "w2", "none"]);
  assert.deepEqual(byExpert(experts, where, 0, { ...how, ranked: false }).map((one) => one.tint), ["w3", "w3", "none"]);
  const weights = [10, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0];
  assert.deepEqual(byExpert(experts, where, 0, { ...how, weights }).map((one) => one.tint), ["w1", "w4", "none"]);
});

test("a category tints what its experts are used for, and nothing where all use them alike", () => {
  const shares = [Float64Array.of(0.8, 0.2, 0.5), Float64Array.of(0.2, 0.8, 0.5)];
  const found = byCategory([0, 1, 2], { start: 0, end: 3, layers: 1, k: 1, none: 255 }, 0, shares);
  assert.deepEqual(found.map((one) => one.tint), ["t1", "t2", "t0"]);
});

test("tokens add up to what the prompt selected", () => {
  const where = { start: 1, end: 3, layers: 2, k: 1, none: 255 };
  assert.deepEqual([...countTokens([0, 0, 1, 2, 1, 255], where, 3)], [0, 2, 0, 0, 0, 1]);
});

test("tokens of images come in order, without markers around them, or are not known", () => {
  assert.deepEqual(tokensOfImages([null, 7, 7, null, 7], [{ tokens: 2 }, { tokens: 1 }]), [[1, 2], [4]]);
  assert.deepEqual(tokensOfImages([8, 7, 7, 9], [{ tokens: 2 }]), [[1, 2]]);
  assert.deepEqual(tokensOfImages([7, 7, 7], [{ tokens: 2 }]), [[]]);
  assert.deepEqual(tokensOfImages([7, 7], [{ tokens: null }]), [[]]);
});

test("ticks have as many decimals as tell them apart", () => {
  assert.equal(digitsOf([0, 0.5, 1]), 1);
  assert.equal(digitsOf([-0.1, -0.05, 0]), 2);
  assert.equal(digitsOf([0, 20]), 0);
  assert.equal(digitsOf([0.1 + 0.2, 0.4]), 1);
  assert.equal(digitsOf([]), 0);
});

test("a long name keeps its start and its end", () => {
  assert.equal(shortened("category number 12", 12), "categor\u2026r 12");
  assert.equal(shortened("short", 12), "short");
  // What would look the same differs by what is shown of it.
  const alike = ["story", "chapter one of the book", "chapter two of the book", "chapter"];
  assert.deepEqual(shortenedAll(alike, 12), ["story", "\u2026ter one of\u2026", "\u2026ter two of\u2026", "chapter"]);
  assert.equal([...shortened("\u{1f600}".repeat(30), 10)].length, 10);
});

test("a selector takes segments by phase, by kind or by both", () => {
  const segment = { phase: "prompt", kind: "image" };
  assert.deepEqual(["all", "prompt", "image", "prompt/image", "text", "generated"].map((one) => takes(one, segment)), [true, true, true, true, false, false]);
});

test("only the tokens under study count as a prompt's own", () => {
  const where = { start: 0, end: 3, layers: 2, k: 1, none: 255 };
  const how = { width: 3, taken: (token) => token !== 1 };
  assert.deepEqual([...countInLayer([0, 1, 0, 1, 2, 255], where, 0, how)], [1, 0, 1]);
});

test("shares of a prompt whose leading experts alone are in the page are of all that it selected", () => {
  // Two prompts, two layers of four experts; of the second, the two leading experts of each layer.
  const block = (values, ...shape) => ({ values, shape });
  const data = {
    wholeAt: new Map([[0, 0]]),
    leadingAt: new Map([[1, 0]]),
    blocks: {
      counts: block(Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 5), 1, 2, 4),
      leading: block(Uint8Array.of(3, 1, 0, 2), 1, 2, 2),
      "leading-counts": block(Uint8Array.of(6, 4, 9, 1), 1, 2, 2),
      "leading-sums": block(Float32Array.of(20, 12), 1, 2),
    },
  };
  assert.deepEqual([...countsOf(data, 0)], [1, 2, 3, 4, 0, 0, 0, 5]);
  assert.deepEqual([...sumsOf(data, 0)], [10, 5]);
  assert.deepEqual([...countsOf(data, 1)], [NaN, 4, NaN, 6, 9, NaN, 1, NaN]);
  assert.deepEqual([...sumsOf(data, 1)], [20, 12]);
});

test("a category whose only prompt is the one that is shown has no affinity", () => {
  const own = { category: 0, counts: [3, 1] };
  const shares = sharesWithout([3, 1, 1, 1, 3, 1], [3, 1, 2], 0, own);
  const found = affinity([0], shares);
  assert.ok(Number.isNaN(found[0]));
  near(found[1], 0.5 / 1.25);
  near(found[2], 0.75 / 1.25);
  const where = { start: 0, end: 1, layers: 1, k: 1, none: 255 };
  assert.deepEqual(byCategory([0], where, 0, shares), [{ tint: "t3", number: "3" }]);
  // With one other category left there is nothing to compare it with.
  const two = sharesWithout([3, 1, 1, 1], [2, 1, 2], 0, own);
  assert.deepEqual(byCategory([0], where, 0, two), [{ tint: "t0", number: "" }]);
});
