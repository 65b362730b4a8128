"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /* Theme: the reader's system decides until the button is used. */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.querySelector("[data-theme-switch]");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const named = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  try { if (localStorage.getItem("graded-theme")) root.dataset.theme = localStorage.getItem("graded-theme"); } catch { /* no storage */ }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("graded-theme", root.dataset.theme); } catch { /* no storage */ }
    named();
  });
  dark.addEventListener("change", named);
  named();

  /* Tables: sort by a column, keep the rows that hold every word of the search. */
  const key = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();
  const compare = (one, two) => {
    const numbers = [one, two].map(Number);
    if (one === "" || two === "") return (one === "") - (two === "");
    return numbers.some(Number.isNaN) ? one.localeCompare(two) : numbers[0] - numbers[1];
  };
  for (const table of all("[data-table]")) {
    const body = table.querySelector("tbody");
    const rows = [...body.rows];
    for (const head of all("th", table)) {
      head.querySelector("button").addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of all("th", table)) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const at = head.cellIndex;
        const filled = rows.filter((row) => key(row, at) !== "").sort((one, two) => (up ? 1 : -1) * compare(key(one, at), key(two, at)));
        body.append(...filled, ...rows.filter((row) => key(row, at) === ""));
      });
    }
    const search = table.querySelector("[data-search]");
    if (search) search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
        if (!row.hidden) shown += 1;
      }
      table.querySelector("[data-found]").textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    });
  }

  /* Examples: texts are set as text, never as HTML. */
  const PAGE = 12;
  for (const browser of all("[data-browser]")) {
    const { annotators, rows } = JSON.parse(browser.querySelector("[data-examples]").textContent);
    const form = browser.querySelector("[data-filters]");
    const cards = browser.querySelector("[data-cards]");
    const [back, on] = all("[data-step]", browser);
    let page = 0;
    let kept = rows;
    const apart = (row) => {
      const known = row.grades.filter((grade) => grade !== null);
      return known.length < 2 ? null : Math.max(...known) - Math.min(...known);
    };
    const keep = (row, chosen) => {
      if (chosen.lang && row.lang !== chosen.lang) return false;
      const grades = chosen.annotator ? [row.grades[Number(chosen.annotator)]] : row.grades;
      if (chosen.grade && !grades.some((grade) => (grade === null ? "none" : String(grade)) === chosen.grade)) return false;
      if (chosen.apart) {
        const steps = apart(row);
        if (steps === null || (chosen.apart === "0" ? steps !== 0 : steps < Number(chosen.apart))) return false;
      }
      const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
      const text = `${row.query}\n${row.title ?? ""}\n${row.passage}\n${row.query_id}\n${row.doc_id}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const write = (className, text, lang) => {
      const element = make("p", className, text);
      element.dir = "auto";
      element.lang = lang;
      return element;
    };
    const card = (row) => {
      const item = make("li");
      const about = make("p", "about");
      row.grades.forEach((grade, at) => {
        const part = make("span", "", `${annotators[at]} `);
        part.append(make("b", "", grade === null ? row.outcomes[at] : `grade ${grade}`));
        about.append(part);
      });
      about.append(make("span", "", row.positive === null ? "not used in training" : row.positive ? "positive" : "below τ"));
      about.append(make("span", "", row.style ? `${row.lang}, ${row.style}` : row.lang));
      item.append(write("query", row.query || "(no query text)", row.lang));
      if (row.title) item.append(write("title", row.title, row.lang));
      item.append(write("passage", row.passage + (row.cut ? " …" : ""), row.lang), about);
      return item;
    };
    const draw = () => {
      const pages = Math.max(1, Math.ceil(kept.length / PAGE));
      page = Math.min(Math.max(page, 0), pages - 1);
      cards.replaceChildren(...kept.slice(page * PAGE, (page + 1) * PAGE).map(card));
      browser.querySelector("[data-found]").textContent = kept.length ? `${kept.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} examples` : "No example matches; widen the choice.";
      browser.querySelector("[data-place]").textContent = `${page + 1} of ${pages}`;
      back.disabled = page === 0;
      on.disabled = page === pages - 1;
    };
    const filter = () => {
      const data = new FormData(form);
      const chosen = Object.fromEntries(["lang", "grade", "annotator", "apart", "text"].map((name) => [name, data.get(name) ?? ""]));
      kept = rows.filter((row) => keep(row, chosen));
      page = 0;
      draw();
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const step of [back, on]) step.addEventListener("click", () => { page += Number(step.dataset.step); draw(); });
    filter();
  }

  /* Figures: what a mark says, beside the pointer. */
  const tip = document.querySelector("[data-tip]");
  document.addEventListener("pointermove", (event) => {
    const mark = event.target instanceof Element && event.target.closest(".panel svg path[aria-label], .panel svg line[aria-label]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("aria-label");
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18}px`;
  });

  /* Contents: where the reader is. */
  const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const section of all("main > section")) seen.observe(section);
})();
