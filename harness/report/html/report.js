// What a browser adds to a report that is whole without it: values on hovering, zoom, requests of a moment, keys.
// Everything on the axis is placed by the custom properties --x0 and --span and by the drawings' viewBox, so zooming
// sets those and draws nothing anew. Texts come from the data block and are only ever set as text.
"use strict";
(() => {
  const axis = document.getElementById("axis");
  const block = document.getElementById("data");
  if (!axis || !block) return;
  const data = JSON.parse(block.textContent);
  const end = data.start + data.span;
  const told = document.getElementById("told");
  const heard = document.getElementById("heard");
  const picked = document.getElementById("picked");
  const over = axis.querySelector(".over");
  const drawings = [...axis.querySelectorAll(".chart .plot > svg")];
  const mostRequests = 5;
  const narrowest = Math.max(data.span / 2000, 0.005);
  let from = data.start;
  let span = data.span;
  let at = null; // second under the cursor
  let drag = null;

  const make = (tag, css, text) => {
    const element = document.createElement(tag);
    if (css) element.className = css;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const place = (element, t, d) => {
    element.style.setProperty("--t", t);
    if (d !== undefined) element.style.setProperty("--d", d);
    return element;
  };
  const cursor = over.appendChild(place(make("i", "cursor"), 0));
  const chosen = over.appendChild(place(make("i", "chosen"), 0, 0));
  cursor.hidden = chosen.hidden = true;
  for (const element of [cursor, chosen]) element.style.display = "none";
  document.documentElement.classList.add("scripted");
  axis.tabIndex = 0;
  axis.setAttribute("role", "group");
  axis.setAttribute("aria-roledescription", "time axis");
  axis.setAttribute("aria-label", `${data.span.toFixed(1)} seconds of the run. Arrow keys move and tell values, plus and minus zoom, Enter shows requests, Escape shows all.`);

  // -- telling values

  const number = (value) => {
    if (value === 0 || value === null) return String(value);
    const size = Math.abs(value);
    return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : String(+value.toPrecision(3));
  };
  const duration = (ms) => {
    if (ms === null || ms === undefined) return "–";
    if (ms < 1) return `${(ms * 1000).toFixed(0)} us`;
    if (ms < 1000) return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
    return ms < 120000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.floor(ms / 60000)} m ${((ms / 1000) % 60).toFixed(0)} s`;
  };
  const shown = (value, unit) => (unit === "ms" ? duration(value) : `${number(value)}${unit}`);
  const bucketOf = (t) => Math.min(data.buckets - 1, Math.max(0, Math.floor((t - data.start) / data.bucket + 1e-9)));

  // What is known of one second, as [heading, [[name, value]]].
  const known = (t) => {
    const bucket = bucketOf(t);
    const low = data.start + bucket * data.bucket;
    const found = [];
    for (const part of data.parts) {
      const rows = [];
      for (const lane of part.lanes || []) {
        const words = lane.bars.filter(([a, b]) => a <= t && t < b).map((bar) => bar[2]);
        const ticks = lane.ticks.filter(([when]) => when >= low && when < low + data.bucket).map((tick) => tick[1]);
        const all = [...words, ...ticks.slice(0, 3)].filter(Boolean);
        if (all.length) rows.push([lane.name, all.join(", ")]);
      }
      for (const series of part.series || []) {
        const value = series.values[bucket];
        if (value !== null && value !== undefined) rows.push([series.name, shown(value, series.unit)]);
      }
      if (rows.length) found.push([part.title, rows]);
    }
    return found;
  };
  const heading = (t) => {
    const low = data.start + bucketOf(t) * data.bucket;
    const digits = Math.max(1, Math.ceil(-Math.log10(data.bucket)) || 1);
    return `${low.toFixed(digits)} to ${(low + data.bucket).toFixed(digits)} s`;
  };
  const tell = (t, x, y) => {
    at = t;
    cursor.style.display = "";
    place(cursor, t);
    const list = make("dl");
    for (const [title, rows] of known(t)) {
      list.append(make("h4", "", title));
      for (const [name, value] of rows) list.append(make("dt", "", name), make("dd", "", value));
    }
    told.replaceChildren(make("b", "", heading(t)), list);
    told.hidden = false;
    const box = told.getBoundingClientRect();
    const left = x + 18 + box.width > innerWidth ? x - 18 - box.width : x + 18;
    told.style.left = `${Math.max(4, left)}px`;
    told.style.top = `${Math.max(4, Math.min(y - 20, innerHeight - box.height - 8))}px`;
  };
  const hush = () => {
    told.hidden = true;
    cursor.style.display = "none";
  };

  // -- zoom

  const ticksOf = (low, width) => {
    const power = 10 ** Math.floor(Math.log10(width / 6));
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => width / s <= 12);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= low + width + 1e-9; n += 1) found.push(+(n * step).toFixed(6));
    return found;
  };
  const show = (low, width) => {
    span = Math.min(data.span, Math.max(narrowest, width));
    from = Math.min(Math.max(data.start, low), end - span);
    axis.style.setProperty("--x0", from);
    axis.style.setProperty("--span", span);
    const view = `${(from - data.start) * 1000} 0 ${span * 1000} 1000`;
    for (const drawing of drawings) drawing.setAttribute("viewBox", view);
    for (const row of axis.querySelectorAll("[data-ticks]")) {
      row.replaceChildren(...ticksOf(from, span).map((t) => place(make("span", "time", `${t} s`), t)));
    }
  };
  const zoom = (factor, centre) => show(centre - (centre - from) * factor, span * factor);
  const reset = () => show(data.start, data.span);

  // -- single requests

  const word = (code) => data.words[code];
  const bar = (css, start, length) => {
    const element = make("i", css);
    element.style.setProperty("--a", start);
    element.style.setProperty("--w", length ?? 0);
    return element;
  };
  const line = (link, bars, said) => {
    const row = make("li");
    const track = make("span", "track");
    track.append(...bars);
    row.append(link, track, said);
    return row;
  };
  const waterfall = ([second, name, trace, sent, latency, said, good, fallback, steps]) => {
    const figure = make("figure", "waterfall");
    figure.style.setProperty("--end", Math.max(latency || 0, 1));
    const caption = make("figcaption");
    caption.append(make("b", "", word(name)), ` at ${second.toFixed(3)} s: `);
    caption.append(make("span", !good ? "bad" : latency === null ? "" : "good", `${word(said)}${good ? "" : ", failed"}`), ` after ${duration(latency)}`);
    if (word(fallback)) caption.append(", made of ", make("b", "", word(fallback)));
    caption.append(" ", make("code", "", trace || "no trace id"));
    const rows = make("ol");
    const whole = `whole${good ? "" : " bad"}${latency === null ? " endless" : ""}`;
    const bars = sent === null ? [] : [bar("wait", 0, sent), bar(whole, sent, latency === null ? 0 : latency - sent)];
    const late = sent === null ? ", never sent" : sent > 1 ? `, sent ${duration(sent)} late` : "";
    rows.append(line(make("span", "link", "the request"), bars, make("span", "said", `${word(said)}, ${duration(latency)}${late}`)));
    for (const [link, attempt, start, length, outcome, bad, depth, faults] of steps) {
      const label = make("span", "link", word(link));
      label.style.setProperty("--depth", depth);
      if (attempt > 1) label.append(" ", make("b", "again", `attempt ${attempt}`));
      const css = `step${bad ? " bad" : ""}${faults.length ? " hurt" : ""}${length === null ? " endless" : ""}`;
      const end = make("span", "said", `${word(outcome)}, ${length === null ? "no end" : duration(length)}`);
      if (faults.length) end.append(" ", make("em", "", faults.map(word).join(", ")));
      rows.append(line(label, [bar(css, start, length)], end));
    }
    if (!steps.length) rows.append(line(make("span", "link", "no link"), [], make("span", "said", "the wire knows nothing of it")));
    figure.append(caption, rows);
    return figure;
  };
  const slowestAt = (t) => {
    const width = data.moment;
    const low = data.start + Math.floor((t - data.start) / width + 1e-9) * width;
    const here = data.requests.filter((request) => request[0] >= low - 1e-9 && request[0] < low + width - 1e-9);
    const length = (request) => (request[4] === null ? Infinity : request[4]);
    here.sort((one, other) => (length(other) === length(one) ? 0 : length(other) - length(one)));
    return { low, width, here };
  };
  const pick = (t, focus) => {
    const { low, width, here } = slowestAt(t);
    const digits = Math.max(1, Math.ceil(-Math.log10(width)) || 1);
    const title = make("h3", "", `Meant to be sent from ${low.toFixed(digits)} to ${(low + width).toFixed(digits)} s: the slowest ${Math.min(here.length, mostRequests)} of ${here.length}${data.whole ? "" : " held"}`);
    const close = make("button", "", "close");
    close.type = "button";
    close.addEventListener("click", () => { picked.hidden = true; axis.focus(); });
    const failed = here.slice(mostRequests).filter((request) => !request[6]).slice(0, 3);
    picked.replaceChildren(title, ...here.slice(0, mostRequests).map(waterfall));
    if (failed.length) picked.append(make("h3", "", "Failed beside them"), ...failed.map(waterfall));
    picked.append(close);
    picked.hidden = false;
    heard.textContent = title.textContent;
    if (focus) picked.focus({ preventScroll: true });
    picked.scrollIntoView({ block: "nearest" });
  };

  // -- pointer

  const room = () => over.getBoundingClientRect();
  const second = (event) => {
    const box = room();
    return from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * span;
  };
  const onPlot = (event) => event.clientX >= room().left;
  axis.addEventListener("pointermove", (event) => {
    if (!onPlot(event) && !drag) return hush();
    const t = second(event);
    tell(t, event.clientX, event.clientY);
    if (!drag) return;
    drag.moved = drag.moved || Math.abs(event.clientX - drag.x) > 6;
    if (drag.moved) {
      chosen.style.display = "";
      place(chosen, Math.min(t, drag.t), Math.abs(t - drag.t));
    }
  });
  axis.addEventListener("pointerleave", () => { if (!drag) hush(); });
  axis.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !onPlot(event)) return;
    drag = { t: second(event), x: event.clientX, moved: false };
    axis.setPointerCapture(event.pointerId);
  });
  const drop = (event, zooms) => {
    if (!drag) return;
    const { t, moved } = drag;
    const other = second(event);
    drag = null;
    chosen.style.display = "none";
    if (!zooms) return;
    if (moved) show(Math.min(t, other), Math.abs(other - t));
    else { tell(other, event.clientX, event.clientY); pick(other, false); }
  };
  axis.addEventListener("pointerup", (event) => drop(event, true));
  axis.addEventListener("pointercancel", (event) => drop(event, false));
  axis.addEventListener("dblclick", reset);

  // -- keys

  const spoken = (t) => `${heading(t)}. ` + known(t).map(([title, rows]) => `${title}: ${rows.map(([name, value]) => `${name} ${value}`).join(", ")}`).join(". ");
  const move = (t) => {
    const next = Math.min(end - data.bucket / 2, Math.max(data.start + data.bucket / 2, t));
    if (next < from || next > from + span) show(next - span / 2, span);
    const box = room();
    tell(next, box.left + ((next - from) / span) * box.width, Math.max(40, box.top + 60));
    heard.textContent = spoken(next);
  };
  axis.addEventListener("keydown", (event) => {
    if (event.target !== axis || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = at === null ? from + span / 2 : at;
    const step = data.bucket * (event.shiftKey ? 10 : 1);
    const keys = {
      ArrowLeft: () => move(here - step), ArrowRight: () => move(here + step),
      Home: () => move(data.start), End: () => move(end),
      "+": () => { zoom(0.5, here); move(here); }, "=": () => { zoom(0.5, here); move(here); },
      "-": () => { zoom(2, here); move(here); },
      Enter: () => pick(here, true), " ": () => pick(here, true),
      Escape: () => { reset(); hush(); },
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && event.target !== axis) { reset(); hush(); } });
  axis.addEventListener("blur", hush);
  addEventListener("beforeprint", () => {
    reset();
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });
})();
