// What the pages gain by their script: keys, what is new, a run that is followed, a live
// table, countdowns, copying.
// Without it every page and form works as well. All text is set as text, never as
// HTML: payloads are hostile.
(() => {
  "use strict";
  const $ = (s) => document.querySelector(s);

  // Keys.
  const rows = () => [...document.querySelectorAll(".rows tbody tr")].filter((r) => r.offsetParent && r.querySelector("a"));
  const pages = { o: "/", l: "/live", e: "/events", r: "/runs", d: "/deadletters", q: "/quarantine", t: "/triggers", w: "/workflows", p: "/waiting", h: "/destinations" };
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
      case "/": { const s = $("main input[type=search]") || $("input[type=search]"); if (s) { e.preventDefault(); s.focus(); s.select(); } break; }
      case "n": { const n = $("a[rel=next]"); if (n) n.click(); break; }
      case "?": $("#keys").showModal(); break;
    }
  });

  // Copying. One listener: the parts of a run's page are replaced while it is followed.
  document.addEventListener("click", async (e) => {
    const b = e.target.closest("[data-copy]"), from = b && document.getElementById(b.dataset.copy);
    if (!from) return;
    try {
      await navigator.clipboard.writeText(from.textContent);
      b.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(from);
      b.textContent = "Press Ctrl+C";
    }
  });

  // Countdowns.
  const tick = () => {
    for (const t of document.querySelectorAll("time.countdown")) {
      const s = Math.round((new Date(t.dateTime) - Date.now()) / 1000);
      t.textContent = s > 3.2e8 ? "" : s <= 0 ? "(now)" : s < 120 ? `(in ${s} s)` : s < 7200 ? `(in ${Math.round(s / 60)} min)` : `(in ${Math.round(s / 3600)} h)`;
    }
  };
  tick();
  setInterval(tick, 1000);

  // The browser's timezone is one of those that times can be shown in.
  const here = $("#zone-here"), own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (here && own && own !== "UTC" && own !== document.documentElement.dataset.zone) {
    const a = document.createElement("a");
    a.href = `/timezone?zone=${encodeURIComponent(own)}&to=${encodeURIComponent(here.dataset.to)}`;
    a.textContent = `this browser’s, ${own}`;
    here.append(" · ", a);
  }
  const clock = (() => {
    const zone = document.documentElement.dataset.zone;
    const f = new Intl.DateTimeFormat("sv-SE", { timeZone: zone || "UTC", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
    return (t) => f.format(new Date(t)).replace(",", ".");
  })();

  // A stream that goes on after a cut. When the server will not have it, it says why: the
  // session is over, or it is busy.
  const follow = (url, on, say, after = "") => {
    let source, last = after, done = false;
    const open = () => {
      const to = new URL(url, location.href);
      if (last) to.searchParams.set("after", last);
      source = new EventSource(to);
      source.addEventListener("hello", (e) => { last = e.lastEventId || last; say("on"); });
      for (const kind of ["event", "run"]) {
        source.addEventListener(kind, (e) => { last = e.lastEventId || last; on(kind, JSON.parse(e.data)); });
      }
      source.addEventListener("error", async () => {
        if (done) return;
        if (source.readyState !== EventSource.CLOSED) { say("cut"); return; }
        let status = 0;
        try { status = (await fetch("/api/v1/alerts", { headers: { Accept: "application/json" } })).status; } catch { /* the server is away */ }
        if (status === 401) { say("login"); return; }
        say("cut");
        setTimeout(open, 3000);
      });
    };
    open();
    addEventListener("pagehide", () => { done = true; source.close(); });
    return () => { done = true; source.close(); };
  };

  // A run's page follows its run: what has changed is loaded again, unless somebody writes.
  const watch = $("#follow[data-follow]");
  if (watch) {
    let loading = false, again = false, stop;
    const login = () => {
      const a = document.createElement("a");
      a.href = `/login?to=${encodeURIComponent(location.pathname)}`;
      a.textContent = "Log in again";
      watch.replaceChildren("Your session is over. ", a);
    };
    const refresh = async () => {
      if (loading) { again = true; return; }
      loading = true;
      try {
        const old = document.getElementById("run");
        const writing = () => {
          const dirty = [...old.querySelectorAll("textarea, input:not([type=hidden])")].some((e) => e === document.activeElement || e.value !== e.defaultValue);
          if (dirty) watch.textContent = "The run has changed. Load the page again when you have written your answer.";
          return dirty;
        };
        if (writing()) return;
        const r = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (r.redirected && new URL(r.url).pathname === "/login" || r.status === 401) { login(); return; }
        const page = new DOMParser().parseFromString(await r.text(), "text/html"), fresh = page.getElementById("run");
        if (!fresh || writing()) return; // somebody may have begun to write meanwhile
        for (const d of old.querySelectorAll("details[id]")) {
          const n = fresh.querySelector(`#${CSS.escape(d.id)}`);
          if (n) n.open = d.open || n.open;
        }
        const focus = document.activeElement && old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        old.replaceWith(document.adoptNode(fresh));
        if (focus) fresh.querySelector(`[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
        tick();
        const end = page.getElementById("follow");
        watch.textContent = end && end.dataset.follow ? "Follows the run." : "The run has ended.";
        if (!(end && end.dataset.follow)) stop();
      } finally {
        loading = false;
        if (again) { again = false; refresh(); }
      }
    };
    stop = follow(`/api/v1/stream?run=${watch.dataset.follow}`, refresh, (what) => {
      if (what === "on") { watch.textContent = "Follows the run."; refresh(); }
      if (what === "cut") watch.textContent = "Cut off; connecting again…";
      if (what === "login") login();
    });
  }

  // Lists tell how much has come since they were made.
  const news = $(".news[data-news]");
  if (news && !new URLSearchParams(location.search).has("after")) {
    const fresh = new Set(), known = new Set([...document.querySelectorAll(".rows a[href]")].map((a) => a.getAttribute("href").split("/").pop()));
    const at = new URL("/api/v1/stream", location.href), asked = new URLSearchParams(location.search);
    for (const k of ["trigger", "workflow"]) if (asked.get(k)) at.searchParams.set(k, asked.get(k));
    follow(at, (kind, x) => {
      if (kind !== news.dataset.news || known.has(x.id)) return;
      fresh.add(x.id);
      const a = document.createElement("a");
      a.href = location.href;
      a.textContent = `${fresh.size} new`;
      news.replaceChildren(a);
    }, () => {}, news.dataset.after); // from where the list was read: events may have come before the stream is open
  }

  // Choosing many.
  const boxes = [...document.querySelectorAll("input[name=run][type=checkbox]")];
  const tell = () => { const c = $("#chosen"); if (c) c.textContent = `${boxes.filter((b) => b.checked).length} chosen`; };
  for (const all of document.querySelectorAll("input.all")) {
    all.addEventListener("change", () => {
      for (const b of all.closest("form").querySelectorAll("input[name=run]")) b.checked = all.checked;
      tell();
    });
  }
  for (const e of document.querySelectorAll(".needs-script")) e.hidden = false;
  boxes.forEach((b) => b.addEventListener("change", tell));
  if (boxes.length) tell();

  // A step that the address names is opened.
  const open = () => { for (let d = location.hash && document.getElementById(location.hash.slice(1)); d; d = d.parentElement) if (d.tagName === "DETAILS") d.open = true; };
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
    cell(row, clock(kind === "event" ? x.received_at : x.finished_at || x.started_at || x.created_at));
    cell(row, x.id, `/${kind}s/${x.id}`);
    cell(row, kind === "event" ? `${x.trigger} ${x.type}` : x.workflow);
    cell(row, kind === "event" ? x.outcome : x.status + (x.waits_for ? ` (${x.waits_for})` : ""), "", kind === "event" ? x.outcome : x.status);
    cell(row, kind === "event" ? x.key : x.error || "");
    while (body.rows.length > 500) {
      shown.delete(body.rows[body.rows.length - 1].cells[1].textContent);
      body.deleteRow(-1);
    }
  };
  const take = (kind, x) => {
    if (paused) { held.push([kind, x]); held = held.slice(-500); pause.textContent = `Go on (${held.length})`; } else show(kind, x);
  };
  follow(table.dataset.stream, take, (what) => {
    $("#live-login").hidden = what !== "login";
    state.textContent = { on: "Following.", cut: "Cut off; connecting again…", login: "Your session is over." }[what];
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    if (!paused) { for (const [k, x] of held) show(k, x); held = []; }
    pause.textContent = paused ? "Go on" : "Pause";
  });
})();
