// Draws Plotly figures in place: Plotly.react keeps the zoom and never blanks, where a chart element that is
// replaced on every update would lose both. Plotly itself is the one that Streamlit loaded; where no static chart has
// brought it yet, the page is asked to send it.
const mounted = new WeakMap(); // parent element → { plots: id → div, timer, waited, data }

const cssToken = (element, name, fallback) => getComputedStyle(element).getPropertyValue(name).trim() || fallback;

function themed(root, figure) {
  const line = cssToken(root, '--st-border-color', '#cccccc');
  const axis = { gridcolor: line, zerolinecolor: line, automargin: true };
  return {
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    colorway: cssToken(root, '--st-chart-categorical-colors', '#0072B2').split(','),
    font: { color: cssToken(root, '--st-text-color', '#444444'), family: cssToken(root, '--st-font', 'sans-serif'), size: 12 },
    ...figure.layout,
    autosize: true,
    uirevision: figure.id,
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
  };
}

function plotFor(state, root, figure) {
  let element = state.plots.get(figure.id);
  if (!element) {
    element = document.createElement('div');
    element.className = 'live-figure';
    element.drawn = Promise.resolve();
    state.plots.set(figure.id, element);
    root.appendChild(element);
  }
  element.setAttribute('role', 'figure');
  element.setAttribute('aria-label', figure.alt);
  return element;
}

function remove(element) {
  element.remove();
  element.drawn.finally(() => window.Plotly.purge(element)); // a purge must not overtake a draw
}

function draw(state, root) {
  for (const figure of state.data.figures) {
    const element = plotFor(state, root, figure);
    element.drawn = window.Plotly.react(element, figure.data, themed(root, figure), { responsive: true, displaylogo: false });
    if (element._fullLayout && element._fullLayout.width > element.clientWidth) window.Plotly.Plots.resize(element);
  }
  const wanted = new Set(state.data.figures.map((figure) => figure.id));
  for (const [id, element] of state.plots) {
    if (!wanted.has(id)) {
      remove(element);
      state.plots.delete(id);
    }
  }
  root.dataset.stamp = state.data.stamp;
  root.dataset.drawn = String(Date.now() / 1000);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.live-figures');
  let state = mounted.get(parentElement);
  if (!state) {
    mounted.set(parentElement, (state = { plots: new Map(), waited: 0 }));
    // the first draw may come before the columns have their width
    state.watcher = new ResizeObserver(() => state.plots.forEach((plot) => window.Plotly && plot._fullLayout && window.Plotly.Plots.resize(plot)));
    state.watcher.observe(root);
  }
  state.data = data; // the newest wins, also while waiting for Plotly
  if (window.Plotly) {
    draw(state, root);
  } else {
    state.timer ??= setInterval(() => {
      if (window.Plotly) {
        clearInterval(state.timer);
        draw(state, root);
      } else if ((state.waited += 50) === 800) {
        setTriggerValue('need_plotly', true);
      }
    }, 50);
  }
  return () => {
    clearInterval(state.timer);
    state.watcher.disconnect();
    state.plots.forEach(remove);
    mounted.delete(parentElement);
  };
}
