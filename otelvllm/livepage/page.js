// Keeps the page as the server sees it. Elements that stay are changed in place, so that what a
// person reads, points at or has opened stays where it is.
"use strict";
(() => {
  const byID = (id) => document.getElementById(id);
  const root = document.documentElement;
  const sectionOf = { running: byID("running-section"), recent: document.querySelector("section.recent") };
  const pointed = new Set(); // the lists that a mouse points at; a finger does not rest on a list

  // A list is held while somebody points at it or moves through it by keyboard: its rows change in
  // place, but none comes, goes or moves.
  const held = (name) => {
    const s = sectionOf[name];
    return Boolean(s) && (pointed.has(name) || s.querySelector(":focus-visible") !== null);
  };

  const morph = (a, b, hold) => {
    if (a.nodeType === Node.TEXT_NODE) {
      if (a.data !== b.data) a.data = b.data;
      return 0;
    }
    for (const { name, value } of [...b.attributes]) if (a.getAttribute(name) !== value) a.setAttribute(name, value);
    for (const { name } of [...a.attributes]) if (name !== "open" && !b.hasAttribute(name)) a.removeAttribute(name);
    return children(a, b, hold);
  };
  const key = (e) => (e ? e.getAttribute("data-key") : null);

  // Makes the children of a like those of b. Returns how many came or went that hold kept back.
  const children = (a, b, hold) => {
    const keyed = key(b.firstElementChild) !== null || key(a.firstElementChild) !== null;
    let late = 0;
    if (!keyed) {
      const old = [...a.childNodes], fresh = [...b.childNodes];
      fresh.forEach((c, i) => {
        const o = old[i];
        if (!o) a.append(c);
        else if (o.nodeName !== c.nodeName) o.replaceWith(c);
        else late += morph(o, c, hold);
      });
      old.slice(fresh.length).forEach((o) => o.remove());
      return late;
    }
    const fresh = [...b.children];
    const wanted = new Set(fresh.map(key));
    const old = new Map();
    for (const o of [...a.children]) {
      if (wanted.has(key(o)) && !old.has(key(o))) old.set(key(o), o);
      else if (hold) o.classList.add("gone"), late++;
      else o.remove();
    }
    if (hold) {
      for (const c of fresh) {
        const o = old.get(key(c));
        if (o) morph(o, c, hold);
        else late++;
      }
      return late;
    }
    for (const n of [...a.childNodes]) if (n.nodeType === Node.TEXT_NODE) n.remove();
    let at = a.firstElementChild;
    for (const c of fresh) {
      const o = old.get(key(c));
      if (!o) a.insertBefore(c, at);
      else {
        old.delete(key(c));
        morph(o, c, hold);
        if (o === at) at = at.nextElementSibling;
        else a.insertBefore(o, at);
      }
    }
    return late;
  };

  let shown = {}, codes = "", latest = null;
  const show = (name, html) => {
    const place = byID(name);
    if (!place) return;
    if (name === "plots") latest = html;
    const t = document.createElement("template");
    t.innerHTML = html;
    const late = children(place, t.content, held(name));
    const note = document.querySelector(`[data-held="${name}"]`);
    if (note) note.textContent = late ? `held while you look: ${late} changed` : "";
    if (late) shown[name] = html; // shown in full once nobody looks
    else delete shown[name];
  };
  const release = () => {
    for (const name of Object.keys(shown)) if (!held(name)) show(name, shown[name]);
  };
  for (const [name, s] of Object.entries(sectionOf)) {
    if (!s) continue;
    s.addEventListener("pointermove", (e) => {
      if (e.pointerType !== "touch") pointed.add(name);
    });
    s.addEventListener("pointerleave", () => {
      pointed.delete(name);
      setTimeout(release, 150);
    });
    s.addEventListener("focusout", () => setTimeout(release, 150));
  }

  const announce = () => {
    const now = [...document.querySelectorAll("#findings .finding")];
    const list = now.map((f) => f.dataset.code).join(", ");
    if (list === codes) return;
    codes = list;
    byID("news").textContent = list ? `Findings: ${list}. ${now[0].querySelector(".what").textContent}` : "No finding is open.";
  };

  // The window's icon turns red while there are findings.
  const icon = byID("icon"), calm = icon.href, alarm = calm.replace("%2374c69d", "%23ff6b60").replace("%2313202e", "%23531412");

  let last = Date.now(), source = null;
  const fresh = () => {
    last = Date.now();
    root.classList.add("live");
    root.classList.remove("old");
    byID("stale").hidden = true;
  };
  const frame = (event) => {
    const f = JSON.parse(event.data);
    for (const [name, html] of Object.entries(f.parts)) show(name, html);
    release();
    document.title = `${f.title} · otelvllm`;
    const href = f.alert ? alarm : calm;
    if (icon.href !== href) icon.href = href;
    announce();
    fresh();
    mark();
  };
  const connect = () => {
    source = new EventSource("events");
    source.addEventListener("frame", frame);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    };
  };
  setInterval(() => {
    const age = Math.round((Date.now() - last) / 1000);
    if (age < 5 || document.hidden) return;
    root.classList.remove("live");
    root.classList.add("old");
    const s = byID("stale");
    s.hidden = false;
    s.textContent = `No news from the server for ${age} s. What you see is as old as that. Trying again.`;
  }, 1000);

  // Pointing at a plot, or the arrow keys on it, shows the values of that moment in all plots.
  const left = 40, right = 314, width = 320, whole = 15 * 60e3;
  let data = null, fetched = 0, moment = null;
  const load = async () => {
    if (Date.now() - fetched < 4000) return;
    fetched = Date.now();
    try {
      data = await (await fetch("history.json")).json();
      mark();
    } catch { data = null; }
  };
  const units = { seconds: (v) => (v < 1 ? `${+(v * 1000).toPrecision(3)} ms` : `${+v.toPrecision(3)} s`), percent: (v) => `${Math.round(v)} %`, second: (v) => `${+v.toPrecision(3)} /s` };
  const write = (series, v) => (v == null ? "–" : (units[series.slice(series.lastIndexOf("_") + 1)] || ((n) => String(Math.round(n))))(v));
  const plots = () => [...document.querySelectorAll("#plots figure")];
  function mark() {
    const note = byID("moment");
    for (const f of plots()) {
      const svg = f.querySelector("svg"), cross = svg.querySelector(".cross");
      const x = moment === null ? -9 : right - ((svg.dataset.end - moment) / whole) * (right - left);
      cross.setAttribute("x1", x < left ? -9 : x);
      cross.setAttribute("x2", x < left ? -9 : x);
      if (moment === null || !data) continue;
      let i = data.at_unix_ms.length - 1;
      while (i > 0 && data.at_unix_ms[i] > moment) i--;
      const near = i >= 0 && Math.abs(data.at_unix_ms[i] - moment) < 6000;
      for (const li of f.querySelectorAll("li")) li.querySelector("b").textContent = near ? write(li.dataset.series, data.series[li.dataset.series][i]) : "–";
    }
    note.textContent = moment === null ? "" : `at ${new Date(moment).toLocaleTimeString()}`;
  }
  const at = (svg, clientX) => {
    const box = svg.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * width;
    return Number(svg.dataset.end) - ((right - Math.min(Math.max(x, left), right)) / (right - left)) * whole;
  };
  const unmark = () => {
    moment = null;
    mark();
    if (latest) show("plots", latest);
  };
  const area = byID("plots");
  area.addEventListener("pointermove", (e) => {
    const svg = e.target.closest("svg");
    if (!svg) return;
    moment = at(svg, e.clientX);
    load();
    mark();
  });
  area.addEventListener("pointerleave", unmark);
  area.addEventListener("focusout", unmark);
  area.addEventListener("keydown", (e) => {
    const svg = e.target.closest("svg"), by = { ArrowLeft: -4000, ArrowRight: 4000 }[e.key];
    if (!svg || !by) return;
    e.preventDefault();
    const end = Number(svg.dataset.end);
    moment = Math.min(end, Math.max(end - whole, (moment === null ? end : moment) + by * (e.shiftKey ? 15 : 1)));
    load();
    mark();
  });

  latest = byID("plots").innerHTML;
  connect();
  announce();
})();
