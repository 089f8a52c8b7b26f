// Refreshes what is shown: fetches this very page again and puts in the parts ([data-live]) that the server made differently.
// A part is left alone while text in it is selected or a field in it has the focus; what was folded stays as it was.
"use strict";
(() => {
  const every = () => 1000 * Number(document.body.dataset.every || 0);
  const bar = document.getElementById("live"), said = document.getElementById("live-said"), on = document.getElementById("live-on");
  if (!every()) return;
  bar.hidden = false;
  on.checked = sessionStorage.getItem("live") !== "off";

  const parts = (root) => new Map([...root.querySelectorAll("[data-live]")].map((part) => [part.dataset.live, part]));
  const made = new Map([...parts(document)].map(([name, part]) => [name, part.innerHTML]));
  let tag = "", looking = false, timer = 0;

  function busy(part) {
    const selection = document.getSelection(), field = document.activeElement;
    if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) return true;
    return part.contains(field) && /^(INPUT|SELECT|TEXTAREA)$/.test(field.tagName);
  }

  // Folds by their key, the focus by its link or fold.
  function put(part, fresh) {
    const folds = new Map([...part.querySelectorAll("details[data-key]")].map((one) => [one.dataset.key, one.open]));
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    const key = held && (held.getAttribute("href") || held.closest("details")?.dataset.key);
    part.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    for (const one of part.querySelectorAll("details[data-key]")) one.open = folds.get(one.dataset.key) ?? one.open;
    if (!key) return;
    for (const one of part.querySelectorAll("a[href], summary"))
      if (one.getAttribute("href") === key || one.closest("details")?.dataset.key === key) return one.focus({ preventScroll: true });
  }

  function show(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html"), now = parts(document);
    let whole = true;
    for (const [name, part] of parts(fresh)) {
      const old = now.get(name), html = part.innerHTML;
      if (!old || made.get(name) === html) continue;
      if (busy(old)) {
        whole = false;
        continue;
      }
      put(old, part);
      made.set(name, html);
    }
    document.body.dataset.every = fresh.body.dataset.every || "0";
    return whole;
  }

  function tell(words) {
    if (said.textContent !== words) said.textContent = words;
    bar.classList.toggle("failed", words !== "");
  }

  async function look() {
    if (looking) return;
    looking = true;
    clearTimeout(timer);
    const began = performance.now();
    if (on.checked && !document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
        if (answer.redirected) return location.reload();
        if (!answer.ok && answer.status !== 304) throw new Error(String(answer.status));
        if (answer.ok) tag = show(await answer.text()) ? answer.headers.get("ETag") || "" : "";
        tell("");
      } catch {
        tell("No answer. Trying again.");
      }
    }
    looking = false;
    if (!every()) return void (bar.hidden = true);
    // An answer that takes long is asked for less often.
    timer = setTimeout(look, Math.max(every(), 10 * (performance.now() - began)));
  }

  on.addEventListener("change", () => {
    sessionStorage.setItem("live", on.checked ? "on" : "off");
    tell("");
    look();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look();
  });
  timer = setTimeout(look, every());
})();
