// The record of the page, and small statistics over it. Missing numbers are null in the record and NaN here.
'use strict';

const record = JSON.parse(document.getElementById('record').textContent);
const runs = record.runs;
const several = runs.length > 1;
const crowded = runs.length > 3; /* the comparison is the legend of all charts, and sentences stand with the numbers */

const isNumber = (v) => typeof v === 'number' && Number.isFinite(v);
const finite = (list) => (Array.isArray(list) ? list : []).filter(isNumber);
const numbers = (list) => (Array.isArray(list) ? list : []).map((v) => (isNumber(v) ? v : NaN));
const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);

/* dig(run, 'analysis', 'angles', 'target'): undefined where a step is missing. Own members alone count. */
function dig(value, ...path) {
  for (const key of path) {
    if (!isObject(value) || !Object.prototype.hasOwnProperty.call(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

const list = (value, ...path) => {
  const found = dig(value, ...path);
  return Array.isArray(found) ? found : [];
};

/* A series of steps or epochs as points; a missing value is a gap. Empty where there is nothing to draw. */
function series(run, kind, key) {
  const x = list(run, kind, key, 'x'), y = numbers(list(run, kind, key, 'y'));
  const points = x.map((at, i) => ({x: at, y: y[i]})).filter((p) => isNumber(p.x));
  return points.some((p) => isNumber(p.y)) ? points : [];
}

const pairs = (x, y) => x.map((at, i) => ({x: at, y: y[i]})).filter((p) => isNumber(p.x) && isNumber(p.y));
const last = (points) => points.map((p) => p.y).filter(isNumber).pop();
const first = (points) => points.map((p) => p.y).find(isNumber);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => (values.length ? sum(values) / values.length : NaN);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const greatest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

function quantile(values, share) {
  if (!values.length) return NaN;
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1), low = Math.floor(at), high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/* Per cent of the values in each of n equal bins over [low, high]; the last bin has both its ends. */
function histogram(values, low, high, n) {
  const counts = new Array(n).fill(0), width = (high - low) / n;
  for (const v of values) if (v >= low && v <= high) counts[Math.min(n - 1, Math.floor((v - low) / width))]++;
  return {low, high, width, shares: counts.map((c) => 100 * c / Math.max(1, values.length))};
}

/* A histogram's outline: each point holds to the next one. */
const outline = (h) =>
  [...h.shares.map((y, i) => ({x: h.low + i * h.width, y})), {x: h.high, y: 0}];

const degrees = (radians) => radians * 180 / Math.PI;
const inDegrees = (values) => finite(values).map(degrees);

/* Round ends for an axis over values. */
function roundRange(values) {
  let low = least(values), high = greatest(values);
  if (!(low < high)) return [low - Math.abs(low || 1) * .05, high + Math.abs(high || 1) * .05];
  const unit = Math.pow(10, Math.floor(Math.log10(high - low))) / 4;
  return [Math.floor(low / unit) * unit, Math.ceil(high / unit) * unit];
}

/* Where an axis over runs ends: undefined (at the greatest value) unless a few values lie so far out that the others
 * would be squeezed; then behind the 99th percentile of every run. */
function cutOf(lists) {
  const most = 1.1 * greatest(lists.map((values) => quantile(values, .99)));
  return most > 0 && greatest(lists.map(greatest)) > 2 * most ? roundRange([0, most])[1] : undefined;
}

/* --- Numbers as text --- */

function plain(value, digits = 4) {
  if (!isNumber(value)) return '\u2013';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return Number(value.toPrecision(digits)).toExponential().replace('e+', 'e');
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  return value.toLocaleString('en-US', {maximumSignificantDigits: Math.max(digits, size >= 1 ? String(Math.floor(size)).length : 0)});
}
const percent = (share, digits = 2) => (isNumber(share) ? (100 * share).toFixed(digits) + ' %' : '\u2013');
const tiny = (share) => (isNumber(share) && share < 1e-4 && share > 0 ? share.toExponential(1) : percent(share));
const angle = (value) => (isNumber(value) ? value.toFixed(1) + '\u00b0' : '\u2013');
/* A name that would not fit, by its beginning and its end; tables and titles have it whole. */
const LONGEST_NAME = 24;
function cut(name) {
  const letters = Array.from(name), tail = 9;
  return letters.length <= LONGEST_NAME ? name : letters.slice(0, LONGEST_NAME - tail - 1).join('') + '\u2026' + letters.slice(-tail).join('');
}

/* Of class names that would look the same when cut: what stands around the first letter in which they differ. */
function differences(names) {
  const letters = names.map((name) => Array.from(name)), same = letters[0].findIndex((c, i) => letters.some((other) => other[i] !== c));
  const from = Math.max(0, same - 7);
  return names.map((name, i) => [name, '\u2026' + letters[i].slice(from, from + LONGEST_NAME - 2).join('') + (letters[i].length > from + LONGEST_NAME - 2 ? '\u2026' : '')]);
}

const briefs = (() => {
  const found = runs.flatMap((run) => [...list(run, 'analysis', 'map', 'classes'), ...list(run, 'analysis', 'confusion', 'classes'),
    ...list(run, 'analysis', 'confusion', 'worst').flatMap((w) => [dig(w, 'label'), dig(w, 'predicted')])]);
  const groups = new Map();
  for (const name of new Set(found.map(String))) groups.set(cut(name), [...(groups.get(cut(name)) || []), name]);
  return new Map([...groups.values()].flatMap((group) => (group.length > 1 ? differences(group) : [[group[0], cut(group[0])]])));
})();
const brief = (name) => briefs.get(String(name)) || cut(String(name));

function duration(seconds) {
  if (!isNumber(seconds)) return '\u2013';
  if (seconds < 60) return seconds.toFixed(seconds < 10 ? 2 : 1) + ' s';
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? minutes + ' min ' + Math.round(seconds % 60) + ' s' : (seconds / 3600).toFixed(2) + ' h';
}
function short(value) {
  if (!isNumber(value)) return '\u2013';
  for (const [size, letter] of [[1e9, ' G'], [1e6, ' M'], [1e4, ' k']])
    if (value >= size) return (value / (letter === ' k' ? 1e3 : size)).toPrecision(3) + letter;
  return value.toLocaleString('en-US', {maximumFractionDigits: value >= 100 ? 0 : 2});
}
