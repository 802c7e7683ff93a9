// What the pages gain by their script: keys, a live table, countdowns, copying.
// Without it every page and form works as well. All text is set as text, never as
// HTML: payloads are hostile.
(() => {
  "use strict";
  const $ = (s) => document.querySelector(s);

  // Keys.
  const rows = () => [...document.querySelectorAll(".rows tbody tr")].filter((r) => r.offsetParent && r.querySelector("a"));
  const pages = { o: "/", l: "/live", e: "/events", r: "/runs", d: "/deadletters", q: "/quarantine", t: "/triggers", w: "/workflows" };
  let at = -1, going = false;
  const move = (by) => {
    const list = rows();
    if (!list.length) return;
    at = Math.max(0, Math.min(list.length - 1, at + by));
    list.forEach((r, i) => r.classList.toggle("at", i === at));
    list[at].querySelector("a").focus();
    list[at].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName) || $("dialog[open]")) return;
    if (going) {
      going = false;
      if (pages[e.key]) location.href = pages[e.key];
      return;
    }
    switch (e.key) {
      case "g": going = true; setTimeout(() => { going = false; }, 1500); break;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "/": { const s = $("input[type=search]"); if (s) { e.preventDefault(); s.focus(); s.select(); } break; }
      case "n": { const n = $("a[rel=next]"); if (n) n.click(); break; }
      case "?": $("#keys").showModal(); break;
    }
  });

  // Copying.
  for (const b of document.querySelectorAll("[data-copy]")) {
    b.addEventListener("click", async () => {
      const from = document.getElementById(b.dataset.copy);
      try {
        await navigator.clipboard.writeText(from.textContent);
        b.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(from);
        b.textContent = "Press Ctrl+C";
      }
    });
  }

  // Countdowns.
  const due = [...document.querySelectorAll("time.countdown")];
  const tick = () => {
    for (const t of due) {
      const s = Math.round((new Date(t.dateTime) - Date.now()) / 1000);
      t.textContent = s > 3.2e8 ? "" : s <= 0 ? "(now)" : s < 120 ? `(in ${s} s)` : s < 7200 ? `(in ${Math.round(s / 60)} min)` : `(in ${Math.round(s / 3600)} h)`;
    }
  };
  if (due.length) { tick(); setInterval(tick, 1000); }

  // Choosing many.
  const boxes = [...document.querySelectorAll("input[name=run][type=checkbox]")];
  const tell = () => { const c = $("#chosen"); if (c) c.textContent = `${boxes.filter((b) => b.checked).length} chosen`; };
  for (const all of document.querySelectorAll("input.all")) {
    all.addEventListener("change", () => {
      for (const b of all.closest("section").querySelectorAll("input[name=run]")) b.checked = all.checked;
      tell();
    });
  }
  boxes.forEach((b) => b.addEventListener("change", tell));
  if (boxes.length) tell();

  // A step that the address names is opened.
  const open = () => { const d = location.hash && document.getElementById(location.hash.slice(1)); if (d && d.tagName === "DETAILS") d.open = true; };
  addEventListener("hashchange", open);
  open();

  // The live table.
  const table = $("#live");
  if (!table) return;
  const state = $("#live-state"), pause = $("#live-pause"), body = table.tBodies[0], shown = new Map();
  let paused = false, held = [];
  const cell = (row, text, href, status) => {
    const td = row.insertCell();
    const e = href ? document.createElement("a") : document.createElement("span");
    if (href) e.href = href;
    if (status) e.className = `status s-${status}`;
    e.textContent = text;
    td.append(e);
  };
  const show = (kind, x) => {
    const old = shown.get(x.id);
    if (old) old.remove();
    const row = body.insertRow(0);
    row.className = "fresh";
    shown.set(x.id, row);
    cell(row, new Date().toLocaleTimeString());
    cell(row, x.id, `/${kind}s/${x.id}`);
    cell(row, kind === "event" ? `${x.trigger} ${x.type}` : x.workflow);
    cell(row, kind === "event" ? x.outcome : x.status, "", kind === "event" ? x.outcome : x.status);
    cell(row, kind === "event" ? x.key : x.error || "");
    while (body.rows.length > 500) {
      shown.delete(body.rows[body.rows.length - 1].cells[1].textContent);
      body.deleteRow(-1);
    }
  };
  const take = (kind) => (e) => {
    const x = JSON.parse(e.data);
    if (paused) { held.push([kind, x]); held = held.slice(-500); pause.textContent = `Go on (${held.length})`; } else show(kind, x);
  };
  const source = new EventSource(table.dataset.stream);
  source.addEventListener("hello", () => { state.textContent = "Following."; });
  source.addEventListener("event", take("event"));
  source.addEventListener("run", take("run"));
  source.addEventListener("error", () => { state.textContent = "Cut off; connecting again…"; });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    if (!paused) { for (const [k, x] of held) show(k, x); held = []; }
    pause.textContent = paused ? "Go on" : "Pause";
  });
})();
