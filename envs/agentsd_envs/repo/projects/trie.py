"""Words in a tree of characters, each with a weight, for completion and lookup."""

from __future__ import annotations


class Node:
    """One place in the tree."""

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.weight = 0
        """How often the word that ends here was added; 0 when none ends here."""


class Trie:
    """A set of words that counts how often each was added."""

    def __init__(self, words: list[str] | None = None) -> None:
        self.root = Node()
        self.size = 0
        for word in words or []:
            self.add(word)

    def add(self, word: str, times: int = 1) -> None:
        """Add a word. Raises ``ValueError`` for an empty one, or no times."""
        if not word or times < 1:
            raise ValueError("add a word at least once")
        node = self.root
        for char in word:
            node = node.children.setdefault(char, Node())
        if node.weight == 0:
            self.size += 1
        node.weight += times

    def remove(self, word: str) -> bool:
        """Forget a word and the branch only it needs. Returns whether it was there."""
        path = [self.root]
        for char in word:
            if char not in path[-1].children:
                return False
            path.append(path[-1].children[char])
        if path[-1].weight == 0:
            return False
        path[-1].weight = 0
        self.size -= 1
        for depth in range(len(word), 0, -1):
            node = path[depth]
            if node.children or node.weight:
                break
            del path[depth - 1].children[word[depth - 1]]
        return True

    def count(self, word: str) -> int:
        """How often the word was added."""
        node = self._find(word)
        return node.weight if node else 0

    def has_prefix(self, prefix: str) -> bool:
        """Whether some word starts so."""
        return self._find(prefix) is not None

    def words(self, prefix: str = "") -> list[str]:
        """All words that start so, sorted."""
        node = self._find(prefix)
        return [] if node is None else [word for word, _ in self._walk(node, prefix)]

    def complete(self, prefix: str, limit: int = 3) -> list[str]:
        """The words most often added that start so; equal ones sorted."""
        node = self._find(prefix)
        if node is None:
            return []
        found = sorted(self._walk(node, prefix), key=lambda pair: (-pair[1], pair[0]))
        return [word for word, _ in found[:limit]]

    def longest_prefix(self, text: str) -> str:
        """The longest word that the text starts with; empty when there is none."""
        node, best = self.root, ""
        for at, char in enumerate(text):
            if char not in node.children:
                break
            node = node.children[char]
            if node.weight:
                best = text[: at + 1]
        return best

    def nodes(self) -> int:
        """How many places the tree has, without the root."""
        waiting, count = [self.root], 0
        while waiting:
            node = waiting.pop()
            count += len(node.children)
            waiting.extend(node.children.values())
        return count

    def _find(self, prefix: str) -> Node | None:
        node = self.root
        for char in prefix:
            if char not in node.children:
                return None
            node = node.children[char]
        return node

    def _walk(self, node: Node, word: str) -> list[tuple[str, int]]:
        found = [(word, node.weight)] if node.weight else []
        for char in sorted(node.children):
            found += self._walk(node.children[char], word + char)
        return found
