(() => {
  const root = document.documentElement;
  const by = (id) => document.getElementById(id);
  const theme = by("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const press = () => theme.setAttribute("aria-pressed", String(dark()));
  const remembered = localStorage.getItem("advgen-theme");
  if (remembered === "dark" || remembered === "light") root.dataset.theme = remembered;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("advgen-theme", root.dataset.theme);
    press();
  });
  system.addEventListener("change", press);
  press();

  const help = by("help");
  if (!help) return;
  const desk = by("desk");
  const form = by("vote");
  const said = by("said");
  const ask = by("ask");
  const image = by("image");
  const questions = ["true", "target"];
  const values = ["yes", "no", "unsure"];
  const meaning = { yes: true, no: false, unsure: null };
  let csrf = document.body.dataset.csrf;
  let busy = false;
  let kept = null;
  let looks = 0;

  const answer = (name) => form.elements[name].value;
  const chosen = () => [...form.querySelectorAll("[name=reason]:checked")].map((box) => box.value);
  const search = () => (desk.dataset.query ? "?" + desk.dataset.query : "");
  const token = () =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const say = (text) => (said.textContent = text);

  const point = () => {
    const open = questions.find((name) => !answer(name));
    for (const name of questions) by("q-" + name).classList.toggle("now", name === open);
    by("save").disabled = !(questions.some(answer) || chosen().length);
  };
  const clear = () => {
    for (const field of form.querySelectorAll("input[type=radio], input[type=checkbox]")) field.checked = false;
    form.elements.note.value = "";
    form.querySelector(".note").open = false;
    form.elements.token.value = token();
    point();
  };
  const prepare = (address) => {
    kept = new Image();
    if (address) kept.src = address;
  };
  const link = (more) => "/?" + [desk.dataset.query, more].filter(Boolean).join("&");
  const remember = (more) => history.replaceState(null, "", more ? link(more) : "/" + search());

  const views = () => [...document.querySelectorAll("#views a")];
  const current = () => views().findIndex((link) => link.hasAttribute("aria-current"));
  const mark = (kind) => {
    for (const choice of views()) {
      if (choice.dataset.kind === kind) choice.setAttribute("aria-current", "true");
      else choice.removeAttribute("aria-current");
    }
    by("legend").hidden = true;
    by("frame").setAttribute("aria-busy", String(Boolean(kind)));
  };
  const plain = () => {
    looks += 1;
    if (by("views")) mark("");
    image.src = image.dataset.plain;
    image.alt = image.dataset.alt;
  };
  const map = async (kind) => {
    // The picture is put in place when it is there: until then the page says that it is being drawn.
    looks += 1;
    const look = looks;
    mark(kind);
    say(`The ${kind} heat map is being drawn.`);
    let found;
    try {
      const reply = await fetch(`/api/heatmap/${desk.dataset.item}?kind=${kind}`);
      found = await reply.json();
    } catch {
      found = { error: "The server does not answer." };
    }
    if (look !== looks) return;
    if (found.error) {
      plain();
      return say(`No heat map: ${found.error}`);
    }
    image.src = found.picture;
    image.alt = found.alt;
    by("low").textContent = found.low;
    by("high").textContent = found.high;
    by("legend").hidden = false;
    by("frame").setAttribute("aria-busy", "false");
    say(`Heat map: ${kind}.`);
  };
  const view = (kind) => {
    if (kind) return map(kind);
    plain();
    say("Heat map: none.");
  };

  const show = (turn) => {
    const { item, progress } = turn;
    by("bar").max = Math.max(progress.total, 1);
    by("bar").value = progress.done;
    by("count").textContent = `${progress.done} of ${progress.total}`;
    const opened = document.querySelector("dl.details");
    if (opened) opened.remove();
    desk.hidden = !item;
    by("nothing").hidden = Boolean(item);
    if (!item) return;
    desk.dataset.item = item.id;
    image.dataset.plain = item.image;
    image.dataset.alt = item.alt;
    plain();
    image.width = item.width;
    image.height = item.height;
    image.classList.toggle("small", item.small);
    by("description").replaceChildren(
      ...item.description.map(([text, spurious]) => {
        if (!spurious) return text;
        const mark = document.createElement("mark");
        mark.textContent = text;
        return mark;
      }),
    );
    by("q-true").querySelector(".text").textContent = `Is ${item.true_class} visible?`;
    by("q-target").querySelector(".text").textContent = `Is ${item.target_class} visible?`;
    form.elements.namedItem("item").value = item.id;
    by("skip").href = link("after=" + item.id);
    by("details").href = link(`item=${item.id}&details=1`);
    by("details").firstChild.textContent = "Show details";
    if (by("views")) {
      for (const choice of views()) {
        const { kind } = choice.dataset;
        choice.href = link(`item=${item.id}` + (kind && `&heat=${kind}`));
      }
      by("for-true").textContent = item.true_class;
      by("for-target").textContent = item.target_class;
    }
    clear();
    prepare(turn.preload);
  };

  const refresh = async () => {
    const reply = await fetch("/api/session", { cache: "no-store" });
    if (reply.ok) csrf = (await reply.json()).csrf;
  };
  const send = async (path, fields) => {
    let stale = false;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const reply = await fetch(path + search(), {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ ...fields, csrf }),
        });
        if (reply.ok) return await reply.json();
        const { error } = await reply.json();
        if (reply.status < 500 && (reply.status !== 403 || stale)) return { error };
        stale = reply.status === 403;
        if (stale) await refresh();
      } catch {
        // The server is away: the same token is sent until it is back, so no vote is lost or doubled.
      }
      if (attempt) say("Not saved yet: the server does not answer. Trying again.");
      if (attempt || !stale) await wait(Math.min(250 * 2 ** attempt, 4000));
    }
  };
  const during = async (work) => {
    if (busy) return;
    busy = true;
    form.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      busy = false;
      form.removeAttribute("aria-busy");
    }
  };

  const vote = () =>
    during(async () => {
      if (by("save").disabled) return;
      const reply = await send("/api/votes", {
        item: desk.dataset.item,
        true_visible: meaning[answer("true") || "unsure"],
        target_visible: meaning[answer("target") || "unsure"],
        reasons: chosen(),
        note: form.elements.note.value,
        token: form.elements.token.value,
      });
      if (reply.error) return say("Not saved: " + reply.error);
      remember("");
      show(reply);
      say(`Saved: ${reply.vote.status}.` + (reply.item ? "" : " That was the last one."));
    });
  const undo = () =>
    during(async () => {
      const reply = await send("/api/undo", { token: token() });
      if (reply.error) return say("Not undone: " + reply.error);
      if (!reply.item) return say("There is nothing to undo.");
      remember("item=" + reply.item.id);
      show(reply);
      say("Undone: vote again.");
    });
  const skip = () =>
    during(async () => {
      const from = "after=" + desk.dataset.item;
      try {
        const reply = await fetch("/api/next" + (search() ? search() + "&" : "?") + from);
        if (!reply.ok) return say("Not skipped: " + (await reply.json()).error);
        remember(from);
        show(await reply.json());
        say("Skipped: it comes back later.");
      } catch {
        say("Not skipped: the server does not answer.");
      }
    });
  const accept = () => {
    clear();
    form.elements.true.value = "yes";
    form.elements.target.value = "no";
    point();
    vote();
  };
  const reply = (value) => {
    const open = questions.find((name) => !answer(name));
    if (open) form.elements[open].value = value;
    point();
    if (questions.every(answer)) vote();
  };
  const toggle = (key) => {
    const box = form.querySelector(`[data-key="${key}"]`);
    if (box) box.checked = !box.checked;
    point();
    return Boolean(box);
  };

  const commands = {
    a: accept,
    u: undo,
    n: skip,
    ArrowRight: skip,
    Enter: vote,
    Backspace: clear,
    i: () => by("details").click(),
    h: () => by("views") && view(views()[(current() + 1) % views().length].dataset.kind),
    g: () => by("grid").click(),
  };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const { target, key } = event;
    if (target.matches("textarea, select, input:not([type=radio], [type=checkbox])")) {
      if (key === "Escape") target.blur();
      return;
    }
    if (key === "Enter" && target.matches("a, button, summary")) return;
    if (key.startsWith("Arrow") && target.matches("input")) return;
    if (key === "?") help.showModal();
    else if (!desk || desk.hidden) {
      if (key === "u" && desk) undo();
      else if (key === "g") by("grid").click();
      else return;
    } else if (event.repeat) {
      if (!commands[key]) return;
    } else if ("123".includes(key)) reply(values[key - 1]);
    else if (commands[key]) commands[key]();
    else if (!/^[a-z]$/.test(key) || !toggle(key)) return;
    event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
  help.addEventListener("click", (event) => event.target === help && help.close());
  if (!desk) return;

  ask.hidden = false;
  ask.addEventListener("click", () => help.showModal());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter === by("accept")) accept();
    else vote();
  });
  form.addEventListener("change", point);
  form.addEventListener("click", (event) => {
    // A pointer's click saves with the second answer; arrow keys only choose.
    const pointer = event.detail > 0;
    if (event.target.closest("label.answer") && event.target.tagName !== "INPUT" && pointer) {
      setTimeout(() => questions.every(answer) && vote());
    }
  });
  const instead = (element, kind, action) =>
    element.addEventListener(kind, (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      action();
    });
  instead(by("undo"), "submit", undo);
  by("nothing").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    undo();
  });
  instead(by("skip"), "click", skip);
  for (const choice of views()) instead(choice, "click", () => view(choice.dataset.kind));
  image.addEventListener("error", () => say("The image cannot be read."));
  prepare(desk.dataset.preload);
  point();
})();
