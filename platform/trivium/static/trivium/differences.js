// Marks the words in which two texts differ, inside whatever HTML they are drawn as.

const MAX_WORDS = 3_000;

function wordsIn(element) {
  const found = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (const match of walker.currentNode.data.matchAll(/\S+/gu)) {
      found.push({ node: walker.currentNode, at: match.index, word: match[0] });
    }
  }
  return found;
}

// Longest common subsequence after equal beginnings and ends are set aside; which of the
// first text's words, and of the second's, are not part of it.
function differing(first, second) {
  let start = 0;
  while (start < first.length && start < second.length && first[start].word === second[start].word) start += 1;
  let end = 0;
  while (
    end < first.length - start &&
    end < second.length - start &&
    first[first.length - 1 - end].word === second[second.length - 1 - end].word
  ) end += 1;
  const a = first.slice(start, first.length - end);
  const b = second.slice(start, second.length - end);
  const width = b.length + 1;
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        a[i].word === b[j].word
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const onlyA = [];
  const onlyB = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i].word === b[j].word) {
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) onlyA.push(a[i++]);
    else onlyB.push(b[j++]);
  }
  return [onlyA.concat(a.slice(i)), onlyB.concat(b.slice(j))];
}

function unmark(element) {
  for (const mark of element.querySelectorAll("mark[data-differs]")) mark.replaceWith(...mark.childNodes);
  element.normalize();
}

function mark(words) {
  // From the end, so that places before stay where they are.
  for (const { node, at, word } of words.toReversed()) {
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + word.length);
    const element = document.createElement("mark");
    element.dataset.differs = "";
    range.surroundContents(element);
  }
}

export function markDifferences(left, right, isOn) {
  if (!left || !right) return;
  unmark(left);
  unmark(right);
  if (!isOn) return;
  const first = wordsIn(left);
  const second = wordsIn(right);
  if (first.length > MAX_WORDS || second.length > MAX_WORDS) return;
  const [onlyLeft, onlyRight] = differing(first, second);
  mark(onlyLeft);
  mark(onlyRight);
}
