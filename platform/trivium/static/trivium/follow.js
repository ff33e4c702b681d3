// The stream of one answer: server-sent events, each an entry of its log.

// `listener` has text(string), end(entry) and fail(message), each answer ends in one of the
// last two; it may have tokens(list) and at(seq). Returns what stops listening.
export function follow(url, listener) {
  const source = new EventSource(url);
  let isOver = false;
  const close = () => {
    isOver = true;
    source.close();
  };
  const hear = (event) => {
    listener.at?.(Number(event.lastEventId));
    return JSON.parse(event.data);
  };
  source.addEventListener("tokens", (event) => {
    const { tokens, text } = hear(event);
    listener.tokens?.(tokens);
    listener.text(text);
  });
  for (const name of ["done", "stopped"]) {
    source.addEventListener(name, (event) => {
      close();
      listener.end(hear(event));
    });
  }
  source.addEventListener("failed", (event) => {
    close();
    const { message } = hear(event);
    listener.fail(message.charAt(0).toUpperCase() + message.slice(1));
  });
  source.addEventListener("error", () => {
    // While the browser connects anew by itself there is nothing to say.
    if (isOver || source.readyState !== EventSource.CLOSED) return;
    listener.fail("The connection was lost. Reload the page to see how far the answer got.");
  });
  addEventListener("pagehide", () => source.close());
  return close;
}
