// Light and dark. Colours are Okabe and Ito's, lightened or darkened to stand out on the ground of the theme.
const shades = {
  light: {series: ['#0072B2', '#D55E00', '#009E73', '#B5548F', '#B07D00', '#2E9BD6', '#6B6B6B', '#7B4FA3', '#8C4A2F', '#4F7A00'],
          ink: '#1b1d20', quiet: '#5f6670', grid: 'rgba(0, 0, 0, .07)', card: '#ffffff', density: 'rgba(95, 102, 112, .2)'},
  dark: {series: ['#56B4E9', '#F08A3C', '#2CC295', '#E29AC6', '#F0D442', '#8FA8FF', '#B4BAC2', '#C9A2F2', '#D99A7C', '#A9D65C'],
         ink: '#e8eaed', quiet: '#a3abb6', grid: 'rgba(255, 255, 255, .09)', card: '#1a1d22', density: 'rgba(163, 171, 182, .24)'},
};
const wantsDark = window.matchMedia('(prefers-color-scheme: dark)');
const themes = ['auto', 'light', 'dark'];
let theme = themes.includes(location.hash.slice(1)) ? location.hash.slice(1) : 'auto';
let printing = false;

function shadeName() {
  if (printing) return 'light';
  return theme === 'auto' ? (wantsDark.matches ? 'dark' : 'light') : theme;
}
const shade = () => shades[shadeName()];

/* Ten colours; what comes after them takes them again, nearer to the ink or to the ground. */
function colour(i) {
  const c = shade(), round = Math.floor(i / c.series.length), base = c.series[i % c.series.length];
  return round === 0 ? base : mixed(base, round % 2 ? c.ink : c.card, [.45, .5, .7][(round - 1) % 3]);
}

/* From one '#rrggbb' towards another. */
function mixed(from, to, share) {
  const part = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  return '#' + [0, 1, 2].map((k) => Math.round(part(from, k) * (1 - share) + part(to, k) * share).toString(16).padStart(2, '0')).join('');
}

/* '#rrggbb' with an opacity. */
function faded(hex, opacity) {
  const n = parseInt(hex.slice(1), 16);
  return 'rgba(' + [n >> 16, n >> 8 & 255, n & 255, opacity].join(', ') + ')';
}
