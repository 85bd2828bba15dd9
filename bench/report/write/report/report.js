"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dialog = document.querySelector("dialog");
  const BLANK = new Set(["", "—", "not measured"]);

  /** An element with attributes, or listeners for functions, and children; texts are texts. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "polyline", "line", "circle", "text", "title"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") node.addEventListener(name, value);
      else if (value !== null) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  /** "n rows", "1 row" */
  const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const textOf = (node) => node.textContent.trim();

  // ---- sorting, filtering, leaving out

  /** The number that a cell begins with; null for words, and for "2 failed". */
  function numberOf(text) {
    const found = /^([+-]?\d[\d.]*)(?![\d.]| (?:diverged|failed|without))/.exec(text.replaceAll(",", "").replace(/^−/, "-"));
    return found ? Number(found[1]) : null;
  }

  function addSorting(table) {
    const bodies = [...table.tBodies];
    const heads = [...table.tHead.rows[0].cells];
    const key = (body, i) => {
      const text = textOf(body.rows[0].cells[i]);
      return i === 0 ? text.toLowerCase() : numberOf(text);
    };
    function sort(i) {
      const before = heads[i].getAttribute("aria-sort");
      const order = i === 0 ? ["ascending", "descending", null] : ["descending", "ascending", null];
      const now = order[(order.indexOf(before) + 1) % 3];
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      let sorted = bodies;
      if (now) {
        heads[i].setAttribute("aria-sort", now);
        const sign = now === "ascending" ? 1 : -1;
        sorted = bodies
          .map((body, place) => ({ body, place, key: key(body, i) }))
          .sort((a, b) => {
            if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
            const order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
            return sign * order || a.place - b.place;
          })
          .map((x) => x.body);
        const others = (body) => table.dataset.opens && !body.dataset.row; // claims without a row stay below
        sorted = [...sorted.filter((b) => !others(b)), ...sorted.filter(others)];
      }
      table.append(...sorted);
    }
    heads.forEach((head, i) => {
      const label = head.firstElementChild;
      const button = make("button", { type: "button", title: "Sort", click: () => sort(i) }, ...label.childNodes);
      label.replaceChildren(button);
    });
  }

  /** The row filter, the switch for what was measured, and a line that counts what is hidden. */
  function addTools(table) {
    const box = table.parentElement;
    const bodies = [...table.tBodies];
    const rows = bodies.filter((body) => body.dataset.row);
    const [columns] = data.cells[table.dataset.opens];
    const found = (body, i) => [...body.querySelectorAll("tr.ours")].some((tr) => !BLANK.has(textOf(tr.cells[i])));
    const width = table.tHead.rows[0].cells.length;
    const filled = Array.from({ length: width }, (_, i) => i === 0 || rows.some((body) => found(body, i)));
    const idle = new Set(bodies.filter((body) => !body.dataset.row || !filled.some((full, i) => i && full && found(body, i))));
    const filter = make("input", { type: "search", placeholder: "Filter rows", "aria-label": "Filter rows", input: show });
    const only = make("input", { type: "checkbox", change: show });
    const hint = make("span", { class: "hidden", role: "status" });
    only.checked = "sparse" in table.dataset;
    function show() {
      const wanted = filter.value.trim().toLowerCase();
      for (const body of bodies) {
        const names = [body.dataset.row || "", ...[...body.rows].map((tr) => tr.cells[0].textContent)];
        const fits = names.some((name) => name.toLowerCase().includes(wanted));
        body.hidden = !fits || (only.checked && idle.has(body));
      }
      for (const tr of table.rows) [...tr.cells].forEach((cell, i) => (cell.hidden = only.checked && !filled[i]));
      const tasks = columns.filter((name, i) => name !== "average" && only.checked && !filled[i + 1]).length;
      const gone = rows.filter((body) => body.hidden).length;
      const claims = bodies.some((body) => !body.dataset.row && body.hidden) ? ["published rows that are not ours"] : [];
      const parts = [...(gone ? [counted(gone, "row")] : []), ...(tasks ? [counted(tasks, "task")] : []), ...claims];
      hint.textContent = parts.length ? `Hidden: ${parts.join(", ")}` : "";
      box.hidden = bodies.every((body) => body.hidden);
      if (box.hidden) hint.textContent = wanted ? "No row has this name." : "Nothing was measured, so there is nothing to show.";
    }
    const tools = make("div", { class: "tools" }, filter);
    if (idle.size || filled.includes(false)) tools.append(make("label", {}, only, "measured only"));
    tools.append(hint);
    box.before(tools);
    show();
  }

  /** Leaves out the columns in which no row has anything, such as gains at tasks that were not run. */
  function dropBlankColumns(table) {
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const blank = [...table.tHead.rows[0].cells].map((_, i) => i > 0 && rows.every((tr) => BLANK.has(textOf(tr.cells[i]))));
    const n = blank.filter(Boolean).length;
    if (!n) return;
    for (const tr of table.rows) [...tr.cells].forEach((cell, i) => (cell.hidden = blank[i]));
    const hint = make("span", { class: "hidden" }, `Hidden: ${counted(n, "column")} without a figure`);
    table.parentElement.before(make("div", { class: "tools" }, hint));
  }

  // ---- what a cell opens

  function addButtons(table) {
    const [columns, cells] = data.cells[table.dataset.opens];
    for (const body of table.tBodies) {
      if (!body.dataset.row) continue;
      for (const tr of body.querySelectorAll("tr.ours")) {
        columns.forEach((_, i) => {
          const cell = tr.cells[i + 1];
          const click = () => open(table, body, i, cells[body.dataset.row][i]);
          const kind = BLANK.has(textOf(cell)) ? "blank" : null;
          cell.replaceChildren(make("button", { type: "button", class: kind, click }, ...cell.childNodes));
        });
      }
    }
    table.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td");
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!cell || !step) return;
      const lines = [...table.querySelectorAll("tbody:not([hidden]) tr.ours")];
      const shown = [...cell.parentElement.cells].filter((x) => !x.hidden).map((x) => x.cellIndex);
      const line = lines[lines.indexOf(cell.parentElement) + step[0]];
      const next = line?.cells[shown[shown.indexOf(cell.cellIndex) + step[1]]]?.querySelector("button");
      if (next) {
        next.focus();
        event.preventDefault();
      }
    });
  }

  function open(table, body, i, cell) {
    const title = `${textOf(body.rows[0].cells[0])}, ${textOf(table.tHead.rows[0].cells[i + 1])}`;
    const runs = cell.runs.map((place) => data.runs[place]);
    dialog.replaceChildren(
      make("button", { type: "button", class: "close", click: () => dialog.close() }, "Close"),
      make("h2", { id: "opened" }, title),
      make("p", {}, table.dataset.title),
      box(tableOfClaims(body, i)),
      ...section("Seeds", cell.seeds.length ? [box(tableOfSeeds(cell, runs))] : [make("p", {}, "Not measured.")]),
      ...section("Learning curves", curves(cell, runs)),
      ...section("Method and knobs that are not defaults", cell.knobs === null ? [] : [facts(cell.knobs)]),
      ...environments(cell, runs),
      ...differences(table),
      ...section("Records that do not count", cell.aside.length ? [list(cell.aside.map(([file, why]) => `${file}: ${why}`))] : []),
      ...section(cell.seeds.length ? "To repeat it" : "To measure it", cell.commands.map((text) => make("pre", {}, text))),
    );
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  const section = (title, nodes) => (nodes.length ? [make("h3", {}, title), ...nodes] : []);
  const box = (node) => make("div", { class: "box", tabindex: "0" }, node);
  const list = (texts) => make("ul", {}, ...texts.map((text) => make("li", {}, text)));

  /** The lines of a block at one column: ours, each claim, the gap, the verdict. */
  function tableOfClaims(body, i) {
    const lines = [...body.rows].map((tr) => {
      const cell = tr.cells[i + 1];
      const value = make("td", { class: cell.className || null }, textOf(cell));
      return make("tr", { class: tr.className }, make("th", { scope: "row" }, textOf(tr.cells[0])), value);
    });
    return make("table", { class: "claims" }, make("tbody", {}, ...lines));
  }

  function tableOfSeeds(cell, runs) {
    const names = Object.keys(cell.values);
    const heads = ["seed", ...names, ...(runs.length ? ["status", ...data.costs, "record"] : [])];
    const lines = cell.seeds.map((seed, k) => {
      const run = runs[k];
      const why = run && run.reason ? `${run.status}: ${run.reason}` : run && run.status;
      const rest = run ? [why, ...(run.cost.length ? run.cost : data.costs.map(() => ""))] : [];
      const texts = [...names.map((name) => cell.values[name][k]), ...rest];
      const cells = texts.map((text) => make("td", {}, text));
      if (run) cells.push(make("td", { title: run.file }, make("code", {}, run.file.split("/").pop().replace(/\.jsonl$/, ""))));
      return make("tr", {}, make("th", { scope: "row" }, String(seed)), ...cells);
    });
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    return make("table", { class: "seeds" }, make("thead", {}, head), make("tbody", {}, ...lines));
  }

  function facts(place) {
    const items = data.facts[place].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
    return make("dl", {}, ...items);
  }

  /** What made the runs: once for all seeds that have the same. */
  function environments(cell, runs) {
    const seeds = new Map();
    runs.forEach((run, k) => seeds.set(run.made, [...(seeds.get(run.made) || []), cell.seeds[k]]));
    return [...seeds].flatMap(([made, which]) => {
      const of = seeds.size > 1 ? ` of ${which.length > 1 ? "seeds" : "seed"} ${which.join(", ")}` : "";
      return section(`Environment${of}`, [facts(made)]);
    });
  }

  function differences(table) {
    const found = table.closest(".suite").querySelector("[data-differences] ul");
    return section("What the suite is known to do differently", found ? [found.cloneNode(true)] : []);
  }

  /** A line a seed: what the suite is about on the target and, dashed, on the source. */
  function curves(cell, runs) {
    const drawn = runs.map((run, k) => ({ ...run, seed: cell.seeds[k], at: data.steps[run.steps] })).filter((run) => run.at.length > 1);
    if (!drawn.length) return runs.length ? [make("p", {}, "Its runs were evaluated once, at their end: there is no curve.")] : [];
    const width = Math.min(640, document.documentElement.clientWidth - 50), height = 230;
    const [left, right, top, bottom] = [44, 10, 12, 34];
    const values = drawn.flatMap((run) => [...run.target, ...run.source]).filter((y) => y !== null);
    const steps = drawn.flatMap((run) => run.at);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = (high - low || 1) / 20;
    const [x0, x1, y0, y1] = [Math.min(...steps), Math.max(...steps), low - pad, high + pad];
    const x = (step) => left + ((step - x0) / (x1 - x0 || 1)) * (width - left - right);
    const y = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
    const label = `Learning curves of ${counted(drawn.length, "seed")}`;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
    for (const value of [low, (low + high) / 2, high]) {
      svg.append(make("line", { class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
      svg.append(make("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))));
    }
    for (const step of [x0, x1]) {
      const anchor = step === x0 ? "start" : "end";
      svg.append(make("text", { x: x(step), y: height - 18, "text-anchor": anchor }, step.toLocaleString("en")));
    }
    svg.append(make("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "iterations"));
    for (const run of drawn) {
      for (const side of ["source", "target"]) {
        const points = run[side].flatMap((value, k) => (value === null ? [] : [`${x(run.at[k]).toFixed(1)},${y(value).toFixed(1)}`]));
        const name = make("title", {}, `seed ${run.seed}, ${side}`);
        if (points.length) svg.append(make("polyline", { class: side, points: points.join(" ") }, name));
      }
    }
    const dashed = drawn.some((run) => run.source.length) ? "; dashed: on the source" : "";
    return [svg, make("p", {}, `A line a seed. Solid: on the target's test images${dashed}.`)];
  }

  // ---- light and dark

  function addTheme() {
    const root = document.documentElement;
    const themes = ["auto", "light", "dark"];
    const keep = (theme) => {
      try {
        if (theme === undefined) return localStorage.getItem("theme");
        localStorage.setItem("theme", theme);
      } catch { /* a page that may keep nothing */ }
      return theme;
    };
    const button = make("button", { type: "button", class: "theme", click: () => set(themes[(themes.indexOf(now()) + 1) % 3]) });
    const now = () => root.dataset.theme || "auto";
    function set(theme) {
      if (theme === "auto") delete root.dataset.theme;
      else root.dataset.theme = theme;
      button.textContent = `Theme: ${theme}`;
      keep(theme);
    }
    const kept = keep();
    set(themes.includes(kept) ? kept : "auto");
    document.querySelector("header").append(button);
  }

  addTheme();
  for (const table of document.querySelectorAll("table:not(.plain)")) {
    addSorting(table);
    if (!table.dataset.opens) dropBlankColumns(table);
  }
  for (const table of document.querySelectorAll("table[data-opens]")) {
    addButtons(table);
    addTools(table);
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // the backdrop
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((x) => (x.open = true)));
})();
