// A text that a model goes on with where it stands, or makes another of beside it.

import { follow } from "./follow.js";

const form = document.getElementById("write");
const find = (name) => document.getElementById(name);

if (form) {
  const text = form.elements.text;
  const out = find("out");
  const go = find("write-go");
  const stop = find("write-stop");
  const back = find("write-back");
  const told = find("write-told");
  const tokens = find("write-tokens");
  let before = null;
  let running = null;

  const say = (message) => {
    find("write-error").textContent = message;
    find("write-error").hidden = !message;
  };

  const add = (piece) => {
    if (out) {
      out.append(piece);
      return;
    }
    // Whoever reads further up is not torn down to the end.
    const isAtEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 60;
    text.value += piece;
    if (isAtEnd) text.scrollTop = text.scrollHeight;
  };

  const over = () => {
    running = null;
    go.disabled = false;
    stop.hidden = true;
    text.readOnly = false;
    delete form.dataset.running;
    if (out) delete out.dataset.live;
    else {
      back.hidden = text.value === before;
      text.focus();
    }
  };

  const listen = (answer) => {
    let count = 0;
    running = { answer, seen: 0 };
    tokens.href = answer.tokens;
    stop.hidden = false;
    running.close = follow(answer.events, {
      at(seq) {
        if (running) running.seen = seq;
      },
      tokens(list) {
        count += list.length;
      },
      text: add,
      end({ type, reason, timings }) {
        const speed = timings ? ` · ${Math.round(timings.tokens_per_s)} tokens/s` : "";
        const why = type === "stopped" ? "stopped" : reason === "length" ? "the most tokens asked for" : "done";
        told.textContent = `${count} tokens${speed} · ${why}`;
        tokens.hidden = count === 0;
        over();
      },
      fail(message) {
        say(message);
        over();
      },
    });
  };

  const halt = () => {
    if (!running) return;
    const body = new FormData();
    body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.set("seen", String(running.seen));
    fetch(running.answer.stop, { method: "POST", body });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running || go.disabled) return;
    say("");
    before = text.value;
    const body = new FormData(form);
    go.disabled = true;
    tokens.hidden = true;
    back.hidden = true;
    told.textContent = "";
    form.dataset.running = "";
    if (out) {
      out.textContent = "";
      out.dataset.live = "";
    } else text.readOnly = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      listen(found);
    } catch (error) {
      say(error.message || "That could not be sent. Try again.");
      over();
    }
  });
  stop.addEventListener("click", halt);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") halt();
  });
  back.addEventListener("click", () => {
    text.value = before;
    back.hidden = true;
    tokens.hidden = true;
    told.textContent = "";
    text.focus();
  });
}
