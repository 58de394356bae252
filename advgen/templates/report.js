(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const press = () => theme.setAttribute("aria-pressed", String(dark()));
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    press();
  });
  system.addEventListener("change", press);
  press();

  const form = document.getElementById("filters");
  if (!form) return;
  const cards = [...document.querySelectorAll(".card")];
  const keys = ["pair", "method", "fooled", "verified"];
  const apply = () => {
    const wanted = keys.map((key) => [key, form.elements[key].value]).filter(([, value]) => value);
    let shown = 0;
    for (const card of cards) {
      card.hidden = !wanted.every(([key, value]) => card.dataset[key] === value);
      shown += !card.hidden;
    }
    const text = wanted.length ? `${shown} of ${cards.length} images` : `${shown} images`;
    form.querySelector("output").textContent = text;
    document.getElementById("none").hidden = shown > 0;
  };
  form.hidden = false;
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
})();
