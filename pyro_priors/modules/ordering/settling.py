"""An order in which whatever has much in common stands near, not next to each other alone."""

import numpy as np

GAIN = 1e-9  # what a move must add: less is rounding
TURNS = 60  # stretches whose exact gain is looked at in a round
STRETCHES = 20  # turned around in a round
ROUNDS, WORK = 100, 1e8  # at most, and fewer where there are many nodes


def settled(weights: np.ndarray, path: list[int], fade: float) -> list[int]:
    """The path after moves that raise the sum of all weights, each times fade ** (places between its nodes).

    A chain remembers more than its last variable: columns of one place in a sequence stand together though the next
    place tells each of them more. Nodes are taken out, one after the other, and put where they add most; then stretches
    are turned around; until neither helps.

    Cost: O(V^3) a round, some ten rounds, fewer of more than 100 nodes.

    Shapes:
        ``weights (V, V)``, symmetric, not negative, zeros on the diagonal
    """
    if len(path) < 3:
        return path
    pull, order = _Pull(weights, fade), np.array(path)
    for _ in range(int(max(2, min(ROUNDS, WORK / len(path) ** 3)))):
        before = pull.total(order)
        order = pull.moved(order)
        for _ in range(STRETCHES):
            order, turned = pull.turned(order)
            if not turned:
                break
        if pull.total(order) < before + GAIN:
            break
    return order.tolist()


def nearness(weights: np.ndarray, path: list[int], fade: float) -> float:
    """The sum that `settled` raises, to nine digits: sums in another order make no other path."""
    return round(_Pull(weights, fade).total(np.array(path)), 9)


class _Pull:
    """The sum of all weights, each times fade ** (places between its nodes), and moves that raise it."""

    def __init__(self, weights: np.ndarray, fade: float) -> None:
        self.weights, self.fade, count = weights, fade, len(weights)
        place = np.arange(count)
        apart = np.abs(place[:, None] - place)
        self.nearness = np.where(apart > 0, fade ** np.maximum(apart - 1, 0), 0.0)
        at = place[:, None]  # of a node among the others, each at its place
        self.beside = fade ** np.where(place >= at, place - at, at - place - 1)[:, : count - 1]

    def total(self, order: np.ndarray) -> float:
        return float((self.weights[np.ix_(order, order)] * self.nearness).sum() / 2)

    def moved(self, order: np.ndarray) -> np.ndarray:
        """Each node where it adds most to the others, one node after the other."""
        count = len(order)
        lost = (1 - self.fade) * self.nearness[: count - 1, : count - 1]  # where a node comes between two others
        for node in order.copy():
            here = int(np.flatnonzero(order == node)[0])
            rest = np.delete(order, here)
            across = np.triu(self.weights[np.ix_(rest, rest)] * lost, 1)
            parted = np.r_[0.0, np.cumsum(across.sum(1) - across.sum(0))]
            gains = self.beside @ self.weights[node, rest] - parted
            best = int(gains.argmax())
            if gains[best] > gains[here] + GAIN:
                order = np.insert(rest, best, node)
        return order

    def turned(self, order: np.ndarray) -> tuple[np.ndarray, bool]:
        """The best stretch turned around, of those whose ends like their new neighbours most; whether any helps."""
        padded = np.pad(self.weights[np.ix_(order, order)], 2)
        count, fade = len(order), self.fade

        def between(left: int, right: int) -> np.ndarray:
            return padded[2 + left : 2 + left + count, 2 + right : 2 + right + count]

        start = between(-1, 0) + fade * (between(-2, 0) + between(-1, -1))  # of a stretch (s, t): t beside s - 1
        end = between(0, 1) + fade * (between(1, 1) + between(0, 2))
        cut = np.diagonal(between(-1, 0)) + fade * (np.diagonal(between(-2, 0)) + np.diagonal(between(-1, 1)))
        last = np.diagonal(between(0, 1)) + fade * (np.diagonal(between(-1, 1)) + np.diagonal(between(0, 2)))
        gains = np.triu(start + end - cut[:, None] - last, 1)
        total, best = self.total(order) + GAIN, None
        for flat in np.argsort(-gains, axis=None, kind="stable")[:TURNS]:
            s, t = divmod(int(flat), count)
            if t > s:
                candidate = np.r_[order[:s], order[s : t + 1][::-1], order[t + 1 :]]
                if (value := self.total(candidate)) > total:
                    total, best = value, candidate
        return (order, False) if best is None else (best, True)
