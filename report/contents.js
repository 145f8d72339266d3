// The list of contents: open beside the report on a wide screen, folded above it on a phone, and where the reader is.

const contents = document.getElementById("contents");
const isWide = window.matchMedia("(min-width: 1100px)");

function unfold() {
  contents.open = isWide.matches;
}

function follow() {
  const links = new Map(Array.from(contents.querySelectorAll("a"), (link) => [link.hash.slice(1), link]));
  const inView = new Set();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) inView.add(target.id);
        else inView.delete(target.id);
      }
      const first = Array.from(links.keys()).find((id) => inView.has(id));
      links.forEach((link, id) => {
        if (id === first) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      });
    },
    { rootMargin: "-10% 0px -60% 0px" },
  );
  document.querySelectorAll("main section[id]").forEach((section) => observer.observe(section));
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && !isWide.matches) contents.open = false;
  });
}
