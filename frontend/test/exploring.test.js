import assert from "node:assert/strict";
import { test } from "node:test";
import { format, parse } from "../src/fragment.js";
import { compared, sharesIn } from "../src/pairs.js";
import { linesOf, searchTokens, step } from "../src/searching.js";
import { leadingTogether, tintsByLeading } from "../src/tinting.js";

const near = (found, expected) =>
  assert.ok(Math.abs(found - expected) < 1e-12, `${found} is not ${expected}`);

test("two prompts are compared by their shares, layer by layer", () => {
  // Two layers of three experts: shares (1/2, 1/2, 0 | 1, 0, 0) and (1/4, 0, 3/4 | 0, 0, 0: nothing was selected).
  const found = compared(Float64Array.of(2, 2, 0, 5, 0, 0), Float64Array.of(1, 0, 3, 0, 0, 0), 2);
  const [first, second] = found.layers;
  near(first.cosine, (1 / 2 / 4) / (Math.sqrt(1 / 2) * Math.sqrt(10 / 16)));
  near(first.common, 1 / 4);
  assert.deepEqual([first.both, first.either], [1, 3]);
  assert.ok(Number.isNaN(second.cosine));
  assert.ok(Number.isNaN(second.common));
  near(found.cosine, (1 / 8) / (Math.sqrt(1 / 2 + 1) * Math.sqrt(10 / 16)));
  assert.deepEqual([...sharesIn(Float64Array.of(1, 3, 0, 0), 0, 2)], [0.25, 0.75]);
});

test("the leading experts of two prompts together are those of most tokens of both", () => {
  // One layer, k = 2: first choices 4, 4, 2 of the one prompt and 2, 2, 9 of the other; 255 is none.
  const experts = [4, 1, 4, 1, 2, 255, 2, 1, 2, 1, 9, 1];
  const prompts = [{ start: 0, end: 3 }, { start: 3, end: 6 }].map((one) => ({ ...one, layers: 1, k: 2, none: 255 }));
  const leading = leadingTogether(experts, prompts, 0, true);
  assert.deepEqual(leading, [
    { expert: 2, tokens: 3, each: [1, 2] },
    { expert: 4, tokens: 2, each: [2, 0] },
    { expert: 9, tokens: 1, each: [0, 1] },
  ]);
  const tints = prompts.map((where) => tintsByLeading(experts, where, 0, { ranked: true, leading }));
  assert.deepEqual(tints.map((of) => of.map((one) => one.tint)), [["t2", "t2", "t1"], ["t1", "t1", "t3"]]);
});

const TOKENS = {
  texts: ["The", " cat", "s", " \u0130", "at"],
  text: [0, 1, 2, 3, 4, 1, 1],
  of: new Map([[8, [5, 7]], [3, [0, 5]]]),
};

test("tokens are searched across their borders, in the order of the prompts, whatever the case", () => {
  const lines = linesOf(TOKENS);
  assert.deepEqual(lines.map((one) => one.prompt), [3, 8]);
  assert.deepEqual(searchTokens("CATS", lines), [{ prompt: 3, first: 1, last: 2 }]);
  assert.deepEqual(searchTokens("cat", lines), [
    { prompt: 3, first: 1, last: 1 },
    { prompt: 8, first: 0, last: 0 },
    { prompt: 8, first: 1, last: 1 },
  ]);
  assert.deepEqual(searchTokens("the cat", lines), [{ prompt: 3, first: 0, last: 1 }]);
  // A letter that is longer in small letters moves no match.
  assert.deepEqual(searchTokens("at", lines).filter((one) => one.prompt === 3).at(-1), { prompt: 3, first: 4, last: 4 });
  assert.deepEqual(searchTokens("\u0307", lines), [{ prompt: 3, first: 3, last: 3 }]);
  assert.deepEqual(searchTokens("  ", lines), []);
  assert.deepEqual(searchTokens(" the ", lines), [{ prompt: 3, first: 0, last: 0 }]);
  // Matches do not lie over each other.
  const same = linesOf({ texts: ["aa"], text: [0, 0], of: new Map([[0, [0, 2]]]) });
  assert.deepEqual(searchTokens("aa", same).map((one) => one.first), [0, 1]);
});

test("the next match follows the chosen token, and the one before comes around the end", () => {
  const matches = [{ prompt: 1, first: 4 }, { prompt: 1, first: 9 }, { prompt: 5, first: 0 }];
  assert.equal(step(matches, { prompt: 0, first: 0 }, 1), 0);
  assert.equal(step(matches, { prompt: 1, first: 4 }, 1), 1);
  assert.equal(step(matches, { prompt: 1, first: 10 }, 1), 2);
  assert.equal(step(matches, { prompt: 5, first: 0 }, 1), 0);
  assert.equal(step(matches, { prompt: 5, first: 0 }, -1), 1);
  assert.equal(step(matches, { prompt: 1, first: 4 }, -1), 2);
  assert.equal(step([], { prompt: 1, first: 4 }, 1), -1);
});

test("the chosen token is in the address", () => {
  assert.equal(format({ prompt: "a", layer: 2, token: 17 }), "#prompt=a&layer=2&token=17");
  assert.deepEqual(parse("#prompt=a&token=17&layer=x"), { prompt: "a", token: 17 });
});
