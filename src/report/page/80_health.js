// Panels of how the computation went: gradient norms, time, and what the run was made with.

const gradientPanel = () => stepPanel('Norm of the gradient', 'gradient_norm', {title: '|gradient| of all parameters', zero: true}, peakAndEnd);

function speedPanel() {
  const found = having((run) => {
    const seconds = series(run, 'steps', 'seconds');
    const times = seconds.slice(1).map((p, i) => ({x: p.x, y: 1000 * (p.y - seconds[i].y) / (p.x - seconds[i].x)})).filter((p) => isNumber(p.y));
    return times.length > 2 ? times.slice(1) : times; /* the first steps warm up */
  });
  if (!found.length) return null;
  return {
    title: 'Time of a step', summary: tell(found, (points) => 'Median ' + plain(quantile(points.map((p) => p.y), .5), 3) + ' ms.'),
    chart: () => chart({x: {title: 'step', min: 0}, y: {title: 'time', unit: 'ms', zero: true},
      datasets: found.map((h) => line({label: named(h.run, 'time of a step'), points: h.value, colour: h.index, marks: false}))}),
  };
}

/* Name and value a line; values that are missing are left out. */
function factsPanel(run) {
  const results = dig(run, 'run', 'results'), config = dig(run, 'run', 'config'), health = dig(run, 'analysis', 'health');
  const seconds = dig(results, 'seconds'), steps = dig(results, 'steps');
  const facts = [
    ['status', dig(results, 'status')], ['loss', dig(run, 'run', 'loss') && breakable(dig(run, 'run', 'loss'))], ['encoder', dig(config, 'encoder')], ['optimizer', dig(config, 'optimizer')],
    ['learning rate', num(dig(config, 'lr'))], ['batch', num(dig(config, 'batch'), ' rows')], ['seed', dig(config, 'seed')],
    ['time of a step', isNumber(seconds) && steps > 0 ? plain(1000 * seconds / steps, 3) + ' ms' : undefined],
    ['rows without a direction, in training', num(dig(results, 'zero_rows'))], ['rows without a direction, measured', num(dig(health, 'zero_rows'))],
    ['classes without a direction', num(dig(health, 'zero_classes'))],
    ['numbers that were not finite', dig(run, 'failure', 'status') === 'nonfinite' ? 'ended the training' : isObject(run.run) ? 'none' : undefined],
    ['instruction set', dig(run, 'run', 'isa')], ['threads', dig(run, 'run', 'threads')],
    ['Logitude', dig(run, 'run', 'version')], ['data', dig(run, 'run', 'data', 'train', 'fingerprint')],
  ].filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => [name, String(value)]);
  if (!facts.length) return null;
  return {
    title: 'The run' + (several ? ' \u00b7 ' + run.name : ''), summary: 'What it was made with.',
    body: () => element('table', {class: 'list'}, element('tbody', {}, ...facts.map(([name, value]) =>
      element('tr', {}, element('td', {}, name), element('td', {class: 'text'}, value))))),
  };
}
const num = (value, unit = '') => (isNumber(value) ? plain(value) + unit : undefined);

section('health', 'Health and speed', gradientPanel, speedPanel, ...runs.map((run) => () => factsPanel(run)));
