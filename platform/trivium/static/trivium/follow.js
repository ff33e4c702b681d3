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
  source.addEventListener("message", (event) => {
    const entry = JSON.parse(event.data);
    listener.at?.(Number(event.lastEventId));
    if (entry.type === "tokens") {
      listener.tokens?.(entry.tokens);
      listener.text(entry.text);
    } else if (entry.type === "done" || entry.type === "stopped") {
      close();
      listener.end(entry);
    } else if (entry.type === "failed") {
      close();
      listener.fail(entry.message);
    }
  });
  source.addEventListener("error", () => {
    // While the browser connects anew by itself there is nothing to say.
    if (isOver || source.readyState !== EventSource.CLOSED) return;
    listener.fail("The connection was lost. Reload the page to see how far the answer got.");
  });
  addEventListener("pagehide", () => source.close());
  return close;
}
